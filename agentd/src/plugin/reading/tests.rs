//! The rules of the stream, one by one.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::borrow::Cow;

use super::*;
use crate::guard::policy::tests::spec;

fn keep(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text)
}

fn accepted() -> Update {
    Update::Accepted(pb::CallAccepted::default())
}

fn progress(done: f64) -> Update {
    Update::Progress(pb::CallProgress { done, total: Some(4.0), message: "on it".to_owned() })
}

fn chunk(text: &str) -> Update {
    Update::Chunk(pb::ResultChunk { json_fragment: text.to_owned() })
}

fn result(json: &str) -> Update {
    Update::Result(pb::CallResult { result_json: json.to_owned(), ..Default::default() })
}

fn fact(name: &str) -> pb::Observation {
    let subject =
        pb::EntityRef { kind: "Pod".to_owned(), name: name.to_owned(), ..Default::default() };
    pb::Observation { signal: "log.error".to_owned(), subject: Some(subject), ..Default::default() }
}

/// The last word, or the rule that was broken. `sequence` numbers the updates.
fn read(updates: Vec<Update>, sequence: fn(i32) -> i32) -> Result<CallOutput, Failure> {
    let spec = spec("look", SideEffect::ReadOnly);
    let contract = Contract::read("", r#"{"type":["object","array","number"]}"#).unwrap();
    let mut reading = Reading::new(&spec, &contract, keep);
    for (at, update) in (1..).zip(updates) {
        let message = pb::CallResponse { sequence: sequence(at), update: Some(update) };
        if let Said::Last(last) = reading.take(message)? {
            return last;
        }
    }
    Err(reading.ended_early())
}

fn reason(updates: Vec<Update>, sequence: fn(i32) -> i32) -> String {
    let failure = read(updates, sequence).unwrap_err();
    assert_eq!(failure.class, FailureClass::Bug, "{failure}");
    failure.reason
}

#[test]
fn what_a_call_logs_is_passed_on_within_bounds_and_what_is_no_progress_is_noted() {
    let spec = spec("look", SideEffect::ReadOnly);
    let contract = Contract::read("", "").unwrap();
    let mut reading = Reading::new(&spec, &contract, |text| text.replace("s3cret", "***").into());
    let mut at = 0;
    let mut take = |update| {
        at += 1;
        let message = pb::CallResponse { sequence: at, update: Some(update) };
        match reading.take(message).unwrap() {
            Said::Progress(share, line) => Some((share, line)),
            Said::Nothing => None,
            Said::Last(last) => panic!("{last:?}"),
        }
    };
    let log = |severity: pb::LogSeverity, message: &str| {
        let message = message.to_owned();
        Update::Log(pb::CallLog { time: None, severity: severity.into(), message })
    };
    assert_eq!(take(log(pb::LogSeverity::Debug, "for developers")), None);
    let warned = take(log(pb::LogSeverity::Warn, "it is s3cret"));
    assert_eq!(warned, Some((None, "warning: it is ***".to_owned())));
    assert!(take(progress(2.0)).is_some() && take(progress(1.0)).is_none());
    let passed = (0..100).filter_map(|_| take(log(pb::LogSeverity::Info, "again"))).count();
    assert_eq!(passed, 49);
    let flaws = reading.flaws();
    assert!(flaws[0].reason == "LOG" && flaws[1].reason == "PROGRESS", "{flaws:?}");
}

#[test]
fn pieces_are_joined_facts_are_added_up_and_both_ways_of_numbering_are_read() {
    for sequence in [|at| at, |_| 0] as [fn(i32) -> i32; 2] {
        let output = read(
            vec![
                accepted(),
                progress(1.0),
                chunk(r#"{"pods":"#),
                Update::Facts(pb::ResultFacts { observations: vec![fact("a")], relations: vec![] }),
                chunk("[1,2]}"),
                Update::Result(pb::CallResult {
                    observations: vec![fact("b")],
                    ..Default::default()
                }),
            ],
            sequence,
        )
        .unwrap();
        assert_eq!(output.result_json, r#"{"pods":[1,2]}"#);
        let names: Vec<&str> =
            output.observations.iter().map(|o| o.subject.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(output.gaps.is_empty());
    }
}

#[test]
fn each_broken_rule_is_a_defect_of_the_plugin() {
    for (what, reason_is, updates, sequence) in [
        (
            "accepted twice",
            "STREAM_RULE",
            vec![accepted(), accepted()],
            (|at| at) as fn(i32) -> i32,
        ),
        ("a hole in the numbers", "STREAM_RULE", vec![accepted(), result("{}")], |at| at * at),
        ("numbers that begin late", "STREAM_RULE", vec![result("{}")], |at| at + 1),
        ("numbers only at first", "STREAM_RULE", vec![accepted(), result("{}")], |at| at % 2),
        ("no last word", "STREAM_ENDED_EARLY", vec![accepted()], |at| at),
        ("nothing at all", "STREAM_ENDED_EARLY", vec![], |at| at),
        ("not JSON", "RESULT_NOT_JSON", vec![result("<html>")], |at| at),
        ("half of JSON", "RESULT_NOT_JSON", vec![chunk("{\"a\":"), result("")], |at| at),
        ("pieces and whole", "STREAM_RULE", vec![chunk("{}"), result("{}")], |at| at),
        ("a huge message", "STREAM_RULE", vec![result(&"1".repeat(MAX_MESSAGE + 1))], |at| at),
        ("a flood of lines", "STREAM_RULE", vec![progress(1.0); 6000], |at| at),
        ("a flood of bytes", "STREAM_RULE", vec![chunk(&"1".repeat(400_000)); 100], |at| at),
    ] {
        assert_eq!(reason(updates, sequence), reason_is, "{what}");
    }
}

#[test]
fn a_result_that_is_too_large_is_cut_and_told_and_is_no_failure() {
    let quarter = "1".repeat(MAX_RESULT / 4);
    let pieces = vec![chunk(&quarter); 5];
    let whole = vec![result(&format!("\"{}\"", "ä".repeat(MAX_RESULT * 9 / 16)))];
    for updates in [[pieces, vec![result("")]].concat(), whole] {
        let output = read(updates, |at| at).unwrap();
        assert!(output.truncated);
        assert_eq!(output.gaps[0].failure.reason, TOO_LARGE);
        assert!(output.result_json.len() <= MAX_RESULT_TAKEN);
        assert!(serde_json::from_str::<serde_json::Value>(&output.result_json).is_ok());
    }
}

#[test]
fn progress_that_does_not_grow_is_left_out() {
    let spec = spec("look", SideEffect::ReadOnly);
    let contract = Contract::read("", r#"{"type":["object","array","number"]}"#).unwrap();
    let mut reading = Reading::new(&spec, &contract, keep);
    let told: Vec<Option<f64>> = [1.0, 1.0, 0.5, f64::NAN, 2.0, 9.0]
        .into_iter()
        .filter_map(|done| {
            let message = pb::CallResponse { sequence: 0, update: Some(progress(done)) };
            match reading.take(message).unwrap() {
                Said::Progress(share, _) => Some(share),
                Said::Nothing | Said::Last(_) => None,
            }
        })
        .collect();
    assert_eq!(told, [Some(0.25), Some(0.5), Some(1.0)]);
}

#[test]
fn an_arm_that_is_not_known_is_skipped_and_a_failure_keeps_its_class() {
    let spec = spec("look", SideEffect::ReadOnly);
    let contract = Contract::read("", r#"{"type":["object","array","number"]}"#).unwrap();
    let mut reading = Reading::new(&spec, &contract, keep);
    let unknown = pb::CallResponse { sequence: 1, update: None };
    assert!(matches!(reading.take(unknown).unwrap(), Said::Nothing));
    let failure =
        pb::Failure { failure_class: 5, reason: "NO_POD".to_owned(), ..Default::default() };
    let last = pb::CallResponse { sequence: 2, update: Some(Update::Failure(failure)) };
    let Said::Last(Err(failure)) = reading.take(last).unwrap() else { panic!("no last word") };
    assert_eq!((failure.class, failure.effects), (FailureClass::NotFound, Effects::None));
}
