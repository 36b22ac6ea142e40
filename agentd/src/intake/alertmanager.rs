//! What Prometheus Alertmanager posts to a webhook, version 4. Fields we do not know are passed
//! over; a time that cannot be read counts as not told, since Alertmanager gives up on a refusal.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::{Batch, Notice, fault::Fault, labels};

/// The version of the message that is understood.
const VERSION: &str = "4";
/// Where the link to the rule's graph is kept: an alert has no field for it.
const GENERATOR: &str = "generator_url";

/// One message: a group of alerts that changed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    group_key: String,
    #[serde(default)]
    truncated_alerts: u64,
    alerts: Vec<Told>,
}

/// One alert of the group.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    status: Status,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    starts_at: String,
    #[serde(default, rename = "generatorURL")]
    generator_url: String,
    #[serde(default)]
    fingerprint: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Firing,
    Resolved,
}

/// Reads a message.
///
/// # Errors
/// When it is none, or of another version.
pub(super) fn read(body: &[u8]) -> Result<Batch, Fault> {
    #[derive(Deserialize)]
    struct Head {
        version: Option<serde_json::Value>,
    }
    let head: Head = serde_json::from_slice(body).map_err(|error| Fault::json(&error))?;
    match head.version {
        Some(serde_json::Value::String(version)) if version == VERSION => {}
        Some(other) => return Err(version(&format!("is {other}"))),
        None => return Err(version("is missing")),
    }
    let message: Message = serde_json::from_slice(body).map_err(|error| Fault::json(&error))?;
    let group = message.group_key;
    Ok(Batch {
        source: "alertmanager",
        notices: message.alerts.into_iter().map(|told| notice(told, &group)).collect(),
        truncated: message.truncated_alerts,
    })
}

fn version(said: &str) -> Fault {
    Fault {
        at: "version".to_owned(),
        what: said.to_owned(),
        mend: "send what Alertmanager's webhook_configs sends: version \"4\"".to_owned(),
    }
}

fn notice(told: Told, group: &str) -> Notice {
    let mut alert = labels::alert(told.labels, told.annotations);
    "alertmanager".clone_into(&mut alert.source);
    alert.fingerprint = told.fingerprint;
    // The zero time of Go is no time.
    alert.start = told.starts_at.parse().ok().filter(|at| *at > Timestamp::UNIX_EPOCH);
    if !told.generator_url.is_empty() {
        alert.annotations.insert(GENERATOR.to_owned(), told.generator_url);
    }
    let resolved = told.status == Status::Resolved;
    Notice { alert, resolved, group: group.to_owned(), stored: None }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    /// As Alertmanager 0.25 sends it, with a field that no version has.
    pub(super) const SENT: &str = r#"{
        "receiver": "agentd", "status": "firing", "novelty": {"a": [1]},
        "alerts": [{
            "status": "firing",
            "labels": {"alertname": "KubePodCrashLooping", "namespace": "shop",
                       "pod": "cart-7d9f8b6c5-x2x4z", "severity": "warning"},
            "annotations": {"summary": "Pod is crash looping."},
            "startsAt": "2026-11-21T10:00:00.5Z", "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus:9090/graph?g0.expr=x",
            "fingerprint": "0b8e1c4fd2a5a5c7"
        }, {
            "status": "resolved", "labels": {"alertname": "Slow"}, "annotations": {},
            "startsAt": "0001-01-01T00:00:00Z", "endsAt": "2026-11-21T11:00:00Z",
            "generatorURL": "", "fingerprint": "ff"
        }],
        "groupLabels": {"alertname": "KubePodCrashLooping"}, "commonLabels": {},
        "commonAnnotations": {}, "externalURL": "http://alertmanager:9093", "version": "4",
        "groupKey": "{}:{alertname=\"KubePodCrashLooping\"}", "truncatedAlerts": 3
    }"#;

    #[test]
    fn what_alertmanager_sends_becomes_alerts() {
        let batch = read(SENT.as_bytes()).unwrap();
        let (first, second) = (&batch.notices[0], &batch.notices[1]);
        assert_eq!(batch.truncated, 3);
        assert_eq!(first.group, "{}:{alertname=\"KubePodCrashLooping\"}");
        let alert = &first.alert;
        assert_eq!((alert.kind.as_str(), alert.service.as_str()), ("KubePodCrashLooping", "cart"));
        assert_eq!(alert.start, "2026-11-21T10:00:00.5Z".parse().ok());
        assert_eq!(alert.fingerprint, "0b8e1c4fd2a5a5c7");
        assert!(alert.annotations[GENERATOR].starts_with("http://prometheus"));
        assert!(second.resolved && second.alert.start.is_none() && !first.resolved);
    }

    #[test]
    fn another_version_and_broken_json_are_told_with_where_and_how_to_mend() {
        for (body, at, what) in [
            (SENT.replace("\"version\": \"4\"", "\"version\": \"3\""), "version", "is \"3\""),
            ("{}".to_owned(), "version", "is missing"),
            (r#"{"version": "4", "alerts": []}"#.to_owned(), "line 1", "groupKey"),
            ("{\n\"version\": ".to_owned(), "line 2", "EOF"),
            (SENT.replace("resolved", "asleep"), "line ", "unknown variant `asleep`"),
        ] {
            let fault = read(body.as_bytes()).unwrap_err();
            assert!(fault.at.starts_with(at) && fault.what.contains(what), "{fault:?}");
            assert!(!fault.mend.is_empty());
        }
    }

    #[test]
    fn a_time_that_cannot_be_read_loses_no_alert() {
        let batch = read(SENT.replace("2026-11-21T10:00:00.5Z", "soon").as_bytes()).unwrap();
        assert_eq!(batch.notices[0].alert.start, None);
    }
}
