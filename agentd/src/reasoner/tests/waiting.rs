//! Workloads that wait for volumes, quotas, nodes, images, autoscalers and runs: which object each
//! mechanism blames, told by the documents of the catalogue.

use super::{alert, assess, blamed, by, edge, embedded, saw, thing, with};
use crate::fact::{Entity, Observation, Relation, RelationKind};

fn node(name: &str) -> Entity {
    Entity::new("Node", "", name)
}

fn pod() -> Entity {
    thing("Pod", "web-1")
}

/// The Deployment `web` with its pod and Service, and one more edge.
fn web(more: Relation) -> Vec<Relation> {
    vec![
        edge(pod(), RelationKind::OwnedBy, thing("Deployment", "web")),
        edge(thing("Service", "web"), RelationKind::Selects, pod()),
        more,
    ]
}

fn short() -> Observation {
    let mut seen = saw("workload.replicas_missing", thing("Deployment", "web"), "11:31:00");
    (seen.value, seen.baseline) = (Some(1.0), Some(3.0));
    seen
}

/// What is seen, how it hangs together, and who is to blame.
type Story = (Vec<Observation>, Vec<Relation>, &'static str);

fn volumes() -> Vec<Story> {
    let claim = || thing("PersistentVolumeClaim", "data");
    let waits = || with(saw("pod.unschedulable", pod(), "11:30:00"), &[("why", "volume")]);
    let pending = |why| {
        with(saw("storage.claim_pending", claim(), "11:30:00"), &[("class", "quick"), ("why", why)])
    };
    let uses = || web(edge(pod(), RelationKind::Uses, claim()));
    let mut made = uses();
    let maker = || thing("Deployment", "maker");
    made.push(edge(claim(), RelationKind::Uses, maker()));
    made.push(edge(pod(), RelationKind::Uses, maker()));
    let down = with(saw("storage.provisioner_down", maker(), "11:00:00"), &[("class", "quick")]);
    let held = with(saw("storage.attach_failed", pod(), "11:30:00"), &[("why", "multi_attach")]);
    vec![
        (
            vec![pending("class_missing"), waits(), short()],
            uses(),
            "pvc_pending PersistentVolumeClaim n/data",
        ),
        (
            vec![pending("waits_for_provisioner"), waits(), down, short()],
            made,
            "pvc_pending Deployment n/maker",
        ),
        (vec![held, short()], uses(), "pvc_pending Deployment n/web"),
    ]
}

fn rules() -> Vec<Story> {
    let quota = || thing("ResourceQuota", "team");
    let full = by(saw("policy.quota_exceeded", quota(), "11:30:00"), thing("Deployment", "web"));
    let full =
        with(full, &[("why", "exceeded"), ("resource", "pods"), ("used", "9"), ("hard", "9")]);
    let governs = |rule: Entity| web(edge(rule, RelationKind::Governs, thing("Deployment", "web")));
    let scaler = || thing("HorizontalPodAutoscaler", "web");
    // Blind for hours; today's load brings it to light.
    let blind = with(
        saw("policy.hpa_no_metrics", scaler(), "02:00:00"),
        &[("lasting", "true"), ("why", "requests_missing"), ("metric", "cpu")],
    );
    let slow = saw("service.latency_high", thing("Service", "web"), "11:35:00");
    vec![
        (vec![full, short()], governs(quota()), "quota_exceeded ResourceQuota n/team"),
        (vec![blind, slow], governs(scaler()), "hpa_misconfigured HorizontalPodAutoscaler n/web"),
    ]
}

fn nodes() -> Vec<Story> {
    let runs = || web(edge(pod(), RelationKind::RunsOn, node("a")));
    let why = |why| with(saw("pod.unschedulable", pod(), "11:30:00"), &[("why", why)]);
    let lost = by(saw("pod.lost", pod(), "11:30:00"), node("a"));
    let silent = saw("node.unreachable", node("a"), "11:29:00");
    vec![
        (vec![silent, lost, short()], runs(), "node_not_ready Node a"),
        (vec![why("resources"), short()], runs(), "unschedulable_resources Deployment n/web"),
        (
            vec![why("taint,affinity"), short()],
            runs(),
            "unschedulable_taint_or_affinity Deployment n/web",
        ),
    ]
}

fn images() -> Vec<Story> {
    let failed = |why, state| {
        with(
            saw("container.image_pull_failed", pod(), "11:30:00"),
            &[("why", why), ("secret_state", state)],
        )
    };
    let secret = || thing("Secret", "pull");
    let registry = || Entity::new("External", "", "r.example");
    vec![
        (
            vec![failed("not_found", "none"), short()],
            web(edge(pod(), RelationKind::Uses, secret())),
            "image_pull_failure Deployment n/web",
        ),
        (
            vec![by(failed("unauthorized", "present"), secret()), short()],
            web(edge(pod(), RelationKind::Uses, secret())),
            "image_pull_failure Secret n/pull",
        ),
        (
            vec![by(failed("unreachable", "none"), registry()), short()],
            web(edge(pod(), RelationKind::Calls, registry())),
            "image_pull_failure External r.example",
        ),
    ]
}

#[test]
fn what_a_workload_waits_for_is_blamed() {
    for (facts, relations, culprit) in [volumes(), rules(), nodes(), images()].concat() {
        let told = assess(embedded(), &alert("replicas_missing", "web"), &facts, &relations);
        assert_eq!(blamed(&told), [culprit]);
    }
}

#[test]
fn a_run_that_hangs_is_blamed_for_the_runs_that_do_not_start() {
    let hangs = thing("Job", "tidy-1");
    let schedule = thing("CronJob", "tidy");
    let facts = [
        with(
            by(saw("job.missed", schedule.clone(), "11:00:00"), hangs.clone()),
            &[("why", "blocked")],
        ),
        saw("job.running_long", hangs.clone(), "09:00:00"),
    ];
    let owned = [edge(hangs, RelationKind::OwnedBy, schedule)];
    let told = assess(embedded(), &alert("job_missed", "tidy"), &facts, &owned);
    assert_eq!(blamed(&told), ["job_failed Job n/tidy-1"]);
}

#[test]
fn an_autoscaler_that_works_and_a_quota_with_room_are_not_blamed() {
    let scaler = thing("HorizontalPodAutoscaler", "web");
    let governs = web(edge(scaler.clone(), RelationKind::Governs, thing("Deployment", "web")));
    let facts = [
        saw("policy.hpa_ok", scaler.clone(), "08:00:00"),
        with(
            saw("policy.hpa_no_metrics", scaler, "08:00:00"),
            &[("lasting", ""), ("why", "no_samples")],
        ),
        saw("service.latency_high", thing("Service", "web"), "11:35:00"),
    ];
    let told = assess(embedded(), &alert("slow", "web"), &facts, &governs);
    assert!(blamed(&told).is_empty(), "{:?}", blamed(&told));
}
