//! What is done to a request before it becomes an investigation: its secrets are masked, and its
//! content is made comparable with a repeat of it.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::Wishes;
use crate::alert::Alert;

/// SHA-256 over what a request asks for, its id left out.
pub(super) fn content_hash(alert: &Alert, wishes: &Wishes) -> [u8; 32] {
    let content = format!(
        "{alert:?}|{:?}|{:?}|{:?}|{:?}",
        wishes.autonomy, wishes.max_duration, wishes.max_tool_calls, wishes.labels
    );
    Sha256::digest(content.as_bytes()).into()
}

/// People paste secrets into alerts, too. A value is judged by its key as well.
pub(super) fn redacted(mut alert: Alert) -> Alert {
    for text in [
        &mut alert.kind,
        &mut alert.service,
        &mut alert.namespace,
        &mut alert.cluster,
        &mut alert.environment,
        &mut alert.description,
        &mut alert.fingerprint,
        &mut alert.source,
    ] {
        *text = agent_redact::redact(text);
    }
    alert.labels = redacted_pairs(alert.labels);
    alert.annotations = redacted_pairs(alert.annotations);
    alert
}

pub(super) fn redacted_pairs(pairs: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let masked = pairs.into_iter().map(|(key, value)| {
        let value = agent_redact::redact_value(&key, &value);
        (agent_redact::redact(&key), value)
    });
    masked.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_any_part_of_an_alert_are_masked_by_shape_and_by_key() {
        let url = "https://user:hunter2hunter2@host/x".to_owned();
        let alert = redacted(Alert {
            source: url.clone(),
            description: format!("see {url}"),
            labels: [("password", "correct-horse"), ("team", "cart")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..Alert::default()
        });
        let told = format!("{alert:?}");
        assert!(!told.contains("hunter2") && !told.contains("correct-horse"), "{told}");
        assert_eq!(alert.labels.get("team").map(String::as_str), Some("cart"));
    }
}
