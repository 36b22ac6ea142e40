//! Database or pool has no free connections.

use super::Tale;

pub(super) const FORMS: &[(&str, Tale)] = &[];
