//! Limits and masking of what a call gives back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::{Entity, FailureClass, Observation, Relation, RelationKind};

fn subject() -> Entity {
    Entity::new("Pod", "ns", "p")
}

fn parts(updates: &[Update]) -> (String, wire::ResultFacts, &wire::CallResult) {
    let mut json = String::new();
    let mut facts = wire::ResultFacts::default();
    for update in updates {
        match update {
            Update::Chunk(chunk) => json.push_str(&chunk.json_fragment),
            Update::Facts(piece) => {
                facts.observations.extend(piece.observations.clone());
                facts.relations.extend(piece.relations.clone());
            }
            Update::Result(result) => {
                json.push_str(&result.result_json);
                facts.observations.extend(result.observations.clone());
                facts.relations.extend(result.relations.clone());
                return (json, facts, result);
            }
            Update::Accepted(_) | Update::Progress(_) | Update::Log(_) | Update::Failure(_) => {
                panic!("{update:?}")
            }
        }
    }
    panic!("no result")
}

fn largest(updates: &[Update]) -> usize {
    let size = |update: &Update| {
        wire::CallResponse { sequence: 1, update: Some(update.clone()) }.encoded_len()
    };
    updates.iter().map(size).max().unwrap()
}

#[test]
fn a_small_result_is_one_update_with_its_facts() {
    let seen = Observation::new("a.b", subject(), "seen").since(Timestamp::UNIX_EPOCH);
    let output = Output::new(&1).unwrap().summary("s").observe(seen);
    let updates = result_updates(output, 1024);
    assert_eq!(updates.len(), 1);
    let (json, facts, result) = parts(&updates);
    assert_eq!((json.as_str(), facts.observations.len(), result.truncated), ("1", 1, false));
}

#[test]
fn a_large_result_comes_in_pieces_that_join_to_the_whole() {
    let text = "ä€🙂x".repeat(200_000);
    let updates = result_updates(Output::new(&text).unwrap(), 8 * 1024 * 1024);
    let (json, _, result) = parts(&updates);
    assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    assert!(result.result_json.is_empty() && !result.truncated);
    assert!(largest(&updates) <= MAX_UPDATE);
}

#[test]
fn facts_beyond_the_limits_are_left_out_and_it_is_said() {
    let mut observation =
        Observation::new("a.b", subject(), "s".repeat(9000)).quote(&"q".repeat(9000));
    for n in 0..100 {
        observation = observation.attr(format!("k{n}"), "v".repeat(9000));
    }
    let relation =
        Relation::new(subject(), RelationKind::RunsOn, Entity::cluster_wide("Node", "n"));
    let output = Output::new(&"x".repeat(250_000))
        .unwrap()
        .observe_all(vec![observation; 40])
        .observe_all(vec![Observation::new("a.b", subject(), "light"); 461])
        .relate_all(vec![relation; 2001]);
    let updates = result_updates(output, 256 * 1024);
    assert!(largest(&updates) <= MAX_UPDATE, "{}", largest(&updates));
    let (json, facts, result) = parts(&updates);
    assert_eq!((facts.observations.len(), facts.relations.len()), (500, 2000));
    assert!(result.truncated && json.len() > 250_000);
    let first = &facts.observations[0];
    assert!(first.statement.len() <= 2048 && first.quote.len() <= 1024);
    assert_eq!(first.attributes.len(), 64);
    assert!(first.attributes.values().all(|v| v.len() <= 4096));
}

#[test]
fn many_gaps_and_links_never_make_an_update_too_large() {
    let mut why = Failure::new(FailureClass::External, "DOWN", "m".repeat(4000));
    for n in 0..100 {
        why.violations.push((format!("{n}"), "d".repeat(1000)));
        why.metadata.insert(format!("{n}"), "d".repeat(1000));
    }
    let mut output = Output::new(&"x".repeat(200_000)).unwrap().summary("s".repeat(9000));
    for n in 0..100 {
        output = output.gap(format!("gap {n}"), why.clone()).link("t", "u".repeat(9000));
    }
    let updates = result_updates(output, 256 * 1024);
    assert!(largest(&updates) <= MAX_UPDATE, "{}", largest(&updates));
    let (_, _, result) = parts(&updates);
    assert!(result.truncated && result.summary.len() <= MAX_SUMMARY);
}

#[test]
fn times_are_in_order_and_values_are_numbers() {
    let (early, late) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(60).unwrap());
    let output = Output::new(&())
        .unwrap()
        .observe(
            Observation::new("a.b", subject(), "s").since(late).until(early).value(f64::NAN, "1"),
        )
        .observe(Observation::new("a.b", subject(), "s").since(early).until(late).value(1.0, "1"));
    let updates = result_updates(output, 1024);
    let (_, facts, _) = parts(&updates);
    for fact in &facts.observations {
        assert_eq!(fact.start_time.as_ref().unwrap().seconds, 0);
        assert_eq!(fact.end_time.as_ref().unwrap().seconds, 60);
    }
    assert_eq!(facts.observations[0].value, None);
    assert_eq!(facts.observations[1].value, Some(1.0));
}

#[test]
fn no_part_of_a_result_lets_a_secret_out() {
    let leak = "login with password=hunter2 failed";
    let output = Output::new(&serde_json::json!({"line": leak, "db": {"password": "hunter2"}}))
        .unwrap()
        .summary(leak)
        .observe(
            Observation::new("a.b", subject(), leak)
                .quote(leak)
                .attr("line", leak)
                .attr("DB_PASSWORD", "hunter2"),
        )
        .gap(leak, Failure::not_found(leak, leak))
        .link(leak, "https://a:hunter2@host/");
    let sent = format!("{:?}", result_updates(output, 1024 * 1024));
    assert!(!sent.contains("hunter2"), "{sent}");
    assert!(sent.contains("[REDACTED]") && sent.contains("login with"));
    let failure = Failure::invalid_argument("arguments.url", leak);
    assert!(!format!("{:?}", failure_update(failure, "p")).contains("hunter2"));
}

proptest! {
    #[test]
    fn a_cut_result_is_valid_json_within_the_limit(text in "[\\PC\"\\\\]{0,400}", max in 0..300usize) {
        let output = Output::new(&text).unwrap();
        let whole = redact_json(output.result_json());
        let updates = result_updates(output, max);
        let (json, _, result) = parts(&updates);
        prop_assert!(json.len() <= max);
        if whole.len() <= max {
            prop_assert_eq!(&json, &whole);
            prop_assert!(!result.truncated);
        } else {
            prop_assert!(result.truncated);
            prop_assert_eq!(usize::try_from(result.total_bytes).unwrap(), whole.len());
            if max >= 2 {
                let cut: serde_json::Value = serde_json::from_str(&json).unwrap();
                if let Some(head) = cut.get("head").and_then(|head| head.as_str()) {
                    prop_assert!(whole.starts_with(head));
                }
            }
        }
    }
}

#[test]
fn an_undo_is_sent_as_it_is_or_not_at_all_and_then_it_is_told() {
    let long = serde_json::json!({ "text": "x".repeat(70_000) });
    let secret = serde_json::json!({ "env": "password=hunter2" });
    let plain = serde_json::json!({ "replicas": 3, "big": 9_007_199_254_740_993_u64 });
    let output = Output::new(&()).unwrap();
    let output = output
        .compensation("scale", plain.clone(), "back to 3, password=hunter2", None)
        .compensation("patch", secret, "as before", None)
        .compensation("write", long, "as before", None)
        .planned_effect("token=abcdef0123456789 is set")
        .usage(Usage { backend_requests: 2, cost_usd: f64::NAN, ..Usage::default() });
    let updates = result_updates(output, 1024);
    let (_, _, result) = parts(&updates);
    assert_eq!(result.compensations.len(), 1);
    let sent: serde_json::Value =
        serde_json::from_str(&result.compensations[0].arguments_json).unwrap();
    assert_eq!(sent, plain);
    let told: Vec<_> = result.gaps.iter().map(|gap| gap.subject.as_str()).collect();
    assert_eq!(told, ["undo by patch", "undo by write"]);
    let failure = result.gaps[0].failure.as_ref().unwrap();
    assert_eq!(failure.effects(), wire::EffectState::Applied);
    let text = format!("{updates:?}");
    assert!(!text.contains("hunter2") && !text.contains("abcdef"), "{text}");
    let usage = result.usage.as_ref().unwrap();
    assert_eq!((usage.backend_requests, usage.cost_usd), (2, 0.0));
}

#[test]
fn every_update_fits_however_much_is_put_into_a_result() {
    let mut output = Output::new(&"y".repeat(250 * 1024)).unwrap();
    for n in 0..100 {
        let undo = serde_json::json!({ "x": "x".repeat(1000), "n": n });
        output = output
            .compensation("undo", undo, "s".repeat(9000), None)
            .planned_effect("p".repeat(9000))
            .gap("g".repeat(9000), Failure::external("X", "m".repeat(9000)))
            .link("t", "u".repeat(9000));
    }
    for update in result_updates(output, 1024 * 1024) {
        let message = wire::CallResponse { sequence: i32::MAX, update: Some(update) };
        let size = prost::Message::encoded_len(&message);
        assert!(size <= MAX_UPDATE, "{size}");
    }
}
