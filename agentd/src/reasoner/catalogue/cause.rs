//! The form of one cause document: what can be wrong, which object it blames, what speaks for and
//! against it, what it explains. Data only; the meaning is given by the weighing.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;

use super::{matches_any, source::Source};
use crate::{
    fact::Observation,
    investigation::finding::{Horizon, Severity},
    tool::Risk,
};

/// Which object a cause blames, found from the observations of its required clauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CulpritRule {
    /// The top controller of the subject: Deployment, `StatefulSet`, `DaemonSet`, Job.
    Workload,
    /// The subject itself.
    Subject,
    /// The other side of the observation.
    Peer,
    /// The top controller of the other side.
    PeerWorkload,
    /// Whoever is called: the subject of a caller's view (`dependency.*`), else the other side.
    Callee,
}

/// Where an observation lies, seen from the culprit's unit: the workload, its pods, the services in
/// front of it. "Needs" below are calls, uses, runs-on edges as tools tell them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The culprit itself, or what it controls.
    #[default]
    Own,
    /// Anything of the culprit's unit.
    Unit,
    /// The culprit's unit is the other side of the observation.
    Peer,
    /// What uses the culprit, such as the workload of a `ConfigMap`.
    Users,
    /// What the culprit uses.
    Used,
    /// What calls the culprit.
    Callers,
    /// What the culprit calls.
    Callees,
    /// What else the callers of the culprit call.
    Siblings,
    /// What runs on the culprit, a node.
    Tenants,
    /// Where the culprit runs.
    Host,
    /// What the culprit governs: an autoscaler's or policy's workloads.
    Governed,
    /// What governs the culprit.
    Governors,
    /// Any object at all.
    Anywhere,
}

/// Signals with a weight and conditions on their attributes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clause {
    /// Any of these; a `*` may stand at the end.
    pub any: Vec<String>,
    /// How much one of them says, 0 to 1.
    #[serde(default)]
    pub weight: f64,
    /// True when the cause cannot be without one of them. Those at [`Place::Own`] name the
    /// culprits; those elsewhere must merely be met.
    #[serde(default)]
    pub required: bool,
    /// Attributes that must hold one of the values; a value matches as one of a comma list.
    #[serde(default, rename = "where")]
    pub holds: BTreeMap<String, Vec<String>>,
    /// Where the observation must lie.
    #[serde(default)]
    pub at: Place,
    /// True when it counts only if it began after the change that a required clause found.
    #[serde(default)]
    pub after_change: bool,
    /// True when it says nothing of when the trouble began: a level that was high all along.
    #[serde(default)]
    pub undated: bool,
}

/// What a cause explains: on its own unit, and on others along the edges of the topology. Whatever
/// is so affected passes the signals of `callers` on to its own callers, over any number of steps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Explains {
    /// On the culprit and its unit.
    pub own: Vec<String>,
    /// On whatever calls something affected, directly or through others.
    pub callers: Vec<String>,
    /// On whatever the culprit calls, directly or through others: load travels that way.
    pub callees: Vec<String>,
    /// On what else the callers of the culprit call: a cache's misses end there.
    pub siblings: Vec<String>,
    /// On what uses the culprit.
    pub users: Vec<String>,
    /// On pods that run on the culprit, a node.
    pub tenants: Vec<String>,
    /// On what the culprit governs.
    pub governed: Vec<String>,
}

/// One advice of a cause.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advice {
    /// Template of what to do.
    pub action: String,
    /// Template of why.
    pub reason: String,
    /// Template of a command, or empty.
    #[serde(default)]
    pub command: String,
    /// Risk of doing it: low, medium, high, critical.
    #[serde(deserialize_with = "risk")]
    pub risk: Risk,
}

/// One thing that can be wrong.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// Name of the document.
    pub id: String,
    /// Category it is reported as, such as `oom_killed`; several documents may share one, each for
    /// a mechanism or culprit of its own. The id when not given.
    #[serde(default)]
    category: String,
    /// One line.
    pub title: String,
    /// Which object it blames.
    pub culprit: CulpritRule,
    /// Kinds it may blame; empty means any.
    #[serde(default)]
    pub culprit_kinds: Vec<String>,
    /// What speaks for it.
    #[serde(rename = "for")]
    pub speaks_for: Vec<Clause>,
    /// What speaks against it.
    #[serde(default)]
    pub against: Vec<Clause>,
    /// What it explains.
    pub explains: Explains,
    /// Documents that are the more exact word for the same thing, when the culprits are the same
    /// or linked.
    #[serde(default)]
    pub yields_to: Vec<String>,
    /// True for what is no fault: harm that is there on purpose. It stands only where it explains
    /// all that hurts at the alerted object, and then the verdict is healthy.
    #[serde(default)]
    pub benign: bool,
    /// Least severity of effect when the alerted object suffers from it.
    #[serde(default = "degraded", deserialize_with = "severity")]
    pub severity: Severity,
    /// Signals whose words are quoted, the most telling first; the strongest evidence when empty.
    #[serde(default)]
    pub quote: Vec<String>,
    /// Template of the sentence.
    pub statement: String,
    /// Template of the command that confirms it without changing anything.
    pub confirm: String,
    /// What would decide, for people, when it stays open.
    pub question: String,
    /// What to do now.
    #[serde(default)]
    pub now: Vec<Advice>,
    /// What to do later.
    #[serde(default)]
    pub later: Vec<Advice>,
    /// Who brought it.
    #[serde(skip)]
    pub source: Source,
    /// The document it was read from.
    #[serde(skip)]
    pub document: Arc<str>,
}

// === impl Clause ===

impl Clause {
    /// Whether an observation is one of these signals with these attributes.
    #[must_use]
    pub fn matches(&self, observation: &Observation) -> bool {
        matches_any(&self.any, &observation.signal)
            && self.holds.iter().all(|(key, wanted)| {
                observation
                    .attr(key)
                    .split(',')
                    .any(|value| wanted.iter().any(|want| want == value.trim()))
            })
    }

    /// Whether the observations of this clause name the culprits.
    #[must_use]
    pub fn names_culprit(&self) -> bool {
        self.required && self.at == Place::Own
    }
}

// === impl Explains ===

impl Explains {
    /// Every pattern with the place it holds for, the callers' apart.
    pub fn places(&self) -> impl Iterator<Item = (Place, &[String])> {
        [
            (Place::Own, &self.own),
            (Place::Callees, &self.callees),
            (Place::Siblings, &self.siblings),
            (Place::Users, &self.users),
            (Place::Tenants, &self.tenants),
            (Place::Governed, &self.governed),
        ]
        .into_iter()
        .filter(|(_, patterns)| !patterns.is_empty())
        .map(|(place, patterns)| (place, patterns.as_slice()))
    }

    /// Every pattern, wherever it holds.
    pub fn patterns(&self) -> impl Iterator<Item = &String> {
        let lists = [&self.own, &self.callers, &self.callees, &self.siblings];
        lists.into_iter().chain([&self.users, &self.tenants, &self.governed]).flatten()
    }
}

// === impl Cause ===

impl Cause {
    /// What it is reported as.
    #[must_use]
    pub fn category(&self) -> &str {
        if self.category.is_empty() { &self.id } else { &self.category }
    }

    /// All advice with its horizon, in order.
    pub fn advice(&self) -> impl Iterator<Item = (Horizon, &Advice)> {
        let now = self.now.iter().map(|advice| (Horizon::Immediate, advice));
        now.chain(self.later.iter().map(|advice| (Horizon::Prevention, advice)))
    }
}

fn degraded() -> Severity {
    Severity::P3
}

fn severity<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Severity, D::Error> {
    let word = String::deserialize(from)?;
    Severity::from_word(&word)
        .ok_or_else(|| serde::de::Error::custom(format!("{word:?} is not one of P1 to P4")))
}

fn risk<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Risk, D::Error> {
    match String::deserialize(from)?.as_str() {
        "low" => Ok(Risk::Low),
        "medium" => Ok(Risk::Medium),
        "high" => Ok(Risk::High),
        "critical" => Ok(Risk::Critical),
        other => Err(serde::de::Error::custom(format!(
            "{other:?} is not one of low, medium, high, critical"
        ))),
    }
}
