//! From a choice to words: root causes, evidence with its share, alternatives with why not,
//! advice, timeline. Every sentence comes from the catalogue or from an observation.

mod well;

use std::collections::BTreeSet;

use super::{
    account::{self, foreign},
    case::Case,
    health,
    select::{Choice, FLOOR, began_together},
    severity,
    suited::suited,
    template::{Values, fill, fill_command},
    weigh::Weighed,
    words::values,
};
use crate::{
    alert::Alert,
    fact::Entity,
    investigation::{
        finding::{
            Evidence, Hypothesis, Recommendation, RootCause, Severity, TimelineEntry, Verdict,
        },
        report::Conclusion,
    },
};

/// Most candidates kept in a report.
const ALTERNATIVES: usize = 6;
/// Most observations cited for one cause.
pub(super) const CITED: usize = 8;
/// Most observations shown whose signals no catalogue knows.
const FOREIGN: usize = 4;

/// What would be reported now.
#[must_use]
pub fn conclude(
    case: &Case<'_>,
    alert: &Alert,
    weighed: &[Weighed<'_>],
    choice: &Choice,
    hypotheses: &[Hypothesis],
) -> Conclusion {
    let standing: Vec<(&Weighed<'_>, f64)> = choice
        .standing
        .iter()
        .filter_map(|(index, confidence)| weighed.get(*index).map(|w| (w, *confidence)))
        .collect();
    // What is wrong elsewhere in the namespace does not make a healthy object ill.
    // Unless its trouble began together with this alert: then the way to it is only not known.
    let near = |weighed: &Weighed<'_>| {
        // Nor where it bears out the very claim: then the alert may mean that.
        weighed.path.is_some()
            || began_together(case, weighed)
            || weighed.explained.iter().any(|index| case.claimed(*index))
    };
    let concerns = standing.iter().any(|(w, _)| near(w) && !health::is_past(case, w));
    // What is on purpose elsewhere answers no alert about this object.
    let about = |weighed: &Weighed<'_>| {
        weighed.path.as_ref().is_some_and(Vec::is_empty)
            || weighed.explained.intersection(case.symptoms()).next().is_some()
    };
    let meant = standing.first().filter(|(w, _)| w.cause.benign && about(w) && !nobody(case));
    let mut conclusion = match health::answers(case, alert).filter(|_| !concerns) {
        Some(healthy) => well::conclude(case, alert, &healthy, &standing),
        None if meant.is_some() => on_purpose(case, &standing),
        // What ails others is no answer about an object that is not there.
        None if standing.first().is_none_or(|(w, _)| w.cause.benign) || nobody(case) => {
            open(case, alert, weighed, hypotheses)
        }
        None => found(case, &standing),
    };
    let stands =
        |h: &&Hypothesis| !conclusion.root_causes.iter().any(|cause| cause.hypothesis == h.id);
    conclusion.alternatives =
        hypotheses.iter().filter(stands).take(ALTERNATIVES).cloned().collect();
    // Words no catalogue knows have no weight; a person may know what they mean.
    let foreign = foreign(case).take(FOREIGN).filter_map(|i| evidence(case, i, 0.0, false));
    conclusion.evidence.extend(foreign);
    conclusion.unknown_signals = account::unknown_signals(case);
    conclusion.cited = account::cited(case, &conclusion);
    conclusion
}

fn found(case: &Case<'_>, standing: &[(&Weighed<'_>, f64)]) -> Conclusion {
    let causes: Vec<&Weighed<'_>> = standing.iter().map(|(w, _)| *w).collect();
    let root_causes: Vec<RootCause> =
        standing.iter().map(|(w, confidence)| root_cause(case, w, *confidence)).collect();
    let mut recommendations = Vec::new();
    let mut evidence = Vec::new();
    for weighed in &causes {
        recommendations.extend(advice(case, weighed));
        evidence.extend(weighted(case, weighed));
    }
    Conclusion {
        verdict: Verdict::RootCauseFound,
        summary: summary(case, &root_causes),
        severity: severity::judge(case, &causes),
        timeline: timeline(&evidence),
        evidence: once(evidence),
        root_causes,
        recommendations,
        alternatives: Vec::new(),
        deciding_questions: Vec::new(),
        unknown_signals: Vec::new(),
        cited: Vec::new(),
    }
}

fn root_cause(case: &Case<'_>, weighed: &Weighed<'_>, confidence: f64) -> RootCause {
    let values = values(case, weighed);
    let affected: BTreeSet<Entity> = weighed
        .explained
        .iter()
        .filter_map(|index| case.facts.seen().get(*index))
        .map(|seen| case.topology.controller(&seen.observation.subject))
        .filter(|entity| *entity != weighed.culprit)
        .collect();
    RootCause {
        statement: fill(&weighed.cause.statement, &values),
        category: weighed.cause.category().to_owned(),
        culprit: weighed.culprit.clone(),
        confidence,
        evidence: cite(case, weighed.evidence.iter().map(|(i, _)| *i).take(CITED)),
        against: cite(case, weighed.against.iter().copied()),
        affected: affected.into_iter().collect(),
        hypothesis: weighed.id.clone(),
        start: weighed.start,
        path: weighed.path.clone().unwrap_or_default(),
        confirm_command: command(&weighed.cause.confirm, weighed, &values),
        account: Some(Box::new(account::of(case, weighed, confidence))),
    }
}

/// Whether the alert names something that nothing answers to.
fn nobody(case: &Case<'_>) -> bool {
    case.anchor.unknown.is_some() && case.anchor.entities.is_empty()
}

/// What hurts is there on purpose: no fault, and said by whom.
fn on_purpose(case: &Case<'_>, standing: &[(&Weighed<'_>, f64)]) -> Conclusion {
    let mut conclusion = found(case, standing);
    conclusion.verdict = Verdict::Healthy;
    conclusion.severity = Severity::P4;
    conclusion.root_causes = Vec::new();
    conclusion
}

fn open(
    case: &Case<'_>,
    alert: &Alert,
    weighed: &[Weighed<'_>],
    hypotheses: &[Hypothesis],
) -> Conclusion {
    let mut summary = match (&case.anchor.unknown, case.anchor.entities.is_empty()) {
        (Some((asked, nearest)), true) if nearest.is_empty() => {
            format!("Nothing here answers to {asked:?}.")
        }
        (Some((asked, nearest)), true) => {
            format!("Nothing here answers to {asked:?}; the nearest names are {nearest}.")
        }
        _ => format!("The evidence on {} does not carry a conclusion.", subject(case, alert)),
    };
    if let Some((asked, _)) = case.anchor.unknown.as_ref().filter(|_| nobody(case)) {
        if let Some((namespace, _)) = asked.split_once('/') {
            summary.push_str(&format!(" There is nothing at all in a namespace {namespace:?}."));
        }
        summary.push_str(" How bad it is could not be seen.");
    }
    if let Some(best) = hypotheses.first().filter(|best| best.confidence >= 0.2)
        && nobody(case)
    {
        summary.push_str(&format!(" What is wrong near there: {}", best.statement));
    } else if let Some(best) = hypotheses.first().filter(|best| best.confidence >= 0.2) {
        summary.push_str(&format!(
            " Most likely, at {:.0} % where {:.0} % would do: {}",
            best.confidence * 100.0,
            FLOOR * 100.0,
            best.statement
        ));
    }
    let symptoms = case.symptoms();
    let shown = symptoms.iter().take(CITED);
    let evidence: Vec<Evidence> = shown.filter_map(|i| evidence(case, *i, 0.0, false)).collect();
    let mut questions: Vec<String> = Vec::new();
    for w in weighed.iter().take(3) {
        questions.push(fill(&w.cause.question, &values(case, w)));
    }
    Conclusion {
        verdict: Verdict::Inconclusive,
        summary,
        root_causes: Vec::new(),
        severity: severity::judge(case, &[]),
        timeline: timeline(&evidence),
        evidence,
        recommendations: Vec::new(),
        alternatives: Vec::new(),
        deciding_questions: questions,
        unknown_signals: Vec::new(),
        cited: Vec::new(),
    }
}

fn subject(case: &Case<'_>, alert: &Alert) -> String {
    match case.anchor.entities.first() {
        Some(entity) => entity.to_string(),
        None if !alert.service.is_empty() => alert.service.clone(),
        None if !alert.namespace.is_empty() => format!("namespace {}", alert.namespace),
        None => "the cluster".to_owned(),
    }
}

/// The causes, then what the alerted object suffers.
fn summary(case: &Case<'_>, causes: &[RootCause]) -> String {
    let mut said: Vec<String> = Vec::new();
    for (number, cause) in causes.iter().enumerate() {
        let independent = if number == 0 { "" } else { "Independently of that: " };
        said.push(format!("{independent}{}", cause.statement));
    }
    let blamed: BTreeSet<&Entity> = causes.iter().map(|cause| &cause.culprit).collect();
    let effects: Vec<&str> = case
        .symptoms()
        .iter()
        .filter_map(|index| case.facts.seen().get(*index))
        .filter(|seen| seen.observation.signal.starts_with("service."))
        .filter(|seen| !blamed.contains(&seen.observation.subject.whole()))
        .map(|seen| seen.observation.statement.as_str())
        .take(2)
        .collect();
    if !effects.is_empty() {
        said.push(format!("Effect: {}.", effects.join("; ")));
    }
    said.join(" ")
}

fn command(template: &str, weighed: &Weighed<'_>, values: &Values) -> String {
    fill_command(&suited(template, &weighed.culprit.kind), values)
}

fn advice(case: &Case<'_>, weighed: &Weighed<'_>) -> Vec<Recommendation> {
    let values = values(case, weighed);
    weighed
        .cause
        .advice()
        .map(|(horizon, advice)| Recommendation {
            action: fill(&advice.action, &values),
            reason: fill(&advice.reason, &values),
            risk: advice.risk,
            horizon,
            command: command(&advice.command, weighed, &values),
            confirm_command: command(&weighed.cause.confirm, weighed, &values),
        })
        .collect()
}

pub(super) fn cite(case: &Case<'_>, indices: impl Iterator<Item = usize>) -> Vec<String> {
    indices.filter_map(|i| case.facts.seen().get(i)).map(|seen| seen.id.clone()).collect()
}

/// Evidence of one cause with its share in the conclusion, then what speaks against it.
fn weighted(case: &Case<'_>, weighed: &Weighed<'_>) -> Vec<Evidence> {
    let all: f64 = weighed.evidence.iter().map(|(_, weight)| weight).sum();
    let share = |weight: f64| if all > 0.0 { weight / all } else { 0.0 };
    let speaks_for = weighed
        .evidence
        .iter()
        .take(CITED)
        .filter_map(|(index, weight)| evidence(case, *index, share(*weight), false));
    let against = weighed.against.iter().filter_map(|index| evidence(case, *index, 0.0, true));
    speaks_for.chain(against).collect()
}

pub(super) fn evidence(
    case: &Case<'_>,
    index: usize,
    weight: f64,
    contradicts: bool,
) -> Option<Evidence> {
    let seen = case.facts.seen().get(index)?;
    Some(Evidence {
        id: seen.id.clone(),
        seq: seen.seq,
        tool: seen.tool.clone(),
        weight,
        contradicts,
        observation: seen.observation.clone(),
    })
}

fn once(evidence: Vec<Evidence>) -> Vec<Evidence> {
    let mut ids = BTreeSet::new();
    evidence.into_iter().filter(|evidence| ids.insert(evidence.id.clone())).collect()
}

fn timeline(evidence: &[Evidence]) -> Vec<TimelineEntry> {
    let mut entries: Vec<TimelineEntry> = evidence
        .iter()
        .filter_map(|evidence| {
            Some(TimelineEntry {
                time: evidence.observation.start?,
                statement: evidence.observation.statement.clone(),
                evidence: evidence.id.clone(),
            })
        })
        .collect();
    entries.sort_by(|a, b| a.time.cmp(&b.time).then_with(|| a.evidence.cmp(&b.evidence)));
    entries.dedup_by(|a, b| a.evidence == b.evidence);
    entries
}
