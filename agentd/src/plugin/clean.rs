//! The door for what plugins say: every text is masked and bounded here, facts that make no sense
//! are dropped or put right, and what was dropped is told as a gap. Plugins mask too; a stranger's
//! may not.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::Value;

use super::{Redact, stack::TOO_LARGE};
use crate::{
    fact::{Entity, Observation, Relation},
    tool::{CallOutput, Failure, FailureClass, ResultGap},
};

/// Longest summary, in bytes.
const MAX_SUMMARY: usize = 4 * 1024;
/// Longest message of a failure, and longest statement, in bytes.
const MAX_MESSAGE: usize = 2 * 1024;
/// Longest quote, in bytes.
const MAX_QUOTE: usize = 1024;
/// Longest name, key or unit, in bytes.
const MAX_NAME: usize = 256;
/// Longest attribute value, in bytes.
const MAX_VALUE: usize = 4 * 1024;
/// Most attributes of a fact, and most metadata of a failure.
const MAX_ENTRIES: usize = 64;
/// Most typed facts of one call.
pub(crate) const MAX_OBSERVATIONS: usize = 500;
/// Most edges of one call.
pub(crate) const MAX_RELATIONS: usize = 2000;
/// Most holes of one result.
const MAX_GAPS: usize = 64;

/// Cuts at a character boundary.
pub(crate) fn cut(text: &mut String, max: usize) {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max));
    }
}

/// Cuts out of the middle: a message begins with what failed and often ends with why.
fn cut_middle(text: &mut String, max: usize) {
    const MARK: &str = " … ";
    if text.len() <= max {
        return;
    }
    let room = max.saturating_sub(MARK.len());
    let head = text.floor_char_boundary(room.div_ceil(2));
    let tail = text.ceil_char_boundary(text.len() - room / 2);
    text.replace_range(head..tail, MARK);
}

/// One text, masked and cut.
pub(crate) fn text(redact: Redact, text: &mut String, max: usize) {
    // Masked before it is cut: half a secret is not recognised.
    if let Cow::Owned(masked) = redact(text) {
        *text = masked;
    }
    cut(text, max);
}

/// A value that stands behind a key: some secrets are known by their key only.
fn value(redact: Redact, key: &str, text: &mut String) {
    if let Cow::Owned(masked) = redact(text) {
        *text = masked;
        return;
    }
    if key.is_empty() {
        return;
    }
    let pair = format!("{key}: {text}");
    if let Cow::Owned(masked) = redact(&pair) {
        let behind = masked.strip_prefix(key).and_then(|rest| rest.strip_prefix(": "));
        *text = behind.unwrap_or("***").to_owned();
    }
}

fn entries(redact: Redact, map: &mut BTreeMap<String, String>) {
    while map.len() > MAX_ENTRIES {
        map.pop_last();
    }
    map.retain(|key, _| key.len() <= MAX_NAME);
    for (key, said) in map.iter_mut() {
        value(redact, key, said);
        cut(said, MAX_VALUE);
    }
}

/// A failure, masked and bounded.
pub(crate) fn failure(redact: Redact, failure: &mut Failure) {
    text(redact, &mut failure.message, usize::MAX);
    cut_middle(&mut failure.message, MAX_MESSAGE);
    text(redact, &mut failure.resource, MAX_NAME);
    cut(&mut failure.reason, 63);
    cut(&mut failure.domain, MAX_NAME);
    entries(redact, &mut failure.metadata);
    failure.violations.truncate(MAX_ENTRIES);
    for violation in &mut failure.violations {
        text(redact, &mut violation.description, MAX_MESSAGE);
        cut(&mut violation.field, MAX_NAME);
        cut(&mut violation.reason, MAX_NAME);
    }
    if failure.reason.is_empty() {
        "UNSPECIFIED".clone_into(&mut failure.reason);
    }
}

/// A result, masked and bounded. `result_json` must be JSON already.
pub(crate) fn output(redact: Redact, output: &mut CallOutput) {
    text(redact, &mut output.summary, MAX_SUMMARY);
    facts(redact, output);
    cut(&mut output.next_page_token, MAX_VALUE);
    output.links.truncate(MAX_ENTRIES);
    for (title, uri) in &mut output.links {
        text(redact, title, MAX_NAME);
        text(redact, uri, MAX_MESSAGE);
    }
    output.gaps.truncate(MAX_GAPS);
    for gap in &mut output.gaps {
        text(redact, &mut gap.subject, MAX_NAME);
        self::failure(redact, &mut gap.failure);
    }
}

fn facts(redact: Redact, output: &mut CallOutput) {
    let named = |entity: &Entity| !entity.kind.is_empty() && !entity.name.is_empty();
    let said = output.observations.len() + output.relations.len();
    output.observations.retain(|seen| !seen.signal.is_empty() && named(&seen.subject));
    output.relations.retain(|edge| named(&edge.from) && named(&edge.to));
    let nameless = said - output.observations.len() - output.relations.len();
    if nameless > 0 {
        let said = format!("{nameless} facts without a signal or a subject were left out");
        output.gaps.push(gap("facts", FailureClass::Bug, "FACT_INCOMPLETE", said));
    }
    let beyond = output.observations.len().saturating_sub(MAX_OBSERVATIONS)
        + output.relations.len().saturating_sub(MAX_RELATIONS);
    if beyond > 0 {
        output.observations.truncate(MAX_OBSERVATIONS);
        output.relations.truncate(MAX_RELATIONS);
        output.truncated = true;
        let said = format!(
            "{beyond} facts beyond {MAX_OBSERVATIONS} observations and {MAX_RELATIONS} relations \
             were left out"
        );
        output.gaps.push(gap("facts", FailureClass::Bug, TOO_LARGE, said));
    }
    for seen in &mut output.observations {
        observation(redact, seen);
    }
    for Relation { from, to, .. } in &mut output.relations {
        entity(from);
        entity(to);
    }
}

fn observation(redact: Redact, seen: &mut Observation) {
    text(redact, &mut seen.statement, MAX_MESSAGE);
    text(redact, &mut seen.quote, MAX_QUOTE);
    cut(&mut seen.signal, MAX_NAME);
    cut(&mut seen.unit, MAX_NAME);
    entries(redact, &mut seen.attributes);
    entity(&mut seen.subject);
    if let Some(peer) = &mut seen.peer {
        entity(peer);
    }
    if let (Some(start), Some(end)) = (seen.start, seen.end)
        && end < start
    {
        (seen.start, seen.end) = (Some(end), Some(start));
    }
    seen.value = seen.value.filter(|value| value.is_finite());
    seen.baseline = seen.baseline.filter(|value| value.is_finite());
}

fn entity(entity: &mut Entity) {
    for part in [
        &mut entity.kind,
        &mut entity.namespace,
        &mut entity.name,
        &mut entity.cluster,
        &mut entity.container,
    ] {
        cut(part, MAX_NAME);
    }
}

/// Masks the strings inside of `json`. The text stays as it was, to the byte, when there is
/// nothing to mask.
///
/// # Errors
/// When it is not JSON.
pub(crate) fn json(redact: Redact, json: &mut String) -> Result<(), serde_json::Error> {
    if json.trim().is_empty() {
        "{}".clone_into(json);
        return Ok(());
    }
    let mut parsed: Value = serde_json::from_str(json)?;
    if mask(redact, &mut parsed) {
        *json = parsed.to_string();
    }
    Ok(())
}

fn mask(redact: Redact, json: &mut Value) -> bool {
    match json {
        Value::String(text) => masked(text, |text| self::value(redact, "", text)),
        Value::Array(items) => items.iter_mut().fold(false, |hit, item| mask(redact, item) | hit),
        Value::Object(fields) => {
            // {"name": "DB_PASSWORD", "value": …}: the name stands beside the value.
            let named = ["name", "key"]
                .iter()
                .find_map(|key| fields.get(*key).and_then(Value::as_str))
                .map(str::to_owned);
            fields.iter_mut().fold(false, |hit, (key, field)| {
                let key = named.as_deref().filter(|_| key == "value").unwrap_or(key);
                let masked = if let Value::String(text) = field {
                    masked(text, |text| self::value(redact, key, text))
                } else {
                    mask(redact, field)
                };
                hit | masked
            })
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn masked(text: &mut String, mask: impl FnOnce(&mut String)) -> bool {
    let before = text.clone();
    mask(text);
    *text != before
}

/// What stays of a result beyond its bound: a JSON object with its beginning as text.
pub(crate) fn beginning(json: &str, max: usize) -> String {
    // Escaping at most doubles what is common in JSON; the bound is on what is kept.
    let head = json.get(..json.floor_char_boundary(max / 2)).unwrap_or_default();
    serde_json::json!({ "truncated": head }).to_string()
}

/// A gap that the daemon itself states.
pub(crate) fn gap(subject: &str, class: FailureClass, reason: &str, said: String) -> ResultGap {
    ResultGap { subject: subject.to_owned(), failure: Failure::ours(class, reason, said) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_value_is_judged_by_the_name_beside_it() {
        let mut text =
            r#"[{"name":"password","value":"x"},{"name":"mode","value":"x"}]"#.to_owned();
        json(hide, &mut text).unwrap();
        assert_eq!(text, r#"[{"name":"password","value":"***"},{"name":"mode","value":"x"}]"#);
    }

    fn hide(text: &str) -> Cow<'_, str> {
        if text.contains("hunter2") || text.starts_with("password: ") {
            Cow::Owned(text.replace("hunter2", "***").replace("password: x", "password: ***"))
        } else {
            Cow::Borrowed(text)
        }
    }

    fn seen(signal: &str, name: &str) -> Observation {
        Observation {
            signal: signal.to_owned(),
            subject: Entity::new("Pod", "shop", name),
            ..Observation::default()
        }
    }

    #[test]
    fn every_text_is_masked() {
        let secret = || "is hunter2".to_owned();
        let mut fact = seen("log.error", "a");
        (fact.statement, fact.quote) = (secret(), secret());
        fact.attributes =
            [("line".to_owned(), secret()), ("password".to_owned(), "x".to_owned())].into();
        let mut given = CallOutput {
            summary: secret(),
            observations: vec![fact],
            gaps: vec![gap(&secret(), FailureClass::Bug, "X", secret())],
            ..CallOutput::default()
        };
        output(hide, &mut given);
        let shown = format!("{given:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(given.observations[0].attributes["password"], "***");
    }

    #[test]
    fn strings_in_json_are_masked_and_the_rest_stays_to_the_byte() {
        let mut quiet = r#"{ "n" : 9007199254740993, "a":["x",1e2] }"#.to_owned();
        let before = quiet.clone();
        json(hide, &mut quiet).unwrap();
        assert_eq!(quiet, before);
        let mut loud = r#"{"a":[{"b":"hunter2"}],"password":"x"}"#.to_owned();
        json(hide, &mut loud).unwrap();
        assert_eq!(loud, r#"{"a":[{"b":"***"}],"password":"***"}"#);
        assert!(json(hide, &mut "<html>".to_owned()).is_err());
        assert!(json(hide, &mut "[".repeat(100_000)).is_err(), "depth is bounded");
    }

    #[test]
    fn facts_without_signal_or_subject_are_told_and_turned_times_are_put_right() {
        let mut turned = seen("log.error", "a");
        turned.start = Some(Timestamp::from_second(20).unwrap());
        turned.end = Some(Timestamp::from_second(10).unwrap());
        turned.value = Some(f64::NAN);
        let mut given = CallOutput {
            observations: vec![turned, seen("", "a"), seen("log.error", "")],
            ..CallOutput::default()
        };
        output(hide, &mut given);
        assert_eq!(given.observations.len(), 1);
        let kept = &given.observations[0];
        assert!(kept.start < kept.end && kept.value.is_none());
        assert_eq!(given.gaps[0].failure.reason, "FACT_INCOMPLETE");
    }

    #[test]
    fn too_many_facts_are_cut_and_told() {
        let mut given = CallOutput {
            observations: vec![seen("log.error", "a"); MAX_OBSERVATIONS + 3],
            ..CallOutput::default()
        };
        output(hide, &mut given);
        assert_eq!(given.observations.len(), MAX_OBSERVATIONS);
        assert!(given.truncated);
        assert_eq!(given.gaps[0].failure.reason, TOO_LARGE);
    }

    #[test]
    fn the_beginning_of_a_large_result_is_still_json() {
        let kept = beginning(&"{\"ä\":1}".repeat(1000), 100);
        assert!(serde_json::from_str::<Value>(&kept).unwrap()["truncated"].is_string());
    }
}
