//! `agentd tools call`: one call by hand, and what it found, for people or as JSON.

use agent_proto::{
    tool::v1::{CallResult, Failure, FailureClass},
    v1::CallToolResponse,
};
use serde_json::Value;

use crate::cli::{
    DONE, Error, FAILED,
    client::Client,
    json,
    out::{self, Style},
    text::{object, wrapped},
};

/// Calls `(name, arguments, page)`.
pub(super) async fn run(
    client: &Client,
    (name, arguments, page): (&str, &str, &str),
    as_json: bool,
    style: Style,
) -> Result<u8, Error> {
    let answer = client.call(name, arguments.to_owned(), page).await?;
    if as_json {
        out::line(&json::called(&answer)?.to_string())?;
    } else {
        out::write(&page_of(&answer, style))?;
    }
    Ok(if answer.failure.is_some() { FAILED } else { DONE })
}

fn page_of(answer: &CallToolResponse, style: Style) -> String {
    match (&answer.failure, &answer.result) {
        (Some(failure), _) => failed(failure),
        (None, Some(result)) => found(result, style),
        (None, None) => "the daemon answered nothing\n".to_owned(),
    }
}

/// Why a call failed, with every field that is wrong.
pub(super) fn failed(failure: &Failure) -> String {
    let class = FailureClass::try_from(failure.failure_class).unwrap_or_default();
    let class = class.as_str_name().trim_start_matches("FAILURE_CLASS_");
    let mut lines = vec![wrapped("", &format!("{class} {}: {}", failure.reason, failure.message))];
    for wrong in &failure.violations {
        lines.push(wrapped("  - ", &format!("{} {}", wrong.field, wrong.description)));
    }
    lines.join("\n") + "\n"
}

fn found(result: &CallResult, style: Style) -> String {
    let mut lines = Vec::new();
    if !result.summary.is_empty() {
        lines.push(wrapped("", &result.summary));
    }
    for seen in &result.observations {
        let about = seen.subject.as_ref().map(object).unwrap_or_default();
        lines.push(wrapped("  - ", &format!("{} {about}: {}", seen.signal, seen.statement)));
    }
    for gap in &result.gaps {
        let why = gap.failure.as_ref().map(|failure| failure.message.as_str()).unwrap_or_default();
        lines.push(wrapped("  ! ", &format!("missing: {}: {why}", gap.subject)));
    }
    let structured: Option<Value> = serde_json::from_str(&result.result_json).ok();
    if let Some(structured) = structured {
        lines.push(style.bold("Result"));
        lines.push(serde_json::to_string_pretty(&structured).unwrap_or_default());
    }
    if result.truncated {
        let more = match result.next_page_token.as_str() {
            "" => "cut to fit".to_owned(),
            token => format!("cut to fit; --page '{token}' continues"),
        };
        lines.push(more);
    }
    lines.join("\n") + "\n"
}
