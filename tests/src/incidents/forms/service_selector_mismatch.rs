//! Service selects no pods or the wrong port.

use super::Tale;

pub(super) const FORMS: &[(&str, Tale)] = &[];
