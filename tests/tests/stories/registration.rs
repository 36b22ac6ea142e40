//! Plugins that come, come back, and announce nonsense.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use agent_proto::tool::v1::{
    self as pb, plugin_registry_service_client::PluginRegistryServiceClient,
    register_request::Transport,
};
use agent_tests::{
    build,
    client::Refusal,
    fleet::{BUNDLED, Fleet, SOON},
    process,
    staged::Staged,
};
use tonic::Code;

/// Leases of three seconds, so that a story need not wait for thirty.
const SHORT: &str = "[plugins]\nlease_ttl = \"3s\"\nrenew_interval = \"1s\"\n";
const LEASE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn plugins_are_back_within_one_lease_after_the_daemon_was_killed() {
    let staged = Staged::bundled().unwrap();
    let mut fleet = Fleet::with(staged.path(), &BUNDLED, SHORT).await.unwrap();
    for remembers in [true, false] {
        fleet.kill_daemon().unwrap();
        if !remembers {
            std::fs::remove_dir_all(fleet.data()).unwrap();
        }
        fleet.start_daemon().await.unwrap();
        let up = Instant::now();
        fleet.ready_within(&BUNDLED, LEASE + Duration::from_secs(1)).await.unwrap();
        assert!(up.elapsed() <= LEASE + Duration::from_secs(1), "took {:?}", up.elapsed());
    }
}

#[tokio::test]
async fn a_plugin_that_went_away_is_no_longer_ready_after_its_lease() {
    let staged = Staged::bundled().unwrap();
    let mut fleet = Fleet::with(staged.path(), &["pods"], SHORT).await.unwrap();
    fleet.kill_plugin("pods").unwrap();
    let mut client = fleet.client().unwrap();
    agent_tests::wait::wait_until("no instance of pods", 3 * LEASE, async || {
        let tools = client.tools().await.map_err(|refusal| format!("{refusal:?}"))?;
        let ready: i32 = tools.iter().map(|tool| tool.ready_instances).sum();
        if ready == 0 { Ok(()) } else { Err(format!("{ready} instances")) }
    })
    .await
    .unwrap();
}

fn tool(name: &str) -> pb::ToolDescriptor {
    pb::ToolDescriptor {
        name: name.to_owned(),
        description: "Looks.".to_owned(),
        input_schema_json: r#"{"type":"object"}"#.to_owned(),
        side_effect: pb::SideEffect::ReadOnly.into(),
        risk: pb::RiskLevel::Low.into(),
        ..Default::default()
    }
}

fn good(plugin: &str) -> pb::RegisterRequest {
    pb::RegisterRequest {
        instance_id: uuid::Uuid::new_v4().to_string(),
        catalog: Some(pb::PluginCatalog {
            plugin: plugin.to_owned(),
            version: "1.0.0".to_owned(),
            tools: vec![tool("look")],
            ..Default::default()
        }),
        transport: Some(Transport::Direct(pb::DirectTransport {
            endpoint: "127.0.0.1:9".to_owned(),
            ..Default::default()
        })),
        ..Default::default()
    }
}

/// A good announcement with one thing changed.
fn but(
    change: impl FnOnce(&mut pb::RegisterRequest, &mut pb::PluginCatalog),
) -> pb::RegisterRequest {
    let mut request = good("stranger");
    let mut catalog = request.catalog.take().unwrap();
    change(&mut request, &mut catalog);
    request.catalog = Some(catalog);
    request
}

fn at(endpoint: &str) -> Option<Transport> {
    Some(Transport::Direct(pb::DirectTransport {
        endpoint: endpoint.to_owned(),
        ..Default::default()
    }))
}

#[tokio::test]
async fn a_malformed_announcement_is_refused_with_what_to_change() {
    let fleet = Fleet::start("").await.unwrap();
    let mut registry = PluginRegistryServiceClient::connect(fleet.url()).await.unwrap();
    let invalid = (Code::InvalidArgument, "INVALID_REGISTRATION");
    let forbidden = (Code::PermissionDenied, "ENDPOINT_NOT_ALLOWED");
    let table: [(pb::RegisterRequest, (Code, &str), &[&str]); 9] = [
        (
            pb::RegisterRequest::default(),
            invalid,
            &["catalog.plugin", "catalog.tools", "catalog.version", "instance_id", "transport"],
        ),
        (but(|_, c| c.plugin = "Bad Name".to_owned()), invalid, &["catalog.plugin"]),
        (but(|_, c| c.plugin = "agentd".to_owned()), invalid, &["catalog.plugin"]),
        (but(|_, c| c.version = "newest".to_owned()), invalid, &["catalog.version"]),
        (
            but(|r, c| {
                r.instance_id = "1".to_owned();
                c.tools.clear();
            }),
            invalid,
            &["catalog.tools", "instance_id"],
        ),
        (but(|r, _| r.transport = at("nowhere")), invalid, &["direct.endpoint"]),
        (but(|r, _| r.transport = at("169.254.169.254:80")), forbidden, &[]),
        (but(|r, _| r.transport = at("10.0.0.1:80")), forbidden, &[]),
        (
            but(|_, c| {
                c.min_protocol = 7;
                c.max_protocol = 9;
            }),
            (Code::FailedPrecondition, "PROTOCOL_MISMATCH"),
            &[],
        ),
    ];
    for (number, (request, (code, reason), fields)) in table.into_iter().enumerate() {
        let refusal = Refusal::from(registry.register(request).await.unwrap_err());
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (code, reason),
            "{number}: {refusal:?}"
        );
        assert_eq!(refusal.fields, fields, "{number}: {refusal:?}");
        assert_eq!(refusal.domain, "agentd", "{number}");
    }
    let unknown = pb::RenewRequest { lease_id: "never-given".to_owned(), ..Default::default() };
    let refusal = Refusal::from(registry.renew(unknown).await.unwrap_err());
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::NotFound, "LEASE_UNKNOWN"));
}

#[tokio::test]
async fn one_bad_tool_does_not_sink_the_others() {
    let fleet = Fleet::start("").await.unwrap();
    let mut registry = PluginRegistryServiceClient::connect(fleet.url()).await.unwrap();
    let request = but(|_, catalog| {
        let schema = pb::ToolDescriptor { input_schema_json: "{".to_owned(), ..tool("broken") };
        let good = ["look", "listen", "a1", "a2", "a3", "a4", "a5", "a6"];
        catalog.tools = good.map(tool).to_vec();
        catalog.tools.insert(1, tool(&"x".repeat(70)));
        catalog.tools.insert(2, pb::ToolDescriptor { version: "one".to_owned(), ..schema });
    });
    let verdicts = registry.register(request).await.unwrap().into_inner().verdicts;
    let accepted: Vec<bool> = verdicts.iter().map(|verdict| verdict.accepted).collect();
    assert_eq!(accepted.iter().filter(|accepted| **accepted).count(), 8, "{verdicts:?}");
    for (at, all) in [(1, &["name"][..]), (2, &["input_schema_json", "version"])] {
        let rejection = verdicts[at].rejection.clone().expect("a refusal says why");
        let violations = rejection.violations.iter();
        let mut fields: Vec<&str> = violations.map(|wrong| wrong.field.as_str()).collect();
        fields.sort_unstable();
        assert_eq!(fields, all, "{rejection:?}");
    }
}

#[tokio::test]
async fn another_descriptor_under_the_same_version_is_refused() {
    let fleet = Fleet::start("").await.unwrap();
    let mut registry = PluginRegistryServiceClient::connect(fleet.url()).await.unwrap();
    let first = registry.register(good("stranger")).await.unwrap().into_inner();
    assert!(first.verdicts[0].accepted);
    let changed = but(|_, catalog| catalog.tools[0].description = "Looks elsewhere.".to_owned());
    let verdict = registry.register(changed).await.unwrap().into_inner().verdicts.remove(0);
    assert!(!verdict.accepted, "{verdict:?}");
    let rejection = verdict.rejection.unwrap();
    assert_eq!(rejection.reason, "DESCRIPTOR_MISMATCH");
    assert!(rejection.message.contains("version"), "says what to change: {}", rejection.message);
    let newer = but(|_, catalog| {
        catalog.tools[0].description = "Looks elsewhere.".to_owned();
        catalog.tools[0].version = "1.0.1".to_owned();
    });
    let verdict = registry.register(newer).await.unwrap().into_inner().verdicts.remove(0);
    assert!(verdict.accepted, "{verdict:?}");
}

#[tokio::test]
async fn a_plugin_with_wrong_settings_says_so_once_and_ends_with_2() {
    let staged = Staged::bundled().unwrap();
    let mut plugin = Command::new(build::programs().unwrap().join("plugin-pods"));
    plugin.arg("--snapshot").arg(staged.path()).env("PLUGIN_SLOTS", "many");
    let ended = process::run(plugin, SOON).await.unwrap();
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    assert_eq!(ended.stderr.matches("PLUGIN_SLOTS").count(), 1, "{}", ended.stderr);
}
