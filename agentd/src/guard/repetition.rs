//! Loop detection: an agent that asks the same question again and gets the same answer goes in
//! circles. Equal means equal tool and arguments, and an equal result.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::tool::Call;

/// Remembers the calls of one investigation and what they gave.
#[derive(Debug, Clone, Default)]
pub struct Repetition {
    seen: BTreeMap<[u8; 32], [u8; 32]>,
    repeats: u32,
}

/// Equal calls with equal results after which an investigation is said to go in circles.
pub const MAX_REPEATS: u32 = 3;

impl Repetition {
    /// Whether an equal call was made before.
    #[must_use]
    pub fn asked(&self, call: &Call) -> bool {
        self.seen.contains_key(&call_digest(call))
    }

    /// Notes what `call` gave, and tells whether the investigation now goes in circles.
    pub fn note(&mut self, call: &Call, result: &str) -> bool {
        let result: [u8; 32] = Sha256::digest(result.as_bytes()).into();
        if self.seen.insert(call_digest(call), result) == Some(result) {
            self.repeats = self.repeats.saturating_add(1);
        }
        self.repeats >= MAX_REPEATS
    }
}

fn call_digest(call: &Call) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [&call.tool.digest, &call.tool.tool, &call.arguments] {
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        guard::policy::tests::{call, spec},
        tool::SideEffect,
    };

    #[test]
    fn equal_calls_with_equal_results_trip_and_changing_results_do_not() {
        let call = call(&spec("look", SideEffect::ReadOnly));
        let mut same = Repetition::default();
        assert!(!same.asked(&call));
        let tripped: Vec<bool> = (0..4).map(|_| same.note(&call, "calm")).collect();
        assert_eq!(tripped, [false, false, false, true]);
        assert!(same.asked(&call));

        let mut moving = Repetition::default();
        assert!((0..9).all(|i| !moving.note(&call, &format!("{i} restarts"))));
    }
}
