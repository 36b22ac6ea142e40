//! Taints, selectors or (anti-)affinity exclude every node.

use super::Tale;

pub(super) const FORMS: &[(&str, Tale)] = &[];
