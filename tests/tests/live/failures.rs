//! Sources that fail in the middle: the investigation goes on with what there is, and says what
//! it could not see.

use std::time::Duration;

use agent_proto::v1::Investigation;
use agent_tests::{
    client::Client,
    control_plane::{ControlPlane, nodes},
    fleet::BUNDLED,
    live,
    wait::wait_until,
    worlds::{Incident, World},
};

const LONG: Duration = Duration::from_secs(90);

fn gaps(found: &Investigation) -> Vec<String> {
    let gaps = found.report.clone().unwrap_or_default().gaps;
    gaps.into_iter()
        .map(|gap| format!("{}: {}", gap.subject, gap.failure.unwrap_or_default().message))
        .collect()
}

/// An investigation at its end.
async fn ended(client: &mut Client, name: &str) -> Investigation {
    wait_until("the end of the investigation", LONG, async || {
        let now = client.get(name).await.map_err(|refusal| format!("{refusal:?}"))?;
        if now.end_time.is_some() { Ok(now) } else { Err(format!("{now:?}")) }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn an_api_server_that_dies_in_the_middle_is_waited_for_or_becomes_a_gap() {
    let Some(plane) = ControlPlane::start().await.unwrap() else { return };
    if !nodes::can_run_kubelets() {
        return;
    }
    plane.start_kubelet(nodes::NODE).await.unwrap();
    let world = World::create(&plane, Incident::OomLoop).await.unwrap();
    world.visible().await.unwrap();
    let mut fleet = live::fleet(&plane, "").await.unwrap();
    let mut client = fleet.client().unwrap();

    // It comes back within what a call waits: the cause is found all the same.
    let begun = client.investigate(world.truth.alert(), Duration::ZERO).await.unwrap();
    wait_until("that a tool is asked", LONG, async || {
        let now = client.get(&begun.name).await.map_err(|refusal| format!("{refusal:?}"))?;
        if now.last_sequence > 3 { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await
    .unwrap();
    plane.kill_apiserver().await.unwrap();
    plane.start_apiserver().await.unwrap();
    let found = ended(&mut client, &begun.name).await;
    let causes = found.report.clone().unwrap_or_default().root_causes;
    let unseen = gaps(&found).into_iter().filter(|gap| gap.contains("no answer")).count();
    assert!(
        causes.first().is_some_and(|c| c.category == world.truth.category) || unseen > 0,
        "neither the cause nor a gap of the API server: {found:#?}"
    );

    // It stays away: the report says so, for each thing that was not seen, and names no cause.
    // Plugins that have just begun hold nothing that was read before.
    plane.kill_apiserver().await.unwrap();
    fleet.kill_plugins();
    for plugin in BUNDLED {
        live::start_plugin(&mut fleet, plugin, live::kubeconfig(&plane, plugin)).unwrap();
    }
    fleet.ready(&BUNDLED).await.unwrap();
    let found = client.investigate(world.truth.alert(), LONG).await.unwrap();
    let report = found.report.clone().unwrap_or_default();
    assert!(report.root_causes.is_empty(), "{:#?}", report.root_causes);
    let said = gaps(&found).join("\n");
    for source in ["pods", "events"] {
        assert!(said.contains(source), "{source} is no gap of\n{said}");
    }
    assert!(said.contains("no answer"), "{said}");

    plane.start_apiserver().await.unwrap();
    plane.node_heard_of(nodes::NODE, jiff::Timestamp::now()).await.unwrap();
    world.visible().await.unwrap();
    let found = client.investigate(world.truth.alert(), LONG).await.unwrap();
    let causes = found.report.clone().unwrap_or_default().root_causes;
    assert!(
        causes.first().is_some_and(|c| c.category == world.truth.category),
        "not seen once it is back: {causes:#?}, {:#?}",
        gaps(&found)
    );
}

#[tokio::test]
async fn plugins_without_rights_say_which_ones_are_missing() {
    let Some(plane) = ControlPlane::shared_with_node().await.unwrap() else { return };
    let mut fleet = agent_tests::fleet::Fleet::start("").await.unwrap();
    let kubeconfig = plane.kubeconfig_without_rights().unwrap();
    for plugin in BUNDLED {
        live::start_plugin(&mut fleet, plugin, kubeconfig.clone()).unwrap();
    }
    fleet.ready(&BUNDLED).await.unwrap();
    let alert = agent_proto::v1::Alert {
        r#type: "pod_crash_looping".to_owned(),
        service: "cart".to_owned(),
        namespace: "default".to_owned(),
        ..Default::default()
    };
    let found = fleet.client().unwrap().investigate(alert, LONG).await.unwrap();
    let said = gaps(&found).join("\n");
    for right in ["k8s:pods/list", "k8s:events/list"] {
        assert!(said.contains(right), "{right} is not named in\n{said}");
    }
    assert!(found.report.unwrap_or_default().root_causes.is_empty());
}
