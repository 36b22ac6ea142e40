//! Which of several hypotheses stand: the more exact word before the vaguer, one end of a trouble
//! and not both, and the second fault that an alert about several objects means too.

use super::{Assessment, alert, assess, blamed, causes, edge, saw, thing, with};
use crate::{
    alert::Alert,
    fact::{Observation, Relation, RelationKind},
    investigation::finding::Hypothesis,
};

/// A cause that `signal` of a workload tells, believed `weight`, that explains nothing but itself.
fn told_by(id: &str, signal: &str, weight: f64) -> String {
    format!(
        "id: {id}\nculprit: workload\nexplains: {{own: [{signal}]}}\n\
         for: [{{any: [{signal}], weight: {weight}, required: true}}]"
    )
}

/// `web` calls `db`.
fn edges() -> Vec<Relation> {
    vec![edge(thing("Deployment", "web"), RelationKind::Calls, thing("Deployment", "db"))]
}

fn tells(signal: &str, name: &str) -> Observation {
    saw(signal, thing("Deployment", name), "11:31:00")
}

fn rejected<'a>(hypotheses: &'a [Hypothesis], name: &str) -> &'a str {
    let of = hypotheses.iter().find(|h| h.culprit.name == name && !h.rejection.is_empty());
    &of.unwrap().rejection
}

#[test]
fn the_more_exact_word_stands_though_the_vaguer_one_is_believed_a_little_more() {
    let stand_with = |exact_weight: f64| {
        let vague = told_by("vague", "container.exited", 0.9) + "\nyields_to: [exact]";
        let exact = told_by("exact", "container.oom_killed", exact_weight);
        let told = [tells("container.exited", "web"), tells("container.oom_killed", "web")];
        let catalogue = causes(&[&vague, &exact]);
        blamed(&assess(catalogue, &alert("restarts", "web"), &told, &edges()))
    };
    assert_eq!(stand_with(0.8), ["exact Deployment n/web"]);
    assert_eq!(stand_with(0.6).first().unwrap(), "vague Deployment n/web");
}

#[test]
fn the_same_trouble_seen_at_both_ends_of_an_edge_is_one_cause_that_is_believed_less() {
    let pools = told_by("pools", "pool.saturated", 0.9);
    let both = |other: &str| {
        let told = [tells("pool.saturated", "web"), tells("pool.saturated", other)];
        assess(causes(&[&pools]), &alert("errors", "web"), &told, &edges())
    };
    let sure = |assessment: &Assessment| assessment.conclusion.root_causes[0].confidence;
    let (linked, far) = (both("db"), both("far"));
    assert_eq!(blamed(&linked), ["pools Deployment n/web"]);
    assert!(rejected(&linked.hypotheses, "db").contains("from its other end"));
    assert!(sure(&linked) < sure(&far), "{} {}", sure(&linked), sure(&far));
}

#[test]
fn an_alert_about_several_workloads_means_the_second_fault_beside_the_named_one_too() {
    let killed = told_by("killed", "container.oom_killed", 0.9);
    let pull = told_by("pull", "container.image_pull_failed", 0.95);
    let beside = |alert: &Alert, since: &str| {
        let other = saw("container.image_pull_failed", thing("Deployment", "other"), since);
        let told = [tells("container.oom_killed", "web"), other];
        blamed(&assess(causes(&[&killed, &pull]), alert, &told, &edges()))
    };
    let several = alert("WorkloadsNotReady", "web");
    let both = ["killed Deployment n/web", "pull Deployment n/other"];
    assert_eq!(beside(&several, "11:30:00"), both);
    assert_eq!(beside(&several, "06:00:00"), both[..1], "it began long before");
    assert_eq!(beside(&alert("KubePodNotReady", "web"), "11:30:00"), both[..1]);
}

/// Blamed for a complaint that anybody at all made after its rollout.
const EVERYBODYS: &str = "
id: everybodys
culprit: workload
for:
  - {any: [workload.rolled_out], weight: 0.3, required: true}
  - {any: [log.error_pattern], weight: 0.7, required: true, at: anywhere, after_change: true}
explains: {own: ['log.*']}";

#[test]
fn however_many_old_complaints_a_large_cluster_makes_the_new_one_is_heard_in_any_order() {
    let complains = |name: &str, new, since| {
        with(saw("log.error_pattern", thing("Pod", name), since), &[("is_new", new)])
    };
    let rolled = saw("workload.rolled_out", thing("Deployment", "web"), "11:30:00");
    let mut facts: Vec<_> =
        (0..500).map(|n| complains(&format!("p{n}"), "false", "11:00:00")).collect();
    facts.push(complains("far", "true", "11:33:00"));
    facts.push(rolled);
    for _ in 0..2 {
        let told = assess(causes(&[EVERYBODYS]), &alert("high_error_rate", "web"), &facts, &[]);
        assert_eq!(blamed(&told), ["everybodys Deployment n/web"]);
        facts.reverse();
    }
    facts.retain(|seen| seen.attr("is_new") != "true");
    let told = assess(causes(&[EVERYBODYS]), &alert("high_error_rate", "web"), &facts, &[]);
    assert!(blamed(&told).is_empty(), "old complaints alone: {:?}", blamed(&told));
}

#[test]
fn a_release_that_only_brought_new_warnings_is_no_second_fault() {
    let full = told_by("full", "storage.volume_full", 0.9) + "\n";
    let release = told_by("release", "log.error_pattern", 0.8);
    let with_level = |level| {
        let said = with(tells("log.error_pattern", "web"), &[("level", level)]);
        let facts = [tells("storage.volume_full", "web"), said];
        let asked = Alert { description: "several pods".to_owned(), ..alert("restarts", "web") };
        blamed(&assess(causes(&[&full, &release]), &asked, &facts, &edges()))
    };
    assert_eq!(with_level("ERROR").len(), 2);
    assert_eq!(with_level("WARN"), ["full Deployment n/web"]);
}
