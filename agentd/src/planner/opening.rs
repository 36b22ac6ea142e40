//! The first round: every broad question for this kind of alert or, with a like case in memory, what
//! that case's verdict rested on and what may have changed since. What memory cannot know, that the
//! same symptoms have another cause this time, is asked as well; the rest stays open.

use std::{collections::BTreeSet, sync::Arc};

use super::{Candidate, Input, applicable, asking, broad, emits_any, subject};
use crate::reasoner::catalogue::Polarity;

/// The first questions, and why these.
pub(super) fn opening(input: &Input<'_>) -> (Vec<Candidate>, String) {
    let broad = broad(input);
    let Some(case) = input.recalled else {
        return (broad, "the broad questions for this kind of alert, all at once".to_owned());
    };
    let first = rested_on(input);
    let wanted = wanted(input, &case.category);
    if wanted.is_empty() {
        // A case of none of the known causes narrows nothing.
        return (with(first, broad), "the broad questions for this kind of alert".to_owned());
    }
    let (telling, rest): (Vec<Candidate>, Vec<Candidate>) =
        broad.into_iter().partition(|c| emits_any(&c.tool, &wanted));
    if telling.is_empty() || (rest.is_empty() && input.rested_on.is_empty()) {
        let all = telling.into_iter().chain(rest).collect();
        return (all, "the broad questions for this kind of alert".to_owned());
    }
    let reason =
        format!("a like case ({}) was {}; that is checked first", case.episode, case.category);
    (with(first, fewest(telling, &wanted)), reason)
}

/// Signals that speak for the recalled cause, and those of changes: the same symptoms may have
/// another cause this time.
fn wanted(input: &Input<'_>, category: &str) -> Vec<String> {
    let mut wanted = BTreeSet::new();
    for cause in input.catalogue.of_category(category) {
        wanted.extend(cause.speaks_for.iter().flat_map(|clause| clause.any.clone()));
    }
    if !wanted.is_empty() {
        let changes = input.catalogue.signals().filter(|s| s.polarity == Polarity::Change);
        wanted.extend(changes.map(|signal| signal.signal.clone()));
    }
    wanted.into_iter().collect()
}

/// What the recalled verdict rested on, asked anew as the tools of today want it asked.
fn rested_on(input: &Input<'_>) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    for question in input.rested_on {
        let mut of_tool =
            applicable(input).filter(|(tool, _)| tool.id.to_string() == question.tool);
        let asked = of_tool.find_map(|(tool, applies)| {
            Some((Arc::clone(tool), asking(input, applies, question.about.as_ref())?))
        });
        let Some((tool, arguments)) = asked else { continue };
        let object = question.about.as_ref().map(ToString::to_string);
        let purpose = format!("look at {} again", object.unwrap_or_else(|| subject(input.alert)));
        let about = question.about.clone();
        found = with(found, vec![Candidate { tool, arguments, about, purpose, worth: 1.0 }]);
    }
    found
}

/// Both, each question once.
fn with(mut first: Vec<Candidate>, more: Vec<Candidate>) -> Vec<Candidate> {
    for candidate in more {
        let same =
            |c: &Candidate| c.tool.id == candidate.tool.id && c.arguments == candidate.arguments;
        if !first.iter().any(same) {
            first.push(candidate);
        }
    }
    first
}

/// The few questions that together may show all of the `wanted` signals that any of them shows:
/// greedily the one that covers most of what is still uncovered.
fn fewest(mut from: Vec<Candidate>, wanted: &[String]) -> Vec<Candidate> {
    let mut open: BTreeSet<String> = wanted.iter().cloned().collect();
    let mut chosen = Vec::new();
    loop {
        let covers = |candidate: &Candidate| {
            open.iter().filter(|w| emits_any(&candidate.tool, std::slice::from_ref(*w))).count()
        };
        let best = from.iter().enumerate().max_by_key(|(i, c)| (covers(c), usize::MAX - i));
        let Some((index, _)) = best.filter(|(_, candidate)| covers(candidate) > 0) else { break };
        let candidate = from.remove(index);
        open.retain(|w| !emits_any(&candidate.tool, std::slice::from_ref(w)));
        chosen.push(candidate);
    }
    chosen
}
