//! Workloads that are refused, cut off, misrouted or wrongly checked: which object each mechanism
//! blames, and that a check which reports a real failure is not blamed for it.

use super::{alert, assess, blamed, by, edge, embedded, saw, thing, with};
use crate::fact::{Entity, Observation, Relation, RelationKind};

fn pod() -> Entity {
    thing("Pod", "web-1")
}

fn web() -> Entity {
    thing("Deployment", "web")
}

/// The Deployment `web` with its pod and Service, and more edges.
fn around(more: &[Relation]) -> Vec<Relation> {
    let mut edges = vec![
        edge(pod(), RelationKind::OwnedBy, web()),
        edge(thing("Service", "web"), RelationKind::Selects, pod()),
    ];
    edges.extend(more.iter().cloned());
    edges
}

fn failing() -> Observation {
    let mut seen = saw("service.error_ratio_high", thing("Service", "web"), "11:31:00");
    (seen.value, seen.baseline) = (Some(0.4), Some(0.001));
    seen
}

fn short() -> Observation {
    let mut seen = saw("workload.replicas_missing", web(), "11:31:00");
    (seen.value, seen.baseline) = (Some(0.0), Some(2.0));
    seen
}

/// What is seen, how it hangs together, and who is to blame.
type Story = (Vec<Observation>, Vec<Relation>, &'static [&'static str]);

fn policies() -> Vec<Story> {
    let policy = || thing("NetworkPolicy", "closed");
    let denied = |seen| {
        let fact = by(saw("policy.network_denied", policy(), "11:30:00"), web());
        with(fact, &[("seen", seen), ("direction", "ingress"), ("edited", "lately")])
    };
    let edited = saw("policy.changed", policy(), "11:30:00");
    let waits = by(saw("log.timeout", pod(), "11:31:00"), thing("Service", "store"));
    let store = [
        edge(policy(), RelationKind::Governs, thing("Deployment", "store")),
        edge(thing("Service", "store"), RelationKind::Selects, thing("Pod", "store-1")),
        edge(thing("Pod", "store-1"), RelationKind::OwnedBy, thing("Deployment", "store")),
        edge(web(), RelationKind::Calls, thing("Service", "store")),
    ];
    let role = || thing("Role", "reader");
    let refused = by(saw("policy.rbac_forbidden", role(), "11:30:00"), web());
    let refused = with(refused, &[("why", "verb_missing"), ("verb", "list")]);
    let says = saw("log.permission_denied", pod(), "11:31:00");
    let governs = |rule: Entity| around(&[edge(rule, RelationKind::Governs, web())]);
    let hook = || Entity::new("ValidatingWebhookConfiguration", "", "guard");
    let stopped = by(saw("policy.webhook_failed", hook(), "11:30:00"), web());
    let stopped = with(stopped, &[("why", "unreachable"), ("webhook", "pods.guard.example")]);
    vec![
        (
            vec![denied("env,logs"), edited, waits, failing()],
            around(&store),
            &["network_policy_denied NetworkPolicy n/closed"],
        ),
        // A connection that is only named in settings may be closed on purpose.
        (vec![with(denied("env"), &[("edited", "")]), failing()], around(&store), &[]),
        (vec![refused, says, failing()], governs(role()), &["rbac_forbidden Role n/reader"]),
        (
            vec![stopped, short()],
            governs(hook()),
            &["admission_webhook_failure ValidatingWebhookConfiguration guard"],
        ),
    ]
}

fn ways_in() -> Vec<Story> {
    let front = || thing("Ingress", "front");
    let misrouted = with(
        saw("ingress.misrouted", front(), "11:30:00"),
        &[("why", "backend_port"), ("certain", "true")],
    );
    let leads = [edge(front(), RelationKind::Calls, thing("Service", "web"))];
    let secret = || thing("Secret", "web-tls");
    let ended = with(saw("certificate.expired", secret(), "11:30:00"), &[("why", "expired")]);
    let told =
        with(saw("log.tls_failure", thing("Pod", "shop-1"), "11:31:00"), &[("why", "expired")]);
    let told = by(told, thing("Service", "web"));
    let uses = [
        edge(pod(), RelationKind::Uses, secret()),
        edge(thing("Pod", "shop-1"), RelationKind::Calls, thing("Service", "web")),
    ];
    let wrong = with(
        saw("service.port_mismatch", thing("Service", "web"), "11:30:00"),
        &[("certain", "false"), ("target_port", "9090")],
    );
    let ready = saw("service.endpoints_ready", thing("Service", "web"), "11:30:00");
    vec![
        (vec![misrouted, failing()], around(&leads), &["ingress_misconfigured Ingress n/front"]),
        (vec![ended, told], around(&uses), &["tls_certificate_expired Secret n/web-tls"]),
        // A number that is not declared may be open all the same.
        (vec![wrong, ready], around(&[]), &[]),
    ]
}

fn checks() -> Vec<Story> {
    let fails = |fault, why| {
        with(
            saw("container.readiness_failed", pod(), "11:30:00"),
            &[("fault", fault), ("why", why)],
        )
    };
    let unready = saw("container.not_ready", pod(), "11:30:00");
    let refused = by(saw("log.connection_refused", pod(), "11:29:00"), thing("Service", "store"));
    let slow = with(
        saw("container.ended_at_probe_limit", pod(), "11:30:00"),
        &[("probe", "startup"), ("limit", "60"), ("lasted", "61")],
    );
    let config = || thing("ConfigMap", "settings");
    let gone = by(saw("config.key_missing", config(), "11:30:00"), pod());
    let waits = by(saw("container.config_missing", pod(), "11:30:00"), config());
    let edited = saw("config.changed", config(), "11:25:00");
    let uses = [edge(pod(), RelationKind::Uses, config())];
    vec![
        (
            vec![fails("probe", "status"), unready.clone(), short()],
            around(&[]),
            &["failed_readiness_probe Deployment n/web"],
        ),
        // The program says itself that it is not well, and why.
        (vec![fails("program", "status"), unready, refused, short()], around(&[]), &[]),
        (
            vec![slow, saw("container.restarted", pod(), "11:31:00"), short()],
            around(&[]),
            &["failed_liveness_probe Deployment n/web"],
        ),
        (
            vec![waits.clone(), gone.clone(), edited, short()],
            around(&uses),
            &["missing_configmap_or_secret ConfigMap n/settings"],
        ),
        (
            vec![waits, gone, short()],
            around(&uses),
            &["missing_configmap_or_secret Deployment n/web"],
        ),
    ]
}

#[test]
fn what_refuses_cuts_off_or_misroutes_a_workload_is_blamed() {
    for (facts, edges, want) in [policies(), ways_in(), checks()].concat() {
        let told = assess(embedded(), &alert("high_error_rate", "web"), &facts, &edges);
        let signals: Vec<&str> = facts.iter().map(|f| f.signal.as_str()).collect();
        assert_eq!(blamed(&told), want, "{signals:?}");
    }
}

#[test]
fn pods_that_the_servers_own_admission_refuses_are_their_workloads_matter() {
    let refused = |by| with(saw("policy.forbidden", web(), "11:30:00"), &[("by", by)]);
    for (by, want) in
        [("PodSecurity", vec!["admission_webhook_failure Deployment n/web"]), ("", vec![])]
    {
        let facts = [refused(by), short()];
        let told = assess(embedded(), &alert("replicas_missing", "web"), &facts, &around(&[]));
        assert_eq!(blamed(&told), want, "{by}");
    }
}
