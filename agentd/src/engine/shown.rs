//! What of an answer an event shows: a bounded part of result and facts, and what stayed unknown.
//! The whole answer is kept beside the event.

use std::time::Duration;

use super::recorder::Happened;
use crate::{
    investigation::{
        event::{Kind, ToolCallFinished},
        finding::Gap,
    },
    tool::{CallOutput, Failure, FailureClass, ToolRef},
};

/// What is said when nobody could be asked: that is no finding.
pub(super) const NOTHING_ASKED: &str = "Nothing was asked: no tool that answers such an alert is \
                                        registered. Start the plugins and investigate again.";

/// What is said when a run ended early and had seen nothing wrong: that clears nobody.
pub(super) const ENDED_EARLY: &str =
    "It ended before a conclusion; what was looked at until then is well.";

/// Largest result shown in an event, in bytes.
const SHOWN_RESULT: usize = 16 * 1024;
/// Largest sum of facts shown in an event, in bytes, estimated.
const SHOWN_FACTS: usize = 40 * 1024;

/// What stays unknown after a step: the whole answer, or the holes in it.
pub(super) fn gaps(
    tool: &ToolRef,
    result: &Result<CallOutput, Failure>,
    emits: &[String],
) -> Vec<Gap> {
    let shown: Vec<&str> = emits.iter().map(String::as_str).take(4).collect();
    let impact = if shown.is_empty() {
        "what it would have told is missing".to_owned()
    } else {
        format!("could not look for {}", shown.join(", "))
    };
    match result {
        Ok(output) => output
            .gaps
            .iter()
            .map(|gap| Gap {
                subject: format!("{tool}: {}", gap.subject),
                failure: gap.failure.clone(),
                impact: impact.clone(),
            })
            .collect(),
        // That an object does not exist is an answer, not a hole.
        Err(failure) if failure.class == FailureClass::NotFound => Vec::new(),
        Err(failure) => {
            vec![Gap { subject: tool.to_string(), failure: failure.clone(), impact }]
        }
    }
}

/// The event of an attempt that ended.
pub(super) fn finished(
    tool: &ToolRef,
    call_id: String,
    duration: Duration,
    outcome: &Result<CallOutput, Failure>,
    (will_retry, cached): (bool, bool),
) -> Happened {
    let mut finished =
        ToolCallFinished { call_id, duration, will_retry, cached, ..ToolCallFinished::default() };
    let summary = match outcome {
        Err(failure) => {
            finished.failure = Some(failure.clone());
            format!("{tool} failed: {failure}")
        }
        Ok(output) => {
            show(output, &mut finished);
            let line = output.summary.lines().next().unwrap_or_default();
            match line {
                "" => match output.observations.as_slice() {
                    [] => format!("{tool}: nothing to tell"),
                    [only] => format!("{tool}: {}", only.statement),
                    [first, rest @ ..] => {
                        format!("{tool}: {}, and {} more facts", first.statement, rest.len())
                    }
                },
                line => format!("{tool}: {line}"),
            }
        }
    };
    Happened::new(Kind::ToolCallFinished(Box::new(finished)), summary)
}

/// What of an output fits an event. The whole of it is the event's attachment.
fn show(output: &CallOutput, finished: &mut ToolCallFinished) {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    finished.truncated = output.truncated;
    finished.result_json = if output.result_json.len() > SHOWN_RESULT {
        finished.truncated = true;
        let end = output.result_json.floor_char_boundary(SHOWN_RESULT / 2);
        let head = output.result_json.get(..end).unwrap_or_default();
        serde_json::json!({ "truncated": true, "head": head }).to_string()
    } else {
        output.result_json.clone()
    };
    finished.summary.clone_from(&output.summary);
    finished.observation_count = number(output.observations.len());
    finished.relation_count = number(output.relations.len());
    finished.gaps.clone_from(&output.gaps);
    finished.observe_time = output.observe_time;
    let mut room = SHOWN_FACTS;
    for observation in &output.observations {
        let attributes: usize =
            observation.attributes.iter().map(|(key, value)| key.len() + value.len() + 8).sum();
        let size = 160 + observation.statement.len() + observation.quote.len() + attributes;
        if size > room {
            finished.truncated = true;
            break;
        }
        room -= size;
        finished.observations.push(observation.clone());
    }
}

/// The alert names something that does not exist here: people mistype, names change.
pub(super) fn unknown_target(asked: &str, nearest: &str) -> Happened {
    let nearest = if nearest.is_empty() { "none" } else { nearest };
    let said = format!("nothing answers to {asked:?}; the nearest names: {nearest}");
    let gap = Gap {
        subject: asked.to_owned(),
        failure: Failure::ours(FailureClass::NotFound, "TARGET_UNKNOWN", said.clone()),
        impact: "nothing was found out about it".to_owned(),
    };
    Happened::new(Kind::GapRecorded(gap), format!("unknown: {said}"))
}
