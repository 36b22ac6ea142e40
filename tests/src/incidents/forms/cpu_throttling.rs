//! CPU limit throttles a service.

use super::Tale;

pub(super) const FORMS: &[(&str, Tale)] = &[];
