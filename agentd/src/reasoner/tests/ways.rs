//! The ways in and what comes by them: Ingresses, certificates at the edge, Services before
//! workloads without pods, data that runs bring. Which object each mechanism blames, told by the
//! documents of the catalogue.

use super::{alert, assess, blamed, edge, embedded, saw, thing};
use crate::{
    fact::{Entity, Observation, Relation, RelationKind},
    investigation::finding::Severity,
};

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

/// `gate` calls `web`; an Ingress leads to the gate and serves a Secret.
fn world() -> Vec<Relation> {
    let mut all = Vec::new();
    for name in ["gate", "web"] {
        let pod = thing("Pod", &format!("{name}-1"));
        all.push(edge(pod.clone(), RelationKind::OwnedBy, thing("Deployment", name)));
        all.push(edge(thing("Service", name), RelationKind::Selects, pod));
    }
    all.push(edge(thing("Deployment", "gate"), RelationKind::Calls, thing("Service", "web")));
    all.push(edge(thing("Ingress", "front"), RelationKind::Calls, thing("Service", "gate")));
    all.push(edge(thing("Service", "gate"), RelationKind::Uses, thing("Secret", "front-tls")));
    all.push(edge(thing("Job", "rates-1"), RelationKind::OwnedBy, thing("CronJob", "rates")));
    all
}

fn errors(service: &str, since: &str) -> Observation {
    let mut seen = saw("service.error_ratio_high", thing("Service", service), since);
    (seen.value, seen.baseline) = (Some(0.5), Some(0.001));
    seen
}

fn falls() -> Observation {
    saw("service.traffic_down", thing("Service", "gate"), "11:30:00")
}

#[test]
fn requests_that_cease_with_an_edit_are_the_ingresss_and_with_a_certificate_the_secrets() {
    let edited = |at| saw("ingress.changed", thing("Ingress", "front"), at);
    let ended = saw("certificate.expired", thing("Secret", "front-tls"), "11:29:00");
    for (facts, culprit) in [
        (vec![edited("11:29:30"), falls()], vec!["ingress_misconfigured Ingress n/front"]),
        (vec![ended, falls()], vec!["tls_certificate_expired Secret n/front-tls"]),
        // An edit after it began explains nothing.
        (vec![edited("11:45:00"), falls()], vec![]),
    ] {
        let told = assess(embedded(), &alert("traffic_drop", "gate"), &facts, &world());
        assert_eq!(blamed(&told), culprit, "{facts:#?}");
    }
}

#[test]
fn data_that_grew_old_is_blamed_on_the_run_that_did_not_succeed() {
    let old = || {
        let said = saw("log.stale_data", thing("Pod", "web-1"), "11:30:00");
        with(by(said, thing("CronJob", "rates")), &[("is_new", "true")])
    };
    let missed = || {
        let none = saw("job.no_success", thing("CronJob", "rates"), "02:00:00");
        with(by(none, thing("Job", "rates-1")), &[("why", "failed")])
    };
    let facts = [old(), missed(), errors("web", "11:30:00"), errors("gate", "11:30:10")];
    let told = assess(embedded(), &alert("high_error_rate", "gate"), &facts, &world());
    assert_eq!(blamed(&told), ["job_failed CronJob n/rates"]);
    // A run that only failed, while nobody complains of its data, is not this trouble.
    let facts = [missed(), errors("web", "11:30:00"), errors("gate", "11:30:10")];
    let told = assess(embedded(), &alert("high_error_rate", "gate"), &facts, &world());
    assert!(blamed(&told).is_empty(), "{:?}", blamed(&told));
}

#[test]
fn severity_is_what_users_meet_at_the_edge() {
    let mismatch = || {
        let seen = saw("service.selector_matches_nothing", thing("Service", "web"), "11:30:00");
        with(seen, &[("selector", "app=x")])
    };
    let calls_fail = |share| {
        let seen = saw("dependency.failing", thing("Service", "web"), "11:30:00");
        let mut seen = by(seen, thing("Service", "gate"));
        (seen.value, seen.baseline) = (Some(share), Some(0.0));
        seen
    };
    let fewer = |now| {
        let mut seen = falls();
        (seen.value, seen.baseline) = (Some(now), Some(50.0));
        seen
    };
    let edited = || saw("ingress.changed", thing("Ingress", "front"), "11:29:30");
    let fine = saw("service.error_ratio_normal", thing("Service", "gate"), "11:30:00");
    for (facts, severity) in [
        // The gate's own answers are not measured: most of its calls fail.
        (vec![mismatch(), calls_fail(0.9)], Severity::P1),
        (vec![mismatch(), calls_fail(0.2)], Severity::P2),
        // They are measured, and the gate does without.
        (vec![mismatch(), calls_fail(0.9), fine], Severity::P2),
        (vec![edited(), fewer(2.0)], Severity::P1),
        (vec![edited(), fewer(30.0)], Severity::P2),
        // Fewer requests of which nobody knows why.
        (vec![fewer(2.0)], Severity::P3),
    ] {
        let told = assess(embedded(), &alert("trouble", "gate"), &facts, &world());
        assert_eq!(told.conclusion.severity, severity, "{facts:#?}");
    }
}
