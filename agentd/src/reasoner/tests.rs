//! The reasoner over typed facts alone: no tool, no journal, no clock. Causes are written here
//! where the mechanism is meant and taken from the catalogue where its data is.

mod blind;
mod changes;
mod chosen;
mod databases;
mod quiet;
mod refused;
mod stores;
mod waiting;
mod ways;

use std::sync::Arc;

use jiff::Timestamp;

use super::{Assessment, Reasoning, catalogue::Catalogue};
use crate::{
    alert::Alert,
    fact::{Entity, Observation, Relation, RelationKind},
    investigation::finding::Verdict,
    tool::{CallOutput, ToolRef},
};

fn at(clock: &str) -> Option<Timestamp> {
    format!("2026-01-01T{clock}Z").parse().ok()
}

fn thing(kind: &str, name: &str) -> Entity {
    Entity::new(kind, "n", name)
}

fn saw(signal: &str, subject: Entity, since: &str) -> Observation {
    Observation {
        signal: signal.to_owned(),
        statement: format!("{signal} of {subject}"),
        subject,
        start: at(since),
        end: at("12:00:00"),
        ..Observation::default()
    }
}

fn with(mut observation: Observation, attributes: &[(&str, &str)]) -> Observation {
    for (key, value) in attributes {
        observation.attributes.insert((*key).to_owned(), (*value).to_owned());
    }
    observation
}

fn by(mut observation: Observation, peer: Entity) -> Observation {
    observation.peer = Some(peer);
    observation
}

fn edge(from: Entity, kind: RelationKind, to: Entity) -> Relation {
    Relation { from, to, kind }
}

fn alert(kind: &str, service: &str) -> Alert {
    Alert {
        kind: kind.to_owned(),
        service: service.to_owned(),
        namespace: "n".to_owned(),
        start: at("11:40:00"),
        ..Alert::default()
    }
}

/// Two tools tell the facts in turn, so that no verdict hangs on one source.
fn assess(
    catalogue: Catalogue,
    alert: &Alert,
    observations: &[Observation],
    relations: &[Relation],
) -> Assessment {
    assess_blind(catalogue, alert, (observations, relations), &[])
}

/// The same where a source could not be asked that tells of the signals `unseen`.
fn assess_blind(
    catalogue: Catalogue,
    alert: &Alert,
    (observations, relations): (&[Observation], &[Relation]),
    unseen: &[&str],
) -> Assessment {
    let mut reasoning = Reasoning::new(Arc::new(catalogue));
    for (number, observation) in observations.iter().enumerate() {
        let plugin = if number % 2 == 0 { "one" } else { "two" };
        let tool = ToolRef { plugin: plugin.to_owned(), ..ToolRef::default() };
        let output = CallOutput {
            observations: vec![observation.clone()],
            relations: relations.to_vec(),
            observe_time: at("12:00:00"),
            ..CallOutput::default()
        };
        reasoning.facts.absorb(&tool, 1, &output);
    }
    if !unseen.is_empty() {
        let silent = ToolRef { plugin: "silent".to_owned(), ..ToolRef::default() };
        reasoning.facts.blind(&silent, unseen.iter().map(|s| (*s).to_owned()).collect());
    }
    reasoning.assess(alert, Timestamp::UNIX_EPOCH)
}

fn embedded() -> Catalogue {
    Catalogue::embedded().unwrap()
}

/// The embedded signals with causes of one's own: `id`, `culprit`, clauses and what is explained.
fn causes(documents: &[&str]) -> Catalogue {
    let rest = "\ntitle: t\nstatement: '{name} did it'\nconfirm: c\nquestion: q\n";
    let documents: Vec<String> = documents.iter().map(|d| format!("{d}{rest}")).collect();
    embedded().with_causes(&documents).unwrap()
}

fn blamed(assessment: &Assessment) -> Vec<String> {
    let causes = &assessment.conclusion.root_causes;
    causes.iter().map(|cause| format!("{} {}", cause.category, cause.culprit)).collect()
}

const CACHE: &str = "
id: cache
culprit: workload
for: [{any: [metric.shifted], weight: 0.8, required: true}]
explains: {own: ['container.*'], siblings: ['service.*'], callers: ['service.*']}";

const SLOW_DATABASE: &str = "
id: database
culprit: workload
for: [{any: [service.latency_high], weight: 0.8, required: true}]
explains: {own: ['service.*'], callers: ['service.*']}";

fn shop() -> Vec<Relation> {
    ["cache", "db"]
        .map(|callee| edge(thing("Service", "shop"), RelationKind::Calls, thing("Service", callee)))
        .to_vec()
}

#[test]
fn load_that_falls_through_a_cache_explains_its_sibling_and_their_caller() {
    let facts = [
        saw("metric.shifted", thing("Service", "cache"), "11:30:00"),
        saw("service.latency_high", thing("Service", "db"), "11:35:00"),
        saw("service.latency_high", thing("Service", "shop"), "11:36:00"),
    ];
    let told = assess(causes(&[CACHE, SLOW_DATABASE]), &alert("slow", "shop"), &facts, &shop());
    assert_eq!(blamed(&told), ["cache Service n/cache"]);
    let told = assess(causes(&[SLOW_DATABASE]), &alert("slow", "shop"), &facts, &shop());
    assert_eq!(blamed(&told), ["database Service n/db"], "without the cache's own signal");
}

#[test]
fn a_cause_that_began_after_what_it_should_explain_explains_nothing() {
    let facts = [
        saw("metric.shifted", thing("Service", "cache"), "11:59:00"),
        saw("service.latency_high", thing("Service", "db"), "11:35:00"),
        saw("service.latency_high", thing("Service", "shop"), "11:36:00"),
    ];
    let told = assess(causes(&[CACHE, SLOW_DATABASE]), &alert("slow", "shop"), &facts, &shop());
    assert_eq!(blamed(&told), ["database Service n/db"]);
}

#[test]
fn an_edited_config_is_blamed_through_whoever_uses_it_and_only_if_the_edit_came_first() {
    let document = "
id: edit
culprit: subject
for:
  - {any: [config.changed], weight: 0.5, required: true}
  - {any: [log.error_pattern], weight: 0.6, required: true, at: users, after_change: true}
explains: {users: ['log.*', 'service.*'], callers: ['service.*']}";
    let uses = [edge(thing("Pod", "web-1"), RelationKind::Uses, thing("ConfigMap", "web-conf"))];
    let pod = || thing("Pod", "web-1");
    let facts = |edited: &str| {
        [
            saw("config.changed", thing("ConfigMap", "web-conf"), edited),
            saw("log.error_pattern", pod(), "11:35:00"),
        ]
    };
    let told = assess(causes(&[document]), &alert("errors", "web-1"), &facts("11:30:00"), &uses);
    assert_eq!(blamed(&told), ["edit ConfigMap n/web-conf"]);
    let told = assess(causes(&[document]), &alert("errors", "web-1"), &facts("11:50:00"), &uses);
    assert_eq!(blamed(&told), [""; 0], "the edit came after");
    let told = assess(causes(&[document]), &alert("errors", "web-1"), &facts("11:30:00"), &[]);
    assert_eq!(blamed(&told), [""; 0], "nobody uses it");
}

#[test]
fn an_alert_without_a_name_is_about_what_bears_its_claim_out() {
    let facts = [saw("container.oom_killed", thing("Deployment", "web"), "11:35:00")];
    for (kind, found) in [("pod_crash_looping", true), ("job_failed", false), ("NodeDown", false)] {
        let vague = Alert { service: String::new(), ..alert(kind, "") };
        let told = assess(embedded(), &vague, &facts, &[]);
        let expected: &[&str] = if found { &["oom_killed Deployment n/web"] } else { &[] };
        assert_eq!(blamed(&told), expected, "{kind}");
        let verdict = told.conclusion.verdict;
        assert_eq!(verdict == Verdict::RootCauseFound, found, "{kind}");
    }
}

#[test]
fn what_is_there_on_purpose_is_healthy_only_where_it_explains_all_that_hurts() {
    let document = "
id: false_alarm_healthy
culprit: workload
benign: true
for: [{any: [workload.scaled_to_zero], weight: 0.9, required: true}]
explains: {own: [workload.replicas_missing, service.no_endpoints]}";
    let web = || thing("Deployment", "web");
    let mut facts = vec![
        saw("workload.scaled_to_zero", web(), "11:35:00"),
        saw("workload.replicas_missing", web(), "11:36:00"),
    ];
    let told = assess(causes(&[document]), &alert("not_ready", "web"), &facts, &[]);
    assert_eq!(told.conclusion.verdict, Verdict::Healthy);
    assert!(told.conclusion.summary.contains("web did it"), "{}", told.conclusion.summary);
    facts.push(saw("service.error_ratio_high", web(), "11:36:00"));
    let told = assess(causes(&[document]), &alert("not_ready", "web"), &facts, &[]);
    assert_eq!(told.conclusion.verdict, Verdict::Inconclusive);
}

#[test]
fn the_order_in_which_facts_come_changes_no_verdict() {
    let facts = [
        saw("metric.shifted", thing("Service", "cache"), "11:30:00"),
        saw("service.latency_high", thing("Service", "db"), "11:35:00"),
        saw("service.latency_high", thing("Service", "shop"), "11:36:00"),
        saw("container.oom_killed", thing("Deployment", "other"), "11:38:00"),
    ];
    let all = [CACHE, SLOW_DATABASE];
    let first = assess(causes(&all), &alert("slow", "shop"), &facts, &shop());
    let mut other = facts.to_vec();
    for turn in 0..facts.len() {
        other.rotate_left(1);
        if turn % 2 == 0 {
            other.reverse();
        }
        let told = assess(causes(&all), &alert("slow", "shop"), &other, &shop());
        assert_eq!(blamed(&told), blamed(&first));
        let sure = |a: &Assessment| a.conclusion.root_causes.first().map(|c| c.confidence);
        assert_eq!(sure(&told), sure(&first));
    }
}
