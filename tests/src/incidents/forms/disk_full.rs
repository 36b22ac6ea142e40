//! A volume is full.

use super::Tale;

pub(super) const FORMS: &[(&str, Tale)] = &[];
