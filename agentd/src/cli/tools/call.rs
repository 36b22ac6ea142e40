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
    text::{counted, object, wrapped},
};

/// Most bytes of a result that are printed.
const MOST: usize = 8 * 1024;

/// Calls `(name, arguments, page)`.
pub(super) async fn run(
    client: &Client,
    (name, arguments, page): (&str, &str, &str),
    as_json: bool,
    style: Style,
) -> Result<u8, Error> {
    let answer = client.call(name, arguments.to_owned(), page).await;
    let answer = super::name::told(client, name, answer).await?;
    if as_json {
        out::line(&json::called(&answer)?.to_string())?;
    } else {
        out::write(&page_of(&answer, style))?;
    }
    Ok(if answer.failure.is_some() { FAILED } else { DONE })
}

fn page_of(answer: &CallToolResponse, style: Style) -> String {
    let meanwhile: String = answer.lines.iter().map(|line| wrapped("  … ", line) + "\n").collect();
    let came = match (&answer.failure, &answer.result) {
        (Some(failure), _) => failed(failure),
        (None, Some(result)) => found(result, style),
        (None, None) => "the daemon answered nothing\n".to_owned(),
    };
    meanwhile + &came
}

/// Why a call failed, with every field that is wrong, each once.
pub(super) fn failed(failure: &Failure) -> String {
    let class = FailureClass::try_from(failure.failure_class).unwrap_or_default();
    let class = class.as_str_name().trim_start_matches("FAILURE_CLASS_");
    let wrong = &failure.violations;
    // Often the message is all of them in one line.
    let is_told = wrong.iter().all(|wrong| failure.message.contains(&wrong.description));
    let said = if is_told && !wrong.is_empty() {
        counted(wrong.len(), "fault")
    } else {
        failure.message.clone()
    };
    let mut lines = vec![wrapped("", &format!("{class} {}: {said}", failure.reason))];
    for wrong in wrong {
        lines.push(wrapped("  - ", &format!("{}: {}", wrong.field, wrong.description)));
    }
    lines.join("\n") + "\n"
}

fn found(result: &CallResult, style: Style) -> String {
    let mut lines = summary(result);
    for seen in &result.observations {
        let about = seen.subject.as_ref().map(object).unwrap_or_default();
        lines.push(wrapped("  - ", &format!("{} {about}: {}", seen.signal, seen.statement)));
    }
    for gap in &result.gaps {
        let why = gap.failure.as_ref().map(|failure| failure.message.as_str()).unwrap_or_default();
        lines.push(wrapped("  ! ", &format!("missing: {}: {why}", gap.subject)));
    }
    if !result.result_json.is_empty() {
        lines.push(style.bold("Result"));
        lines.extend(structured(&result.result_json));
    }
    if result.truncated {
        let more = match result.next_page_token.as_str() {
            "" => "cut to fit".to_owned(),
            // As a shell takes it, whatever is in it.
            token => format!("cut to fit; --page '{}' continues", token.replace('\'', r"'\''")),
        };
        lines.push(more);
    }
    lines.join("\n") + "\n"
}

/// The summary in its own lines, without those that the facts below it say again.
fn summary(result: &CallResult) -> Vec<String> {
    let laid = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let facts: Vec<String> = result.observations.iter().map(|seen| laid(&seen.statement)).collect();
    let is_fact = |line: &str| {
        let line = laid(line);
        facts.iter().any(|fact| !fact.is_empty() && line.contains(fact))
    };
    let own = |(at, line): &(usize, &str)| *at == 0 || !is_fact(line);
    let lines = result.summary.trim_end().lines().enumerate().filter(own);
    let line = |(_, line): (usize, &str)| {
        let words = line.trim_start();
        wrapped(&" ".repeat((line.len() - words.len()).min(8)), words)
    };
    lines.filter(|(_, line)| !line.trim().is_empty()).map(line).collect()
}

/// A result, indented when it is JSON, and no more of it than can be read.
fn structured(result: &str) -> Vec<String> {
    let pretty = serde_json::from_str::<Value>(result)
        .ok()
        .and_then(|read| serde_json::to_string_pretty(&read).ok());
    let is_seen = |letter: &char| !letter.is_control() || *letter == '\n';
    let text: String = pretty.as_deref().unwrap_or(result).chars().filter(is_seen).collect();
    let mut shown = text.get(..text.floor_char_boundary(MOST)).unwrap_or_default();
    if shown.len() < text.len() {
        // Whole lines, unless the cut one is all there is.
        shown = shown.rfind('\n').and_then(|end| shown.get(..end)).unwrap_or(shown);
    }
    let mut lines = vec![shown.to_owned()];
    if shown.len() < text.len() {
        lines.push(format!("… the first {} of {} bytes; --json has all", shown.len(), text.len()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use agent_proto::tool::v1::{FieldViolation, Observation};

    use super::*;

    fn violation(field: &str, description: &str) -> FieldViolation {
        FieldViolation {
            field: field.to_owned(),
            description: description.to_owned(),
            reason: "BAD".to_owned(),
        }
    }

    #[test]
    fn what_is_wrong_is_told_once() {
        let mut failure = Failure {
            failure_class: FailureClass::InvalidArgument.into(),
            reason: "ARGUMENTS".to_owned(),
            message: "arguments.a: is no text; arguments.b: is not known".to_owned(),
            violations: vec![
                violation("arguments.a", "is no text"),
                violation("arguments.b", "is not known"),
            ],
            ..Failure::default()
        };
        assert_eq!(
            failed(&failure),
            "INVALID_ARGUMENT ARGUMENTS: 2 faults\n  - arguments.a: is no text\n  \
             - arguments.b: is not known\n"
        );
        failure.message = "the query asks for too much".to_owned();
        let said = failed(&failure);
        assert!(said.starts_with("INVALID_ARGUMENT ARGUMENTS: the query asks"), "{said}");
        failure.violations.clear();
        assert_eq!(failed(&failure), "INVALID_ARGUMENT ARGUMENTS: the query asks for too much\n");
    }

    #[test]
    fn a_summary_keeps_its_lines_and_facts_stand_once() {
        let fact = |statement: &str| Observation {
            signal: "pod.odd".to_owned(),
            statement: statement.to_owned(),
            ..Observation::default()
        };
        let result = CallResult {
            summary: "2 pods looked at\n- web-1 restarts\n\n  see the events".to_owned(),
            observations: vec![fact("web-1 restarts")],
            ..CallResult::default()
        };
        assert_eq!(
            found(&result, Style::Plain),
            "2 pods looked at\n  see the events\n  - pod.odd : web-1 restarts\n"
        );
    }

    #[test]
    fn no_more_of_a_result_is_printed_than_can_be_read() {
        let long = format!("[\"{}\", \"{}\"]", "x".repeat(4000), "y".repeat(5000));
        let shown = structured(&long);
        assert_eq!(shown.len(), 2);
        assert!(shown.concat().len() < 5000 && shown.concat().contains("--json has all"));
        let cut = structured(&format!("[\"{}", "z".repeat(300_000))).concat();
        assert!(cut.contains("zzz") && cut.contains("of 300002 bytes") && cut.len() < 9000);
        assert_eq!(structured("{\"a\":1}"), ["{\n  \"a\": 1\n}"]);
    }
}
