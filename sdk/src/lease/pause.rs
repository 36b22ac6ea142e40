//! How long to wait between tries, so that many plugins do not come back in one moment. Pure but
//! for the draw of a random number.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);
/// Full jitter may draw next to nothing; this keeps a run of bad luck from being a hot loop.
const SHORTEST: Duration = Duration::from_millis(20);

/// Growing pauses with full jitter: 0 to 0.2 s, doubling up to 5 s.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    ceiling: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { ceiling: FIRST }
    }
}

impl Backoff {
    /// The next pause.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = jitter(self.ceiling).max(SHORTEST);
        self.ceiling = (self.ceiling * 2).min(LONGEST);
        pause
    }
}

/// A random span from nothing to `longest`.
pub(crate) fn jitter(longest: Duration) -> Duration {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    // The low half of the first word is random but for the version's four bits, kept out here.
    let share = f64::from(u32::try_from(high >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX);
    longest.mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_stay_below_a_ceiling_that_doubles_to_five_seconds() {
        for _ in 0..50 {
            let mut backoff = Backoff::default();
            for ceiling in [200, 400, 800, 1600, 3200, 5000, 5000] {
                let pause = backoff.next();
                assert!(pause >= SHORTEST && pause <= Duration::from_millis(ceiling), "{pause:?}");
            }
        }
    }

    #[test]
    fn jitter_spreads_over_the_whole_span() {
        let longest = Duration::from_secs(1);
        let drawn: Vec<_> = (0..200).map(|_| jitter(longest)).collect();
        assert!(drawn.iter().all(|d| *d <= longest));
        assert!(
            drawn.iter().any(|d| *d < longest / 4) && drawn.iter().any(|d| *d > longest * 3 / 4)
        );
    }
}
