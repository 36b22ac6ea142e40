//! Which alerts are the same trouble: an index over the investigations that alerts began lately. A
//! fold of what is stored, made anew at each start; it decides, and writes nothing. Pure.
//!
//! An alert joins an investigation with which it shares its fingerprint, or its group and object, or
//! its type and object: while that works; when it has ended, for a while, unless all is over since.
//! The very same firing, told again as monitoring systems do, is known and begins nothing for a day.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use super::Notice;
use crate::{alert::Alert, engine::Life, investigation::InvestigationId};

/// How long an investigation is remembered here, and the same firing is known.
pub(super) const KEPT: SignedDuration = SignedDuration::from_hours(24);
/// What fires again so soon after it was over only flaps.
const FLAP: SignedDuration = SignedDuration::from_mins(5);
/// Investigations remembered at most; the one not heard of for longest goes first.
const MOST_CASES: usize = 10_000;
/// Alerts of one investigation that are told apart at most.
const MOST_ALERTS: usize = 10_000;

/// What is to be done with an alert that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nobody looks at this trouble.
    Start,
    /// It joins this one.
    Join(InvestigationId),
    /// It was told before.
    Known(InvestigationId),
    /// It says that something is over that nobody looked at.
    Stray,
}

/// The index.
#[derive(Debug)]
pub(super) struct Troubles {
    window: SignedDuration,
    cases: HashMap<InvestigationId, Case>,
    by_key: HashMap<String, InvestigationId>,
    by_print: HashMap<String, InvestigationId>,
}

#[derive(Debug)]
struct Case {
    heard: Timestamp,
    firings: HashMap<String, Firing>,
}

#[derive(Debug, Clone, Copy)]
struct Firing {
    start: Option<Timestamp>,
    over: Option<Timestamp>,
}

// === impl Troubles ===

impl Troubles {
    /// An empty index; alerts join what ended at most `window` ago.
    pub(super) fn new(window: SignedDuration) -> Self {
        Self { window, cases: HashMap::new(), by_key: HashMap::new(), by_print: HashMap::new() }
    }

    /// What is to be done with an alert; `life` tells where an investigation stands.
    pub(super) fn judge<E>(
        &self,
        notice: &Notice,
        now: Timestamp,
        life: impl Fn(InvestigationId) -> Result<Life, E>,
    ) -> Result<Verdict, E> {
        let print = notice.alert.identity();
        let known = self.by_print.get(&print).copied();
        let firing = known.and_then(|id| self.cases.get(&id)?.firings.get(&print).copied());
        if notice.resolved {
            return Ok(match (known, firing) {
                (Some(id), Some(firing)) if firing.over.is_some() => Verdict::Known(id),
                (Some(id), _) => Verdict::Join(id),
                (None, _) => Verdict::Stray,
            });
        }
        let keys = keys(notice);
        let mut asked = HashSet::new();
        let candidates =
            known.into_iter().chain(keys.iter().filter_map(|k| self.by_key.get(k).copied()));
        for id in candidates {
            if !asked.insert(id) {
                continue;
            }
            let stands = life(id)?;
            let same = firing.filter(|_| Some(id) == known);
            if let Some(firing) = same
                && stands != Life::Abandoned
                && firing.over.is_none()
                && firing.start == notice.alert.start
            {
                return Ok(Verdict::Known(id));
            }
            if self.joinable(id, stands, now) {
                return Ok(Verdict::Join(id));
            }
        }
        Ok(Verdict::Start)
    }

    fn joinable(&self, id: InvestigationId, life: Life, now: Timestamp) -> bool {
        match life {
            Life::Open => true,
            Life::Abandoned => false,
            Life::Ended(ended) => {
                let over = self.cases.get(&id).and_then(Case::over);
                now.duration_since(ended) <= self.window
                    && over.is_none_or(|over| now.duration_since(over) <= FLAP)
            }
        }
    }

    /// Takes in that an alert began or joined an investigation. Of the newest for a trouble is told.
    pub(super) fn took(&mut self, id: InvestigationId, notice: &Notice, now: Timestamp) {
        let case =
            self.cases.entry(id).or_insert_with(|| Case { heard: now, firings: HashMap::new() });
        case.heard = case.heard.max(now);
        let print = notice.alert.identity();
        if case.firings.len() < MOST_ALERTS || case.firings.contains_key(&print) {
            let over = notice.resolved.then_some(now);
            let start = notice.alert.start;
            case.firings.insert(print.clone(), Firing { start, over });
            self.by_print.insert(print, id);
        }
        if !notice.resolved {
            for key in keys(notice) {
                self.by_key.insert(key, id);
            }
        }
    }

    /// Forgets what nobody spoke of for long.
    pub(super) fn forget(&mut self, now: Timestamp) {
        let before = self.cases.len();
        self.cases.retain(|_, case| now.duration_since(case.heard) <= KEPT);
        if self.cases.len() > MOST_CASES {
            let mut heard: Vec<Timestamp> = self.cases.values().map(|case| case.heard).collect();
            heard.sort_unstable_by(|a, b| b.cmp(a));
            if let Some(limit) = heard.get(MOST_CASES).copied() {
                self.cases.retain(|_, case| case.heard > limit);
            }
        }
        if self.cases.len() < before {
            let cases = &self.cases;
            self.by_key.retain(|_, id| cases.contains_key(id));
            self.by_print.retain(|_, id| cases.contains_key(id));
        }
    }
}

impl Case {
    /// When the last of its alerts was over; `None` while one fires.
    fn over(&self) -> Option<Timestamp> {
        let mut last = None;
        for firing in self.firings.values() {
            last = last.max(Some(firing.over?));
        }
        last
    }
}

/// What makes two alerts the same trouble: group and object; type and object.
fn keys(notice: &Notice) -> Vec<String> {
    let mut keys = vec![notice.trouble()];
    let Alert { kind, cluster, namespace, service, .. } = &notice.alert;
    if !kind.is_empty() && !service.is_empty() {
        keys.push(digest(&["type", kind, cluster, namespace, service]));
    }
    keys
}

impl Notice {
    /// The trouble an alert belongs to, by its group and object; kept with the investigation.
    pub(super) fn trouble(&self) -> String {
        if let Some(stored) = &self.stored {
            return stored.clone();
        }
        let Alert { kind, cluster, namespace, service, description, .. } = &self.alert;
        if !self.group.is_empty() {
            let object = if service.is_empty() { kind } else { service };
            return digest(&["group", &self.group, cluster, namespace, object]);
        }
        if kind.is_empty() && service.is_empty() {
            return digest(&["words", cluster, namespace, description]);
        }
        match service.is_empty() {
            true => digest(&["alert", &self.alert.identity()]),
            false => digest(&["type", kind, cluster, namespace, service]),
        }
    }
}

fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // A length in front of each part: no two different troubles run together.
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
