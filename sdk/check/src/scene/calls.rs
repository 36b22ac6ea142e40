//! CALL: the stream of one call.

use agent_proto::tool::v1::{CallMode, CallResponse, call_response::Update};
use prost::Message as _;
use serde_json::Value;

use super::catalog::{any_tool, shown};
use crate::{
    exchange::{End, Exchange},
    schema::Schema,
    stage::Stage,
    verdict::{Found, Stop, demand, passed, skip},
};

const MAX_UPDATE: usize = 512 * 1024;
const MAX_CHUNK: usize = 256 * 1024;
const NOT_FOUND: i32 = 5;
const FAILED_PRECONDITION: i32 = 9;

/// CALL-01: the rules of the stream.
pub(super) async fn stream(stage: &Stage) -> Found {
    any_tool(stage)?;
    for request in stage.harmless() {
        let seen = stage.call(request).await;
        well_formed(&seen, stage.means.is_basic())?;
    }
    passed()
}

/// Fails unless the stream keeps to its rules. Of the smallest plugin neither numbers nor
/// `accepted` nor sizes are asked: agentd sees to them.
pub(super) fn well_formed(seen: &Exchange, basic: bool) -> Result<(), Stop> {
    let rule = |holds: bool, why: &str| demand(holds, seen, || why.to_owned());
    rule(matches!(seen.end, Some(End::Ok)), "the stream did not end with OK")?;
    let is_last = |update: &Update| matches!(update, Update::Result(_) | Update::Failure(_));
    let last = seen.kinds().filter(|update| is_last(update)).count();
    rule(last == 1, &format!("{last} last updates, must be one result or failure"))?;
    rule(seen.kinds().last().is_some_and(is_last), "an update came after the last one")?;
    for (number, (_, update)) in seen.updates.iter().enumerate() {
        rule(update.update.is_some(), "an update without content")?;
        let is_counted = usize::try_from(update.sequence) == Ok(number + 1);
        rule(is_counted || (basic && update.sequence == 0), "the sequence is not 1, 2, 3")?;
        let small = update.encoded_len() <= MAX_UPDATE && chunk_of(update).len() <= MAX_CHUNK;
        rule(small || basic, "an update is larger than 512 KiB, or a chunk than 256 KiB")?;
    }
    let accepted: Vec<usize> = seen
        .kinds()
        .enumerate()
        .filter(|(_, update)| matches!(update, Update::Accepted(_)))
        .map(|(number, _)| number)
        .collect();
    rule(accepted.len() <= 1, "accepted came more than once")?;
    if !basic && (seen.result().is_some() || seen.updates.len() > 1) {
        rule(accepted.first() == Some(&0), "work without accepted as its first update")?;
    }
    Ok(())
}

fn chunk_of(update: &CallResponse) -> &str {
    if let Some(Update::Chunk(chunk)) = &update.update { &chunk.json_fragment } else { "" }
}

/// CALL-02: results are JSON, and fit the output schema.
pub(super) async fn results(stage: &Stage) -> Found {
    let (mut looked, mut fitted) = (0, 0);
    for tool in stage.read_only() {
        let schema = match tool.output_schema_json.as_str() {
            "" => None,
            text => Schema::of_result(text).ok(),
        };
        for arguments in stage.good(tool).into_iter().take(4) {
            let seen = stage.call(stage.ask(tool, &arguments)).await;
            let Some(result) = seen.result() else { continue };
            let json = seen.json();
            // A result may be all facts and a summary.
            if json.is_empty() && schema.is_none() {
                continue;
            }
            let value: Result<Value, _> = serde_json::from_str(&json);
            let fault = match (&value, &schema) {
                (Err(fault), _) => Some(format!("result_json is not JSON: {fault}")),
                (Ok(value), Some(schema)) if !result.truncated => {
                    fitted += 1;
                    schema.fault(value).map(|fault| format!("the result does not fit: {fault}"))
                }
                (Ok(_), _) => None,
            };
            looked += 1;
            demand(fault.is_none(), &seen, || {
                format!("{}: {}", tool.name, fault.unwrap_or_default())
            })?;
        }
    }
    match (looked, fitted) {
        (0, _) => skip("no tool gave a result with result_json"),
        (_, 0) => Ok("no tool with an output schema gave a whole result; all were JSON".to_owned()),
        _ => passed(),
    }
}

/// CALL-03: what is not known is refused, with the right words.
pub(super) async fn unknown(stage: &Stage) -> Found {
    let (tool, arguments) = any_tool(stage)?;
    let mut request = stage.ask(tool, &arguments);
    if let Some(reference) = &mut request.tool {
        reference.tool = "no_such_tool".to_owned();
        reference.digest.clear();
        reference.version.clear();
    }
    let seen = stage.call(request).await;
    refused(&seen, "an unknown tool", NOT_FOUND)?;
    let mut request = stage.ask(tool, &arguments);
    if let Some(reference) = &mut request.tool {
        reference.digest = format!("sha256:{}", "0".repeat(64));
    }
    let seen = stage.call(request).await;
    refused(&seen, "an unknown digest", FAILED_PRECONDITION)?;
    let reason = seen.failure().map(|failure| failure.reason.as_str()).unwrap_or_default();
    demand(reason == "DESCRIPTOR_MISMATCH", &seen, || {
        format!("an unknown digest has the reason {reason:?}, must be DESCRIPTOR_MISMATCH")
    })?;
    passed()
}

fn refused(seen: &Exchange, what: &str, code: i32) -> Result<(), Stop> {
    let is_config = seen.is_class(agent_proto::tool::v1::FailureClass::Config);
    let came = seen.failure().map(|failure| failure.code);
    demand(came == Some(code) && is_config, seen, || {
        let wanted = crate::exchange::code_words(code);
        format!("{what} must be a failure of class CONFIG with code {wanted}")
    })?;
    demand(seen.is_without_effects() && !seen.is_accepted(), seen, || {
        format!("{what} must be refused before accepted, with effects NONE")
    })
}

/// CALL-07: what a later revision adds does not disturb, and no mode is no leave to act.
pub(super) async fn future(stage: &Stage) -> Found {
    let (tool, arguments) = any_tool(stage)?;
    let plain = stage.call(stage.ask(tool, &arguments)).await;
    for (what, unset) in [("an unknown field in the request", false), ("mode UNSPECIFIED", true)] {
        let mut request = stage.ask(tool, &arguments);
        request.of_the_future = "a field of a later revision".to_owned();
        if unset {
            request.mode = CallMode::Unspecified.into();
        }
        let seen = stage.call(request).await;
        let same = seen.result().is_some() == plain.result().is_some() && seen.status().is_none();
        demand(same, &seen, || format!("{}: {what} changed the outcome", tool.name))?;
    }
    let mut unseen = Vec::new();
    for tool in stage.changing() {
        let Some(arguments) = stage.good(tool).into_iter().next() else { continue };
        if !stage.means.options.allow_mutations {
            unseen.push(tool.name.as_str());
            continue;
        }
        let before = stage.state().await.ok();
        let mut request = stage.ask(tool, &arguments);
        request.mode = CallMode::Unspecified.into();
        let seen = stage.call(request).await;
        let refused = seen.failure().is_some() && !seen.is_accepted();
        let dry = tool.supports_dry_run && seen.result().is_some();
        demand(refused || dry, &seen, || {
            format!("{}: mode UNSPECIFIED must be refused, or be a dry run", tool.name)
        })?;
        if let Some(before) = before {
            let after = stage.state().await?;
            demand(before == after, &seen, || {
                let (before, after) = (shown(&before), shown(&after));
                format!("{}: mode UNSPECIFIED changed {before} to {after}", tool.name)
            })?;
        }
    }
    Ok(if unseen.is_empty() {
        String::new()
    } else {
        format!("without --allow-mutations mode UNSPECIFIED was not tried on {}", unseen.join(", "))
    })
}
