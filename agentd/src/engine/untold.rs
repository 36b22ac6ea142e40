//! What no tool at hand tells of: a plugin that was never started, or is gone, is not asked and so
//! cannot fail. Without this an answer would be the surer the less could be looked at.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    investigation::{event::Kind, finding::Gap},
    reasoner::{
        catalogue::{Catalogue, matches_any},
        facts::Blind,
    },
    tool::{Failure, FailureClass, ToolSpec},
};

/// Signals named of one family.
const NAMED: usize = 4;

/// The catalogue's own signals that none of `tools` may tell and that nobody `answered` about, by
/// family: what stands before the first point of their names.
pub(super) fn families(
    catalogue: &Catalogue,
    tools: &[Arc<ToolSpec>],
    told: &mut BTreeSet<String>,
) -> Vec<Blind> {
    for tool in tools {
        told.extend(tool.applies.iter().flat_map(|applies| applies.emits.iter().cloned()));
    }
    let told: Vec<String> = told.iter().cloned().collect();
    let mut missing: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for signal in catalogue.signals().filter(|signal| !signal.source.is_guest()) {
        if !matches_any(&told, &signal.signal) {
            let family = signal.signal.split('.').next().unwrap_or_default();
            missing.entry(family).or_default().push(signal.signal.clone());
        }
    }
    let named = |(family, signals)| Blind { tool: format!("no tool for {family}.*"), signals };
    missing.into_iter().map(named).collect()
}

/// The gap that they are; none when every signal can be told.
pub(super) fn gap(families: &[Blind]) -> Option<(Kind, String)> {
    if families.is_empty() {
        return None;
    }
    let names: Vec<&str> =
        families.iter().filter_map(|blind| blind.tool.strip_prefix("no tool for ")).collect();
    let said = format!("no tool at hand tells of {}", names.join(", "));
    let signals: Vec<&str> =
        families.iter().flat_map(|blind| &blind.signals).map(String::as_str).collect();
    let more = signals.len().saturating_sub(NAMED);
    let shown: Vec<&str> = signals.into_iter().take(NAMED).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let gap = Gap {
        subject: "tools that are not there".to_owned(),
        failure: Failure::ours(FailureClass::Config, "NO_TOOL", said.clone()),
        impact: format!("could not look for {}{more}; start the plugins that do", shown.join(", ")),
    };
    Some((Kind::GapRecorded(gap), said))
}

/// Which signals of a tool a gap in its answer may hide: all, unless the tool says which
/// (`blinds` of the failure: patterns with commas). It can only name fewer of its own.
pub(super) fn hidden_by(failure: &Failure, emits: Vec<String>) -> Vec<String> {
    let Some(said) = failure.metadata.get("blinds") else { return emits };
    let patterns: Vec<String> = said.split(',').map(|p| p.trim().to_owned()).collect();
    emits.into_iter().filter(|signal| matches_any(&patterns, signal)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_that_says_what_it_hides_leaves_the_rest_of_the_answer_standing() {
        let emits =
            || ["pod.pending", "certificate.valid", "config.missing"].map(str::to_owned).to_vec();
        let mut failure = Failure::ours(FailureClass::Permission, "FORBIDDEN", "secrets");
        assert_eq!(hidden_by(&failure, emits()), emits(), "one that says nothing hides all");
        failure.metadata.insert("blinds".to_owned(), "config.missing, certificate.*".to_owned());
        assert_eq!(hidden_by(&failure, emits()), ["certificate.valid", "config.missing"]);
    }
}
