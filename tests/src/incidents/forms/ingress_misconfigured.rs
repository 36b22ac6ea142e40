//! Ingress host, class, backend or port wrong.

use super::Tale;

pub(super) const FORMS: &[(&str, Tale)] = &[];
