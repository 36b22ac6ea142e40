//! What one investigation costs a large cluster. Two clusters differ only in what lies in other
//! namespaces; the work for the alerted one must not.

use std::time::{Duration, Instant};

use agent_proto::v1::Alert;
use agent_tests::{
    control_plane::{ControlPlane, SOON, namespace::Namespace, nodes::condition},
    fleet::{BUNDLED, Fleet},
    live,
    process::resident,
    wait::wait_until,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

/// Requests that one investigation may send, whatever lies elsewhere. Seen: 128.
const REQUESTS: usize = 250;
/// Requests at once while the cluster is filled.
const AT_ONCE: usize = 32;
const LONG: Duration = Duration::from_secs(90);

/// A workload of `replicas` pods that cost nothing.
fn workload(name: &str, replicas: u32) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
        "spec": { "replicas": replicas, "selector": { "matchLabels": { "app": name } },
            "template": { "metadata": { "labels": { "app": name } }, "spec": {
                "tolerations": [{ "key": "kwok.x-k8s.io/node", "operator": "Exists" }],
                "containers": [{ "name": "main", "image": format!("registry.example/{name}:1") }] } } } })
}

fn service(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
        "spec": { "selector": { "app": name }, "ports": [{ "port": 80 }] } })
}

fn event(namespace: &str, number: usize) -> Value {
    let now = "2026-01-01T00:00:00Z";
    json!({ "apiVersion": "v1", "kind": "Event", "metadata": { "name": format!("noise-{number}") },
        "involvedObject": { "kind": "Pod", "namespace": namespace, "name": format!("p-{number}") },
        "type": "Warning", "reason": "BackOff", "message": "Back-off restarting failed container",
        "count": 3, "firstTimestamp": now, "lastTimestamp": now })
}

async fn make(here: &Namespace<'_>, of: &str, objects: impl Iterator<Item = Value>) {
    let path = here.path(of);
    let made = stream::iter(objects)
        .map(async |object| anyhow::Ok(here.api().post(&path, &object).await?.good()?));
    made.buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await.unwrap();
}

/// Fills a namespace with workloads of `pods` pods together, Services and events.
async fn fill(here: &Namespace<'_>, (pods, services, events): (u32, usize, usize)) {
    let deployments = format!("/apis/apps/v1/namespaces/{}/deployments", here.name());
    for number in 0..pods.div_ceil(100) {
        let workload = workload(&format!("filler-{number}"), 100);
        here.api().post(&deployments, &workload).await.unwrap().good().unwrap();
    }
    make(here, "services", (0..services).map(|n| service(&format!("filler-{n}")))).await;
    make(here, "events", (0..events).map(|n| event(here.name(), n))).await;
}

/// Requests of all plugins and the most memory of one of them, bytes, for one investigation.
async fn cost(plane: &ControlPlane, fleet: &mut Fleet, namespace: &str) -> (usize, u64) {
    let mark = plane.audit_mark().unwrap();
    let alert = Alert {
        r#type: "pod_not_ready".to_owned(),
        service: "cart".to_owned(),
        namespace: namespace.to_owned(),
        ..Alert::default()
    };
    let mut client = fleet.client().unwrap();
    client.investigate(alert, LONG).await.unwrap();
    let asked = BUNDLED.iter().map(|p| plane.audit_since(mark, &live::account(p)).unwrap().len());
    let requests = asked.sum();
    // What the kernel calls resident, in bytes.
    let memory = BUNDLED.iter().map(|p| resident(fleet.plugin(p).unwrap().pid()));
    (requests, memory.max().unwrap())
}

#[tokio::test]
async fn one_service_of_a_large_cluster_costs_what_its_namespace_costs() {
    let Some(plane) = ControlPlane::start().await.unwrap() else { return };
    if !plane.start_kwok(100).await.unwrap() {
        return;
    }
    let home = plane.namespace("shop").await.unwrap();
    let deployments = format!("/apis/apps/v1/namespaces/{}/deployments", home.name());
    home.api().post(&deployments, &workload("cart", 5)).await.unwrap().good().unwrap();
    make(&home, "services", std::iter::once(service("cart"))).await;
    // Enough that the cluster counts as large from the start.
    let near = plane.namespace("near").await.unwrap();
    fill(&near, (600, 10, 100)).await;
    ready(&near, 600).await;
    let mut fleet = live::fleet(&plane, "").await.unwrap();
    let small = cost(&plane, &mut fleet, home.name()).await;

    let begun = Instant::now();
    let far = plane.namespace("far").await.unwrap();
    fill(&far, (1400, 490, 19_900)).await;
    ready(&far, 1400).await;
    println!("filled after {:.1?}", begun.elapsed());
    let mut fleet = live::fleet(&plane, "").await.unwrap();
    let large = cost(&plane, &mut fleet, home.name()).await;
    println!(
        "600 pods elsewhere: {} requests, {} bytes; 2,000 pods, 500 Services and 20,000 events: {} \
         requests, {} bytes",
        small.0, small.1, large.0, large.1
    );
    assert!(large.0 <= REQUESTS, "{large:?}");
    assert!(large.0 <= small.0 + 10, "{small:?} {large:?}: what lies elsewhere counts");
    assert!(large.1 <= small.1 * 13 / 10, "{small:?} {large:?}: memory grows with it");
}

async fn ready(here: &Namespace<'_>, wanted: usize) {
    wait_until("pods that are ready", SOON * 4, async || {
        let pods = here.pods("filler").await.map_err(|error| format!("{error:#}"))?;
        let ready = pods.iter().filter(|pod| condition(pod, "Ready") == Some("True")).count();
        if ready >= wanted { Ok(()) } else { Err(format!("{ready} of {}", pods.len())) }
    })
    .await
    .unwrap();
}
