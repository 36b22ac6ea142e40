//! The two catalogues, as data: signals (the words tools speak) and causes (what can be wrong,
//! which signals speak for and against it, what it explains). Both are YAML embedded in the
//! program; everything is checked when they are read, and a fault names its document. No name of
//! any incident stands in them: rules are for mechanisms.

use std::collections::{BTreeMap, BTreeSet};

use rust_embed::RustEmbed;
use serde::Deserialize;

use crate::{
    fact::Observation,
    investigation::finding::{Horizon, Severity},
    tool::Risk,
};

#[derive(RustEmbed)]
#[folder = "catalogue/"]
struct Embedded;

/// What a signal tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Polarity {
    /// Something is wrong.
    Harm,
    /// Something was looked at and is fine.
    Health,
    /// The world was altered.
    Change,
    /// Shown, without weight of its own.
    Neutral,
}

/// One word that tools speak.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signal {
    /// Dotted name.
    pub signal: String,
    /// What it tells.
    pub polarity: Polarity,
    /// Kind of its subject, for people.
    pub about: String,
    /// One line of meaning.
    pub meaning: String,
}

/// Which object a cause blames, found from the subject of the observation that speaks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CulpritRule {
    /// The top controller of the subject: Deployment, `StatefulSet`, `DaemonSet`, Job.
    Workload,
    /// The subject itself.
    Subject,
    /// The other side of the observation.
    Peer,
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
    /// True when the cause cannot be without one of them.
    #[serde(default)]
    pub required: bool,
    /// Attributes that must hold one of the values; a value matches as one of a comma list.
    #[serde(default, rename = "where")]
    pub holds: BTreeMap<String, Vec<String>>,
    /// True when it counts only if it began after the change that a required clause found.
    #[serde(default)]
    pub after_change: bool,
    /// True when the whole unit (the services in front of the culprit, its pods) may show it.
    #[serde(default)]
    pub on_unit: bool,
    /// True when it says nothing of when the trouble began: a level that was high all along.
    #[serde(default)]
    pub undated: bool,
    /// True when the culprit's unit is the other side of the observation, such as the caller of a
    /// failing dependency.
    #[serde(default)]
    pub of_peer: bool,
}

/// What a cause explains: on its own unit, and on others along the edges of the topology.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Explains {
    /// On the culprit and its unit.
    pub own: Vec<String>,
    /// On whatever calls the culprit, directly or through others.
    pub callers: Vec<String>,
    /// On pods that run on the culprit, a node.
    pub tenants: Vec<String>,
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
    /// Category, such as `oom_killed`.
    pub id: String,
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
    /// Causes that, with the same culprit, are the more exact word for the same thing.
    #[serde(default)]
    pub yields_to: Vec<String>,
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
}

impl Cause {
    /// All advice with its horizon, in order.
    pub fn advice(&self) -> impl Iterator<Item = (Horizon, &Advice)> {
        let now = self.now.iter().map(|advice| (Horizon::Immediate, advice));
        now.chain(self.later.iter().map(|advice| (Horizon::Prevention, advice)))
    }
}

/// Both catalogues, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalogue {
    signals: BTreeMap<String, Signal>,
    causes: Vec<Cause>,
}

/// A fault in a catalogue.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The document is missing or not UTF-8.
    #[error("{document}: missing or not UTF-8")]
    Unreadable {
        /// Which.
        document: String,
    },
    /// The document is not of the catalogue's form.
    #[error("{document}: {source}")]
    Form {
        /// Which.
        document: String,
        /// Line and what is wrong there.
        source: Box<serde_saphyr::Error>,
    },
    /// The form is right and the meaning is not.
    #[error("{document}: {fault}")]
    Meaning {
        /// Which.
        document: String,
        /// What is wrong and how to mend it.
        fault: String,
    },
}

impl Catalogue {
    /// Reads the embedded catalogues.
    ///
    /// # Errors
    /// The first fault, with its document. Those embedded are tested to have none.
    pub fn embedded() -> Result<Self, Error> {
        let text = |name: &str| -> Result<String, Error> {
            Embedded::get(name)
                .and_then(|file| String::from_utf8(file.data.into_owned()).ok())
                .ok_or_else(|| Error::Unreadable { document: name.to_owned() })
        };
        let signals: Vec<Signal> = read("signals.yaml", &text("signals.yaml")?)?;
        let mut causes = Vec::new();
        let mut names: Vec<_> = Embedded::iter().filter(|n| n.starts_with("causes/")).collect();
        names.sort();
        for name in names {
            let cause: Cause = read(&name, &text(&name)?)?;
            causes.push((name.into_owned(), cause));
        }
        Self::checked(signals, causes)
    }

    fn checked(signals: Vec<Signal>, causes: Vec<(String, Cause)>) -> Result<Self, Error> {
        let mut known = BTreeMap::new();
        for signal in signals {
            if let Some(twice) = known.insert(signal.signal.clone(), signal) {
                let fault = format!("signal {} is there twice", twice.signal);
                return Err(Error::Meaning { document: "signals.yaml".to_owned(), fault });
            }
        }
        let ids: BTreeSet<String> = causes.iter().map(|(_, cause)| cause.id.clone()).collect();
        for (document, cause) in &causes {
            check(cause, &known, &ids)
                .map_err(|fault| Error::Meaning { document: document.clone(), fault })?;
        }
        Ok(Self { signals: known, causes: causes.into_iter().map(|(_, cause)| cause).collect() })
    }

    /// Every signal known, by name.
    pub fn signals(&self) -> impl Iterator<Item = &Signal> {
        self.signals.values()
    }

    /// Every cause known.
    #[must_use]
    pub fn causes(&self) -> &[Cause] {
        &self.causes
    }

    /// The cause of a category.
    #[must_use]
    pub fn cause(&self, id: &str) -> Option<&Cause> {
        self.causes.iter().find(|cause| cause.id == id)
    }

    /// Whether a signal is of this catalogue.
    #[must_use]
    pub fn knows(&self, signal: &str) -> bool {
        self.signals.contains_key(signal)
    }

    /// What a signal tells; one nobody knows is neutral.
    #[must_use]
    pub fn polarity(&self, signal: &str) -> Polarity {
        self.signals.get(signal).map_or(Polarity::Neutral, |known| known.polarity)
    }
}

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
}

/// Whether `signal` is one of `patterns`, of which each may end in `*`.
#[must_use]
pub fn matches_any(patterns: &[String], signal: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(stem) => signal.starts_with(stem),
        None => pattern == signal,
    })
}

fn read<T: serde::de::DeserializeOwned>(document: &str, text: &str) -> Result<T, Error> {
    let strict = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, strict)
        .map_err(|source| Error::Form { document: document.to_owned(), source: Box::new(source) })
}

fn check(
    cause: &Cause,
    signals: &BTreeMap<String, Signal>,
    ids: &BTreeSet<String>,
) -> Result<(), String> {
    let clauses = || cause.speaks_for.iter().chain(&cause.against);
    let explained = cause.explains.own.iter().chain(&cause.explains.callers);
    let rest = cause.explains.tenants.iter().chain(&cause.quote);
    let named = clauses().flat_map(|c| &c.any).chain(explained).chain(rest);
    for pattern in named {
        let one = std::slice::from_ref(pattern);
        if !signals.keys().any(|signal| matches_any(one, signal)) {
            return Err(format!("no signal of signals.yaml is called {pattern}"));
        }
    }
    if let Some(clause) = clauses().find(|c| !(0.0..=1.0).contains(&c.weight)) {
        return Err(format!("weight {} of {:?} is not within 0 and 1", clause.weight, clause.any));
    }
    if !cause.speaks_for.iter().any(|clause| clause.required) {
        return Err("at least one clause of \"for\" must be required".to_owned());
    }
    match cause.yields_to.iter().find(|id| !ids.contains(*id)) {
        Some(unknown) => Err(format!("yields_to names {unknown}, which is no cause")),
        None => Ok(()),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(yaml: &str) -> Result<Catalogue, Error> {
        let signals: Vec<Signal> =
            read("signals.yaml", "[{signal: a.b, polarity: harm, about: x, meaning: y}]").unwrap();
        Catalogue::checked(signals, vec![("causes/x.yaml".to_owned(), read("x", yaml)?)])
    }

    const GOOD: &str = "
id: x
title: t
culprit: workload
for: [{any: [a.b], weight: 0.9, required: true}]
explains: {own: ['a.*']}
statement: s
confirm: c
question: q
";

    #[test]
    fn the_embedded_catalogues_are_sound() {
        let catalogue = Catalogue::embedded().unwrap();
        assert!(catalogue.causes().len() >= 6);
        assert!(catalogue.signals().count() > 60);
    }

    #[test]
    fn a_fault_in_a_cause_is_named() {
        cause(GOOD).unwrap();
        for (from, to, told) in [
            ("a.b]", "a.c]", "no signal of signals.yaml is called a.c"),
            ("0.9", "1.9", "not within 0 and 1"),
            (", required: true", "", "must be required"),
            ("question: q", "question: q\nyields_to: [z]", "which is no cause"),
            ("title: t", "titel: t", "titel"),
        ] {
            let error = cause(&GOOD.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(told), "{told:?} is not in {error:?}");
        }
    }

    #[test]
    fn a_clause_looks_at_signal_and_attributes() {
        let clause: Clause = read("c", "{any: ['a.*'], where: {why: [taint, affinity]}}").unwrap();
        let mut seen = Observation { signal: "a.b".to_owned(), ..Observation::default() };
        assert!(!clause.matches(&seen));
        seen.attributes.insert("why".to_owned(), "resources, taint".to_owned());
        assert!(clause.matches(&seen));
        seen.signal = "b.b".to_owned();
        assert!(!clause.matches(&seen));
    }
}
