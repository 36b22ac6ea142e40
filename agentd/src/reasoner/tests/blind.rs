//! What could not be seen: it costs more where it may be the rival, and a cause elsewhere does not
//! explain what nobody could see or what is complained of about somebody else.

use super::{alert, assess, assess_blind, by, edge, embedded, saw, thing, with};
use crate::fact::{Observation, Relation, RelationKind};

/// A workload with its pod and the Service before it.
fn workload(name: &str) -> Vec<Relation> {
    let pod = thing("Pod", &format!("{name}-1"));
    vec![
        edge(pod.clone(), RelationKind::OwnedBy, thing("Deployment", name)),
        edge(thing("Service", name), RelationKind::Selects, pod),
    ]
}

/// `web` calls `labels` and `quotes`.
fn world() -> Vec<Relation> {
    let mut all = [workload("web"), workload("labels"), workload("quotes")].concat();
    for callee in ["labels", "quotes"] {
        let callee = thing("Service", callee);
        all.push(edge(thing("Deployment", "web"), RelationKind::Calls, callee));
    }
    all
}

fn unpulled(why: &str) -> Observation {
    with(saw("container.image_pull_failed", thing("Pod", "labels-1"), "11:30:00"), &[("why", why)])
}

/// The strongest hypothesis of a category, before it is chosen or not.
fn believed(facts: &[Observation], unseen: &[&str], category: &str) -> f64 {
    let told =
        assess_blind(embedded(), &alert("high_error_rate", "web"), (facts, &world()), unseen);
    let found = told.hypotheses.iter().filter(|h| h.category == category);
    found.map(|h| h.confidence).fold(0.0, f64::max)
}

#[test]
fn a_source_that_could_tell_of_the_rival_costs_more_when_it_is_silent() {
    let labels = || thing("Deployment", "labels");
    let rolled = with(saw("workload.rolled_out", labels(), "11:29:30"), &[("fields", "image")]);
    let panics = saw("log.panic", thing("Pod", "labels-1"), "11:30:00");
    let facts =
        [rolled, panics, saw("service.error_ratio_high", thing("Service", "web"), "11:30:30")];
    let of = |unseen: &[&str]| believed(&facts, unseen, "bad_deploy_regression");
    let (all, merely, rival) = (of(&[]), of(&["log.schema_mismatch"]), of(&["dependency.failing"]));
    assert!(all > 0.0 && merely < all, "{all} {merely}");
    assert!(rival < merely, "{rival} {merely}");
    // However much speaks for it, nobody is sure while the rival may be what was not seen.
    assert!(all > 0.7 && rival < 0.7, "{all} {rival}");
}

#[test]
fn what_ails_another_need_not_be_it_where_nobody_could_see_the_alerted_one() {
    let facts = [unpulled("not_found")];
    let all = believed(&facts, &[], "image_pull_failure");
    let blind = believed(&facts, &["service.no_endpoints"], "image_pull_failure");
    assert!(blind < 0.9 * all, "{blind} {all}");
}

#[test]
fn a_complaint_about_another_that_ails_by_itself_is_explained_by_that_one_alone() {
    let refused = |callee: &str| {
        let said = saw("log.connection_refused", thing("Pod", "web-1"), "11:30:30");
        by(with(said, &[("is_new", "true")]), thing("Service", callee))
    };
    let mut facts = vec![unpulled("not_found"), refused("labels"), refused("quotes")];
    let of = |facts: &[Observation]| {
        let told = assess(embedded(), &alert("high_error_rate", "web"), facts, &world());
        let found = told.hypotheses.iter().find(|h| h.category == "image_pull_failure");
        found.unwrap().confidence
    };
    let alone = of(&facts);
    facts.push(saw("container.oom_killed", thing("Pod", "quotes-1"), "11:30:00"));
    let beside = of(&facts);
    assert!(beside < alone, "{beside} {alone}");
}

#[test]
fn whom_the_alerted_object_complains_of_is_told_though_a_cause_explains_the_complaint() {
    let failing = |callee: &str| {
        let said = saw("log.upstream_error", thing("Pod", "web-1"), "11:30:30");
        by(with(said, &[("is_new", "true")]), thing("Service", callee))
    };
    let open = |facts: &[Observation]| {
        assess(embedded(), &alert("high_error_rate", "web"), facts, &world()).unexplained
    };
    let before = open(&[unpulled("not_found"), failing("labels")]);
    assert!(before.contains("log.upstream_error of Service n/labels"), "{before:?}");
    let now = open(&[unpulled("not_found"), failing("labels"), failing("quotes")]);
    assert!(!now.is_subset(&before), "another is complained of: {now:?}");
}
