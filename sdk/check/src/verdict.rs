//! What a check finds, and the board on which all findings of one run stand.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::time::Instant;

use crate::{exchange::Exchange, spec::Spec};

/// Longest shown exchange, in bytes.
const MAX_SHOWN: usize = 4 * 1024;

/// Why a check ended before it passed.
#[derive(Debug, Clone)]
pub(crate) enum Stop {
    /// The plugin broke the rule.
    Failed { why: String, exchange: String },
    /// The rule does not apply, or something is missing to look at it.
    Skipped(String),
}

/// A note for the reader (often empty), or why it did not pass.
pub(crate) type Found = Result<String, Stop>;

/// Passed, with nothing to add.
pub(crate) fn passed() -> Found {
    Ok(String::new())
}

pub(crate) fn fail<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Failed { why: why.into(), exchange: String::new() })
}

pub(crate) fn skip<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Skipped(why.into()))
}

/// A failure that an exchange shows.
pub(crate) fn fail_with<T>(why: impl Into<String>, seen: &Exchange) -> Result<T, Stop> {
    Err(Stop::Failed { why: why.into(), exchange: seen.show() })
}

/// Fails unless `holds`.
pub(crate) fn demand(
    holds: bool,
    seen: &Exchange,
    why: impl FnOnce() -> String,
) -> Result<(), Stop> {
    if holds { Ok(()) } else { fail_with(why(), seen) }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It does not apply, or could not be looked at; the note says why.
    Skipped,
    /// The plugin keeps the rule.
    Passed,
    /// It does not.
    Failed,
}

/// One line of a report.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Number of the check, such as `CALL-03`.
    pub id: &'static str,
    /// `must` or `should`.
    pub level: &'static str,
    /// The sentence of the contract.
    pub sentence: &'static str,
    /// Where the contract says so.
    pub from: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// What is wrong, why it was skipped, or what was not looked at.
    pub note: String,
    /// What was sent and what came.
    pub exchange: String,
    /// How long it took.
    pub seconds: f64,
}

/// The findings of one run in one mode.
pub(crate) struct Board {
    rows: Mutex<BTreeMap<&'static str, Row>>,
    wanted: BTreeSet<&'static str>,
    /// Longest time of one check.
    limit: Duration,
    secrets: Vec<String>,
}

impl Board {
    /// A board for the checks of `spec` in `wanted`; `secrets` are masked in what it shows.
    pub(crate) fn new(
        wanted: BTreeSet<&'static str>,
        limit: Duration,
        secrets: Vec<String>,
    ) -> Self {
        Self { rows: Mutex::default(), wanted, limit, secrets }
    }

    pub(crate) fn wants_any(&self, ids: &[&str]) -> bool {
        ids.iter().any(|id| self.wanted.contains(id))
    }

    /// Runs one check, if it is wanted. Several findings of one check are put together: a failure
    /// leads, then a pass.
    pub(crate) async fn run(&self, id: &'static str, check: impl Future<Output = Found>) {
        if !self.wanted.contains(id) {
            return;
        }
        let began = Instant::now();
        let found = match tokio::time::timeout(self.limit, check).await {
            Ok(found) => found,
            Err(_) => fail(format!("the check was not over within {:?}", self.limit)),
        };
        self.note(id, found, began.elapsed());
    }

    /// Writes one finding down.
    pub(crate) fn note(&self, id: &'static str, found: Found, took: Duration) {
        if !self.wanted.contains(id) {
            return;
        }
        let (outcome, note, exchange) = match found {
            Ok(note) => (Outcome::Passed, note, String::new()),
            Err(Stop::Failed { why, exchange }) => (Outcome::Failed, why, exchange),
            Err(Stop::Skipped(why)) => (Outcome::Skipped, why, String::new()),
        };
        let entry = Spec::entry(id);
        let row = Row {
            id,
            level: entry.map_or("must", |entry| entry.level.word()),
            sentence: entry.map_or("", |entry| entry.sentence.as_str()),
            from: entry.map_or("", |entry| entry.from.as_str()),
            outcome,
            note: self.masked(&note),
            exchange: cut(&self.masked(&exchange), MAX_SHOWN),
            seconds: took.as_secs_f64(),
        };
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        match rows.get_mut(id) {
            Some(old) if (old.outcome as u8) >= (outcome as u8) => {
                old.seconds += row.seconds;
                if old.outcome == outcome && !row.note.is_empty() && !old.note.contains(&row.note) {
                    old.note =
                        [old.note.as_str(), &row.note].join("; ").trim_matches([';', ' ']).into();
                }
            }
            _ => {
                rows.insert(id, row);
            }
        }
    }

    /// Skips what of `ids` has no finding yet.
    pub(crate) fn skip_rest(&self, ids: &[&'static str], why: &str) {
        for id in ids {
            let is_open = {
                let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
                !rows.contains_key(id)
            };
            if is_open {
                self.note(id, skip(why), Duration::ZERO);
            }
        }
    }

    /// All findings, in the order of the contract.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        Spec::all().iter().filter_map(|entry| rows.get(entry.id.as_str()).cloned()).collect()
    }

    fn masked(&self, text: &str) -> String {
        self.secrets.iter().filter(|secret| !secret.is_empty()).fold(text.to_owned(), |text, s| {
            if text.contains(s.as_str()) { text.replace(s.as_str(), "[masked]") } else { text }
        })
    }
}

/// The beginning of `text`, at most `max` bytes, marked when cut.
pub(crate) fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let head = text.get(..text.floor_char_boundary(max)).unwrap_or_default();
    format!("{head}… ({} bytes in all)", text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_leads_over_a_pass_and_a_pass_over_a_skip() {
        let wanted = BTreeSet::from(["CALL-01", "CALL-02"]);
        let board = Board::new(wanted, Duration::from_secs(1), vec!["hush".to_owned()]);
        let none = Duration::ZERO;
        board.note("CALL-01", skip("no"), none);
        board.note("CALL-01", passed(), none);
        board.note("CALL-01", skip("no"), none);
        assert_eq!(board.rows().iter().map(|r| r.outcome).collect::<Vec<_>>(), [Outcome::Passed]);
        board.note("CALL-01", fail("hush came back"), none);
        board.note("CALL-01", passed(), none);
        board.note("CALL-03", fail("is not wanted"), none);
        board.skip_rest(&["CALL-01", "CALL-02"], "late");
        let rows = board.rows();
        let seen: Vec<_> = rows.iter().map(|r| (r.outcome, r.note.as_str())).collect();
        assert_eq!(seen, [(Outcome::Failed, "[masked] came back"), (Outcome::Skipped, "late")]);
    }
}
