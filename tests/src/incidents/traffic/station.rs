//! What a station does by itself: its own harms, and queueing near its capacity.

use super::Station;
use crate::incidents::clock::Sec;

impl Station {
    /// Share of failures and milliseconds that are its own doing at `rate`.
    pub(super) fn alone(&self, at: Sec, rate: f64) -> (f64, f64) {
        let mut good = 1.0;
        let mut time = self.latency;
        for harm in &self.harms {
            let size = harm.size(at);
            good *= 1.0 - (harm.errors * size).min(1.0);
            time *= 1.0 + (harm.slow - 1.0) * size;
        }
        if self.capacity > 0.0 && rate > 0.0 {
            let used = rate / self.capacity;
            time *= 1.0 + 1.0 / (1.0 - used.min(0.96)) * used.powi(4);
            good *= if used > 1.0 { 1.0 / used } else { 1.0 };
        }
        (1.0 - good, time)
    }
}
