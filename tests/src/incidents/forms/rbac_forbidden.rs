//! A service account lacks a permission.

use super::Tale;

pub(super) const FORMS: &[(&str, Tale)] = &[];
