//! The ways in and what comes by them: Ingresses, certificates at the edge, Services before
//! workloads without pods, data that runs bring. Which object each mechanism blames, told by the
//! documents of the catalogue.

use super::{alert, assess, blamed, edge, embedded, saw, thing};
use crate::fact::{Entity, Observation, Relation, RelationKind};

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
