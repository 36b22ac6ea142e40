//! Chance by seed: what a story draws is the same on every machine for the same seed. Streams for
//! different purposes are forked by a word, so that a further draw in one changes no other.

use crate::seed::Seed;

/// Letters that Kubernetes draws random endings of names from.
const ENDINGS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A stream of chance.
#[derive(Debug, Clone)]
pub struct Dice {
    origin: u64,
    seed: Seed,
}

impl Dice {
    /// The stream of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut first = Seed::new(seed);
        let origin = first.number();
        Self { origin, seed: first }
    }

    /// Another stream for what `word` names: independent of how much was drawn from this one.
    #[must_use]
    pub fn fork(&self, word: &str) -> Self {
        let mut mixed = self.origin ^ 0xcbf2_9ce4_8422_2325;
        for byte in word.bytes() {
            mixed = (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self::new(mixed)
    }

    /// A number below `end`; 0 when `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.seed.below(end)
    }

    /// A whole number from `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = usize::try_from(high.saturating_sub(low).saturating_add(1)).unwrap_or(1);
        low.saturating_add(count(self.seed.below(width)))
    }

    /// A number from 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        (self.seed.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number from `low` to below `high`.
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Whether something of probability `share` happens.
    pub fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// One of `from`; the default when there is none.
    pub fn pick<T: Copy + Default>(&mut self, from: &[T]) -> T {
        from.get(self.below(from.len())).copied().unwrap_or_default()
    }

    /// `from` in another order.
    pub fn shuffled<T: Clone>(&mut self, from: &[T]) -> Vec<T> {
        let mut all = from.to_vec();
        for at in (1..all.len()).rev() {
            all.swap(at, self.below(at + 1));
        }
        all
    }

    /// `length` hexadecimal digits.
    pub fn hex(&mut self, length: usize) -> String {
        let mut text = String::with_capacity(length + 16);
        while text.len() < length {
            text.push_str(&format!("{:016x}", self.seed.number()));
        }
        text.truncate(length);
        text
    }

    /// A random ending as Kubernetes gives to pods, such as `x7k2p`.
    pub fn ending(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(self.pick(ENDINGS))).collect()
    }

    /// An identifier in the form of a UUID.
    pub fn uid(&mut self) -> String {
        let h = self.hex(32);
        let part = |from: usize, to: usize| h.get(from..to).unwrap_or_default();
        format!(
            "{}-{}-4{}-a{}-{}",
            part(0, 8),
            part(8, 12),
            part(13, 16),
            part(17, 20),
            part(20, 32)
        )
    }
}

/// `number` as a signed one, as times and counts are.
#[must_use]
pub fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// `value` rounded to a whole number.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "values of a story are far below the bounds")]
pub fn whole(value: f64) -> i64 {
    value.round() as i64
}
