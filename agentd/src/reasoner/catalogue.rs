//! The two catalogues, as data: signals (the words tools speak) and causes (what can be wrong,
//! which signals speak for and against it, what it explains). Both are YAML embedded in the
//! program; everything is checked when they are read, and a fault names its document. No name of
//! any incident stands in them: rules are for mechanisms.

mod cause;

use std::collections::{BTreeMap, BTreeSet};

use rust_embed::RustEmbed;
use serde::Deserialize;

use super::claim::Claim;

pub use cause::{Advice, Cause, Clause, CulpritRule, Explains, Place};

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

/// Both catalogues, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalogue {
    signals: BTreeMap<String, Signal>,
    causes: Vec<Cause>,
    claims: Vec<Claim>,
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
        let claims: Vec<Claim> = read("claims.yaml", &text("claims.yaml")?)?;
        Self::checked(signals, causes)?.with_claims(claims)
    }

    /// The same with the table of what alerts claim.
    fn with_claims(mut self, claims: Vec<Claim>) -> Result<Self, Error> {
        let named = claims.iter().flat_map(|claim| claim.harm.iter().chain(&claim.health));
        if let Some(unknown) = unknown_pattern(&self.signals, named) {
            let fault = format!("no signal of signals.yaml is called {unknown}");
            return Err(Error::Meaning { document: "claims.yaml".to_owned(), fault });
        }
        self.claims = claims;
        Ok(self)
    }

    /// The same signals and claims with other causes.
    #[cfg(test)]
    pub(super) fn with_causes(self, documents: &[String]) -> Result<Self, Error> {
        let signals = self.signals.into_values().collect();
        let read = |text: &String| Ok((text.clone(), read(text, text)?));
        let causes: Result<Vec<(String, Cause)>, Error> = documents.iter().map(read).collect();
        let own = Self::checked(signals, causes?)?;
        Ok(Self { claims: self.claims, ..own })
    }

    /// What alerts may claim, the particular before the general.
    #[must_use]
    pub fn claims(&self) -> &[Claim] {
        &self.claims
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
        let causes = causes.into_iter().map(|(_, cause)| cause).collect();
        Ok(Self { signals: known, causes, claims: Vec::new() })
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

    /// The document of an id.
    #[must_use]
    pub fn cause(&self, id: &str) -> Option<&Cause> {
        self.causes.iter().find(|cause| cause.id == id)
    }

    /// The documents reported as a category.
    pub fn of_category(&self, category: &str) -> impl Iterator<Item = &Cause> {
        self.causes.iter().filter(move |cause| cause.category() == category)
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

/// The first pattern that no signal fits.
fn unknown_pattern<'a>(
    signals: &BTreeMap<String, Signal>,
    mut patterns: impl Iterator<Item = &'a String>,
) -> Option<&'a String> {
    patterns.find(|pattern| {
        let one = std::slice::from_ref(*pattern);
        !signals.keys().any(|signal| matches_any(one, signal))
    })
}

fn check(
    cause: &Cause,
    signals: &BTreeMap<String, Signal>,
    ids: &BTreeSet<String>,
) -> Result<(), String> {
    let clauses = || cause.speaks_for.iter().chain(&cause.against);
    let rest = cause.explains.patterns().chain(&cause.quote);
    let named = clauses().flat_map(|c| &c.any).chain(rest);
    if let Some(unknown) = unknown_pattern(signals, named) {
        return Err(format!("no signal of signals.yaml is called {unknown}"));
    }
    if let Some(clause) = clauses().find(|c| !(0.0..=1.0).contains(&c.weight)) {
        return Err(format!("weight {} of {:?} is not within 0 and 1", clause.weight, clause.any));
    }
    if !cause.speaks_for.iter().any(Clause::names_culprit) {
        let fault = "at least one clause of \"for\" must be required and without \"at\": it names the culprit";
        return Err(fault.to_owned());
    }
    match cause.yields_to.iter().find(|id| !ids.contains(*id)) {
        Some(unknown) => Err(format!("yields_to names {unknown}, which is no cause")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::Observation;

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
    fn several_documents_may_be_reported_as_one_category() {
        let catalogue = cause(&GOOD.replace("title: t", "title: t\ncategory: y")).unwrap();
        let [only] = catalogue.causes() else { panic!("{:?}", catalogue.causes()) };
        assert_eq!((only.id.as_str(), only.category()), ("x", "y"));
        assert_eq!(catalogue.of_category("y").count(), 1);
        let elsewhere = GOOD.replace("required: true", "required: true, at: callers");
        let error = cause(&elsewhere).unwrap_err().to_string();
        assert!(error.contains("it names the culprit"), "{error}");
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
