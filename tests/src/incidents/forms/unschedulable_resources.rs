//! No node has enough cpu or memory.

use super::Tale;

pub(super) const FORMS: &[(&str, Tale)] = &[];
