//! A cache lost capacity or content and the load falls through.

use super::Tale;

pub(super) const FORMS: &[(&str, Tale)] = &[];
