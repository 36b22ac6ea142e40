//! One case in full, for whoever wants to know why: every fact, every edge, every hypothesis with
//! what speaks for and against it, beside the truth.

use std::fmt::Write as _;

use agentd::{
    fact::{Observation, RelationKind},
    investigation::finding::Hypothesis,
    reasoner::{Assessment, facts::Facts},
};
use anyhow::{Context as _, Result};
use jiff::Timestamp;

use super::{outcome::Outcome, table, thinking::Gathered};

/// Everything about an outcome whose investigation was kept.
///
/// # Errors
/// When it was not kept, or the catalogue is not sound.
pub fn text(outcome: &Outcome) -> Result<String> {
    let gathered = outcome.gathered.as_ref().context("nothing was kept of this case")?;
    let (reasoning, assessment) = gathered.weighed()?;
    let mut out = table::list(std::slice::from_ref(outcome));
    out.push_str(&checks(outcome));
    out.push_str(&asked(gathered));
    out.push_str(&facts(&reasoning.facts));
    out.push_str(&relations(&reasoning.facts));
    out.push_str(&hypotheses(&assessment));
    out.push_str(&conclusion(&assessment));
    Ok(out)
}

fn checks(outcome: &Outcome) -> String {
    let mut out = "\n# Checks\n".to_owned();
    for (name, (ok, why)) in &outcome.score.checks {
        let verdict = if *ok { "ok  " } else { "FAIL" };
        let _ = writeln!(out, "{verdict} {}: {why}", name.as_str());
    }
    let _ = writeln!(out, "severity said: {}", outcome.answer.severity);
    let _ = writeln!(out, "cause said: {}", outcome.answer.root_cause);
    for gap in &outcome.answer.gaps {
        let _ = writeln!(out, "gap: {gap}");
    }
    out
}

fn asked(gathered: &Gathered) -> String {
    let mut out = "\n# Asked\n".to_owned();
    for (index, round) in gathered.rounds.iter().enumerate() {
        for answered in round {
            let gave = match &answered.output {
                Some(output) => {
                    let facts = output.observations.len();
                    format!("{facts} observations, {} relations", output.relations.len())
                }
                None => "FAILED".to_owned(),
            };
            let number = index + 1;
            let _ =
                writeln!(out, "round {number}: {} {}: {gave}", answered.tool, answered.arguments);
        }
    }
    out
}

fn facts(facts: &Facts) -> String {
    let mut out = "\n# Facts\n".to_owned();
    for seen in facts.seen() {
        let observation = &seen.observation;
        let subject = &observation.subject;
        let _ = writeln!(
            out,
            "{} {} | {subject} | {}",
            seen.id, observation.signal, observation.statement
        );
        let _ = writeln!(out, "     {} by {}", numbers(observation), seen.tool);
        if !observation.attributes.is_empty() {
            let pairs: Vec<String> = observation
                .attributes
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            let _ = writeln!(out, "     {}", pairs.join(" "));
        }
        if let Some(peer) = &observation.peer {
            let _ = writeln!(out, "     peer {peer}");
        }
        if !observation.quote.is_empty() {
            let _ = writeln!(out, "     quote {:?}", observation.quote);
        }
    }
    out
}

/// Times, count and values of an observation.
fn numbers(observation: &Observation) -> String {
    let time = |time: Option<Timestamp>| time.map_or("?".to_owned(), |time| time.to_string());
    let mut out = format!("{} .. {}", time(observation.start), time(observation.end));
    if observation.count > 0 {
        let _ = write!(out, " x{}", observation.count);
    }
    if let Some(value) = observation.value {
        let _ = write!(out, " value {value} {}", observation.unit);
    }
    if let Some(baseline) = observation.baseline {
        let _ = write!(out, " usually {baseline}");
    }
    out
}

fn relations(facts: &Facts) -> String {
    let mut out = "\n# Relations\n".to_owned();
    let told = facts.told_calls();
    for relation in facts.relations().iter().chain(&told) {
        let word = match relation.kind {
            RelationKind::OwnedBy => "is owned by",
            RelationKind::RunsOn => "runs on",
            RelationKind::Calls => "calls",
            RelationKind::Uses => "uses",
            RelationKind::Selects => "selects",
            RelationKind::Governs => "governs",
        };
        let _ = writeln!(out, "{} {word} {}", relation.from, relation.to);
    }
    out
}

fn hypotheses(assessment: &Assessment) -> String {
    let mut out = "\n# Hypotheses\n".to_owned();
    for hypothesis in &assessment.hypotheses {
        let Hypothesis { id, confidence, category, culprit, .. } = hypothesis;
        let _ =
            writeln!(out, "{id} {confidence:.3} {category} | {culprit} | {}", hypothesis.statement);
        if let Some(account) = &hypothesis.account {
            let factors = account.factors.iter().map(|f| format!("{} {:.2}", f.name, f.value));
            let factors: Vec<String> = factors.collect();
            let _ = writeln!(out, "     {}, rivals {:.2}", factors.join(" × "), account.rivals);
        }
        for (word, ids) in [("for", &hypothesis.evidence), ("against", &hypothesis.against)] {
            if !ids.is_empty() {
                let _ = writeln!(out, "     {word}: {}", ids.join(" "));
            }
        }
        if !hypothesis.missing_signals.is_empty() {
            let _ = writeln!(out, "     missing: {}", hypothesis.missing_signals.join(" "));
        }
        if !hypothesis.rejection.is_empty() {
            let by = &hypothesis.explained_by;
            let _ = writeln!(out, "     rejected: {} {by}", hypothesis.rejection);
        }
    }
    out
}

fn conclusion(assessment: &Assessment) -> String {
    let conclusion = &assessment.conclusion;
    let mut out = "\n# Conclusion\n".to_owned();
    let _ = writeln!(out, "{} {}", conclusion.verdict.as_str(), conclusion.severity.as_str());
    let _ = writeln!(out, "{}", conclusion.summary);
    for question in &conclusion.deciding_questions {
        let _ = writeln!(out, "would decide: {question}");
    }
    for suspect in assessment.suspects.iter().take(12) {
        let signals: Vec<&str> = suspect.signals.iter().map(String::as_str).collect();
        let _ = writeln!(
            out,
            "suspect {:.2} {}: {}",
            suspect.urgency,
            suspect.entity,
            signals.join(" ")
        );
    }
    out
}
