//! Wrong, rotated or revoked credentials.

use super::Tale;

pub(super) const FORMS: &[(&str, Tale)] = &[];
