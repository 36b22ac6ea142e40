//! A NetworkPolicy blocks needed traffic.

use super::Tale;

pub(super) const FORMS: &[(&str, Tale)] = &[];
