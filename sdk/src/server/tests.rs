//! What the server shows of itself.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use tonic::transport::Channel;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus as Seen, health_client::HealthClient,
};
use tonic_reflection::pb::{v1, v1alpha};

use super::*;
use crate::{Plugin, fake::Puppet, kit::Harness};

async fn channel() -> (Harness, Channel) {
    let plugin = Plugin::new("theatre", "1.0.0").tool(Puppet::new());
    let harness = Harness::new(plugin).await.unwrap();
    let channel = harness.channel();
    (harness, channel)
}

/// The answer, or nothing for what is not known.
async fn ask_v1(
    channel: Channel,
    ask: v1::server_reflection_request::MessageRequest,
) -> Option<v1::server_reflection_response::MessageResponse> {
    let request = v1::ServerReflectionRequest { host: String::new(), message_request: Some(ask) };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel);
    let mut answers = client
        .server_reflection_info(futures_util::stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    answers.message().await.ok().flatten().and_then(|answer| answer.message_response)
}

#[tokio::test]
async fn reflection_names_what_is_served_and_nothing_else() {
    use v1::{
        server_reflection_request::MessageRequest as Ask,
        server_reflection_response::MessageResponse as Answer,
    };
    let (_harness, channel) = channel().await;
    let Some(Answer::ListServicesResponse(list)) =
        ask_v1(channel.clone(), Ask::ListServices(String::new())).await
    else {
        panic!("not a list")
    };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "agentd.tool.v1.ToolService",
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection"
        ]
    );
    for (symbol, is_known) in [
        ("agentd.tool.v1.ToolService", true),
        ("agentd.tool.v1.CallResponse", true),
        ("grpc.health.v1.Health", true),
        ("google.rpc.ErrorInfo", true),
        ("agentd.v1.AgentService", false),
        ("agentd.tool.v1.PluginRegistryService", false),
    ] {
        let answer = ask_v1(channel.clone(), Ask::FileContainingSymbol(symbol.to_owned())).await;
        assert_eq!(matches!(answer, Some(Answer::FileDescriptorResponse(_))), is_known, "{symbol}");
    }
}

#[tokio::test]
async fn the_older_reflection_is_served_too() {
    use v1alpha::{
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let (_harness, channel) = channel().await;
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let mut answers = client
        .server_reflection_info(futures_util::stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("not a list") };
    assert!(list.service.iter().any(|service| service.name == TOOL_SERVICE));
    assert!(list.service.iter().all(|service| !service.name.contains("AgentService")));
}

#[tokio::test]
async fn health_follows_readiness_under_both_names() {
    let readiness = Readiness::new().await;
    let service = HealthService::from_health_reporter(readiness.0.clone());
    for ready in [false, true, false] {
        readiness.set(ready).await;
        for name in ["", TOOL_SERVICE] {
            assert_eq!(seen(&service, name).await == Seen::Serving, ready, "{name}");
        }
    }
    let (_harness, channel) = channel().await;
    let request = HealthCheckRequest { service: TOOL_SERVICE.to_owned() };
    let answer = HealthClient::new(channel).check(request).await.unwrap().into_inner();
    assert_eq!(answer.status(), Seen::Serving);
}

async fn seen(service: &HealthService, name: &str) -> Seen {
    use tonic_health::pb::health_server::Health as _;
    let request = tonic::Request::new(HealthCheckRequest { service: name.to_owned() });
    service.check(request).await.unwrap().into_inner().status()
}
