//! How many calls a caller makes for each request, where that changes: what a cache no longer
//! answers falls on the database behind it.

use super::{Call, Traffic};
use crate::incidents::{clock::Sec, series::at_point};

impl Traffic {
    /// Calls per request of the caller at `at`.
    #[must_use]
    pub fn share(&self, call: &Call, at: Sec) -> f64 {
        let own = |(from, to, _): &&super::Shift| *from == call.from && *to == call.to;
        let factor =
            self.shifts.iter().find(own).map_or(1.0, |(_, _, points)| at_point(points, at));
        call.share * factor
    }
}
