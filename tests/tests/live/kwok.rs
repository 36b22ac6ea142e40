//! Many nodes and pods that cost nothing, by kwok.

use std::time::Instant;

use agent_tests::{
    control_plane::{ControlPlane, SOON, nodes::condition},
    wait::wait_until,
};

const MANY: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: many, namespace: NAMESPACE }
spec:
  replicas: 50
  selector: { matchLabels: { app: many } }
  template:
    metadata: { labels: { app: many } }
    spec:
      tolerations: [{ key: kwok.x-k8s.io/node, operator: Exists }]
      containers: [{ name: many, image: registry.example/many:1 }]
";

#[tokio::test]
async fn fifty_nodes_of_kwok_run_fifty_pods() {
    let Some(plane) = ControlPlane::start().await.unwrap() else { return };
    let begun = Instant::now();
    if !plane.start_kwok(50).await.unwrap() {
        return;
    }
    let nodes = begun.elapsed();
    let here = plane.namespace("many").await.unwrap();
    here.apply(MANY).await.unwrap();
    wait_until("50 pods that are ready", SOON, async || {
        let pods = here.pods("many").await.map_err(|error| format!("{error:#}"))?;
        let ready = pods.iter().filter(|pod| condition(pod, "Ready") == Some("True")).count();
        if ready == 50 { Ok(()) } else { Err(format!("{ready} of {}", pods.len())) }
    })
    .await
    .unwrap();
    println!("50 nodes after {nodes:.1?}, 50 pods after {:.1?}", begun.elapsed());
}
