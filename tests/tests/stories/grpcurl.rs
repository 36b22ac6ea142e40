//! Bare grpcurl, by reflection alone, against the daemon and a plugin.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use agent_tests::{
    build, environment,
    process::{self, Ended, Program},
    rung,
    staged::Staged,
    wait::wait_until,
};
use serde_json::Value;

use crate::LONG;

const HOW: &str = "go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4";

/// The program, or `None` after having said aloud that there is none.
fn grpcurl() -> Option<PathBuf> {
    let cached = environment::cache().map(|cache| cache.join("bin/grpcurl"));
    let found =
        cached.filter(|program| program.is_file()).or_else(|| environment::on_path("grpcurl"));
    if found.is_none() {
        rung::skip("rung 2c (grpcurl)", "no grpcurl", HOW);
    }
    found
}

async fn run(program: &Path, arguments: &[&str]) -> Ended {
    let mut command = Command::new(program);
    command.arg("-plaintext").args(arguments);
    process::run(command, LONG).await.unwrap()
}

async fn asked(program: &Path, address: &str, method: &str, request: &str) -> String {
    let ended = run(program, &["-d", request, address, method]).await;
    assert!(ended.status.success(), "{method}: {}\n{}", ended.stdout, ended.stderr);
    ended.stdout
}

/// Services that are listed, but for reflection itself, which has two versions.
async fn listed(program: &Path, address: &str) -> Vec<String> {
    let listed = run(program, &[address, "list"]).await;
    let mut services: Vec<String> = listed.stdout.lines().map(str::to_owned).collect();
    services.retain(|name| !name.starts_with("grpc.reflection."));
    services.sort_unstable();
    services
}

/// A demo that goes on serving, and its address from the line that it prints for people.
async fn kept_demo(log: &Path) -> (Program, String) {
    let mut command = Command::new(build::programs().unwrap().join("agentd"));
    command.args(["demo", "--keep"]);
    let demo = Program::start(command, log, false).unwrap();
    let address = wait_until("the grpcurl line of a kept demo", LONG, async || {
        let log = demo.log();
        let line = log.lines().find(|line| line.contains("grpcurl -plaintext"));
        let mut words = line.unwrap_or_default().split_whitespace();
        let local = |w: &&str| w.starts_with("127.0.0.1:") || w.starts_with("localhost:");
        words.find(local).map(str::to_owned).ok_or_else(|| log.clone())
    });
    let address = address.await.unwrap();
    (demo, address)
}

#[tokio::test]
async fn bare_grpcurl_investigates_follows_and_lists_on_a_kept_demo() {
    let Some(grpcurl) = grpcurl() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (_demo, address) = kept_demo(&dir.path().join("demo.log")).await;
    // What is served and nothing else.
    let expected = [
        "agentd.tool.v1.PluginRegistryService",
        "agentd.tool.v1.ToolRelayService",
        "agentd.v1.AgentService",
        "agentd.v1.CatalogService",
        "grpc.health.v1.Health",
    ];
    assert_eq!(listed(&grpcurl, &address).await, expected);
    let tools = asked(&grpcurl, &address, "agentd.v1.CatalogService/ListTools", "{}").await;
    let tools: Value = serde_json::from_str(&tools).unwrap();
    assert!(tools["tools"].as_array().unwrap().len() >= 8, "{tools}");
    let alert = Staged::bundled().unwrap().scenario.alert();
    let request = format!(
        r#"{{"alert":{{"type":"{}","service":"{}"}},"wait":"60s"}}"#,
        alert.r#type, alert.service
    );
    let found = asked(&grpcurl, &address, "agentd.v1.AgentService/Investigate", &request).await;
    let found: Value = serde_json::from_str(&found).unwrap();
    let investigation = &found["investigation"];
    assert_eq!(investigation["report"]["verdict"], "VERDICT_ROOT_CAUSE_FOUND", "{found}");
    let newest = investigation["lastSequence"].as_i64().unwrap();
    for after in [0, newest / 2, newest] {
        let request = format!(r#"{{"name":{},"afterSequence":{after}}}"#, investigation["name"]);
        let events =
            asked(&grpcurl, &address, "agentd.v1.AgentService/StreamEvents", &request).await;
        let numbers: Vec<i64> = serde_json::Deserializer::from_str(&events)
            .into_iter::<Value>()
            .filter_map(|item| item.unwrap()["event"]["sequence"].as_i64())
            .collect();
        assert_eq!(numbers, (after + 1..=newest).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn bare_grpcurl_judges_an_outcome_and_finds_it_again() {
    let Some(grpcurl) = grpcurl() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (_demo, address) = kept_demo(&dir.path().join("demo.log")).await;
    let found =
        asked(&grpcurl, &address, "agentd.v1.AgentService/ListInvestigations", r#"{"pageSize":1}"#);
    let found: Value = serde_json::from_str(&found.await).unwrap();
    let name = found["investigations"][0]["name"].as_str().unwrap();
    let request = format!(
        r#"{{"name":"{name}","judgement":"JUDGEMENT_INCORRECT","actualRootCause":"category:disk_full Node/n-1","resolution":"cleared the disk"}}"#
    );
    let judged = asked(&grpcurl, &address, "agentd.v1.AgentService/SubmitFeedback", &request).await;
    let judged: Value = serde_json::from_str(&judged).unwrap();
    assert!(judged["episode"].as_str().unwrap().starts_with("episodes/"), "{judged}");
    for request in [r#"{"query":"disk"}"#, r#"{"query":"*","minSimilarity":1}"#] {
        let cases = asked(&grpcurl, &address, "agentd.v1.AgentService/SearchEpisodes", request);
        let cases: Value = serde_json::from_str(&cases.await).unwrap();
        let case = &cases["episodes"][0];
        assert_eq!(case["name"], judged["episode"], "{cases}");
        assert_eq!(case["category"], "disk_full", "{cases}");
        assert_eq!(case["culprit"]["name"], "n-1", "{cases}");
        assert_eq!(case["judgement"], "JUDGEMENT_INCORRECT", "{cases}");
        assert_eq!(case["resolution"], "cleared the disk", "{cases}");
    }
}

#[tokio::test]
async fn a_plugin_reflects_what_it_serves_and_is_called_by_its_daemon_only() {
    let Some(grpcurl) = grpcurl() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (_demo, address) = kept_demo(&dir.path().join("demo.log")).await;
    let plugins = asked(&grpcurl, &address, "agentd.v1.CatalogService/ListPlugins", "{}").await;
    let plugins: Value = serde_json::from_str(&plugins).unwrap();
    let endpoint = plugins["plugins"][0]["instances"][0]["endpoint"].as_str().unwrap();
    let expected = ["agentd.tool.v1.ToolService", "grpc.health.v1.Health"];
    assert_eq!(listed(&grpcurl, endpoint).await, expected);
    let health = asked(&grpcurl, endpoint, "grpc.health.v1.Health/Check", "{}").await;
    assert!(health.contains("SERVING"), "{health}");
    let described = run(&grpcurl, &[endpoint, "describe", "agentd.tool.v1.ToolService"]).await;
    assert!(described.stdout.contains("rpc Call"), "{described:?}");
    let catalog = asked(&grpcurl, endpoint, "agentd.tool.v1.ToolService/GetCatalog", "{}").await;
    assert!(catalog.contains("\"tools\""), "{catalog}");
    // Whoever does not present the token of its registration runs none of its tools.
    let call = ["-d", "{}", endpoint, "agentd.tool.v1.ToolService/Call"];
    let stranger = run(&grpcurl, &call).await;
    assert!(!stranger.status.success(), "{stranger:?}");
    assert!(stranger.stderr.contains("Unauthenticated"), "{stranger:?}");
}
