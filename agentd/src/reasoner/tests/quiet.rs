//! Nothing is wrong any more, or never was: what may be called healthy and what may not.

use super::*;
use crate::investigation::finding::Severity;

fn measured(signal: &str, subject: Entity, (from, to): (&str, &str)) -> Observation {
    let mut seen = Observation { end: at(to), ..saw(signal, subject, from) };
    if to < "12:00:00" {
        seen.attributes.insert("over".to_owned(), "true".to_owned());
    }
    seen
}

fn errors(to: &str) -> Vec<Observation> {
    vec![
        measured("service.error_ratio_high", thing("Service", "shop"), ("11:36:00", to)),
        saw("service.error_ratio_normal", thing("Service", "shop"), "11:41:00"),
        saw("service.endpoints_ready", thing("Service", "shop"), "11:41:00"),
        saw("service.endpoints_ready", thing("Service", "shop"), "11:41:00"),
    ]
}

fn outside(to: &str) -> Observation {
    let host =
        Entity { kind: "External".to_owned(), name: "pay.example".to_owned(), ..Entity::default() };
    let mut seen = measured("dependency.failing", host, ("11:36:00", to));
    seen.peer = Some(thing("Service", "shop"));
    seen
}

#[test]
fn trouble_of_an_outside_service_that_is_over_is_told_as_recovered() {
    let facts = [errors("11:39:00"), vec![outside("11:39:00")]].concat();
    let told = assess(embedded(), &alert("high_error_rate", "shop"), &facts, &[]);
    assert_eq!(told.conclusion.verdict, Verdict::Healthy, "{}", told.conclusion.summary);
    for word in ["recovered", "over", "pay.example"] {
        assert!(told.conclusion.summary.contains(word), "{}", told.conclusion.summary);
    }
}

#[test]
fn trouble_that_goes_on_is_not_over() {
    let facts = [errors("12:00:00"), vec![outside("12:00:00")]].concat();
    let told = assess(embedded(), &alert("high_error_rate", "shop"), &facts, &[]);
    assert_ne!(told.conclusion.verdict, Verdict::Healthy, "{}", told.conclusion.summary);
}

#[test]
fn errors_that_ended_do_not_make_a_killed_container_healthy() {
    let mut facts = errors("11:39:00");
    facts.push(saw("container.oom_killed", thing("Deployment", "shop"), "11:36:00"));
    facts.push(saw("container.memory_near_limit", thing("Deployment", "shop"), "11:30:00"));
    let told = assess(embedded(), &alert("high_error_rate", "shop"), &facts, &[]);
    assert_ne!(told.conclusion.verdict, Verdict::Healthy, "{}", told.conclusion.summary);
}

#[test]
fn a_store_that_is_gone_cuts_off_who_complains_about_it() {
    let mut refused = saw("log.connection_refused", thing("Deployment", "shop"), "11:36:00");
    refused.peer = Some(thing("Service", "db"));
    let uses = [edge(thing("Service", "shop"), RelationKind::Calls, thing("Service", "db"))];
    let mut facts = vec![
        saw("container.oom_killed", thing("StatefulSet", "db"), "11:35:00"),
        saw("container.memory_near_limit", thing("StatefulSet", "db"), "11:30:00"),
        saw("service.no_endpoints", thing("Service", "db"), "11:36:00"),
        refused,
    ];
    let told = assess(embedded(), &alert("high_error_rate", "shop"), &facts, &uses);
    assert_eq!(told.conclusion.severity, Severity::P1);
    facts.push(saw("service.error_ratio_normal", thing("Service", "shop"), "11:36:00"));
    let told = assess(embedded(), &alert("high_error_rate", "shop"), &facts, &uses);
    assert_ne!(told.conclusion.severity, Severity::P1, "it is measured to answer well");
}

#[test]
fn processes_killed_inside_a_container_at_its_limit_are_a_kill_for_memory() {
    let facts = [
        saw("log.child_killed", thing("Deployment", "shop"), "11:36:00"),
        saw("container.memory_near_limit", thing("Deployment", "shop"), "11:35:00"),
        saw("service.error_ratio_high", thing("Service", "shop"), "11:36:00"),
    ];
    let told = assess(embedded(), &alert("high_error_rate", "shop"), &facts, &[]);
    assert_eq!(blamed(&told), ["oom_killed Deployment n/shop"]);
    let told = assess(embedded(), &alert("high_error_rate", "shop"), &facts[..1], &[]);
    assert!(blamed(&told).is_empty(), "who sends signal 9 is not known");
}

#[test]
fn what_governs_the_alerted_service_answers_for_itself_unless_it_ails() {
    let scaler = || thing("HorizontalPodAutoscaler", "shop");
    let relations = [
        edge(thing("Pod", "shop-1"), RelationKind::OwnedBy, thing("Deployment", "shop")),
        edge(thing("Service", "shop"), RelationKind::Selects, thing("Pod", "shop-1")),
        edge(scaler(), RelationKind::Governs, thing("Deployment", "shop")),
    ];
    let serves = [
        saw("service.error_ratio_normal", thing("Service", "shop"), "11:00:00"),
        saw("service.latency_normal", thing("Service", "shop"), "11:00:00"),
        saw("workload.healthy", thing("Deployment", "shop"), "11:00:00"),
    ];
    let verdict = |more: &[Observation]| {
        let facts = [serves.as_slice(), more].concat();
        let told = assess(embedded(), &alert("HpaAtMaxReplicas", "shop"), &facts, &relations);
        told.conclusion.verdict
    };
    let well = saw("policy.hpa_ok", scaler(), "11:00:00");
    assert_eq!(verdict(&[]), Verdict::Inconclusive);
    assert_eq!(verdict(std::slice::from_ref(&well)), Verdict::Healthy);
    assert_ne!(verdict(&[well, saw("policy.hpa_at_max", scaler(), "11:30:00")]), Verdict::Healthy);
}
