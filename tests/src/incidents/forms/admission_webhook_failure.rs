//! An admission webhook rejects or cannot be reached.

use super::Tale;

pub(super) const FORMS: &[(&str, Tale)] = &[];
