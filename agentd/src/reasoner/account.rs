//! The account of a belief: the numbers that multiply to it and what each rests on, so that a
//! person can follow it and a reader of the stored report need not weigh again.

use std::collections::BTreeSet;

use super::{
    case::Case,
    conclude::evidence,
    template::fill,
    weigh::{Terms, Weighed},
    words::values,
};
use crate::{
    fact::Observation,
    investigation::{
        finding::{Account, Evidence, Factor, Share},
        report::Conclusion,
    },
};

/// Most observations whose share is told.
const SHARES: usize = 16;
/// Most explained observations that are named; all are counted.
const EXPLAINED: usize = 24;
/// Most observations kept in a report beside its evidence.
const CITED: usize = 80;

/// The account of a hypothesis; `confidence` is what rivals left of its belief.
pub(super) fn of(case: &Case<'_>, weighed: &Weighed<'_>, confidence: f64) -> Account {
    let id = |index: &usize| case.facts.seen().get(*index).map(|seen| seen.id.clone());
    let shares = weighed.evidence.iter().take(SHARES);
    let unseen = case.unseen(weighed.cause).map(|blind| blind.tool.clone());
    Account {
        factors: factors(&weighed.terms, weighed.belief),
        belief: weighed.belief,
        rivals: if weighed.belief > 0.0 { (confidence / weighed.belief).min(1.0) } else { 1.0 },
        shares: shares
            .filter_map(|(index, weight)| Some(Share { evidence: id(index)?, weight: *weight }))
            .collect(),
        explained: weighed.explained.iter().filter_map(id).take(EXPLAINED).collect(),
        explained_count: u32::try_from(weighed.explained.len()).unwrap_or(u32::MAX),
        unseen: unseen.collect(),
        question: fill(&weighed.cause.question, &values(case, weighed)),
        start: weighed.start,
        path: weighed.path.clone(),
        source: weighed.cause.source.to_string(),
    }
}

/// The terms as they multiply; what they give beyond a source's ceiling is cut by `trust`.
fn factors(terms: &Terms, belief: f64) -> Vec<Factor> {
    let mut factors: Vec<Factor> = terms
        .factors()
        .into_iter()
        .map(|(name, value)| Factor { name: name.to_owned(), value })
        .collect();
    let product = terms.belief();
    if belief < product {
        factors.push(Factor { name: "trust".to_owned(), value: belief / product });
    }
    factors
}

/// Observations that accounts, causes and alternatives speak of and that are not in the evidence.
pub(super) fn cited(case: &Case<'_>, conclusion: &Conclusion) -> Vec<Evidence> {
    let causes = conclusion.root_causes.iter().flat_map(|cause| {
        let account = cause.account.iter().flat_map(|account| account.cited());
        cause.evidence.iter().chain(&cause.against).chain(account)
    });
    let others = conclusion.alternatives.iter().flat_map(|other| {
        let account = other.account.iter().flat_map(|account| account.cited());
        other.evidence.iter().chain(&other.against).chain(account)
    });
    let mut ids: BTreeSet<&String> = causes.chain(others).collect();
    for known in &conclusion.evidence {
        ids.remove(&known.id);
    }
    let all = case.facts.seen().iter().enumerate();
    let wanted = all.filter(|(_, seen)| ids.contains(&seen.id)).take(CITED);
    wanted.filter_map(|(index, _)| evidence(case, index, 0.0, false)).collect()
}

/// Signals that were seen and that no catalogue knows, in the order they were met.
pub(super) fn unknown_signals(case: &Case<'_>) -> Vec<String> {
    let mut unknown: Vec<String> = Vec::new();
    for observation in foreign(case).filter_map(|index| told(case, index)) {
        if !unknown.contains(&observation.signal) {
            unknown.push(observation.signal.clone());
        }
    }
    unknown
}

/// Observations of signals that no catalogue knows: a person may know what they mean.
pub(super) fn foreign<'c>(case: &'c Case<'_>) -> impl Iterator<Item = usize> + 'c {
    case.of_signals(|signal| !case.catalogue.knows(signal))
}

fn told<'c>(case: &'c Case<'_>, index: usize) -> Option<&'c Observation> {
    case.facts.seen().get(index).map(|seen| &seen.observation)
}
