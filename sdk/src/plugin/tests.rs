//! The life of a plugin on a socket: registered, called, drained.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use agent_proto::tool::v1::{
    CallRequest, CallResponse, InstanceState, ToolRef, call_response::Update,
    register_request::Transport, tool_service_client::ToolServiceClient,
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tonic::{
    Request, Streaming,
    transport::{Channel, Endpoint, server::TcpIncoming},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::*;
use crate::fake::{Act, Asked, DIGEST, Puppet, Registry};

struct Stage {
    registry: Registry,
    puppet: Puppet,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), Error>>,
    channel: Channel,
    token: String,
}

/// A plugin that serves on a free port and is registered with a registry on another.
async fn stage(drain_timeout: Duration) -> Stage {
    let (registry, puppet) = (Registry::new(), Puppet::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let agentd_url = format!("http://{}", listener.local_addr().unwrap());
    let agentd = tonic::transport::Server::builder().add_service(registry.service());
    tokio::spawn(agentd.serve_with_incoming(TcpIncoming::from(listener)));
    let (stop, stopped) = oneshot::channel();
    let plugin = Plugin::new("theatre", "1.0.0").tool(puppet.clone());
    let options = Options { agentd_url, drain_timeout, ..Options::default() };
    let served = tokio::spawn(plugin.serve(options, async {
        let _ = stopped.await;
    }));
    let (_, asked) = registry.nth(1).await;
    let Asked::Register(request, _) = asked else { panic!("{asked:?}") };
    let Some(Transport::Direct(direct)) = request.transport else { panic!("not direct") };
    let endpoint = Endpoint::from_shared(format!("http://{}", direct.endpoint)).unwrap();
    let channel = endpoint.connect().await.unwrap();
    Stage { registry, puppet, stop, served, channel, token: direct.caller_token }
}

impl Stage {
    async fn call(&self, act: &Act, digest: &str) -> Streaming<CallResponse> {
        let mut request = Request::new(CallRequest {
            tool: Some(ToolRef {
                tool: "puppet".to_owned(),
                digest: digest.to_owned(),
                ..ToolRef::default()
            }),
            arguments_json: serde_json::json!({ "act": act }).to_string(),
            ..CallRequest::default()
        });
        let token = format!("Bearer {}", self.token).parse().unwrap();
        request.metadata_mut().insert("authorization", token);
        ToolServiceClient::new(self.channel.clone()).call(request).await.unwrap().into_inner()
    }

    /// Watches health until it is `wanted`. The watch itself stays open, as agentd's does.
    async fn health_becomes(&self, wanted: ServingStatus) {
        let request = HealthCheckRequest { service: String::new() };
        let mut client = HealthClient::new(self.channel.clone());
        let mut watch = client.watch(request).await.unwrap().into_inner();
        while watch.message().await.unwrap().unwrap().status() != wanted {}
    }
}

async fn last(mut stream: Streaming<CallResponse>) -> Update {
    let mut last = None;
    while let Some(response) = stream.message().await.unwrap() {
        last = response.update;
    }
    last.unwrap()
}

#[tokio::test]
async fn a_plugin_told_to_stop_lets_its_calls_finish_and_says_goodbye() {
    let stage = stage(Duration::from_secs(25)).await;
    stage.health_becomes(ServingStatus::Serving).await;
    let running = stage.call(&Act::Wait, DIGEST).await;
    let watching = stage.channel.clone();
    let mut watch = HealthClient::new(watching)
        .watch(HealthCheckRequest { service: String::new() })
        .await
        .unwrap()
        .into_inner();
    watch.message().await.unwrap();
    stage.stop.send(()).unwrap();
    let (_, asked) = stage.registry.nth(2).await;
    assert!(matches!(&asked, Asked::Renew(r) if r.state() == InstanceState::Draining), "{asked:?}");
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    let stage = Stage { stop: oneshot::channel().0, ..stage };
    let Update::Failure(refused) = last(stage.call(&Act::Wait, "").await).await else {
        panic!("a new call was taken")
    };
    assert_eq!((refused.reason.as_str(), refused.code), ("DRAINING", 14));
    stage.puppet.gate.add_permits(1);
    assert!(matches!(last(running).await, Update::Result(_)));
    let (_, asked) = stage.registry.nth(3).await;
    assert!(matches!(&asked, Asked::Deregister(r) if r.lease_id == "lease"), "{asked:?}");
    assert!(stage.served.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_call_that_does_not_finish_is_withdrawn_with_a_last_update() {
    let stage = stage(Duration::ZERO).await;
    stage.health_becomes(ServingStatus::Serving).await;
    let running = stage.call(&Act::Wait, "").await;
    stage.stop.send(()).unwrap();
    let Update::Failure(failure) = last(running).await else { panic!("not withdrawn") };
    assert_eq!(failure.reason, "CANCELLED");
    assert!(stage.served.await.unwrap().is_ok());
}

#[tokio::test]
async fn an_address_that_is_taken_is_told_by_name() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = taken.local_addr().unwrap();
    let plugin = Plugin::new("theatre", "1.0.0").tool(Puppet::new());
    let options = Options { listen, ..Options::default() };
    let error = plugin.serve(options, std::future::pending()).await.expect_err("taken");
    assert!(error.to_string().contains(&listen.to_string()), "{error}");
}

/// A tool whose arguments are no object.
struct Shapeless;

impl Tool for Shapeless {
    type Args = String;

    fn spec(&self) -> crate::Spec {
        crate::Spec::read_only("shapeless", "Takes a text.")
    }

    async fn call(&self, _: crate::CallCx, _: String) -> Result<crate::Output, crate::Failure> {
        crate::Output::new(&())
    }
}

#[test]
fn a_plugin_that_is_put_together_wrongly_tells_all_faults() {
    let plugin = Plugin::new("p", "1.0.0").tool(Puppet::new()).tool(Puppet::new()).tool(Shapeless);
    let said = plugin.into_instance(8).expect_err("wrong").to_string();
    assert!(said.contains("puppet 1.0.0 is there twice") && said.contains("shapeless"), "{said}");
    let said = Plugin::new("p", "1.0.0").into_instance(8).expect_err("empty").to_string();
    assert!(said.contains("no tools"), "{said}");
}

#[test]
fn contradictions_between_tools_are_told_together() {
    use crate::{
        Idempotency, Retry, Scope, Spec,
        fake::ledger::{Ledger, Unbook},
    };
    let fault = |spec: &dyn Fn(Spec) -> Spec| {
        let plugin = Plugin::new("bank", "1.0.0")
            .tool(Ledger::new(|_| spec(Spec::reversible("book", "Books."))));
        plugin.tool(Unbook).into_instance(8).expect_err("wrong").to_string()
    };
    for (spec, said) in [
        (&(|spec: Spec| spec) as &dyn Fn(Spec) -> Spec, "does not say by which tool"),
        (&|spec| spec.compensated_by("nobody", false), "no tool of the plugin (book, unbook)"),
        (
            &|spec| {
                spec.compensated_by("unbook", false).cached(Duration::from_secs(1), Scope::Shared)
            },
            "only results of tools that only read are cached",
        ),
        (&|_| Spec::read_only("book", "B.").idempotency(Idempotency::Keyed), "leave keyed() out"),
        (&|_| Spec::read_only("book", "B.").compensated_by("unbook", false), "nothing to undo"),
        (&|spec| spec.compensated_by("book", true), "give that tool an argument call_id"),
        (
            &|spec| {
                let retry = Retry::attempts(2).backoff(Duration::ZERO, Duration::ZERO, 0.5);
                spec.compensated_by("unbook", true).retry(retry)
            },
            "grow by 0.5",
        ),
        (
            &|spec| spec.compensated_by("unbook", true).example("a lot", r#"{"amount":"much"}"#),
            "example \"a lot\" is wrong: arguments.amount",
        ),
    ] {
        let told = fault(spec);
        assert!(told.contains(said), "{told}");
    }
    let told = fault(&|_| Spec::read_only("book", "B.").keyed().compensated_by("nobody", false));
    assert_eq!(told.matches("tool book: ").count(), 3, "{told}");
}
