//! Secrets that lie where people put them by mistake come out nowhere.

use std::{fs, path::Path, time::Duration};

use agent_tests::{
    client::decoded,
    control_plane::{ControlPlane, namespace::container},
    fleet::Fleet,
    http::{Message, Receiver},
    live,
};
use serde_json::json;

const LONG: Duration = Duration::from_secs(90);

/// One for each place, in the forms that secrets have; told apart by their ends.
const PLACES: [(&str, &str); 5] = [
    ("environment", "postgres://shop:hunter2environment@db.example:5432/shop"),
    ("configmap", "AKIAIOSFODNN7CONFIGM"),
    ("log", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJsb2cifQ.c2lnbmF0dXJlbG9nbG9nbG9n"),
    ("event", "ghp_eventeventeventeventeventeventeven12"),
    ("annotation", "xoxb-123456789012-annotationannotation"),
];

/// What of a secret must not be seen: the part that proves something.
fn core(secret: &str) -> &str {
    if secret.contains("hunter2") { "hunter2environment" } else { secret }
}

async fn happen(here: &agent_tests::control_plane::namespace::Namespace<'_>) {
    let [(_, environment), (_, config), (_, log), (_, event), (_, annotation)] = PLACES;
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "settings" },
        "data": { "aws_access_key_id": config } });
    here.api().post(&here.path("configmaps"), &map).await.unwrap().good().unwrap();
    let words = ["simulate", "err", &format!("ERROR token={log} was refused"), "exit", "1"];
    let pod = json!({ "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "cart", "labels": { "app": "cart" },
            "annotations": { "example.com/slack-token": annotation } },
        "spec": { "containers": [{ "name": "main", "image": "registry.example/cart:1",
            "command": words, "env": [
                { "name": "DATABASE_URL", "value": environment },
                { "name": "KEY", "valueFrom": { "configMapKeyRef": {
                    "name": "settings", "key": "aws_access_key_id" } } } ] }] } });
    here.api().post(&here.path("pods"), &pod).await.unwrap().good().unwrap();
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let said = json!({ "apiVersion": "v1", "kind": "Event", "metadata": { "name": "said" },
        "involvedObject": { "kind": "Pod", "namespace": here.name(), "name": "cart" },
        "type": "Warning", "reason": "Failed", "count": 9, "firstTimestamp": now,
        "lastTimestamp": now, "message": format!("cannot log in with token {event}") });
    here.api().post(&here.path("events"), &said).await.unwrap().good().unwrap();
    here.pod("cart", "that looped", |pod| {
        container(pod)["restartCount"].as_u64().is_some_and(|count| count > 0)
    })
    .await
    .unwrap();
}

/// All bytes that our programs left in a folder.
fn left_behind(folder: &Path, all: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            left_behind(&path, all);
        } else {
            all.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

/// What a receiver of a template is sent about the investigation `name`, headers and all.
async fn sent(receiver: &mut Receiver, template: &str, name: &str) -> (String, Vec<u8>) {
    let Message { head, body } = receiver.next(LONG).await.unwrap();
    // It is the message that the secrets would be in.
    assert!(body.contains(name) && body.contains("cart"), "{body}");
    (format!("the {template} message to a receiver"), format!("{head}\n{body}").into_bytes())
}

fn receivers(json: &Receiver, slack: &Receiver) -> String {
    let one = |name: &str, port: u16| {
        format!(
            "[[notify.webhooks]]\nname = \"{name}\"\ntemplate = \"{name}\"\n\
             url = \"http://127.0.0.1:{port}/{name}\"\n"
        )
    };
    format!("{}{}", one("json", json.port()), one("slack", slack.port()))
}

#[tokio::test]
async fn a_secret_in_any_place_comes_out_in_no_report_event_message_log_or_file_of_ours() {
    let Some(plane) = ControlPlane::shared_with_node().await.unwrap() else { return };
    let here = plane.namespace("leaks").await.unwrap();
    happen(&here).await;
    let mut json = Receiver::open(0, 0).await.unwrap();
    let mut slack = Receiver::open(0, 0).await.unwrap();
    let config = format!("[log]\nlevel = \"debug\"\n{}", receivers(&json, &slack));
    let fleet: Fleet = live::fleet(plane, &config).await.unwrap();
    let mut client = fleet.client().unwrap();
    let alert = agent_proto::v1::Alert {
        r#type: "pod_crash_looping".to_owned(),
        service: "cart".to_owned(),
        namespace: here.name().to_owned(),
        ..Default::default()
    };
    let found = client.investigate(alert, LONG).await.unwrap();
    let events = client.events(&found.name, 0).await.unwrap();
    let told = format!("{found:?}{:?}", decoded(&events).unwrap());
    // The places were really looked at.
    assert!(told.contains("was refused") && told.contains("cannot log in"), "{told}");
    let mut all = vec![
        ("what clients are told".to_owned(), told.into_bytes()),
        sent(&mut json, "json", &found.name).await,
        sent(&mut slack, "slack", &found.name).await,
    ];
    left_behind(fleet.dir(), &mut all);
    for (place, secret) in PLACES {
        let core = core(secret).as_bytes();
        for (wherever, bytes) in &all {
            let found = bytes.windows(core.len()).any(|window| window == core);
            assert!(!found, "the secret of the {place} is in {wherever}");
        }
    }
    // All that was sent has been looked at.
    assert!(json.is_quiet() && slack.is_quiet());
}
