//! Several instances of one plugin: they come, go, die and fall silent, and callers notice nothing.

use std::{
    collections::BTreeSet,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use agent_proto::{
    tool::v1::{
        self as tool, plugin_registry_service_client::PluginRegistryServiceClient,
        register_request::Transport,
    },
    v1::{GetToolRequest, WatchPluginsRequest, watch_plugins_response::Item},
};
use agent_sdk::{Options, Plugin};
use agent_tests::{
    build,
    client::Client,
    fleet::{Fleet, SHORT_LEASES, SOON},
    process,
    proxy::Proxy,
    wait::wait_until,
};
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tokio_util::sync::CancellationToken;

fn echo(mode: &str) -> Command {
    let mut command = Command::new(build::programs().unwrap().join("echo_plugin"));
    command.arg("echo").env("PLUGIN_MODE", mode);
    command
}

/// The same, noting in a file what it is asked.
fn noting(mode: &str, ledger: &Path) -> Command {
    let mut command = echo(mode);
    command.arg("-").arg(ledger);
    command
}

/// Waits until the tool has so many instances that take calls.
async fn ready(fleet: &Fleet, count: i32) {
    let mut client = fleet.client().unwrap();
    wait_until("instances", SOON, async || {
        let tools = client.tools().await.map_err(|refusal| format!("{refusal:?}"))?;
        let ready = tools.first().map_or(0, |tool| tool.ready_instances);
        if ready == count { Ok(()) } else { Err(format!("{ready}; {}", fleet.logs())) }
    })
    .await
    .unwrap();
}

/// Makes `count` calls, 24 at a time, and gives each answer's number and process.
async fn calls(client: Client, count: u32, done: Arc<AtomicU32>) -> Vec<(u64, u64)> {
    let call = |number: u32| {
        let (mut client, done) = (client.clone(), Arc::clone(&done));
        async move {
            let arguments = json!({"value": number, "millis": 150});
            let answer = client.call_tool("echo.echo", &arguments).await.unwrap();
            done.fetch_add(1, Ordering::Relaxed);
            let result = answer.result.unwrap_or_else(|| panic!("{:?}", answer.failure));
            let said: serde_json::Value = serde_json::from_str(&result.result_json).unwrap();
            (said["value"].as_u64().unwrap(), said["pid"].as_u64().unwrap())
        }
    };
    stream::iter(0..count).map(call).buffer_unordered(24).collect().await
}

#[tokio::test]
async fn three_replicas_rolled_under_a_thousand_calls_lose_none_directly_and_through_the_relay() {
    for mode in ["direct", "relay"] {
        let mut fleet = Fleet::start(SHORT_LEASES).await.unwrap();
        let ledger = fleet.dir().join("heard");
        for name in ["one", "two", "three"] {
            fleet.start_stranger(name, noting(mode, &ledger)).unwrap();
        }
        ready(&fleet, 3).await;
        let done = Arc::new(AtomicU32::new(0));
        let made = tokio::spawn(calls(fleet.client().unwrap(), 1000, Arc::clone(&done)));
        let mut pace = tokio::time::interval(Duration::from_secs(2));
        for (old, new) in [("one", "four"), ("two", "five"), ("three", "six")] {
            pace.tick().await;
            fleet.start_stranger(new, noting(mode, &ledger)).unwrap();
            fleet.drain_plugin(old).await.unwrap();
        }
        let rolled_at = done.load(Ordering::Relaxed);
        let answers = made.await.unwrap();
        assert!(rolled_at < 1000, "all calls were over before the last was rolled");
        let numbers: BTreeSet<u64> = answers.iter().map(|(number, _)| *number).collect();
        assert_eq!((answers.len(), numbers.len()), (1000, 1000), "{mode}: each ends exactly once");
        // And was worked on once: nobody left with work begun that another had to begin again.
        let heard = std::fs::read_to_string(&ledger).unwrap();
        let mut heard: Vec<u64> = heard.lines().map(|line| line.parse().unwrap()).collect();
        heard.sort_unstable();
        assert_eq!(heard, (0..1000).collect::<Vec<u64>>(), "{mode}");
        let processes: BTreeSet<u64> = answers.iter().map(|(_, pid)| *pid).collect();
        assert!(processes.len() >= 5, "{mode}: {processes:?} took calls");
    }
}

#[tokio::test]
async fn no_attempt_at_a_replica_that_fell_silent_waits_longer_than_a_connection_may() {
    let mut fleet = Fleet::start(SHORT_LEASES).await.unwrap();
    fleet.start_stranger("sound", echo("direct")).unwrap();
    // Held until the way has a port of its own.
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = held.local_addr().unwrap();
    let mut way = Proxy::to(free).unwrap();
    drop(held);
    let mut behind = echo("direct");
    behind.env("PLUGIN_LISTEN", free.to_string());
    behind.env("PLUGIN_ADVERTISE", way.address().to_string());
    fleet.start_stranger("behind", behind).unwrap();
    ready(&fleet, 2).await;
    let before = calls(fleet.client().unwrap(), 60, Arc::default()).await;
    let processes: BTreeSet<u64> = before.iter().map(|(_, pid)| *pid).collect();
    assert_eq!(processes.len(), 2, "both take calls");

    way.go_dark().await.unwrap();
    // What is remembered of attempts are the last twenty.
    let first = calls(fleet.client().unwrap(), 15, Arc::default()).await;
    let mut client = fleet.client().unwrap();
    let request = GetToolRequest { name: "tools/echo.echo".to_owned(), version: String::new() };
    let tool = client.catalog.get_tool(request).await.unwrap().into_inner().tool.unwrap();
    assert!(tool.recent_calls.iter().any(|call| call.failure.is_some()), "none met the silence");
    let after = calls(fleet.client().unwrap(), 200, Arc::default()).await;
    assert_eq!((first.len(), after.len()), (15, 200), "no call failed");
    for call in &tool.recent_calls {
        let took = Duration::try_from(call.duration.unwrap_or_default()).unwrap();
        let all = &tool.recent_calls;
        assert!(took < Duration::from_secs(4), "took {took:?}: {all:#?}\n{}", fleet.logs());
    }
}

struct Still;

/// A tool that is never called here.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Nothing {}

impl agent_sdk::Tool for Still {
    type Args = Nothing;

    fn spec(&self) -> agent_sdk::Spec {
        agent_sdk::Spec::read_only("still", "Does nothing.")
    }

    async fn call(
        &self,
        _: agent_sdk::CallCx,
        _: Nothing,
    ) -> Result<agent_sdk::Output, agent_sdk::Failure> {
        agent_sdk::Output::new(&())
    }
}

/// Registers strangers until `enough`, few enough that what is told of the others is kept, and gives how
/// long each had to wait.
async fn registering(fleet: &Fleet, enough: CancellationToken) -> Vec<Duration> {
    let mut registry = PluginRegistryServiceClient::connect(fleet.url()).await.unwrap();
    let mut took = Vec::new();
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    while !enough.is_cancelled() && took.len() < 250 {
        pace.tick().await;
        let request = tool::RegisterRequest {
            instance_id: uuid::Uuid::new_v4().to_string(),
            catalog: Some(tool::PluginCatalog {
                plugin: format!("stranger{}", took.len()),
                version: "1.0.0".to_owned(),
                tools: vec![tool::ToolDescriptor {
                    name: "look".to_owned(),
                    description: "Looks.".to_owned(),
                    side_effect: tool::SideEffect::ReadOnly.into(),
                    ..Default::default()
                }],
                ..Default::default()
            }),
            transport: Some(Transport::Relay(tool::RelayTransport { slots: 1 })),
            ..Default::default()
        };
        let begun = Instant::now();
        registry.register(request).await.unwrap();
        took.push(begun.elapsed());
    }
    took
}

#[tokio::test]
async fn two_hundred_plugins_are_back_within_one_lease_and_not_all_at_once() {
    const LEASE: Duration = Duration::from_secs(12);
    let config = "[plugins]\nlease_ttl = \"12s\"\nrenew_interval = \"4s\"\n";
    let mut fleet = Fleet::start(config).await.unwrap();
    let stop = CancellationToken::new();
    let mut plugins = tokio::task::JoinSet::new();
    for number in 0..200 {
        let options = Options { agentd_url: fleet.url(), ..Options::default() };
        let stopped = stop.clone().cancelled_owned();
        plugins
            .spawn(Plugin::new(&format!("p{number}"), "1.0.0").tool(Still).serve(options, stopped));
    }
    let back = async |fleet: &Fleet, limit: Duration| {
        let mut client = fleet.client().unwrap();
        wait_until("200 plugins", limit, async || {
            let tools = client.tools().await.map_err(|refusal| format!("{refusal:?}"))?;
            let ready = tools.iter().filter(|tool| tool.ready_instances == 1).count();
            if ready == 200 { Ok(()) } else { Err(format!("{ready} are ready")) }
        })
        .await
        .unwrap();
    };
    back(&fleet, SOON).await;
    fleet.kill_daemon().unwrap();
    fleet.start_daemon().await.unwrap();
    let all_back = CancellationToken::new();
    let (mut took, ()) = tokio::join!(registering(&fleet, all_back.clone()), async {
        back(&fleet, LEASE).await;
        all_back.cancel();
    });
    took.sort_unstable();
    // Told, not asserted: how long it takes is the machine's.
    let most = took[took.len() * 99 / 100];
    println!("p99 of {} times Register while all came back: {most:?}", took.len());

    // When each came, as the daemon that is new has it.
    let mut client = fleet.client().unwrap();
    let asked = WatchPluginsRequest { once: true, ..Default::default() };
    let mut told = client.catalog.watch_plugins(asked).await.unwrap().into_inner();
    let mut came = Vec::new();
    while let Some(response) = told.message().await.unwrap() {
        let Some(Item::Event(event)) = response.item else { continue };
        if event.summary.starts_with('p') && event.summary.contains("registered") {
            let time = event.time.unwrap();
            came.push(time.seconds * 1000 + i64::from(time.nanos) / 1_000_000);
        }
    }
    assert_eq!(came.len(), 200, "each registered once");
    came.sort_unstable();
    let most =
        came.iter().map(|at| came.iter().filter(|other| (*at..at + 100).contains(other)).count());
    let most = most.max().unwrap();
    assert!(most <= 100, "{most} of 200 came within a tenth of a second");

    let pid = fleet.daemon().unwrap().pid();
    let before = process::busy(pid).unwrap();
    let mut pace = tokio::time::interval(Duration::from_secs(5));
    pace.tick().await;
    pace.tick().await;
    let spent = process::busy(pid).unwrap() - before;
    println!("in five seconds with 200 plugins that only renew, the daemon worked for {spent:?}");
    stop.cancel();
    plugins.join_all().await;
}
