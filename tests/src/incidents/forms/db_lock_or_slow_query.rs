//! Locks or slow statements in a database.

use super::Tale;

pub(super) const FORMS: &[(&str, Tale)] = &[];
