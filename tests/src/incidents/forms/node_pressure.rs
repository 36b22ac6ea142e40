//! A node is short of disk, memory or pids and evicts.

use super::Tale;

pub(super) const FORMS: &[(&str, Tale)] = &[];
