//! What the API server has no more of a log, from the store beside it ([`crate::store`]).
//!
//! The rule. The store is asked where the log of a container, as the API server gives it, begins
//! within the hour that is compared with ([`PAST`]) although the container ran before: it was rotated
//! away, or the run before is gone. Then it is asked for what is earlier than the API server's first
//! line, and for nothing later, so no line comes twice. It is asked for the whole hour where the API
//! server gives nothing (it may not be read, the node does not answer) or not the current run; what
//! was read of the run before is left away then. And it is asked for pods of the alerted workloads
//! that are gone, as the shape of their names tells them: only the store remembers those.
//!
//! What the store had closes the gap that the API server left; a store that fails is a gap itself,
//! told once for a call, and is not asked again by it.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use agent_sdk::{Entity, Failure};
use jiff::{SignedDuration, Timestamp};
use plugin_cluster::{LogLine, Resolution};
use serde::Serialize;

use crate::{
    rate::PAST,
    store::{MAX_LINES, Store, Talk, Wanted, Whose},
};

/// Less than this is not worth asking for: a log begins a moment after its container.
pub const MOMENT: SignedDuration = SignedDuration::from_mins(3);
/// Workloads at most whose former pods are looked for.
const MAX_WORKLOADS: usize = 4;
/// Former pods at most; the last to speak go first.
const MAX_FORMER: usize = 6;
/// What Kubernetes makes endings of names from: no vowels, so that no words come of it.
const SAFE: &str = "bcdfghjklmnpqrstvwxz2456789";

/// One call's questions to a store.
#[derive(Debug)]
pub struct Earlier<'a> {
    talk: Option<Talk<'a>>,
    title: &'static str,
    now: Timestamp,
    account: Mutex<Account>,
}

#[derive(Debug, Default)]
struct Account {
    failed: Option<Failure>,
    lines: usize,
    containers: usize,
}

/// What was had of a store, for the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Used {
    /// Which.
    pub store: &'static str,
    /// Requests that it took.
    pub requests: usize,
    /// Lines that it gave.
    pub lines: usize,
    /// Containers that they are of.
    pub containers: usize,
}

/// The log of a container whose pod is gone.
#[derive(Debug)]
pub struct Former {
    /// The container.
    pub subject: Entity,
    /// What a person deployed to get it.
    pub owner: Entity,
    /// Its lines.
    pub had: Stored,
}

/// Lines of a store, oldest first.
#[derive(Debug, Default)]
pub struct Stored {
    /// The lines.
    pub lines: Vec<LogLine>,
    /// Why there may be more.
    pub gap: Option<Failure>,
}

/// Which part of a container's log is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// From here on.
    pub from: Timestamp,
    /// Up to the first line that is there.
    pub to: Timestamp,
}

// === impl Earlier ===

impl<'a> Earlier<'a> {
    /// The questions of one call, which may take `within`; none where there is no store.
    #[must_use]
    pub fn new(store: Option<&'a Store>, now: Timestamp, within: Duration) -> Self {
        let talk = store.map(|store| store.talk(within));
        let (talk, failed) = match talk {
            None => (None, None),
            Some(Ok(talk)) => (Some(talk), None),
            Some(Err(failure)) => (None, Some(failure)),
        };
        let account = Mutex::new(Account { failed, ..Account::default() });
        Self { talk, title: store.map_or("", Store::title), now, account }
    }

    /// The lines of a container that are missing; `None` where nothing was had.
    pub async fn of(&self, container: &Entity, missing: Missing, lines: usize) -> Option<Stored> {
        let (_, _, stored) =
            self.ask(&of_pod(container, missing, lines)).await.into_iter().next()?;
        Some(stored)
    }

    /// The logs of pods of the alerted workloads that are gone; `present` are those that are not.
    pub async fn former(&self, resolution: &Resolution, present: &BTreeSet<&str>) -> Vec<Former> {
        let mut found = Vec::new();
        for workload in resolution.workloads.iter().take(MAX_WORKLOADS) {
            let wanted = Wanted {
                namespace: workload.namespace.clone(),
                whose: Whose::Workload(workload.name.clone()),
                container: String::new(),
                from: self.now.saturating_sub(PAST).unwrap_or(self.now),
                to: self.now,
                lines: MAX_LINES,
            };
            for (pod, container, had) in self.ask(&wanted).await {
                if !present.contains(pod.as_str()) && is_pod_of(&pod, workload) {
                    let subject = Entity::new("Pod", &*workload.namespace, &*pod);
                    let subject = subject.container(container);
                    found.push(Former { subject, owner: workload.clone(), had });
                }
            }
        }
        let last = |former: &Former| former.had.lines.last().and_then(|line| line.time);
        found.sort_by(|a, b| (last(b), &a.subject).cmp(&(last(a), &b.subject)));
        found.truncate(MAX_FORMER);
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        account.lines += found.iter().map(|former| former.had.lines.len()).sum::<usize>();
        account.containers += found.len();
        found
    }

    /// All containers of a pod in a time, for who asks for a pod by name.
    pub async fn of_pod(
        &self,
        pod: &Entity,
        missing: Missing,
        lines: usize,
    ) -> Vec<(String, Stored)> {
        let asked = self.ask(&of_pod(pod, missing, lines)).await;
        asked.into_iter().map(|(_, container, had)| (container, had)).collect()
    }

    async fn ask(&self, wanted: &Wanted) -> Vec<(String, String, Stored)> {
        let has_failed = || {
            let account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
            account.failed.is_some()
        };
        let Some(talk) = self.talk.as_ref().filter(|_| !has_failed()) else { return Vec::new() };
        let asked = talk.lines(wanted).await;
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        let had = match asked {
            Ok(had) => had,
            Err(failure) => {
                account.failed.get_or_insert(failure);
                return Vec::new();
            }
        };
        if matches!(wanted.whose, Whose::Pod(_)) {
            account.lines += had.lines.values().map(Vec::len).sum::<usize>();
            account.containers += had.lines.len();
        }
        let gap = had.gap;
        let stored = |lines| Stored { lines, gap: gap.clone() };
        let of = had.lines.into_iter();
        of.map(|((pod, container), lines)| (pod, container, stored(lines))).collect()
    }

    /// Why the store could not be asked.
    #[must_use]
    pub fn gap(&self) -> Option<(String, Failure)> {
        let account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        let failure = account.failed.clone()?;
        Some((format!("older logs in {}", self.title), failure))
    }

    /// What was had, where it was asked.
    #[must_use]
    pub fn used(&self) -> Option<Used> {
        let requests = self.talk.as_ref()?.requests();
        let account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        let Account { lines, containers, .. } = *account;
        (requests > 0).then_some(Used { store: self.title, requests, lines, containers })
    }

    /// Whether there is a store.
    #[must_use]
    pub fn has_store(&self) -> bool {
        self.talk.is_some()
    }

    /// Which store, for facts that rest on it.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.title
    }
}

/// The lines of a pod, or of one container of it when the entity names one.
fn of_pod(pod: &Entity, missing: Missing, lines: usize) -> Wanted {
    Wanted {
        namespace: pod.namespace.clone(),
        whose: Whose::Pod(pod.name.clone()),
        container: pod.container.clone(),
        from: missing.from,
        to: missing.to,
        lines,
    }
}

/// What of a log is missing that begins at `first` (or nowhere) and whose container `began`.
#[must_use]
pub fn missing(
    first: Option<Timestamp>,
    began: Option<Timestamp>,
    now: Timestamp,
) -> Option<Missing> {
    let past = now.saturating_sub(PAST).unwrap_or(now);
    let from = began.map_or(past, |began| began.max(past));
    let to = first.unwrap_or(now).min(now);
    (to.duration_since(from) > MOMENT).then_some(Missing { from, to })
}

/// Whether a pod that is gone was of `workload`, by the ending that controllers give to names.
fn is_pod_of(pod: &str, workload: &Entity) -> bool {
    let Some(ending) = pod.strip_prefix(&*workload.name).and_then(|rest| rest.strip_prefix('-'))
    else {
        return false;
    };
    let is_drawn = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.chars().all(|c| SAFE.contains(c))
    };
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let is_last = |text: &str| text.len() == 5 && is_drawn(text, 5);
    let of_two = ending.split_once('-');
    match workload.kind.as_str() {
        "Deployment" => of_two.is_some_and(|(set, last)| is_drawn(set, 10) && is_last(last)),
        "CronJob" => of_two.is_some_and(|(run, last)| is_number(run) && is_last(last)),
        "StatefulSet" => is_number(ending),
        _ => is_last(ending),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn pods_that_are_gone_are_told_by_the_endings_of_their_names() {
        let of = |kind: &str, pod: &str| is_pod_of(pod, &Entity::new(kind, "shop", "web"));
        assert!(of("Deployment", "web-5d89f7c6b4-x2lqz"));
        assert!(of("StatefulSet", "web-11"));
        assert!(of("DaemonSet", "web-x2lqz"));
        assert!(of("CronJob", "web-29384750-x2lqz"));
        for (kind, stranger) in [
            ("Deployment", "web-admin-5d89f7c6b4-x2lqz"),
            ("Deployment", "web-agent-x2lqz"),
            ("Deployment", "web-0"),
            ("StatefulSet", "web-admin-0"),
            ("DaemonSet", "web-cache"),
            ("Deployment", "website-5d89f7c6b4-x2lqz"),
        ] {
            assert!(!of(kind, stranger), "{kind} {stranger}");
        }
    }

    #[test]
    fn only_what_lies_before_the_first_line_and_within_the_hour_is_missing() {
        let at = |text: &str| format!("2025-01-02T{text}:00Z").parse::<Timestamp>().ok();
        let now = at("12:00").unwrap();
        let span = |m: Option<Missing>| m.map(|m| (Some(m.from), Some(m.to)));
        assert_eq!(span(missing(at("11:40"), at("08:00"), now)), Some((at("11:00"), at("11:40"))));
        assert_eq!(span(missing(at("11:40"), at("11:20"), now)), Some((at("11:20"), at("11:40"))));
        assert_eq!(span(missing(None, at("08:00"), now)), Some((at("11:00"), Some(now))));
        assert_eq!(missing(at("11:40"), at("11:39"), now), None, "it begins with its container");
        assert_eq!(missing(at("10:30"), at("08:00"), now), None, "it reaches back far enough");
    }
}
