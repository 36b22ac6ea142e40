//! A referenced ConfigMap, Secret or key does not exist.

use super::Tale;

pub(super) const FORMS: &[(&str, Tale)] = &[];
