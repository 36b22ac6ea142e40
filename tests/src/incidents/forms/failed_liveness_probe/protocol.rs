//! Probes in a protocol that the program does not speak.

use serde_json::json;

use super::probe_events;
use crate::incidents::{
    cluster::Cluster, drawn::newer, mishap::crashes_since, truth::Truth, voice::Level,
};

/// A release asks over gRPC whether the program lives, which does not have that service: every
/// new container is ended after a while, though it serves. The old pods go on.
pub(super) fn asks_in_another_protocol(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let id = app.path.get(1).copied().unwrap_or(app.gate());
    cluster.programmed(id);
    let at = cluster.minutes_ago(17, 50);
    let (tag, port) = (newer(&cluster[id].template().tag), cluster[id].port);
    let (delay, period, failures) = (10, cluster.dice.pick(&[5, 10]), 3);
    let run = delay + period * failures;
    let http = cluster.dice.chance(0.5);
    cluster[id].crash = vec![
        (Level::Info, format!("listening on 0.0.0.0:{port}"), Vec::new()),
        (Level::Info, "received SIGTERM, draining connections".to_owned(), Vec::new()),
        (Level::Info, "shutdown complete".to_owned(), Vec::new()),
    ];
    cluster.stick(
        id,
        at,
        |template| {
            template.tag.clone_from(&tag);
            let probe = |initial: i64| json!({"grpc": {"port": port, "service": ""}, "initialDelaySeconds": initial,
                "timeoutSeconds": 1, "periodSeconds": period, "successThreshold": 1, "failureThreshold": failures});
            template.liveness = Some(probe(delay));
            template.readiness = Some(probe(3));
        },
        |pod| crashes_since(pod, (pod.created + 3, run), (0, "Completed")),
    );
    let said = if http {
        "error: health rpc probe failed: rpc error: code = Unavailable desc = connection error: desc = \"error reading server preface: http2: frame too large\"".to_owned()
    } else {
        "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): unknown service grpc.health.v1.Health".to_owned()
    };
    probe_events(cluster, id, |_| said.clone(), (failures, period));
    cluster.crash_events(id);
    for pod in cluster[id].clone().present().filter(|pod| !pod.runs.is_empty()) {
        let message = format!("Readiness probe failed: {said}");
        cluster.warn_pod(id, pod, ("Unhealthy", message), (pod.created + 6, 12));
    }
    if let Some(&side) = app.sides.first() {
        cluster.roll(side, at + 140, |template| template.tag = newer(&template.tag));
    }
    let name = cluster[id].name.clone();
    let alert = cluster.dice.pick(&["KubePodCrashLooping", "KubePodNotReady", "rollout_stuck"]);
    Truth::new(cluster, alert, id, cluster.reference(id))
        .accept(cluster.parts(id))
        .claimed("warning")
        .told(
            "A probe in another protocol",
            &format!("A pod of {}/{name} has been in a non-ready state for longer than 15 minutes.", cluster.home()),
            &format!("The newest revision of {name} probes over gRPC, for which the program has no health service; the kubelet ends every new container though it runs well, and the old pods serve."),
        )
        .rated("medium", "P3")
        .mention(&["liveness", "probe"])
        .mention(&["grpc", "health"])
        .not_claim(&["OOM", "image pull", "network policy", "missing configmap", "out of memory"])
}
