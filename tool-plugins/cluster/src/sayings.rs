//! What the cluster's sentences say, read into parts: the words of kubelet, scheduler and
//! admission have no fields of their own. Sentences nobody knows yield nothing; they are then
//! passed on as quotes. Not for the words of programs: those are the logs plugin's.

mod admission;
mod autoscaling;
mod images;
mod probe;
mod quotas;
mod rights;
mod scheduling;
mod storage;
mod tls;
mod unreached;
mod webhook;

pub use admission::{Refusal, refusal};
pub use autoscaling::{ScalingFailure, scaling_failure};
pub use images::{pull_failure, registry, tag};
pub use probe::{ProbeFailure, fault_of_status, listening, probe_answer, probe_failure};
pub use quotas::{Ceiling, QuotaRefusal, quota_refusal};
pub use rights::{Forbidden, forbidden};
pub use scheduling::{Exclusion, Unschedulable, unschedulable};
pub use storage::{attach_failure, provision_failure};
pub use tls::{TlsFailure, tls_failure};
pub use unreached::{Unreached, default_port, ends, unreached};
pub use webhook::{WebhookFailure, entries as webhook_entries, webhook};

/// The text between the first `before` and the next `after` behind it.
pub(crate) fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

/// A `ConfigMap` or Secret that is needed and not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// `ConfigMap` or `Secret`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The key that is missing in it; empty when the object itself is missing.
    pub key: String,
}

/// What is missing, by the kubelet's sentences: `configmap "x" not found`, `couldn't find key k
/// in Secret ns/x`, `references non-existent config key: k`.
#[must_use]
pub fn missing(message: &str) -> Option<Missing> {
    let lower = message.to_ascii_lowercase();
    for (word, kind) in [("configmap", "ConfigMap"), ("secret", "Secret")] {
        if let Some(rest) = lower.split_once("find key ").map(|(_, rest)| rest)
            && let Some((key, place)) = rest.split_once(&format!(" in {word} "))
        {
            let name = place.split([' ', ',', ';', ':']).next().unwrap_or_default();
            let name = name.rsplit('/').next().unwrap_or_default().trim_matches(['"', '.']);
            let at = message.len().checked_sub(rest.len())?;
            let key = message.get(at..at + key.len()).unwrap_or(key);
            return Some(Missing {
                kind,
                name: name.to_owned(),
                key: key.trim_matches('"').to_owned(),
            });
        }
        if lower.contains("not found")
            && let Some(name) = between(&lower, &format!("{word} \""), "\"")
            && lower.contains(&format!("\"{name}\" not found"))
        {
            let name = name.rsplit('/').next().unwrap_or(name);
            return Some(Missing { kind, name: name.to_owned(), key: String::new() });
        }
    }
    None
}

/// The key that a volume asks of an existing `ConfigMap` or Secret and that is not in it.
#[must_use]
pub fn missing_volume_key(message: &str) -> Option<&str> {
    let (_, rest) = message
        .split_once("references non-existent config key: ")
        .or_else(|| message.split_once("references non-existent secret key: "))?;
    rest.split([' ', ',', ';']).next().filter(|key| !key.is_empty())
}

/// The volume that could not be mounted, by `for volume "x"`.
#[must_use]
pub fn volume(message: &str) -> Option<&str> {
    between(message, "for volume \"", "\"")
}

/// Why a container could not be created or started: `exec_format`, `no_such_file`, `permission`
/// or `other`.
#[must_use]
pub fn start_failure(message: &str) -> &'static str {
    let said = message.to_ascii_lowercase();
    if said.contains("exec format error") {
        "exec_format"
    } else if said.contains("no such file") || said.contains("not found in $path") {
        "no_such_file"
    } else if said.contains("permission denied")
        || said.contains("operation not permitted")
        || said.contains("runasnonroot")
    {
        "permission"
    } else {
        "other"
    }
}

/// What an evicting kubelet was short of: `The node was low on resource: memory. …`, else by the
/// name of the threshold or the volume in the sentence; empty when not told.
#[must_use]
pub fn evicted_for(message: &str) -> &str {
    if let Some((_, rest)) = message.split_once("low on resource: ") {
        return rest.split(['.', ' ', ',']).next().unwrap_or_default();
    }
    let said = message.to_ascii_lowercase();
    ["ephemeral-storage", "ephemeral local storage", "emptydir", "memory", "inodes", "pids", "disk"]
        .into_iter()
        .find(|word| said.contains(word))
        .map_or("", |word| match word {
            "emptydir" | "ephemeral local storage" | "disk" => "ephemeral-storage",
            other => other,
        })
}

#[cfg(test)]
mod tests;
