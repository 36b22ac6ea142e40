//! A Job or CronJob run fails by itself.

use super::Tale;

pub(super) const FORMS: &[(&str, Tale)] = &[];
