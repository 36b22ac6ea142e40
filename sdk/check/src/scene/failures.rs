//! ERR: what a failure says.

use agent_proto::tool::v1::{Failure, FailureClass};
use serde_json::{Value, json};

use super::catalog::any_tool;
use crate::{
    exchange::{Exchange, code_words},
    later::CallRequest,
    schema::Schema,
    stage::Stage,
    verdict::{Found, Stop, demand, passed, skip},
};

const MAX_MESSAGE: usize = 2 * 1024;
const MAX_DETAILS: usize = 4 * 1024;
const MAX_REASON: usize = 63;
/// A name so long that a plugin which repeats it says too much.
const LONG: usize = 20_000;

/// ERR-01: class, code and reason.
pub(super) async fn form(stage: &Stage) -> Found {
    let mut looked = 0;
    for request in provoking(stage)? {
        let seen = stage.call(request).await;
        let Some(failure) = seen.failure() else { continue };
        looked += 1;
        let fault = fault_of(failure);
        demand(fault.is_none(), &seen, || fault.unwrap_or_default())?;
    }
    if looked == 0 { skip("nothing that was tried failed") } else { passed() }
}

/// Calls that fail in different ways.
fn provoking(stage: &Stage) -> Result<Vec<CallRequest>, Stop> {
    let (tool, arguments) = any_tool(stage)?;
    let mut unknown = stage.ask(tool, &arguments);
    if let Some(reference) = &mut unknown.tool {
        reference.tool = "no_such_tool".to_owned();
        reference.digest.clear();
    }
    let mut wrong = arguments.clone();
    wrong.insert("not_an_argument".to_owned(), json!(1));
    let garbled = CallRequest { arguments_json: "{".to_owned(), ..stage.ask(tool, &arguments) };
    let mut calls = vec![unknown, stage.ask(tool, &wrong), garbled];
    for (name, fixture) in &stage.fixtures().tools {
        let told = [&fixture.not_found, &fixture.dead_backend, &fixture.panic];
        for arguments in told.into_iter().flatten() {
            calls.push(stage.ask(stage.tool(name)?, arguments));
        }
    }
    Ok(calls)
}

fn fault_of(failure: &Failure) -> Option<String> {
    let fitting: &[i32] = match failure.failure_class() {
        FailureClass::Transient => &[14, 10],
        FailureClass::RateLimited => &[8],
        FailureClass::External => &[14],
        // ALREADY_EXISTS is how a reused idempotency key is told.
        FailureClass::InvalidArgument => &[3, 11, 6],
        FailureClass::NotFound => &[5],
        FailureClass::Permission => &[7, 16],
        // NOT_FOUND is how an unknown tool is told.
        FailureClass::Config => &[9, 12, 5],
        FailureClass::Bug => &[13, 2, 15],
        FailureClass::Timeout => &[4],
        FailureClass::Cancelled => &[1],
        FailureClass::Unspecified => {
            return Some("the failure has no class that is known".to_owned());
        }
    };
    if !fitting.contains(&failure.code) {
        let class = failure.failure_class().as_str_name().trim_start_matches("FAILURE_CLASS_");
        return Some(format!("code {} does not fit class {class}", code_words(failure.code)));
    }
    let is_word = failure.reason.len() <= MAX_REASON
        && failure.reason.starts_with(|c: char| c.is_ascii_uppercase())
        && failure
            .reason
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    (!is_word).then(|| format!("the reason {:?} is not UPPER_SNAKE_CASE", failure.reason))
}

/// ERR-02: a defect is told, and does no more harm than that.
pub(super) async fn panic(stage: &Stage) -> Found {
    let Some((name, arguments)) = stage.fixtures().first(|tool| tool.panic.as_ref()) else {
        return skip(
            "needs fixtures: tools.NAME.panic, arguments that make the tool's code panic or throw",
        );
    };
    let tool = stage.tool(name)?;
    let seen = stage.call(stage.ask(tool, arguments)).await;
    demand(seen.is_class(FailureClass::Bug), &seen, || {
        "must be a failure of class BUG".to_owned()
    })?;
    let (tool, arguments) = any_tool(stage)?;
    let next = stage.call(stage.ask(tool, &arguments)).await;
    demand(next.result().is_some() || next.failure().is_some(), &next, || {
        "the call after the panic has no last update".to_owned()
    })?;
    passed()
}

/// ERR-03: bounded, whatever was asked.
pub(super) async fn size(stage: &Stage) -> Found {
    let mut calls = provoking(stage)?;
    let long = "long_".repeat(LONG / 5);
    let (tool, arguments) = any_tool(stage)?;
    let mut unknown = stage.ask(tool, &arguments);
    if let Some(reference) = &mut unknown.tool {
        reference.tool.clone_from(&long);
        reference.digest.clear();
    }
    calls.push(unknown);
    let mut extra = arguments.clone();
    extra.insert(long.clone(), json!(1));
    calls.push(stage.ask(tool, &extra));
    for tool in stage.read_only() {
        let Ok(schema) = Schema::of_arguments(&tool.input_schema_json) else { continue };
        let Some(good) = stage.good(tool).into_iter().next() else { continue };
        for (name, _) in schema.properties() {
            let mut arguments = good.clone();
            arguments.insert(name.clone(), json!(long));
            calls.push(stage.ask(tool, &arguments));
        }
    }
    for request in calls {
        let seen = stage.call(request).await;
        bounded(&seen)?;
    }
    passed()
}

fn bounded(seen: &Exchange) -> Result<(), Stop> {
    let message = seen.failure().map_or(0, |failure| failure.message.len());
    demand(message <= MAX_MESSAGE, seen, || {
        format!("the failure's message has {message} bytes, at most {MAX_MESSAGE}")
    })?;
    if let Some(status) = seen.status() {
        let details = status.details().len().max(status.message().len());
        demand(details <= MAX_DETAILS, seen, || {
            format!("the status has {details} bytes of text or details, at most {MAX_DETAILS}")
        })?;
    }
    Ok(())
}

/// ERR-04: what is not there, and what is not up.
pub(super) async fn absent(stage: &Stage) -> Found {
    let mut looked = 0;
    let mut notes = Vec::new();
    match stage.fixtures().first(|tool| tool.not_found.as_ref()) {
        Some((name, arguments)) => {
            looked += 1;
            let seen = stage.call(stage.ask(stage.tool(name)?, arguments)).await;
            let named = seen.failure().is_some_and(|failure| !failure.resource.is_empty());
            demand(seen.is_class(FailureClass::NotFound) && named, &seen, || {
                "what does not exist must be a failure of class NOT_FOUND with its resource"
                    .to_owned()
            })?;
        }
        None => notes.push("tools.NAME.not_found"),
    }
    match stage.fixtures().first(|tool| tool.dead_backend.as_ref()) {
        Some((name, arguments)) => {
            looked += 1;
            let seen = stage.call(stage.ask(stage.tool(name)?, arguments)).await;
            demand(seen.is_class(FailureClass::External), &seen, || {
                "a dead backend must be a failure of class EXTERNAL".to_owned()
            })?;
        }
        None => notes.push("tools.NAME.dead_backend"),
    }
    let notes = notes.join(" and ");
    if looked == 0 {
        return skip(format!("needs fixtures: {notes}"));
    }
    Ok(if notes.is_empty() { notes } else { format!("not looked at without fixtures: {notes}") })
}

/// Whether a JSON text can be read.
pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_does_not_fit_is_told() {
        for (class, code, reason, said) in [
            (FailureClass::NotFound, 5, "NOT_FOUND", None),
            (FailureClass::NotFound, 13, "NOT_FOUND", Some("does not fit class NOT_FOUND")),
            (FailureClass::Unspecified, 13, "X", Some("no class")),
            (FailureClass::Bug, 13, "not-so", Some("UPPER_SNAKE_CASE")),
            (FailureClass::Bug, 13, "", Some("UPPER_SNAKE_CASE")),
        ] {
            let failure = Failure {
                failure_class: class.into(),
                code,
                reason: reason.to_owned(),
                ..Failure::default()
            };
            let fault = fault_of(&failure);
            assert_eq!(fault.is_some(), said.is_some(), "{fault:?}");
            assert!(fault.unwrap_or_default().contains(said.unwrap_or_default()));
        }
    }
}
