//! Readiness probes that ask the wrong thing: the program is well, and gets no traffic.

use serde_json::{Value, json};

use super::Tale;
use crate::incidents::{
    clock::{MIN, NOW, Sec},
    cluster::Cluster,
    drawn::newer,
    traffic::Id,
    truth::Truth,
    voice::Level,
    workload::{Pod, Saying},
};

pub(super) const FORMS: &[(&str, Tale)] =
    &[("asks_the_wrong_door", asks_the_wrong_door), ("command_not_in_image", command_not_in_image)];

/// The new pods run and are never ready.
fn waits(pod: &mut Pod) {
    pod.ready_from = Sec::MAX;
}

/// What the kubelet says of each of `pods` at every try.
fn unhealthy(cluster: &mut Cluster, id: Id, pods: &[Pod], said: impl Fn(&Pod) -> String) {
    for pod in pods {
        cluster.warn_pod(id, pod, ("Unhealthy", said(pod)), (pod.created + 16, 10));
    }
}

fn hello(cluster: &mut Cluster, id: Id, revision: usize, pods: &[Pod]) {
    let port = cluster[id].port;
    for pod in pods {
        let text = format!("started, accepting connections on 0.0.0.0:{port}");
        let mut saying = Saying::new(pod.created + 5, 0, Level::Info, &text);
        (saying.pod, saying.revision) = (Some(pod.name.clone()), Some(revision));
        cluster[id].sayings.push(saying);
    }
}

/// What a probe asks for in vain.
struct Door {
    by_path: bool,
    path: &'static str,
    port: i64,
}

fn wrong_door(cluster: &mut Cluster, id: Id) -> Door {
    let by_path = cluster.dice.chance(0.5);
    let path = cluster.dice.pick(&[
        "/healthy",
        "/readyz",
        "/internal/ready",
        "/status/ready",
        "/api/health",
    ]);
    let port = cluster.dice.pick(&[8081, 8082, 15_020, 8086]);
    if by_path {
        Door { by_path, path, port: cluster[id].port }
    } else {
        Door { by_path, path: cluster.habits.probe, port }
    }
}

/// What the kubelet and the program say of a probe at the wrong door.
fn knocks(cluster: &mut Cluster, id: Id, door: &Door, pods: &[Pod]) {
    let Door { by_path, path, port } = door;
    unhealthy(cluster, id, pods, |pod| {
        if *by_path {
            "Readiness probe failed: HTTP probe failed with statuscode: 404".to_owned()
        } else {
            format!(
                "Readiness probe failed: Get \"http://{0}:{port}{path}\": dial tcp {0}:{port}: connect: connection refused",
                pod.ip
            )
        }
    });
    let revision = cluster[id].revisions.len() - 1;
    hello(cluster, id, revision, pods);
    if let (true, Some(first)) = (by_path, pods.first()) {
        let line = format!("GET {path} 404 {{ms}}ms agent=\"kube-probe/1.31\"");
        let mut saying = Saying::new(first.created + 16, 10, Level::Info, &line);
        saying.revision = Some(revision);
        cluster[id].sayings.push(saying);
    }
}

/// A release changed the probe to a path that the program does not have, or to a port where it
/// does not listen. The rollout waits; the old pods serve.
fn asks_the_wrong_door(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let app = cluster.app(hops);
    let id = app.last();
    cluster.programmed(id);
    let at = cluster.minutes_ago(13, 50);
    let door = wrong_door(cluster, id);
    let bumped = cluster.dice.chance(0.5);
    let places = cluster.stick(
        id,
        at,
        |template| {
            let get = template.readiness.as_mut().and_then(|probe| probe.pointer_mut("/httpGet"));
            if let Some(Value::Object(get)) = get {
                get.insert("path".into(), json!(door.path));
                get.insert("port".into(), json!(door.port));
            }
            if bumped {
                template.tag = newer(&template.tag);
            }
        },
        waits,
    );
    let pods = cluster.pods_at(id, &places);
    knocks(cluster, id, &door, &pods);
    let name = cluster[id].name.clone();
    let wrong = if door.by_path {
        format!("path {}, which answers 404", door.path)
    } else {
        format!("port {}, where nobody listens", door.port)
    };
    cluster.lacks.logs = cluster.dice.chance(0.3);
    let alert =
        cluster.dice.pick(&["rollout_stuck", "deployment_replicas_mismatch", "pod_not_ready"]);
    let truth = Truth::new(cluster, alert, id, cluster.reference(id)).accept(cluster.parts(id));
    let truth = if bumped { truth.or_category(&["bad_deploy_regression"]) } else { truth };
    truth
        .claimed("warning")
        .told(
            "New pods run and are never ready",
            &format!("The rollout of {name} makes no progress since {} minutes.", -at / MIN),
            &format!("The readiness probe of the new revision of {name} asks {wrong}: its pods run well and never become ready. The old pods go on serving."),
        )
        .rated("easy", "P3")
        .mention(&["readiness", "probe", "not ready"])
        .mention(&[door.path, &door.port.to_string(), "404", "connection refused", "port", "path"])
        .not_claim(&["OOM", "crash loop", "image pull", "dns failure", "network policy"])
}

/// A probe runs a command that the image does not have. The rollout waited behind the old pods
/// until these were lost; now nobody is ready. A caller's release is innocent.
fn command_not_in_image(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let (id, gate) = (app.last(), app.gate());
    let port = cluster[id].port;
    let program = cluster.dice.pick(&["curl", "wget", "grpc_health_probe", "nc"]);
    let arguments: Vec<String> = match program {
        "curl" => vec!["-fsS".to_owned(), format!("http://127.0.0.1:{port}/ready")],
        "wget" => vec!["-qO-".to_owned(), format!("http://127.0.0.1:{port}/ready")],
        "nc" => vec!["-z".to_owned(), "127.0.0.1".to_owned(), port.to_string()],
        _ => vec![format!("-addr=127.0.0.1:{port}")],
    };
    let lost = cluster.minutes_ago(7, 30);
    let at = lost - cluster.dice.between(12 * MIN, 160 * MIN);
    let mut command = vec![program.to_owned()];
    command.extend(arguments);
    cluster.stick(
        id,
        at,
        |template| {
            template.readiness = Some(
                json!({"exec": {"command": command}, "initialDelaySeconds": 5, "timeoutSeconds": 2,
                "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}),
            );
        },
        waits,
    );
    let revision = cluster[id].revisions.len() - 1;
    for pod in
        cluster[id].pods.iter_mut().filter(|pod| pod.revision < revision && pod.gone.is_none())
    {
        pod.gone = Some(lost);
    }
    while cluster[id].present().count() < cluster[id].replicas {
        let workload = cluster[id].clone();
        let mut pod = cluster.pod(&workload, workload.present().count(), revision, lost + 1);
        waits(&mut pod);
        cluster[id].pods.push(pod);
    }
    let pods: Vec<Pod> = cluster[id].present().cloned().collect();
    unhealthy(cluster, id, &pods, |_| {
        format!(
            "Readiness probe errored and resulted in unknown state: rpc error: code = Unknown desc = failed to exec in container: failed to start exec: OCI runtime exec failed: exec failed: unable to start container process: exec: \"{program}\": executable file not found in $PATH: unknown"
        )
    });
    hello(cluster, id, revision, &pods);
    let released = (lost - cluster.dice.between(100, 500)).min(NOW);
    cluster.roll(app.caller(), released, |template| template.tag = newer(&template.tag));
    let name = cluster[id].name.clone();
    Truth::new(cluster, "high_error_rate", gate, cluster.reference(id))
        .accept(cluster.parts(id))
        .told(
            "A probe runs a command that is not there",
            &format!("{} answers with errors since about {} minutes.", cluster[gate].called(), -lost / MIN),
            &format!("The readiness probe of {name} runs {program}, which its image does not have: no pod of the new revision becomes ready, and since the old ones are gone nothing serves behind {}.", cluster[id].called()),
        )
        .rated(if hops > 1 { "hard" } else { "medium" }, cluster.effect(gate))
        .mention(&["readiness", "probe", "not ready"])
        .mention(&[program, "executable file not found", "exec", &name])
        .not_claim(&["OOM", "crash loop", "image pull", "dns failure", "network policy"])
        .or_category(&["bad_deploy_regression"])
}
