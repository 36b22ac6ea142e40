//! Round trips of every message, and the strict reading of vague ones.
#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::{spec::tool_spec, *};
use crate::tool::{Idempotency, Risk, SideEffect};

#[test]
fn an_empty_descriptor_reads_as_the_most_restrictive_and_so_do_unknown_numbers() {
    let empty = pb::ToolDescriptor::default();
    let unknown = pb::ToolDescriptor {
        side_effect: 99,
        risk: 99,
        idempotency: 99,
        retry: Some(pb::RetryPolicy {
            max_attempts: 999,
            backoff_multiplier: f64::NAN,
            ..Default::default()
        }),
        rate_limit: Some(pb::RateLimit { calls: -1, max_concurrent: -1, ..Default::default() }),
        ..Default::default()
    };
    for descriptor in [empty, unknown] {
        let spec = tool_spec(ToolRef::default(), &descriptor);
        assert_eq!(spec.side_effect, SideEffect::Destructive);
        assert_eq!(spec.risk, Risk::High);
        assert_eq!(spec.idempotency, Idempotency::None);
        assert_eq!(spec.timeout, Duration::from_secs(30));
        assert!(spec.retry.max_attempts <= 5 && spec.retry.multiplier >= 1.0);
        assert!(spec.rate_limit.is_none_or(|limit| limit.calls == 1 && limit.max_concurrent == 0));
    }
}

#[test]
fn a_failure_without_a_class_is_read_by_its_code_and_unset_effects_may_have_happened() {
    for (code, class) in [
        (5, FailureClass::NotFound),
        (7, FailureClass::Permission),
        (14, FailureClass::Transient),
        (0, FailureClass::Bug),
        (77, FailureClass::Bug),
    ] {
        let read = failure_from(pb::Failure { code, ..Default::default() });
        assert_eq!((read.class, read.effects), (class, Effects::Maybe), "code {code}");
        assert!((1..=16).contains(&read.code));
    }
}

#[test]
fn a_relation_without_a_known_meaning_or_an_end_is_no_relation() {
    let whole =
        pb::Relation { from: Some(Default::default()), to: Some(Default::default()), kind: 1 };
    assert!(relation_from(whole.clone()).is_some());
    for bad in [
        pb::Relation { kind: 0, ..whole.clone() },
        pb::Relation { kind: 99, ..whole.clone() },
        pb::Relation { from: None, ..whole.clone() },
        pb::Relation { to: None, ..whole },
    ] {
        assert_eq!(relation_from(bad), None);
    }
}

fn class() -> impl Strategy<Value = FailureClass> {
    use FailureClass as C;
    prop::sample::select(vec![
        C::Transient,
        C::RateLimited,
        C::External,
        C::InvalidArgument,
        C::NotFound,
        C::Permission,
        C::Config,
        C::Bug,
        C::Timeout,
        C::Cancelled,
    ])
}

fn failure() -> impl Strategy<Value = Failure> {
    let effects = prop::sample::select(vec![Effects::None, Effects::Maybe, Effects::Applied]);
    (class(), effects, ".{0,8}", prop::option::of(0_u64..1_000_000), "[a-z]{0,3}").prop_map(
        |(class, effects, message, millis, word)| {
            let mut failure = Failure::ours(class, &word, message);
            failure.effects = effects;
            failure.retry_after = millis.map(Duration::from_millis);
            failure.metadata.insert(word.clone(), word.clone());
            failure.resource = word.clone();
            failure.violations =
                vec![Violation { field: word.clone(), description: word.clone(), reason: word }];
            failure
        },
    )
}

fn time() -> impl Strategy<Value = Option<Timestamp>> {
    prop::option::of(
        (-4_000_000_000_000_i64..4_000_000_000_000)
            .prop_map(|millis| Timestamp::from_millisecond(millis).unwrap()),
    )
}

fn entity() -> impl Strategy<Value = Entity> {
    ("[A-Z]{0,3}", "[a-z]{0,3}", "[a-z]{0,3}").prop_map(|(kind, namespace, name)| Entity {
        container: name.clone(),
        cluster: namespace.clone(),
        kind,
        namespace,
        name,
    })
}

fn observation() -> impl Strategy<Value = Observation> {
    (entity(), time(), time(), 0_u32..9, prop::option::of(-1e9_f64..1e9), ".{0,5}").prop_map(
        |(subject, start, end, count, value, text)| Observation {
            signal: text.clone(),
            peer: value.map(|_| subject.clone()),
            subject,
            statement: text.clone(),
            start,
            end,
            count,
            value,
            baseline: value,
            unit: text.clone(),
            attributes: [(text.clone(), text.clone())].into(),
            quote: text,
        },
    )
}

proptest! {
    #[test]
    fn whatever_goes_out_comes_back(
        failure in failure(),
        observations in prop::collection::vec(observation(), 0..3),
        observe_time in time(),
        ends in (entity(), entity()),
        kind in prop::sample::select(vec![
            RelationKind::OwnedBy, RelationKind::RunsOn, RelationKind::Calls,
            RelationKind::Uses, RelationKind::Selects, RelationKind::Governs,
        ]),
        text in ".{0,9}",
    ) {
        let output = CallOutput {
            total_bytes: 7,
            next_page_token: "next".to_owned(),
            links: vec![("title".to_owned(), "https://a.test/".to_owned())],
            result_json: text.clone(),
            summary: text.clone(),
            truncated: text.is_empty(),
            gaps: vec![ResultGap { subject: text, failure }],
            observe_time,
            observations,
            relations: vec![Relation { from: ends.0, to: ends.1, kind }],
            flaws: Vec::new(),
        };
        prop_assert_eq!(result_from(result_to(&output)), output);
    }
}
