//! Nothing is wrong.

use super::Tale;

pub(super) const FORMS: &[(&str, Tale)] = &[];
