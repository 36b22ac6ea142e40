//! Mistakes that others made with plugins and that only whole programs can show: quiet connections,
//! small messages, work that nobody wants any more, processes that slept.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use agent_proto::v1::{Alert, CancelInvestigationRequest, GetToolRequest};
use agent_sdk::{Applies, CallCx, Failure, Mode, Options, Output, Plugin, Spec, Tool};
use agent_tests::{
    build,
    fleet::{Fleet, SHORT_LEASES, SOON},
    process,
    python::Python,
    rung, sockets,
    wait::wait_until,
};
use rustix::process::Signal;
use serde_json::json;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_python_plugin_with_default_options_may_be_quiet_for_as_long_as_a_call_may_last() {
    let Some(python) = Python::find().unwrap() else { return };
    let mut fleet = Fleet::start("").await.unwrap();
    fleet.start_stranger("quiet", python.script("quiet_plugin.py")).unwrap();
    fleet.ready(&["quiet"]).await.unwrap();
    let mut client = fleet.client().unwrap();
    // An attempt may last a minute. A server of grpcio minds the third ping on a quiet connection.
    let answer = client.call_tool("quiet.wait", &json!({"seconds": 56})).await.unwrap();
    let request = GetToolRequest { name: "tools/quiet.wait".to_owned(), ..Default::default() };
    let tool = client.catalog.get_tool(request).await.unwrap().into_inner().tool.unwrap();
    let failed = tool.recent_calls.iter().find_map(|call| call.failure.as_ref());
    assert_eq!(failed, None, "an attempt broke off; the answer: {answer:?}");
    assert_eq!(answer.failure, None, "{}", fleet.logs());
    let again = client.call_tool("quiet.wait", &json!({"seconds": 0})).await.unwrap();
    assert_eq!(again.failure, None, "{}", fleet.logs());
    for word in ["too_many_pings", "ENHANCE_YOUR_CALM"] {
        assert!(!fleet.logs().contains(word), "{}", fleet.logs());
    }
}

fn echo(name: &str, mode: &str) -> Command {
    let mut command = Command::new(build::programs().unwrap().join("echo_plugin"));
    command.arg(name).env("PLUGIN_MODE", mode);
    command
}

#[tokio::test]
async fn no_connection_of_the_daemon_or_a_plugin_holds_small_messages_back() {
    let mut fleet = Fleet::start("").await.unwrap();
    let plugins = [("dialled", "direct"), ("parked", "relay")];
    for (name, mode) in plugins {
        fleet.start_stranger(name, echo(name, mode)).unwrap();
    }
    fleet.ready(&["dialled", "parked"]).await.unwrap();
    let mut client = fleet.client().unwrap();
    for (name, _) in plugins {
        client.call_tool(&format!("{name}.echo"), &json!({})).await.unwrap();
    }
    // The daemon's with this client, with both plugins as they come, and its own to the first.
    let daemon = ("the daemon", fleet.daemon().unwrap().pid(), 4);
    let dialled = ("the plugin that is dialled", fleet.plugin("dialled").unwrap().pid(), 2);
    let parked = ("the plugin behind the relay", fleet.plugin("parked").unwrap().pid(), 1);
    for (who, pid, least) in [daemon, dialled, parked] {
        let Some(connections) = sockets::send_at_once(pid).unwrap() else {
            rung::skip("a look at sockets", "the system forbids it", "CAP_SYS_PTRACE");
            return;
        };
        assert!(connections.len() >= least, "{who} has only {} connections", connections.len());
        assert!(connections.iter().all(|at_once| *at_once), "{who}: {connections:?}");
    }
}

/// Counts until nobody wants it any more.
struct Counts {
    count: Arc<AtomicU32>,
    dropped: CancellationToken,
}

/// What it takes.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Nothing {}

impl Tool for Counts {
    type Args = Nothing;

    fn spec(&self) -> Spec {
        let asked = Applies::from_start("{}").emits(&["log.error"]);
        Spec::read_only("count", "Counts.").timeout(Duration::from_secs(50)).applies(asked)
    }

    async fn call(&self, _: CallCx, _: Nothing) -> Result<Output, Failure> {
        let _dropped = self.dropped.clone().drop_guard();
        let mut pace = tokio::time::interval(Duration::from_millis(50));
        loop {
            pace.tick().await;
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn work_ends_at_the_plugin_when_the_investigation_that_asked_for_it_is_withdrawn() {
    for mode in [Mode::Direct, Mode::Relay] {
        let fleet = Fleet::start(SHORT_LEASES).await.unwrap();
        let (count, dropped, stop) =
            (Arc::new(AtomicU32::new(0)), CancellationToken::new(), CancellationToken::new());
        let tool = Counts { count: Arc::clone(&count), dropped: dropped.clone() };
        let options = Options { agentd_url: fleet.url(), mode, ..Options::default() };
        let plugin = Plugin::new("counter", "1.0.0").tool(tool);
        let serving = tokio::spawn(plugin.serve(options, stop.clone().cancelled_owned()));
        fleet.ready(&["counter"]).await.unwrap();
        let mut client = fleet.client().unwrap();
        let alert = Alert { service: "some-service".to_owned(), ..Default::default() };
        let running = client.investigate(alert, Duration::ZERO).await.unwrap();
        let counting = wait_until("the third count", SOON, async || {
            let counted = count.load(Ordering::Relaxed);
            if counted >= 3 { Ok(()) } else { Err(format!("{counted}")) }
        });
        counting.await.unwrap();
        let request = CancelInvestigationRequest { name: running.name, ..Default::default() };
        client.agent.cancel_investigation(request).await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(10), dropped.cancelled()).await;
        let counted = count.load(Ordering::Relaxed);
        assert!(ended.is_ok(), "{mode:?}: it goes on counting: {counted}");
        stop.cancel();
        serving.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_plugin_that_slept_through_two_leases_is_back_soon_after_it_wakes() {
    let mut fleet = Fleet::start(SHORT_LEASES).await.unwrap();
    fleet.start_stranger("echo", echo("echo", "direct")).unwrap();
    fleet.ready(&["echo"]).await.unwrap();
    let pid = fleet.plugin("echo").unwrap().pid();
    process::signal(pid, Signal::STOP);
    let mut client = fleet.client().unwrap();
    let gone = wait_until("nobody knows it any more", SOON, async || {
        let plugins = client.plugins().await.map_err(|refusal| format!("{refusal:?}"))?;
        if plugins.is_empty() { Ok(()) } else { Err(format!("{plugins:?}")) }
    });
    gone.await.unwrap();
    process::signal(pid, Signal::CONT);
    // A lease is three seconds.
    fleet.ready_within(&["echo"], Duration::from_secs(4)).await.unwrap();
    let answer = client.call_tool("echo.echo", &json!({"value": 1})).await.unwrap();
    assert_eq!(answer.failure, None);
}
