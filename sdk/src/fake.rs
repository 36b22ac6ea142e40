//! For the SDK's own tests: an agentd that answers as told and remembers what it was asked, and a
//! tool that does as told. No clocks and no ports of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use agent_proto::tool::v1::{
    self as wire, DeregisterRequest, DeregisterResponse, RegisterRequest, RegisterResponse,
    RenewRequest, RenewResponse, ToolRef, ToolVerdict,
    plugin_registry_service_server::{PluginRegistryService, PluginRegistryServiceServer},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{
    io::DuplexStream,
    sync::{Semaphore, mpsc, watch},
    time::Instant,
};
use tonic::{Request, Response, Status, transport::Endpoint};

use crate::{CallCx, Failure, Output, Severity, SideEffect, Spec, Tool, lease::Dial, tool::Risk};

pub(crate) mod ledger;
pub(crate) mod relay;

pub(crate) const TTL: Duration = Duration::from_secs(30);
pub(crate) const RENEWAL: Duration = Duration::from_secs(10);
pub(crate) const DIGEST: &str = "sha256:of-the-fake";

/// Something the registry was asked, and when.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    Register(Box<RegisterRequest>, String),
    Renew(RenewRequest),
    Deregister(DeregisterRequest),
}

/// How to answer next; without one the answer is the usual good one.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Fail(Status),
    Register(RegisterResponse),
    Direct(wire::InstanceDirective),
    Hang,
    /// The usual one to a registration, but late.
    Late(Duration),
}

#[derive(Default)]
struct Memory {
    answers: VecDeque<Answer>,
    asked: Vec<(Instant, Asked)>,
}

/// An agentd of which only the registry is there.
#[derive(Clone)]
pub(crate) struct Registry {
    memory: Arc<Mutex<Memory>>,
    count: watch::Sender<usize>,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self { memory: Arc::default(), count: watch::channel(0).0 }
    }

    pub(crate) fn will(&self, answers: impl IntoIterator<Item = Answer>) {
        self.memory.lock().unwrap().answers.extend(answers);
    }

    pub(crate) fn forget_answers(&self) {
        self.memory.lock().unwrap().answers.clear();
    }

    pub(crate) fn asked(&self) -> Vec<(Instant, Asked)> {
        self.memory.lock().unwrap().asked.clone()
    }

    /// Waits until `count` requests came, and gives the last of them.
    pub(crate) async fn nth(&self, count: usize) -> (Instant, Asked) {
        let mut seen = self.count.subscribe();
        seen.wait_for(|seen| *seen >= count).await.unwrap();
        self.asked().get(count - 1).unwrap().clone()
    }

    pub(crate) fn service(&self) -> PluginRegistryServiceServer<Self> {
        PluginRegistryServiceServer::new(self.clone())
    }

    fn note(&self, asked: Asked) -> Option<Answer> {
        let mut memory = self.memory.lock().unwrap();
        memory.asked.push((Instant::now(), asked));
        self.count.send_modify(|count| *count += 1);
        memory.answers.pop_front()
    }
}

/// The usual good answer to a catalog.
pub(crate) fn accepting(catalog: &wire::PluginCatalog) -> RegisterResponse {
    let verdicts = catalog.tools.iter().map(|tool| ToolVerdict {
        tool: Some(ToolRef {
            plugin: catalog.plugin.clone(),
            tool: tool.name.clone(),
            version: tool.version.clone(),
            digest: DIGEST.to_owned(),
        }),
        accepted: true,
        ..ToolVerdict::default()
    });
    RegisterResponse {
        lease_id: "lease".to_owned(),
        lease_ttl: Some(TTL.try_into().unwrap()),
        renew_interval: Some(RENEWAL.try_into().unwrap()),
        protocol: 1,
        catalog_digest: "sha256:catalog".to_owned(),
        verdicts: verdicts.collect(),
        ..RegisterResponse::default()
    }
}

#[tonic::async_trait]
impl PluginRegistryService for Registry {
    async fn register(
        &self,
        request: Request<RegisterRequest>,
    ) -> Result<Response<RegisterResponse>, Status> {
        let token = request.metadata().get("authorization");
        let token = token.map_or(String::new(), |token| token.to_str().unwrap().to_owned());
        let request = request.into_inner();
        let usual = accepting(request.catalog.as_ref().unwrap());
        match self.note(Asked::Register(Box::new(request), token)) {
            Some(Answer::Fail(status)) => Err(status),
            Some(Answer::Register(response)) => Ok(Response::new(response)),
            Some(Answer::Hang) => std::future::pending().await,
            Some(Answer::Late(pause)) => {
                tokio::time::sleep(pause).await;
                Ok(Response::new(usual))
            }
            Some(Answer::Direct(_)) | None => Ok(Response::new(usual)),
        }
    }

    async fn renew(
        &self,
        request: Request<RenewRequest>,
    ) -> Result<Response<RenewResponse>, Status> {
        let mut response = RenewResponse {
            lease_ttl: Some(TTL.try_into().unwrap()),
            renew_interval: Some(RENEWAL.try_into().unwrap()),
            ..RenewResponse::default()
        };
        match self.note(Asked::Renew(request.into_inner())) {
            Some(Answer::Fail(status)) => return Err(status),
            Some(Answer::Hang) => std::future::pending().await,
            Some(Answer::Direct(directive)) => response.set_directive(directive),
            Some(Answer::Register(_) | Answer::Late(_)) | None => {}
        }
        Ok(Response::new(response))
    }

    async fn deregister(
        &self,
        request: Request<DeregisterRequest>,
    ) -> Result<Response<DeregisterResponse>, Status> {
        self.note(Asked::Deregister(request.into_inner()));
        Ok(Response::new(DeregisterResponse::default()))
    }
}

/// A network of pipes to a [`Registry`]: it can be cut, and counts how often it was dialled.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) is_up: Arc<AtomicBool>,
    pub(crate) dials: Arc<AtomicUsize>,
    connections: mpsc::Sender<std::io::Result<DuplexStream>>,
}

impl Network {
    pub(crate) fn to(registry: &Registry) -> Self {
        let router = tonic::transport::Server::builder().add_service(registry.service());
        Self::serving(router)
    }

    pub(crate) fn with_relay(registry: &Registry, relay: &relay::Relay) -> Self {
        let router = tonic::transport::Server::builder().add_service(registry.service());
        Self::serving(router.add_service(relay.service()))
    }

    fn serving(router: tonic::transport::server::Router) -> Self {
        let (connections, mut accepted) = mpsc::channel(8);
        let incoming = futures_util::stream::poll_fn(move |cx| accepted.poll_recv(cx));
        tokio::spawn(router.serve_with_incoming(incoming));
        Self { is_up: Arc::new(AtomicBool::new(true)), dials: Arc::default(), connections }
    }

    pub(crate) fn dial(&self) -> Dial {
        let network = self.clone();
        Box::new(move || {
            network.dials.fetch_add(1, Ordering::SeqCst);
            let network = network.clone();
            let connector = tower::service_fn(move |_: http::Uri| {
                let network = network.clone();
                async move {
                    if !network.is_up.load(Ordering::SeqCst) {
                        return Err(std::io::Error::other("cut"));
                    }
                    let (ours, theirs) = tokio::io::duplex(64 * 1024);
                    network.connections.send(Ok(theirs)).await.map_err(std::io::Error::other)?;
                    Ok(hyper_util::rt::TokioIo::new(ours))
                }
            });
            Endpoint::from_static("http://agentd.test").connect_with_connector_lazy(connector)
        })
    }
}

/// What a [`Puppet`] does.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Act {
    /// Answers with the text.
    Say(String),
    /// Waits until the test lets it go on.
    Wait,
    /// Panics with the text.
    Panic(String),
    /// Tells so many log lines of 1 KiB.
    Flood(u32),
    /// Tells progress so often, 50 ms apart, with steps back in between.
    Count(u32),
    /// Tells the text as progress and as a log line.
    Tell(String),
    /// Leaves a task behind that goes on talking, and answers.
    Straggle,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Acts {
    act: Act,
}

/// A tool that does as told. Its clones share what they count.
#[derive(Clone)]
pub(crate) struct Puppet {
    pub(crate) side_effect: SideEffect,
    /// Lets one waiting call go on for each permit.
    pub(crate) gate: Arc<Semaphore>,
    pub(crate) begun: Arc<AtomicUsize>,
    /// Calls whose work was dropped or done.
    pub(crate) dropped: Arc<AtomicUsize>,
    /// Calls whose token was cancelled, as seen by a task of their own.
    pub(crate) cancelled: watch::Sender<usize>,
    pub(crate) lines: Arc<AtomicUsize>,
}

impl Puppet {
    pub(crate) fn new() -> Self {
        Self {
            side_effect: SideEffect::ReadOnly,
            gate: Arc::new(Semaphore::new(0)),
            begun: Arc::default(),
            dropped: Arc::default(),
            cancelled: watch::channel(0).0,
            lines: Arc::default(),
        }
    }

    pub(crate) fn changing(mut self) -> Self {
        self.side_effect = SideEffect::Destructive;
        self
    }
}

struct CountDrop(Arc<AtomicUsize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Tool for Puppet {
    type Args = Acts;

    fn spec(&self) -> Spec {
        let spec = Spec::read_only("puppet", "Does as told.");
        if self.side_effect == SideEffect::ReadOnly {
            spec
        } else {
            spec.changes(self.side_effect, Risk::High)
        }
    }

    async fn call(&self, cx: CallCx, args: Acts) -> Result<Output, Failure> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let _count = CountDrop(Arc::clone(&self.dropped));
        let (watcher, cancelled) = (cx.clone(), self.cancelled.clone());
        tokio::spawn(async move {
            watcher.cancelled().await;
            cancelled.send_modify(|count| *count += 1);
        });
        match args.act {
            Act::Say(text) => return Output::new(&text),
            Act::Wait => self.gate.acquire().await.unwrap().forget(),
            Act::Panic(text) => panic!("{text}"),
            Act::Flood(lines) => {
                for _ in 0..lines {
                    cx.log(Severity::Info, &"x".repeat(1024)).await;
                    self.lines.fetch_add(1, Ordering::SeqCst);
                }
            }
            Act::Count(steps) => {
                for step in 0..steps {
                    // A step back comes also when the time for an update has come.
                    let back = if step % 8 == 0 { 6.0 } else { 0.0 };
                    let done = (f64::from(step) - back).max(0.0);
                    cx.progress(done, Some(f64::from(steps)), "step").await;
                    cx.progress(f64::NAN, None, "nowhere").await;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            Act::Tell(text) => {
                cx.progress(1.0, None, &text).await;
                cx.log(Severity::Info, &text).await;
            }
            Act::Straggle => {
                tokio::spawn(async move {
                    for _ in 0..100 {
                        cx.log(Severity::Warn, "still here").await;
                    }
                });
            }
        }
        Output::new(&"done")
    }
}
