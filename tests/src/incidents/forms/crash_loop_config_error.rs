//! Process exits at start because of a wrong or missing setting.

use super::Tale;

pub(super) const FORMS: &[(&str, Tale)] = &[];
