//! Consumer stuck or too slow, lag grows.

use super::Tale;

pub(super) const FORMS: &[(&str, Tale)] = &[];
