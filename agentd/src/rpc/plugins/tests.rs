//! Both services as clients see them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use pb::catalog_service_server::CatalogService as _;
use tonic::Code;
use tonic_types::StatusExt as _;
use tool::plugin_registry_service_server::PluginRegistryService as _;

use super::*;
use crate::plugin::{
    fake::{announcement, descriptor},
    registry::Config,
};

fn clock() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn services() -> Plugins {
    let registry = Registry::new(Config::default());
    let tools = Tools::new(registry.clone(), agent_redact::redact_cow);
    Plugins::new(registry, (tools, Policy::default()), clock)
}

fn request(tools: &[&str]) -> tool::RegisterRequest {
    let tools = tools.iter().map(|name| descriptor(name)).collect();
    announcement("127.0.0.1:1".parse().unwrap(), tools)
}

#[tokio::test(start_paused = true)]
async fn what_registers_is_listed_with_its_metadata_page_by_page() {
    let services = services();
    let answer = services.register(Request::new(request(&["look", "listen", "smell"]))).await;
    let answer = answer.unwrap().into_inner();
    assert_eq!(answer.verdicts.len(), 3);
    let (mut token, mut names) = (String::new(), Vec::new());
    loop {
        let asked = pb::ListToolsRequest { page_size: 2, page_token: token, ..Default::default() };
        let page = services.list_tools(Request::new(asked)).await.unwrap().into_inner();
        names.extend(page.tools.iter().map(|tool| tool.name.clone()));
        token = page.next_page_token;
        if token.is_empty() {
            assert_eq!(page.catalog_digest, answer.catalog_digest);
            break;
        }
        let other = pb::ListToolsRequest {
            page_token: token.clone(),
            plugin: "other".to_owned(),
            ..Default::default()
        };
        let refused = services.list_tools(Request::new(other)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    assert_eq!(names, ["tools/probe.listen", "tools/probe.look", "tools/probe.smell"]);

    let plugins =
        services.list_plugins(Request::new(Default::default())).await.unwrap().into_inner().plugins;
    let instance = &plugins[0].instances[0];
    assert_eq!(plugins[0].name, "plugins/probe");
    assert_eq!(instance.state(), tool::InstanceState::Unready, "its health is not known yet");
    assert_eq!(instance.lease_expire_time.unwrap().seconds, 1_700_000_030);
}

#[tokio::test(start_paused = true)]
async fn a_tool_is_read_by_name_with_what_policy_makes_of_it() {
    let services = services();
    let mut request = request(&["look", "smash"]);
    request.catalog.as_mut().unwrap().tools[1].side_effect = 0;
    services.register(Request::new(request)).await.unwrap();
    let get = async |name: &str| {
        let asked = pb::GetToolRequest { name: name.to_owned(), version: String::new() };
        services.get_tool(Request::new(asked)).await.map(|got| got.into_inner().tool.unwrap())
    };
    let look = get("tools/probe.look").await.unwrap();
    assert_eq!(look.model_name, "probe__look");
    assert_eq!(look.status(), pb::ToolStatus::Unavailable);
    assert!(!look.requires_approval);
    let smash = get("probe.smash").await.unwrap();
    assert_eq!(smash.effective_risk(), tool::RiskLevel::Critical);
    assert!(smash.requires_approval);

    let absent = get("tools/probe.nothing").await.unwrap_err();
    assert_eq!(absent.code(), Code::NotFound);
    assert_eq!(absent.get_details_resource_info().unwrap().resource_name, "tools/probe.nothing");
    assert_eq!(get("look").await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn refusals_come_with_code_reason_and_all_violations() {
    let services = services();
    let refused = services.register(Request::new(Default::default())).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.get_details_bad_request().unwrap().field_violations.len() >= 4);
    let unknown = services.renew(Request::new(Default::default())).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    assert_eq!(unknown.get_details_error_info().unwrap().reason, "LEASE_UNKNOWN");
    assert!(services.deregister(Request::new(Default::default())).await.is_ok());
    let set = |name: &str, status: pb::ToolStatus, digest: &str| {
        let (name, digest) = (name.to_owned(), digest.to_owned());
        let status = status.into();
        Request::new(pb::SetToolStatusRequest { name, status, digest, reason: "why".to_owned() })
    };
    for (name, status, code) in [
        ("", pb::ToolStatus::Active, Code::InvalidArgument),
        ("tools/a.b", pb::ToolStatus::Tripped, Code::InvalidArgument),
        ("tools/a.b", pb::ToolStatus::Active, Code::NotFound),
        ("tools/a.b", pb::ToolStatus::Disabled, Code::NotFound),
    ] {
        let refused = services.set_tool_status(set(name, status, "")).await.unwrap_err();
        assert_eq!(refused.code(), code, "{name} {status:?}");
    }
    let ahead = pb::WatchPluginsRequest { after_sequence: 7, once: true };
    let refused = services.watch_plugins(Request::new(ahead)).await.err().unwrap();
    assert_eq!(refused.code(), Code::OutOfRange);
    let call = |name: &str, arguments: &str| {
        Request::new(pb::CallToolRequest {
            name: name.to_owned(),
            arguments_json: arguments.to_owned(),
            ..Default::default()
        })
    };
    for (name, arguments, code) in [
        ("", "{}", Code::InvalidArgument),
        ("tools/pods.check_pods", "[1]", Code::InvalidArgument),
        ("tools/pods.check_pods", "{", Code::InvalidArgument),
        ("tools/pods.check_pods", "", Code::NotFound),
    ] {
        let refused = services.call_tool(call(name, arguments)).await.unwrap_err();
        assert_eq!(refused.code(), code, "{name} {arguments}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_plugins_with_the_same_tool_the_one_that_is_named_is_decided_about() {
    let services = services();
    let mut other = request(&["look"]);
    other.catalog.as_mut().unwrap().plugin = "alpha".to_owned();
    other.instance_id = uuid::Uuid::new_v4().to_string();
    for request in [other, request(&["look"])] {
        services.register(Request::new(request)).await.unwrap();
    }
    let name = "tools/probe.look".to_owned();
    let get = pb::GetToolRequest { name: name.clone(), ..Default::default() };
    let tool = services.get_tool(Request::new(get)).await.unwrap().into_inner().tool.unwrap();
    let digest = tool.r#ref.unwrap().digest;
    let status = pb::ToolStatus::Active.into();
    let accept = pb::SetToolStatusRequest { name, status, digest, ..Default::default() };
    let answer = services.set_tool_status(Request::new(accept)).await.unwrap().into_inner();
    assert_eq!(answer.tool.unwrap().name, "tools/probe.look");
}

#[tokio::test(start_paused = true)]
async fn a_tool_is_switched_off_and_on_and_watchers_hear_of_it() {
    use futures_util::StreamExt as _;
    use pb::watch_plugins_response::Item;

    let services = services();
    services.register(Request::new(request(&["look"]))).await.unwrap();
    let watch = pb::WatchPluginsRequest::default();
    let mut watched = services.watch_plugins(Request::new(watch)).await.unwrap().into_inner();
    let set = |status: pb::ToolStatus| {
        Request::new(pb::SetToolStatusRequest {
            name: "tools/probe.look".to_owned(),
            status: status.into(),
            reason: "noisy".to_owned(),
            ..Default::default()
        })
    };
    let off = services.set_tool_status(set(pb::ToolStatus::Disabled)).await.unwrap().into_inner();
    let off = off.tool.unwrap();
    assert_eq!(
        (off.status(), off.obstacles[0].reason.as_str()),
        (pb::ToolStatus::Disabled, "DISABLED")
    );
    let on = services.set_tool_status(set(pb::ToolStatus::Active)).await.unwrap().into_inner();
    assert_eq!(on.tool.unwrap().status(), pb::ToolStatus::Unavailable, "its health is not known");
    let mut told = Vec::new();
    while told.last() != Some(&pb::PluginEventKind::ToolActivated) {
        let item = watched.next().await.unwrap().unwrap().item.unwrap();
        if let Item::Event(event) = item {
            told.push(event.kind());
        }
    }
    told.retain(|kind| *kind != pb::PluginEventKind::Unreachable);
    use pb::PluginEventKind as K;
    assert_eq!(told, [K::Registered, K::ToolDisabled, K::ToolActivated]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_be_made_is_told_what_stands_in_its_way_and_what_mends_it() {
    let services = services();
    let mut request = request(&["look", "smash"]);
    request.catalog.as_mut().unwrap().tools[1].description.clear();
    services.register(Request::new(request)).await.unwrap();
    let refused = async |name: &str| {
        let asked = pb::CallToolRequest { name: name.to_owned(), ..Default::default() };
        services.call_tool(Request::new(asked)).await.unwrap_err()
    };
    let unready = refused("tools/probe.look").await;
    assert_eq!(unready.code(), Code::FailedPrecondition);
    assert_eq!(unready.get_details_error_info().unwrap().reason, "TOOL_NOT_CALLABLE");
    let unmet = unready.get_details_precondition_failure().unwrap().violations;
    assert!(unmet[0].subject.starts_with("instances["), "{unmet:?}");
    assert!(unready.message().ends_with("see agentd tools why probe.look"), "{unready}");

    services.registry.decide(("probe", "look"), off()).await.unwrap();
    let disabled = refused("tools/probe.look").await;
    assert!(disabled.message().contains("agentd tools enable probe.look"), "{disabled}");
    let rejected = refused("tools/probe.smash").await;
    assert_eq!(rejected.code(), Code::FailedPrecondition);
    assert!(rejected.message().contains("refused when it registered: description"), "{rejected}");
    assert_eq!(refused("tools/probe.nothing").await.code(), Code::NotFound);
}

fn off() -> crate::plugin::registry::Decision {
    crate::plugin::registry::Decision::Disable { reason: "noisy".to_owned() }
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_is_read_with_what_was_accepted_and_accepting_switches_nothing_on() {
    let services = services();
    services.register(Request::new(request(&["look"]))).await.unwrap();
    let mut newer = request(&["look"]);
    let tool = &mut newer.catalog.as_mut().unwrap().tools[0];
    tool.version = "1.1.0".to_owned();
    tool.permissions = vec!["k8s:nodes/get".to_owned()];
    services.register(Request::new(newer)).await.unwrap();
    let get = async |version: &str| {
        let (name, version) = ("tools/probe.look".to_owned(), version.to_owned());
        let asked = pb::GetToolRequest { name, version };
        services.get_tool(Request::new(asked)).await.unwrap().into_inner().tool.unwrap()
    };
    let waits = get("1.1.0").await;
    assert_eq!(waits.status(), pb::ToolStatus::Quarantined);
    assert_eq!(waits.accepted_descriptor.as_ref().unwrap().version, "1.0.0");
    assert!(waits.accepted_descriptor.unwrap().permissions.is_empty());

    services.registry.decide(("probe", "look"), off()).await.unwrap();
    let set = async |digest: &str| {
        let request = pb::SetToolStatusRequest {
            name: "tools/probe.look".to_owned(),
            status: pb::ToolStatus::Active.into(),
            digest: digest.to_owned(),
            ..Default::default()
        };
        services.set_tool_status(Request::new(request)).await
    };
    let stale = set("sha256:0").await.unwrap_err();
    assert_eq!(stale.get_details_error_info().unwrap().reason, "DIGEST_STALE");
    let digest = waits.r#ref.unwrap().digest;
    let accepted = set(&digest).await.unwrap().into_inner().tool.unwrap();
    assert_eq!(accepted.status(), pb::ToolStatus::Disabled, "{accepted:?}");
    assert_eq!(get("1.1.0").await.accepted_descriptor, None, "it waits no longer");
    let on = set("").await.unwrap().into_inner().tool.unwrap();
    assert_eq!(on.status(), pb::ToolStatus::Unavailable, "its health is not known");
    let news = services.registry.news(0).unwrap();
    let said: Vec<&str> = news.iter().map(|event| event.summary.as_str()).collect();
    assert!(said.contains(&"probe.look was accepted and is still switched off"), "{said:?}");
}
