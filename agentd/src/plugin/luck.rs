//! Chance for what should not happen in step: jitter and ties. Not for secrets.

use std::hash::{BuildHasher as _, RandomState};

/// A number drawn from 0 up to, without, 1.
pub(crate) fn share() -> f64 {
    // Fresh keys for each hasher: the hash of nothing is a draw, without a system call.
    let drawn = u32::try_from(RandomState::new().hash_one(0_u8) >> 32).unwrap_or_default();
    f64::from(drawn) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_differ_and_stay_within_bounds() {
        let drawn: Vec<f64> = (0..100).map(|_| share()).collect();
        assert!(drawn.iter().all(|share| (0.0..1.0).contains(share)), "{drawn:?}");
        assert!(drawn.iter().any(|share| *share < 0.5) && drawn.iter().any(|share| *share >= 0.5));
    }
}
