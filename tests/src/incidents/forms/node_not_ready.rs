//! A node is lost.

use super::Tale;

pub(super) const FORMS: &[(&str, Tale)] = &[];
