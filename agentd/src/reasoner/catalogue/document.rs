//! Documents of the catalogues: YAML to values, and faults with document and line. What a value
//! means is checked elsewhere.

use std::{collections::BTreeMap, fmt};

use serde::de::DeserializeOwned;

use super::{Cause, Signal};
use crate::nearest::nearest;

/// Most values in one document, aliases expanded: a document is a page or two.
const MAX_NODES: usize = 20_000;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file or document.
    pub document: String,
    /// Line therein, from 1, when it is known.
    pub line: Option<u64>,
    /// What is wrong and how to mend it.
    pub said: String,
}

/// All faults, at least one. One line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

// === impl Fault ===

impl Fault {
    /// A fault of a document as a whole.
    #[must_use]
    pub fn of(document: &str, said: &str) -> Self {
        Self { document: document.to_owned(), line: None, said: said.to_owned() }
    }
}

/// `FILE:LINE: what is wrong`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.document)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.said)
    }
}

// === impl Faults ===

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Fault::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Faults {}

/// Reads one cause.
///
/// # Errors
/// What is not of the form, with its line.
pub fn cause(document: &str, text: &str) -> Result<Cause, Faults> {
    let mut cause: Cause = read(document, text)?;
    cause.document = text.into();
    Ok(cause)
}

/// Reads a list of signals.
///
/// # Errors
/// What is not of the form, with its line; signals that are there twice.
pub fn signals(document: &str, text: &str) -> Result<Vec<Signal>, Faults> {
    let signals: Vec<Signal> = read(document, text)?;
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for signal in &signals {
        *seen.entry(&signal.signal).or_default() += 1;
    }
    let twice = seen.into_iter().filter(|(_, times)| *times > 1);
    let faults: Vec<Fault> = twice
        .map(|(name, _)| Fault {
            line: line_of(text, name),
            ..Fault::of(document, &format!("signal {name} is there twice"))
        })
        .collect();
    if faults.is_empty() { Ok(signals) } else { Err(Faults(faults)) }
}

/// Reads a document of any form.
pub(super) fn read<T: DeserializeOwned>(document: &str, text: &str) -> Result<T, Faults> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        budget: serde_saphyr::budget! { max_nodes: MAX_NODES, max_depth: 16, max_documents: 1 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_NODES },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map(|at| at.line()).filter(|line| *line > 0);
        Fault { line, ..Fault::of(document, &sentence(&error)) }.into()
    })
}

/// What the reader says, in one line and without the place, which is told beside it.
fn sentence(error: &serde_saphyr::Error) -> String {
    let said = error.without_snippet().render_with_formatter(&serde_saphyr::UserMessageFormatter);
    let first = said.lines().next().unwrap_or_default();
    let bare = first.rsplit_once(" at line ").map_or(first, |(before, _)| before);
    bare.trim_start_matches("error: ").to_owned()
}

/// The first line that holds a word, comments aside; from 1.
#[must_use]
pub fn line_of(text: &str, word: &str) -> Option<u64> {
    let holds = |line: &str| !line.trim_start().starts_with('#') && line.contains(word);
    let at = text.lines().position(holds)?;
    u64::try_from(at.saturating_add(1)).ok()
}

/// What is said of a pattern that fits no signal.
pub fn unknown_signal<'a>(pattern: &str, known: impl Iterator<Item = &'a String>) -> String {
    match nearest(pattern, known.map(String::as_str)) {
        Some(meant) => format!("there is no signal {pattern}; did you mean {meant}?"),
        None => format!("there is no signal {pattern}; `agentd signals` lists them"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_fault_of_form_names_the_line_and_says_it_in_one_line() {
        for (text, line, told) in [
            ("- {signal: a.b, polarity: harm, about: x, meaning: y}\n- {signal: 7", 2, ""),
            ("- signal: a.b\n  polarity: bad\n  about: x\n  meaning: y\n", 2, "bad"),
            ("- signal: a.b\n  polarity: harm\n  colour: x\n", 3, "colour"),
        ] {
            let Faults(faults) = signals("s.yaml", text).unwrap_err();
            let said = faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("|");
            assert!(said.starts_with(&format!("s.yaml:{line}: ")), "{said}");
            assert!(
                said.contains(told) && !said.contains('\n') && !said.contains("at line"),
                "{said}"
            );
        }
    }

    #[test]
    fn a_signal_twice_is_a_fault() {
        let one = "- {signal: a.b, polarity: harm, about: x, meaning: y}\n";
        assert_eq!(signals("s.yaml", one).unwrap().len(), 1);
        let said = signals("s.yaml", &one.repeat(2)).unwrap_err().to_string();
        assert_eq!(said, "s.yaml:1: signal a.b is there twice");
    }

    #[test]
    fn a_document_that_swells_when_it_is_read_is_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let below = format!("*a{}, ", level - 1).repeat(10);
            bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        let said = cause("c.yaml", &bomb).unwrap_err().to_string();
        assert!(said.starts_with("c.yaml"), "{said}");
    }

    #[test]
    fn a_word_in_a_comment_is_not_where_the_fault_is() {
        assert_eq!(line_of("# a.b\nx: 1\nany: [a.b]\n", "a.b"), Some(3));
        assert_eq!(line_of("x", "y"), None);
    }
}
