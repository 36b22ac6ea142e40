//! Whether an alert was caused by ourselves: by a message of ours, or by our own load. Such a one is
//! never investigated, or one investigation would set off the next. Alerts *about* our pods that
//! others measured stay investigable like any. Pure.

use crate::alert::Alert;

/// The mark that every message of ours carries, as field, label or annotation.
pub const MARK: &str = "agentd_investigation";
/// How the `schema` of every message of ours begins.
pub const SCHEMA: &str = "agentd.notification/";

/// Labels that tell whose requests an alert about load is about.
const CLIENTS: [&str; 9] = [
    "client",
    "user_agent",
    "useragent",
    "username",
    "user",
    "caller",
    "source_app",
    "source_workload",
    "service_account",
];
/// Scrape jobs of ours: the number that was alerted on was measured by ourselves about ourselves.
const JOB: &str = "job";

/// Why an alert counts as our own doing; `None` for the alerts of others.
pub(super) fn doing(alert: &Alert) -> Option<&'static str> {
    if alert.source == "agentd"
        || alert.labels.contains_key(MARK)
        || alert.annotations.contains_key(MARK)
    {
        return Some("it was made from a message of ours");
    }
    let told = |label: &str| alert.labels.get(label).is_some_and(|value| ours(value));
    if CLIENTS.iter().any(|label| told(label)) {
        return Some("it is about load that we make ourselves");
    }
    told(JOB).then_some("it was measured by ourselves about ourselves")
}

/// Whether a client or job of that name is the daemon or a plugin: `agentd`, `agentd/0.1.0`,
/// `plugin-pods`, `monitoring/agentd`, `system:serviceaccount:agentd:plugin-logs`.
fn ours(value: &str) -> bool {
    let program = |word: &str| {
        let name = word.split('/').next().unwrap_or_default();
        let plugin = ["pods", "logs", "metrics", "events", "remedies"];
        name == "agentd" || name.strip_prefix("plugin-").is_some_and(|of| plugin.contains(&of))
    };
    let last = value.rsplit([':', '/']).next().unwrap_or_default();
    program(value) || program(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(label: &str, value: &str) -> Alert {
        Alert { labels: [(label.to_owned(), value.to_owned())].into(), ..Alert::default() }
    }

    #[test]
    fn what_our_messages_and_our_load_cause_is_recognised() {
        for (label, value) in [
            (MARK, "investigations/x"),
            ("user_agent", "agentd/0.1.0"),
            ("client", "plugin-metrics"),
            ("username", "system:serviceaccount:agentd:plugin-logs"),
            ("job", "agentd"),
            ("job", "monitoring/agentd"),
        ] {
            assert!(doing(&labelled(label, value)).is_some(), "{label}={value}");
        }
        let marked =
            Alert { annotations: [(MARK.to_owned(), String::new())].into(), ..Alert::default() };
        assert!(doing(&marked).is_some());
    }

    #[test]
    fn what_others_measured_about_us_and_names_like_ours_are_investigated() {
        for (label, value) in [
            ("namespace", "agentd"),
            ("pod", "agentd-0"),
            ("deployment", "plugin-pods"),
            ("job", "kube-state-metrics"),
            ("client", "agentdash"),
            ("user", "plugin-pods-fan"),
            ("client", "plugin-payments"),
        ] {
            assert_eq!(doing(&labelled(label, value)), None, "{label}={value}");
        }
    }
}
