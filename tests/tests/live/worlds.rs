//! The incidents that investigations are measured on really happen.

use std::time::Instant;

use agent_tests::{
    control_plane::ControlPlane,
    worlds::{Incident, World},
};
use futures_util::future::join_all;

#[tokio::test]
async fn eight_incidents_happen_beside_each_other_and_show_as_the_cluster_tells_them() {
    let Some(plane) = ControlPlane::shared_with_node().await.unwrap() else { return };
    let begun = Instant::now();
    let apart = Incident::ALL.into_iter().filter(|incident| incident.stays_in_its_namespace());
    let shown = join_all(apart.map(async |incident| {
        let world = World::create(plane, incident).await?;
        let made = begun.elapsed();
        let seen = world.visible().await?;
        println!("{incident:?}: made after {made:.1?}, shows after {:.1?}", begun.elapsed());
        anyhow::Ok((world.truth, seen))
    }))
    .await;
    assert_eq!(shown.len(), 8);
    for shown in shown {
        let (truth, seen) = shown.unwrap();
        assert!(!truth.alert().service.is_empty() && !seen.is_null());
    }
}

#[tokio::test]
async fn a_node_whose_kubelet_dies_is_lost_with_its_pods() {
    let Some(plane) = ControlPlane::start().await.unwrap() else { return };
    if !agent_tests::control_plane::nodes::can_run_kubelets() {
        return;
    }
    plane.start_kubelet(agent_tests::control_plane::nodes::NODE).await.unwrap();
    let begun = Instant::now();
    let world = World::create(&plane, Incident::NodeLost).await.unwrap();
    let node = world.visible().await.unwrap();
    println!("shows after {:.1?}", begun.elapsed());
    assert_eq!(node["metadata"]["name"], agent_tests::worlds::LOST);
    assert_eq!(world.truth.culprit.unwrap().kind, "Node");
}
