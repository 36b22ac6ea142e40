//! A certificate is no longer valid.

use super::Tale;

pub(super) const FORMS: &[(&str, Tale)] = &[];
