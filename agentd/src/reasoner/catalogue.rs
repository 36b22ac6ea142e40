//! The two catalogues, as data: signals (the words tools speak) and causes (what can be wrong,
//! which signals speak for and against it, what it explains). Both are YAML: embedded in the
//! program, then the operator's own ([`folder`]), then what plugins bring ([`guest`]). Everything
//! is checked when it is read, and a fault names document and line. No name of any incident
//! stands in them: rules are for mechanisms.

mod cause;
pub mod document;
pub mod folder;
pub mod guest;
pub mod markdown;
pub mod source;

use std::collections::{BTreeMap, BTreeSet};

use rust_embed::RustEmbed;
use serde::Deserialize;

pub use cause::{Advice, Cause, Clause, CulpritRule, Explains, Place};

use self::{
    document::{Fault, Faults},
    source::Source,
};
use super::claim::Claim;

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
    /// Who brought it.
    #[serde(skip)]
    pub source: Source,
}

/// Both catalogues, checked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Catalogue {
    signals: BTreeMap<String, Signal>,
    causes: Vec<Cause>,
    claims: Vec<Claim>,
}

impl Catalogue {
    /// Reads the embedded catalogues.
    ///
    /// # Errors
    /// All faults. Those embedded are tested to have none.
    pub fn embedded() -> Result<Self, Faults> {
        let text = |name: &str| -> Result<String, Faults> {
            let found =
                Embedded::get(name).and_then(|file| String::from_utf8(file.data.into_owned()).ok());
            found.ok_or_else(|| Fault::of(name, "missing or not UTF-8").into())
        };
        let signals = document::signals("signals.yaml", &text("signals.yaml")?)?;
        let mut causes = Vec::new();
        let mut names: Vec<_> = Embedded::iter().filter(|n| n.starts_with("causes/")).collect();
        names.sort();
        for name in names {
            causes.push((name.to_string(), document::cause(&name, &text(&name)?)?));
        }
        let claims = document::read("claims.yaml", &text("claims.yaml")?)?;
        Self::default().extended(signals, causes)?.with_claims(claims)
    }

    /// The same with the table of what alerts claim.
    fn with_claims(mut self, claims: Vec<Claim>) -> Result<Self, Faults> {
        let named = claims.iter().flat_map(|claim| claim.harm.iter().chain(&claim.health));
        let faults: Vec<Fault> = named
            .filter(|pattern| !self.knows_any(pattern))
            .map(|pattern| document::unknown_signal(pattern, self.signals.keys()))
            .map(|said| Fault::of("claims.yaml", &said))
            .collect();
        if !faults.is_empty() {
            return Err(Faults(faults));
        }
        self.claims = claims;
        Ok(self)
    }

    /// The same signals and claims with other causes.
    #[cfg(test)]
    pub(super) fn with_causes(self, documents: &[String]) -> Result<Self, Faults> {
        let read = |text: &String| Ok((text.clone(), document::cause("test", text)?));
        let causes: Result<Vec<(String, Cause)>, Faults> = documents.iter().map(read).collect();
        Self { causes: Vec::new(), ..self }.extended(Vec::new(), causes?)
    }

    /// What alerts may claim, the particular before the general.
    #[must_use]
    pub fn claims(&self) -> &[Claim] {
        &self.claims
    }

    /// This catalogue and these: of one name or id the new one holds. The new causes are checked
    /// against all signals and causes together.
    ///
    /// # Errors
    /// All faults, with document and line.
    fn extended(&self, signals: Vec<Signal>, causes: Vec<(String, Cause)>) -> Result<Self, Faults> {
        let mut whole = self.clone();
        for signal in signals {
            whole.signals.insert(signal.signal.clone(), signal);
        }
        let known = self.causes.iter().chain(causes.iter().map(|(_, new)| new));
        let ids: BTreeSet<String> = known.map(|cause| cause.id.clone()).collect();
        let mut faults = Vec::new();
        let mut new: BTreeMap<String, String> = BTreeMap::new();
        for (document, cause) in &causes {
            let wrong = check(cause, &whole.signals, &ids);
            faults.extend(wrong.into_iter().map(|wrong| wrong.within(document, cause)));
            if let Some(other) = new.insert(cause.id.clone(), document.clone()) {
                let said = format!("id {} stands in {other} too; an id has one document", cause.id);
                faults.push(Wrong::at(&cause.id, said).within(document, cause));
            }
        }
        if !faults.is_empty() {
            return Err(Faults(faults));
        }
        whole.causes.retain(|known| !new.contains_key(&known.id));
        whole.causes.extend(causes.into_iter().map(|(_, cause)| cause));
        whole.causes.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(whole)
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

    /// Whether a pattern, which may end in `*`, is or takes in a signal of this catalogue.
    #[must_use]
    pub fn knows_any(&self, pattern: &str) -> bool {
        let one = [pattern.to_owned()];
        self.signals.keys().any(|signal| matches_any(&one, signal))
    }

    /// Whether a plugin brought the signal.
    #[must_use]
    pub fn is_guest(&self, signal: &str) -> bool {
        self.signals.get(signal).is_some_and(|known| known.source.is_guest())
    }

    /// A signal by name.
    #[must_use]
    pub fn signal(&self, name: &str) -> Option<&Signal> {
        self.signals.get(name)
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

/// What is wrong in a document, with a word that stands where it is wrong.
struct Wrong {
    at: String,
    said: String,
}

impl Wrong {
    fn at(word: &str, said: String) -> Self {
        Self { at: word.to_owned(), said }
    }

    fn within(self, document: &str, cause: &Cause) -> Fault {
        let line = document::line_of(&cause.document, &self.at);
        Fault { line, ..Fault::of(document, &self.said) }
    }
}

/// All that is wrong with the meaning of a cause.
fn check(cause: &Cause, signals: &BTreeMap<String, Signal>, ids: &BTreeSet<String>) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let clauses = || cause.speaks_for.iter().chain(&cause.against);
    let rest = cause.explains.patterns().chain(&cause.quote);
    let named: BTreeSet<&String> = clauses().flat_map(|c| &c.any).chain(rest).collect();
    for pattern in named {
        let one = std::slice::from_ref(pattern);
        if !signals.keys().any(|signal| matches_any(one, signal)) {
            wrong.push(Wrong::at(pattern, document::unknown_signal(pattern, signals.keys())));
        }
    }
    for clause in clauses().filter(|c| !(0.0..=1.0).contains(&c.weight)) {
        let said = format!("weight {} of {:?} is not within 0 and 1", clause.weight, clause.any);
        wrong.push(Wrong::at(&clause.weight.to_string(), said));
    }
    if !cause.speaks_for.iter().any(Clause::names_culprit) {
        let said = "at least one clause of \"for\" must be required and without \"at\": it names \
                    the culprit";
        wrong.push(Wrong::at("for:", said.to_owned()));
    }
    for unknown in cause.yields_to.iter().filter(|id| !ids.contains(*id)) {
        let said = format!("yields_to names {unknown}, which is no cause");
        wrong.push(Wrong::at(unknown, said));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::Observation;

    fn cause(yaml: &str) -> Result<Catalogue, Faults> {
        let signals = "[{signal: a.b, polarity: harm, about: x, meaning: y}]";
        let signals = document::signals("signals.yaml", signals)?;
        let cause = document::cause("causes/x.yaml", yaml)?;
        Catalogue::default().extended(signals, vec![("causes/x.yaml".to_owned(), cause)])
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
            ("a.b]", "a.c]", "causes/x.yaml:5: there is no signal a.c; did you mean a.b?"),
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
        let clause = "{any: ['a.*'], where: {why: [taint, affinity]}}";
        let clause: Clause = serde_saphyr::from_str(clause).unwrap();
        let mut seen = Observation { signal: "a.b".to_owned(), ..Observation::default() };
        assert!(!clause.matches(&seen));
        seen.attributes.insert("why".to_owned(), "resources, taint".to_owned());
        assert!(clause.matches(&seen));
        seen.signal = "b.b".to_owned();
        assert!(!clause.matches(&seen));
    }
}
