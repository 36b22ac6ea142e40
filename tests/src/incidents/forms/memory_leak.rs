//! Memory grows steadily over time at constant load until it is killed.

use super::Tale;

pub(super) const FORMS: &[(&str, Tale)] = &[];
