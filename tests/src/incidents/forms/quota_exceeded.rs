//! ResourceQuota or LimitRange forbids creation.

use super::Tale;

pub(super) const FORMS: &[(&str, Tale)] = &[];
