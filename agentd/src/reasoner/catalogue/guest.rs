//! What a plugin brings along: signals of its own, and causes. It is a stranger's word, and in force
//! only while the plugin is registered. The invariant: it adds to what can be found and takes
//! nothing from what is found without it. So a guest's cause
//!
//! - has an id that nobody else has, and rests on a signal of the plugin's own, so that it cannot
//!   give another meaning to what other tools saw;
//! - counts and explains, beside signals of its own, only [`SYMPTOMS`]: harm that any fault can
//!   lead to. What the catalogue's causes are found by is never explained away by a guest;
//! - weighs at most [`MAX_WEIGHT`] in one clause and is believed at most
//!   [`super::source::GUEST_CEILING`];
//! - is small and short, and its commands are one line without the shell's operators; what
//!   confirms reads only.
//!
//! Whoever trusts a plugin further copies its document into the operator's directory. What breaks
//! a rule is left out, and a warning names the line.

use super::{
    Catalogue, Cause, Clause, Polarity, Signal,
    document::{self, Fault, Faults, line_of},
    matches_any,
    source::Source,
};
use crate::investigation::finding::Severity;

/// Most signals of one plugin.
const MAX_SIGNALS: usize = 100;
/// Longest meaning of a signal, in bytes.
const MAX_MEANING: usize = 512;
/// Most causes of one plugin.
const MAX_CAUSES: usize = 32;
/// Largest document of a cause, in bytes.
const MAX_DOCUMENT: usize = 32 * 1024;
/// Most clauses of a cause, and most advice.
const MAX_CLAUSES: usize = 24;
/// Most patterns of a cause, in clauses and in what it explains.
const MAX_PATTERNS: usize = 100;
/// Longest sentence or command, in bytes.
const MAX_SENTENCE: usize = 1024;
/// Most that one clause says; a higher weight counts as this.
const MAX_WEIGHT: f64 = 0.8;

/// Harm that any fault can lead to. A guest's cause may count and explain it; all other harm of the
/// catalogue is what causes are found by, and is not a guest's to explain.
pub const SYMPTOMS: [&str; 16] = [
    "container.crash_looping",
    "container.exited",
    "container.liveness_failed",
    "container.not_ready",
    "container.readiness_failed",
    "container.restarted",
    "container.startup_failed",
    "dependency.*",
    "job.failed",
    "log.connection_refused",
    "log.error_pattern",
    "log.timeout",
    "service.error_ratio_high",
    "service.latency_high",
    "workload.replicas_missing",
    "workload.rollout_stuck",
];

/// What a plugin offers, as it came.
#[derive(Debug, Clone, Default)]
pub struct Offered {
    /// Namespace of the plugin.
    pub plugin: String,
    /// Version of its software.
    pub version: String,
    /// Name, meaning and polarity of each signal.
    pub signals: Vec<(String, String, Polarity)>,
    /// A document for each cause.
    pub documents: Vec<String>,
}

/// What of it counts, and what its author should mend.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Guest {
    signals: Vec<Signal>,
    causes: Vec<Cause>,
    /// What does not count and why, and other advice.
    pub warnings: Vec<String>,
}

impl Catalogue {
    /// What of a plugin's words counts beside this catalogue.
    #[must_use]
    pub fn admit(&self, offered: &Offered) -> Guest {
        let source = Source::Plugin {
            name: offered.plugin.as_str().into(),
            version: offered.version.as_str().into(),
        };
        let mut guest = Guest::default();
        self.admit_signals(offered, &source, &mut guest);
        let mut whole = self.clone();
        whole.host(&guest);
        for (at, text) in offered.documents.iter().enumerate() {
            let name = format!("cause_documents[{at}]");
            if at >= MAX_CAUSES {
                let said = format!("left out: a plugin brings at most {MAX_CAUSES} causes");
                guest.warnings.push(Fault::of(&name, &said).to_string());
                break;
            }
            match admit_cause(&whole, &offered.plugin, &name, text) {
                Ok((mut cause, warnings)) => {
                    guest.warnings.extend(warnings.iter().map(Fault::to_string));
                    cause.source = source.clone();
                    whole.causes.push(cause.clone());
                    guest.causes.push(cause);
                }
                Err(Faults(faults)) => {
                    let left_out = |fault: Fault| format!("left out: {fault}");
                    guest.warnings.extend(faults.into_iter().map(left_out));
                }
            }
        }
        guest
    }

    fn admit_signals(&self, offered: &Offered, source: &Source, guest: &mut Guest) {
        let plugin = &offered.plugin;
        let begins = |signal: &Signal| signal.signal.split('.').next() == Some(plugin);
        let taken = self.signals().any(|s| s.source == Source::Bundled && begins(s));
        for (at, (name, meaning, polarity)) in offered.signals.iter().enumerate() {
            let own = name.strip_prefix(plugin.as_str()).and_then(|rest| rest.strip_prefix('.'));
            let known = self.knows(name) || guest.signals.iter().any(|s| s.signal == *name);
            let why = match own {
                _ if at >= MAX_SIGNALS => "a plugin brings at most 100 signals",
                _ if taken => "signals of the catalogue begin with the plugin's name; rename it",
                None => "a plugin brings signals below its own name only: {plugin}.{signal}",
                Some(own) if !word(own) => "use 2 to 48 of a-z, 0-9 and _ behind the dot",
                Some(_) if known => "it is known already",
                Some(_) if meaning.len() > MAX_MEANING || !clean(meaning) => {
                    "its meaning is one line of at most 512 bytes"
                }
                Some(_) => {
                    guest.signals.push(Signal {
                        signal: name.clone(),
                        polarity: *polarity,
                        about: String::new(),
                        meaning: meaning.clone(),
                        source: source.clone(),
                    });
                    continue;
                }
            };
            let name: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
            guest.warnings.push(format!("left out: signal {name:?}: {why}"));
            if at >= MAX_SIGNALS {
                break;
            }
        }
    }

    /// Takes in what a plugin brings, as far as nothing of that name is there.
    pub fn host(&mut self, guest: &Guest) {
        for signal in &guest.signals {
            self.signals.entry(signal.signal.clone()).or_insert_with(|| signal.clone());
        }
        for cause in &guest.causes {
            if self.cause(&cause.id).is_none() {
                self.causes.push(cause.clone());
            }
        }
    }

    /// Takes in what plugins brought to `earlier` and is no longer here: an investigation keeps
    /// the words of a plugin that leaves while it runs.
    #[must_use]
    pub fn after(mut self, earlier: &Self) -> Self {
        let left = Guest {
            signals: earlier.signals().filter(|s| s.source.is_guest()).cloned().collect(),
            causes: earlier.causes().iter().filter(|c| c.source.is_guest()).cloned().collect(),
            warnings: Vec::new(),
        };
        self.host(&left);
        self
    }
}

/// A cause that keeps the rules, with advice for its author.
fn admit_cause(
    whole: &Catalogue,
    plugin: &str,
    name: &str,
    text: &str,
) -> Result<(Cause, Vec<Fault>), Faults> {
    if text.len() > MAX_DOCUMENT {
        let said = format!("has {} bytes; a document has at most {MAX_DOCUMENT}", text.len());
        return Err(Fault::of(name, &said).into());
    }
    let mut cause = document::cause(name, text)?;
    if whole.cause(&cause.id).is_some() {
        let said = format!("id {} is taken; a plugin replaces no cause of others", cause.id);
        return Err(Fault { line: line_of(text, &cause.id), ..Fault::of(name, &said) }.into());
    }
    // The rules that hold for all causes, then those for guests.
    let mut faults = match whole.extended(Vec::new(), vec![(name.to_owned(), cause.clone())]) {
        Ok(_) => Vec::new(),
        Err(Faults(faults)) => faults,
    };
    let place =
        |word: &str, said: &str| Fault { line: line_of(text, word), ..Fault::of(name, said) };
    faults.extend(bounds(&cause, &place));
    faults.extend(reach(whole, plugin, &cause, &place));
    faults.extend(wording(&cause, &place));
    if !faults.is_empty() {
        return Err(Faults(faults));
    }
    let advice = temper(&mut cause, &place);
    Ok((cause, advice))
}

/// How much of it there may be.
fn bounds(cause: &Cause, place: &impl Fn(&str, &str) -> Fault) -> Vec<Fault> {
    let id = cause.id.strip_prefix(|c: char| c.is_ascii_lowercase()).unwrap_or("-");
    let mut faults = Vec::new();
    if id.len() > 63 || !id.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.')) {
        faults.push(place("id:", "id is 1 to 64 of a-z, 0-9, _ and ., beginning with a letter"));
    }
    let clauses = cause.speaks_for.len() + cause.against.len();
    if clauses > MAX_CLAUSES || cause.advice().count() > MAX_CLAUSES {
        let said = format!("has more than {MAX_CLAUSES} clauses, or more advice");
        faults.push(place("for:", &said));
    }
    let patterns =
        clauses_of(cause).map(|c| c.any.len()).sum::<usize>() + cause.explains.patterns().count();
    if patterns > MAX_PATTERNS {
        faults.push(place("for:", &format!("names more than {MAX_PATTERNS} signals")));
    }
    faults
}

/// What it may count and explain.
fn reach(
    whole: &Catalogue,
    plugin: &str,
    cause: &Cause,
    place: &impl Fn(&str, &str) -> Fault,
) -> Vec<Fault> {
    let below = format!("{plugin}.");
    let own = |pattern: &String| pattern.starts_with(&below);
    let mut faults = Vec::new();
    let rests = |clause: &Clause| clause.required && clause.any.iter().all(own);
    if !cause.speaks_for.iter().any(rests) {
        let said = format!("one required clause of \"for\" must name signals below {below} only");
        faults.push(place("for:", &said));
    }
    if cause.benign {
        let said = "benign is not a plugin's to say: it would make harm a matter of no concern";
        faults.push(place("benign", said));
    }
    let symptoms = SYMPTOMS.map(str::to_owned);
    let others = |pattern: &String| {
        let one = std::slice::from_ref(pattern);
        whole
            .signals()
            .filter(|signal| signal.polarity == Polarity::Harm && matches_any(one, &signal.signal))
            .find(|signal| !own(&signal.signal) && !matches_any(&symptoms, &signal.signal))
    };
    let counted = cause.speaks_for.iter().flat_map(|clause| &clause.any);
    for pattern in counted.chain(cause.explains.patterns()) {
        if let Some(signal) = others(pattern) {
            let said = format!(
                "{pattern} takes in {}, by which other causes are found; a plugin's cause counts \
                 and explains its own signals and symptoms: {}",
                signal.signal,
                SYMPTOMS.join(", ")
            );
            faults.push(place(pattern, &said));
        }
    }
    faults
}

/// What its sentences and commands may look like.
fn wording(cause: &Cause, place: &impl Fn(&str, &str) -> Fault) -> Vec<Fault> {
    let mut faults = Vec::new();
    let said = [cause.title.as_str(), &cause.statement, &cause.question, cause.category()];
    let advice = || cause.now.iter().chain(&cause.later);
    let advised = advice().flat_map(|a| [a.action.as_str(), &a.reason]);
    let sentences = said.into_iter().chain(advised);
    for text in sentences.filter(|text| text.len() > MAX_SENTENCE || !clean(text)) {
        let said = format!("a sentence is one line of at most {MAX_SENTENCE} bytes");
        faults.push(place(text.get(..24).unwrap_or(text).trim(), &said));
    }
    for command in advice().map(|a| &a.command).chain([&cause.confirm]) {
        if command.len() > MAX_SENTENCE || !clean(command) || command.contains(OPERATORS) {
            let said = "a command is one line without operators of the shell (; & | < > ` $)";
            faults.push(place(command.get(..24).unwrap_or(command).trim(), said));
        }
    }
    if !cause.confirm.is_empty() && !reads_only(&cause.confirm) {
        let said = "confirm reads only: kubectl get, describe, logs, top, events, auth can-i, \
                    rollout status or history; leave it \"\" when there is no such command";
        faults.push(place("confirm:", said));
    }
    faults
}

/// What is too loud counts less, and its author is told.
fn temper(cause: &mut Cause, place: &impl Fn(&str, &str) -> Fault) -> Vec<Fault> {
    let mut told = Vec::new();
    for clause in cause.speaks_for.iter_mut().filter(|clause| clause.weight > MAX_WEIGHT) {
        let said = format!("weight {} counts as {MAX_WEIGHT}, the most of a plugin", clause.weight);
        told.push(place(&clause.weight.to_string(), &said));
        clause.weight = MAX_WEIGHT;
    }
    if cause.severity == Severity::P1 {
        told.push(place("severity", "severity P1 counts as P2; an outage is measured"));
        cause.severity = Severity::P2;
    }
    told
}

/// What ends or joins commands in a shell, or puts something else in their place.
const OPERATORS: [char; 8] = [';', '&', '|', '<', '>', '`', '$', '\\'];

/// Commands that change nothing.
fn reads_only(command: &str) -> bool {
    let words: Vec<&str> =
        command.split_whitespace().filter(|word| !word.starts_with('-')).collect();
    let after_flags = |verb: &str| words.iter().position(|word| *word == verb);
    let verbs = ["get", "describe", "logs", "top", "events"];
    let pairs = [("auth", "can-i"), ("rollout", "status"), ("rollout", "history")];
    // Flags such as `-n NAMESPACE` may stand between kubectl and its verb.
    let early = |at: usize| at <= 3;
    words.first() == Some(&"kubectl")
        && (verbs.iter().any(|verb| after_flags(verb).is_some_and(early))
            || pairs.iter().any(|(one, two)| {
                after_flags(one).is_some_and(|at| early(at) && words.get(at + 1) == Some(two))
            }))
        && !words.iter().any(|word| CHANGING.contains(word))
}

/// Verbs of kubectl that change something; none stands in a command that reads.
const CHANGING: [&str; 16] = [
    "annotate",
    "apply",
    "autoscale",
    "cordon",
    "create",
    "debug",
    "delete",
    "drain",
    "edit",
    "exec",
    "label",
    "patch",
    "replace",
    "run",
    "scale",
    "set",
];

fn clauses_of(cause: &Cause) -> impl Iterator<Item = &Clause> {
    cause.speaks_for.iter().chain(&cause.against)
}

/// `[a-z][a-z0-9_]{1,47}`.
fn word(name: &str) -> bool {
    (2..=48).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// One line of letters that are seen: nothing that steers a terminal or hides.
fn clean(text: &str) -> bool {
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    !text.contains(hides)
}

#[cfg(test)]
mod tests;
