//! The contract that plugins are held to: what was looked at is what is called, what is asked arrives
//! as it was asked, and who breaks the rules harms nobody but themselves.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    process::Command,
    time::Duration,
};

use agent_proto::{
    tool::v1::{
        self as tool, plugin_registry_service_client::PluginRegistryServiceClient,
        register_request::Transport,
    },
    v1::{self, event::Payload},
};
use agent_tests::{
    build,
    client::{Client, decoded},
    fleet::{BUNDLED, Fleet, SHORT_LEASES, SOON},
    http,
    process::{self, Ended},
    staged::Staged,
    told::{in_short, is_true, report},
    wait::wait_until,
};
use serde_json::{Value, json};
use tonic::Code;

use crate::LONG;

fn echo() -> Command {
    let mut command = Command::new(build::programs().unwrap().join("echo_plugin"));
    command.arg("echo");
    command
}

async fn agentd(fleet: &Fleet, arguments: &[&str]) -> Ended {
    let mut command = Command::new(build::programs().unwrap().join("agentd"));
    command.args(arguments).env("AGENTD_URL", fleet.url());
    process::run(command, LONG).await.unwrap()
}

async fn status(client: &mut Client, name: &str) -> Option<v1::ToolInfo> {
    let tools = client.tools().await.unwrap();
    tools.into_iter().find(|tool| tool.name == format!("tools/{name}"))
}

#[tokio::test]
async fn a_tool_that_changed_is_not_called_until_a_person_has_accepted_what_it_is_now() {
    let mut fleet = Fleet::start(SHORT_LEASES).await.unwrap();
    fleet.start_stranger("before", echo()).unwrap();
    fleet.ready(&["echo"]).await.unwrap();
    fleet.drain_plugin("before").await.unwrap();
    // The same version, asked on every alert now.
    let template = fleet.dir().join("template.json");
    std::fs::write(&template, r#"{"value":"{service}"}"#).unwrap();
    let mut changed = echo();
    changed.arg(&template);
    fleet.start_stranger("after", changed).unwrap();
    let mut client = fleet.client().unwrap();
    let waiting = wait_until("the changed tool", SOON, async || {
        let found = status(&mut client.clone(), "echo.echo").await;
        found.filter(|tool| tool.ready_instances == 1).ok_or_else(|| "not there".to_owned())
    });
    let waiting = waiting.await.unwrap();
    assert_eq!(waiting.status(), v1::ToolStatus::Quarantined);
    let answer = client.call_tool("echo.echo", &json!({})).await;
    assert!(answer.is_err() || answer.unwrap().failure.is_some(), "it was called");
    let metrics = http::ask(fleet.http(), "/metrics", None).await.unwrap().body;
    assert!(metrics.contains("agentd_tools{standing=\"quarantined\"} 1"), "{metrics}");

    let why = agentd(&fleet, &["tools", "why", "echo.echo"]).await.stdout;
    for word in ["quarantined", "applies", "agentd tools accept echo.echo"] {
        assert!(why.contains(word), "{word} is not told:\n{why}");
    }
    let digest = waiting.r#ref.unwrap().digest;
    let stale = agentd(&fleet, &["tools", "accept", "echo.echo", "sha256:0"]).await;
    assert_eq!(stale.status.code(), Some(1), "{}{}", stale.stdout, stale.stderr);
    let accepted = agentd(&fleet, &["tools", "accept", "echo.echo", &digest]).await;
    assert_eq!(accepted.stdout, "echo.echo is active\n", "{}", accepted.stderr);
    let called = agentd(&fleet, &["tools", "call", "echo.echo", r#"{"value":7}"#]).await;
    assert!(called.stdout.contains("\"value\": 7"), "{}{}", called.stdout, called.stderr);

    // What was decided outlives the daemon.
    fleet.kill_daemon().unwrap();
    fleet.start_daemon().await.unwrap();
    fleet.ready(&["echo"]).await.unwrap();
    let mut client = fleet.client().unwrap();
    assert_eq!(status(&mut client, "echo.echo").await.unwrap().status(), v1::ToolStatus::Active);
    let off = agentd(&fleet, &["tools", "disable", "echo.echo", "--reason", "too chatty"]).await;
    assert_eq!(off.stdout, "echo.echo is disabled\n", "{}", off.stderr);
    let called = agentd(&fleet, &["tools", "call", "echo.echo"]).await;
    assert_eq!(called.status.code(), Some(1), "{}", called.stdout);
    let on = agentd(&fleet, &["tools", "enable", "echo.echo"]).await;
    assert_eq!(on.stdout, "echo.echo is active\n", "{}", on.stderr);
    let told = agentd(&fleet, &["tools", "watch", "--once"]).await.stdout;
    for word in ["registered", "takes calls", "too chatty", "may be called"] {
        assert!(told.contains(word), "{word} is not told:\n{told}");
    }
}

#[tokio::test]
async fn what_stays_true_is_asked_for_once_by_many_and_counted() {
    let mut fleet = Fleet::start(SHORT_LEASES).await.unwrap();
    fleet.start_stranger("echo", echo()).unwrap();
    fleet.ready(&["echo"]).await.unwrap();
    let client = fleet.client().unwrap();
    // Long enough that all ask before the first is answered; later ones would be answered the same.
    let ask = json!({"millis": 200});
    let asked = (0..20).map(|_| {
        let (mut client, ask) = (client.clone(), &ask);
        async move { client.call_tool("echo.count", ask).await.unwrap() }
    });
    for answer in futures_util::future::join_all(asked).await {
        let result = answer.result.as_ref().map(|result| result.result_json.as_str());
        assert_eq!(result, Some(r#"{"asked":1}"#), "{answer:?}");
    }
    // Another question is another result.
    let other = client.clone().call_tool("echo.count", &json!({"millis": 0})).await.unwrap();
    assert_eq!(other.result.unwrap().result_json, r#"{"asked":2}"#);

    let metrics = http::ask(fleet.http(), "/metrics", None).await.unwrap().body;
    for line in [
        r#"agentd_cache_hits_total{cache="results"} 19"#,
        r#"agentd_tools{standing="active"} 2"#,
        r#"agentd_plugin_instances{plugin="echo",state="ready"} 1"#,
    ] {
        assert!(metrics.lines().any(|told| told == line), "{line} is not in\n{metrics}");
    }
}

/// What is hard to pass on unchanged: a number beyond what a double holds, letters of four bytes,
/// control characters, and much of it.
fn hard(padding: usize) -> Value {
    json!({"id": 9_007_199_254_740_993_i64, "low": i64::MIN, "high": u64::MAX,
           "text": "𝄞 🧨 \u{1}\u{7f}\u{2028} \"\\/ ü", "padding": "x".repeat(padding)})
}

#[tokio::test]
async fn arguments_go_through_plan_call_event_and_replay_unchanged() {
    let mut fleet = Fleet::start(SHORT_LEASES).await.unwrap();
    let template = fleet.dir().join("template.json");
    // As large as arguments may be.
    let empty = json!({"value": hard(0)}).to_string().len();
    let wanted = json!({"value": hard(256 * 1024 - empty)});
    assert_eq!(wanted.to_string().len(), 256 * 1024);
    std::fs::write(&template, wanted.to_string()).unwrap();
    let ledger = fleet.dir().join("heard");
    let mut plugin = echo();
    plugin.arg(&template).arg(&ledger);
    fleet.start_stranger("echo", plugin).unwrap();
    fleet.ready(&["echo"]).await.unwrap();
    let mut client = fleet.client().unwrap();
    let alert = v1::Alert { service: "cart".to_owned(), ..v1::Alert::default() };
    let found = client.investigate(alert, LONG).await.unwrap();
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let events = client.events(&found.name, 0).await.unwrap();
    let planned = decoded(&events).unwrap().into_iter().find_map(|event| match event.payload {
        Some(Payload::PlanUpdated(plan)) => Some(plan.steps),
        _ => None,
    });
    assert_eq!(read(&planned.unwrap()[0].arguments_json), wanted, "the plan");
    let started = decoded(&events).unwrap().into_iter().find_map(|event| match event.payload {
        Some(Payload::ToolCallStarted(call)) => Some(call.arguments_json),
        _ => None,
    });
    assert_eq!(read(&started.unwrap()), wanted, "the event");
    fleet.kill_daemon().unwrap();
    fleet.start_daemon().await.unwrap();
    let again = fleet.client().unwrap().events(&found.name, 0).await.unwrap();
    assert_eq!(again, events, "the replay after a restart, byte for byte");

    // What the plugin heard comes back, by hand and from the investigation, whole or as its hash.
    let mut hasher = DefaultHasher::new();
    wanted["value"].to_string().hash(&mut hasher);
    let hash = format!("{:016x}", hasher.finish());
    let heard = std::fs::read_to_string(&ledger).unwrap();
    assert_eq!(heard, format!("{}\n", wanted["value"]), "what the tool was asked");
    fleet.ready(&["echo"]).await.unwrap();
    let mut client = fleet.client().unwrap();
    let small = json!({"value": hard(1000)});
    for (asked, key, comes_back) in
        [(&small, "value", small["value"].clone()), (&wanted, "hash", json!(hash))]
    {
        let answer = client.call_tool("echo.echo", asked).await.unwrap();
        let result = answer.result.unwrap_or_else(|| panic!("{:?}", answer.failure));
        assert_eq!(read(&result.result_json)[key], comes_back);
    }
    let beyond = json!({"value": hard(256 * 1024)});
    let refused = client.call_tool("echo.echo", &beyond).await.unwrap().failure.unwrap();
    assert_eq!((refused.code, refused.violations[0].reason.as_str()), (3, "TOO_LARGE"));
}

/// A daemon with the bundled plugins, and how much memory it holds.
async fn bundled() -> (Staged, Fleet, u64) {
    let staged = Staged::bundled().unwrap();
    let config = "[investigation]\nmax_duration = \"30s\"\n";
    let mut fleet = Fleet::with(staged.path(), &BUNDLED, config).await.unwrap();
    let held = process::resident(fleet.daemon().unwrap().pid());
    (staged, fleet, held)
}

async fn still_right(
    staged: &Staged,
    fleet: &mut Fleet,
    held: u64,
    what: &str,
) -> v1::Investigation {
    let mut client = fleet.client().unwrap();
    let found = client.investigate(staged.scenario.alert(), LONG).await.unwrap();
    assert!(is_true(report(&found), &staged.scenario), "{what}: {}", in_short(report(&found)));
    let grown = process::resident(fleet.daemon().unwrap().pid()).saturating_sub(held);
    assert!(grown < 96 << 20, "{what}: the daemon grew by {grown} bytes");
    found
}

#[tokio::test]
async fn what_a_plugin_does_wrong_is_named_in_the_catalogue_and_harms_no_investigation() {
    // How it is named in the report, if it left a hole there, and in the catalogue.
    for (mode, reason, named) in [
        ("chatter", "STREAM_RULE", "STREAM_RULE"),
        ("backwards", "STREAM_RULE", "STREAM_RULE"),
        ("regress", "", "PROGRESS"),
        ("lingers", "", "STREAM_LEFT_OPEN"),
        ("schema", "OUTPUT_SCHEMA", "OUTPUT_SCHEMA"),
        ("huge", "RESULT_TOO_LARGE", "RESULT_TOO_LARGE"),
    ] {
        let (staged, mut fleet, held) = bundled().await;
        fleet.start_hostile("stranger", "hostile_plugin", &["stranger", mode]).unwrap();
        fleet.ready(&["stranger"]).await.unwrap();
        let found = still_right(&staged, &mut fleet, held, mode).await;
        let mut client = fleet.client().unwrap();
        let told = report(&found);
        let reasons: Vec<String> = told
            .gaps
            .iter()
            .filter(|gap| gap.subject.contains("stranger"))
            .filter_map(|gap| Some(gap.failure.as_ref()?.reason.clone()))
            .collect();
        let expected: &[&str] = if reason.is_empty() { &[] } else { &[reason] };
        assert_eq!(reasons, expected, "{mode}: {}", in_short(told));
        let tool = client.tool("stranger.look").await.unwrap();
        let last = tool.recent_calls.first().unwrap();
        let failed = last.failure.as_ref().map(|failure| failure.reason.as_str());
        let flawed = last.flaws.iter().any(|flaw| flaw.starts_with(named));
        assert!(failed == Some(named) || flawed, "{mode}: {last:?}");
        let why = agentd(&fleet, &["tools", "why", "stranger.look"]).await.stdout;
        assert!(why.contains(named), "{mode}: {why}");
    }
}

#[tokio::test]
async fn a_tool_that_says_it_reads_and_holds_rights_to_write_waits_for_a_person() {
    let mut fleet = Fleet::start("").await.unwrap();
    fleet.start_hostile("stranger", "hostile_plugin", &["stranger", "writes"]).unwrap();
    let mut client = fleet.client().unwrap();
    let found = wait_until("the tool", SOON, async || {
        status(&mut client.clone(), "stranger.look").await.ok_or_else(|| "not there".to_owned())
    });
    let found = found.await.unwrap();
    assert_eq!(found.status(), v1::ToolStatus::Quarantined);
    assert!(found.obstacles[0].description.contains("k8s:pods/delete"), "{:?}", found.obstacles);
    assert_eq!(found.effective_risk(), tool::RiskLevel::Medium, "as one that adds");
    let answer = client.call_tool("stranger.look", &json!({})).await;
    assert!(answer.is_err() || answer.unwrap().failure.is_some(), "it was called");
}

fn announced(plugin: &str, tools: usize) -> tool::RegisterRequest {
    let tool = |number: usize| tool::ToolDescriptor {
        name: format!("look_{number}"),
        description: "Looks.".to_owned(),
        side_effect: tool::SideEffect::ReadOnly.into(),
        ..Default::default()
    };
    tool::RegisterRequest {
        instance_id: uuid::Uuid::new_v4().to_string(),
        catalog: Some(tool::PluginCatalog {
            plugin: plugin.to_owned(),
            version: "1.0.0".to_owned(),
            tools: (0..tools).map(tool).collect(),
            ..Default::default()
        }),
        transport: Some(Transport::Direct(tool::DirectTransport {
            endpoint: "127.0.0.1:9".to_owned(),
            ..Default::default()
        })),
        ..Default::default()
    }
}

#[tokio::test]
async fn endless_registrations_and_endless_tools_are_refused_and_nobody_else_suffers() {
    let (staged, mut fleet, held) = bundled().await;
    let mut registry = PluginRegistryServiceClient::connect(fleet.url()).await.unwrap();
    let many = registry.register(announced("many", 10_000)).await.unwrap_err();
    assert_eq!(many.code(), Code::InvalidArgument, "{many:?}");
    let again = announced("loops", 3);
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..2000 {
        match registry.register(again.clone()).await {
            Ok(_) => taken += 1,
            Err(status) if status.code() == Code::ResourceExhausted => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(refused > 1000, "{taken} of 2000 were let in");
    // Another one comes in at once, and one more name than there may be is refused, too.
    registry.register(announced("calm", 1)).await.unwrap();
    still_right(&staged, &mut fleet, held, "endless registrations").await;
    let mut client = fleet.client().unwrap();
    let plugins = client.plugins().await.unwrap();
    assert!(plugins.iter().any(|plugin| plugin.name == "plugins/calm"));
    tokio::time::timeout(Duration::from_secs(30), client.tools()).await.unwrap().unwrap();
}
