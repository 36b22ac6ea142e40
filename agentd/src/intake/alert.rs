//! One alert as JSON, for scripts and systems that speak no Alertmanager: the fields of
//! `agentd.v1.Alert` in either spelling, and `"resolved": true` to say that it is over. A field of
//! another name is refused, since a person wrote it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{Batch, Notice, fault::Fault, labels};
use crate::investigation::finding::Severity;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Told {
    r#type: String,
    service: String,
    namespace: String,
    cluster: String,
    environment: String,
    #[serde(deserialize_with = "severity")]
    severity: Option<Severity>,
    description: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    #[serde(alias = "startTime", deserialize_with = "time")]
    start_time: Option<Timestamp>,
    fingerprint: String,
    source: String,
    resolved: bool,
}

/// Reads an alert. What only labels tell is taken from there.
///
/// # Errors
/// When it is none.
pub(super) fn read(body: &[u8]) -> Result<Batch, Fault> {
    let told: Told = serde_json::from_slice(body).map_err(|error| Fault::json(&error))?;
    let mut alert = labels::alert(told.labels, told.annotations);
    for (field, told) in [
        (&mut alert.kind, told.r#type),
        (&mut alert.service, told.service),
        (&mut alert.namespace, told.namespace),
        (&mut alert.cluster, told.cluster),
        (&mut alert.environment, told.environment),
        (&mut alert.description, told.description),
    ] {
        if !told.is_empty() {
            *field = told;
        }
    }
    alert.severity = told.severity.or(alert.severity);
    alert.start = told.start_time;
    alert.fingerprint = told.fingerprint;
    alert.source = if told.source.is_empty() { "webhook".to_owned() } else { told.source };
    if alert.kind.is_empty() && alert.service.is_empty() && alert.description.is_empty() {
        return Err(Fault {
            at: "the alert".to_owned(),
            what: "says nothing that could be investigated".to_owned(),
            mend: "give at least one of type, service and description".to_owned(),
        });
    }
    let notice = Notice { alert, resolved: told.resolved, group: String::new(), stored: None };
    Ok(Batch { source: "webhook", notices: vec![notice], truncated: 0 })
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let word = String::deserialize(from)?;
    word.parse()
        .map(Some)
        .map_err(|_| D::Error::custom(format!("{word:?} is no time such as 2026-11-21T10:00:00Z")))
}

/// Words of alerting systems, and the names of the wire's enum.
fn severity<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Severity>, D::Error> {
    let word = String::deserialize(from)?;
    let bare = word.strip_prefix("SEVERITY_").unwrap_or(&word);
    if bare.is_empty() || bare == "UNSPECIFIED" {
        return Ok(None);
    }
    Severity::from_word(bare).map(Some).ok_or_else(|| {
        D::Error::custom(format!(
            "severity {word:?} is none of critical, high, error, warning, info, none, P1 to P4"
        ))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    #[test]
    fn an_alert_is_read_in_either_spelling_and_labels_tell_the_rest() {
        for body in [
            r#"{"type": "slow", "service": "cart", "severity": "SEVERITY_P1",
                "startTime": "2026-11-21T10:00:00Z", "labels": {"namespace": "shop"}}"#,
            r#"{"type": "slow", "service": "cart", "severity": "critical",
                "start_time": "2026-11-21T10:00:00Z", "namespace": "shop"}"#,
        ] {
            let notice = &read(body.as_bytes()).unwrap().notices[0];
            assert_eq!(notice.alert.severity, Some(Severity::P1), "{body}");
            assert_eq!(notice.alert.namespace, "shop");
            assert!(notice.alert.start.is_some());
        }
    }

    #[test]
    fn what_is_no_alert_is_told_with_where_it_goes_wrong() {
        for (body, what) in [
            (r#"{"servce": "cart"}"#, "unknown field `servce`"),
            (r#"{"severity": "loud", "type": "x"}"#, "\"loud\" is none of critical"),
            (r#"{"namespace": "shop"}"#, "says nothing"),
            (r#"{"type": "x", "start_time": "yesterday"}"#, "yesterday"),
        ] {
            let fault = read(body.as_bytes()).unwrap_err();
            assert!(fault.what.contains(what), "{body}: {fault:?}");
        }
    }
}
