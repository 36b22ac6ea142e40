//! Plugins for tests, on tonic alone: honest, hanging, lying, flooding, dying. Each runs on a
//! runtime of its own, so that killing one closes its sockets as the end of a process would.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::{borrow::Cow, net::SocketAddr, sync::Arc, time::Duration};

use agent_proto::tool::v1::{
    self as pb,
    tool_service_server::{ToolService, ToolServiceServer},
};
use pb::call_response::Update;
use tokio::{net::TcpListener, runtime::Runtime, sync::mpsc, time::Instant};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, metadata::MetadataMap, transport::Server};
use uuid::Uuid;

use super::{
    CallCx, CallUpdate, Tools,
    registry::{Caller, Config, Registry},
};
use crate::{
    guard::{Cleared, policy::Policy},
    reasoner::catalogue::Catalogue,
    tool::{Call, CallOutput, Failure, ToolSpec},
};

/// What a fake does when it is called.
#[derive(Clone)]
pub(crate) enum Way {
    /// Sends these updates, numbered, and ends.
    Says(Vec<Update>),
    /// Answers with a status.
    Refuses(Status),
    /// Accepts, and then nothing.
    Hangs,
    /// Progress without end.
    Floods,
    /// Progress so often, without end.
    Drips(Duration),
}

/// A plugin that runs.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    pub(crate) calls: mpsc::UnboundedReceiver<Seen>,
    runtime: Option<Runtime>,
}

/// One call as the plugin saw it.
pub(crate) struct Seen {
    pub(crate) headers: MetadataMap,
    pub(crate) request: pb::CallRequest,
    /// Cancelled once the caller is gone or the call is over.
    pub(crate) gone: CancellationToken,
}

struct Served {
    ways: Vec<(String, Way)>,
    calls: mpsc::UnboundedSender<Seen>,
}

#[tonic::async_trait]
impl ToolService for Served {
    async fn get_catalog(
        &self,
        _: Request<pb::GetCatalogRequest>,
    ) -> Result<Response<pb::GetCatalogResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    type CallStream = ReceiverStream<Result<pb::CallResponse, Status>>;

    async fn call(
        &self,
        request: Request<pb::CallRequest>,
    ) -> Result<Response<Self::CallStream>, Status> {
        let (headers, _, request) = request.into_parts();
        let tool = request.tool.clone().unwrap_or_default().tool;
        let way = self.ways.iter().find(|(name, _)| *name == tool).unwrap().1.clone();
        let gone = CancellationToken::new();
        let seen = Seen { headers, request, gone: gone.clone() };
        let _ = self.calls.send(seen);
        let (updates, stream) = mpsc::channel(4);
        tokio::spawn(async move {
            let _gone = gone.drop_guard();
            let say = |sequence, update| Ok(pb::CallResponse { sequence, update: Some(update) });
            match way {
                Way::Refuses(status) => {
                    let _ = updates.send(Err(status)).await;
                }
                Way::Says(said) => {
                    for (at, update) in (1..).zip(said) {
                        let _ = updates.send(say(at, update)).await;
                    }
                }
                Way::Hangs => {
                    let _ = updates.send(say(1, accepted())).await;
                    updates.closed().await;
                }
                Way::Drips(pause) => {
                    let mut at = 1;
                    while updates.send(say(at, progress(f64::from(at), "on it"))).await.is_ok() {
                        at += 1;
                        tokio::time::sleep(pause).await;
                    }
                }
                Way::Floods => {
                    let line = "x".repeat(64 * 1024);
                    let mut at = 1;
                    while updates.send(say(at, progress(f64::from(at), &line))).await.is_ok() {
                        at += 1;
                    }
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

pub(crate) fn accepted() -> Update {
    Update::Accepted(pb::CallAccepted::default())
}

pub(crate) fn progress(done: f64, message: &str) -> Update {
    Update::Progress(pb::CallProgress { done, total: None, message: message.to_owned() })
}

pub(crate) fn result(json: &str) -> Update {
    Update::Result(pb::CallResult { result_json: json.to_owned(), ..Default::default() })
}

/// A read-only tool with a timeout of a second and one attempt.
pub(crate) fn descriptor(name: &str) -> pb::ToolDescriptor {
    pb::ToolDescriptor {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        description: "looks".to_owned(),
        side_effect: pb::SideEffect::ReadOnly.into(),
        timeout: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
        retry: Some(pb::RetryPolicy { max_attempts: 1, ..Default::default() }),
        input_schema_json:
            r#"{"type":"object","properties":{"service":{"type":"string","description":"whom"}}}"#
                .to_owned(),
        ..Default::default()
    }
}

/// Its announcement.
pub(crate) fn announcement(
    address: SocketAddr,
    tools: Vec<pb::ToolDescriptor>,
) -> pb::RegisterRequest {
    pb::RegisterRequest {
        instance_id: Uuid::new_v4().to_string(),
        catalog: Some(pb::PluginCatalog {
            plugin: "probe".to_owned(),
            version: "1.0.0".to_owned(),
            tools,
            ..Default::default()
        }),
        transport: Some(pb::register_request::Transport::Direct(pb::DirectTransport {
            endpoint: address.to_string(),
            caller_token: "s3cret".to_owned(),
            ..Default::default()
        })),
        ..Default::default()
    }
}

impl Fake {
    /// Starts a plugin whose tools behave as said.
    pub(crate) fn start(ways: &[(&str, Way)]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (calls, seen) = mpsc::unbounded_channel();
        let ways = ways.iter().map(|(name, way)| ((*name).to_owned(), way.clone())).collect();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            let listener = TcpListenerStream::new(TcpListener::from_std(listener).unwrap());
            let service = ToolServiceServer::new(Served { ways, calls });
            Server::builder().add_service(service).serve_with_incoming(listener).await
        });
        Self { address, calls: seen, runtime: Some(runtime) }
    }

    /// Ends it as kill -9 would.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A daemon's end: a registry, its tools, and what was told of calls.
pub(crate) struct Bench {
    pub(crate) registry: Registry,
    pub(crate) tools: Tools,
    updates: mpsc::Sender<CallUpdate>,
    told: mpsc::Receiver<CallUpdate>,
}

pub(crate) fn keep(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text)
}

impl Bench {
    pub(crate) fn new() -> Self {
        let catalogue = Arc::new(Catalogue::embedded().unwrap());
        let registry = Registry::new(Config { catalogue, ..Config::default() });
        // Room for all of a test, which looks only afterwards.
        let (updates, told) = mpsc::channel(10_000);
        Self { tools: Tools::new(registry.clone(), keep), registry, updates, told }
    }

    /// Registers a fake and waits until it is ready.
    pub(crate) async fn register(
        &self,
        fake: &Fake,
        tools: Vec<pb::ToolDescriptor>,
    ) -> pb::RegisterResponse {
        let request = announcement(fake.address, tools);
        let answer = self.registry.register(request, &Caller::default()).await.unwrap();
        assert!(answer.verdicts.iter().all(|verdict| verdict.accepted), "{answer:?}");
        let soon = Instant::now() + Duration::from_secs(10);
        self.tools.wait_ready(&["probe".to_owned()], soon).await.unwrap();
        answer
    }

    pub(crate) fn spec(&self, tool: &str) -> Arc<ToolSpec> {
        self.tools.specs().into_iter().find(|spec| spec.id.tool == tool).unwrap()
    }

    pub(crate) fn cleared(&self, tool: &str) -> Cleared<Call> {
        cleared(&self.spec(tool))
    }

    pub(crate) fn cx(&self) -> CallCx {
        CallCx {
            deadline: Instant::now() + Duration::from_secs(20),
            cancel: CancellationToken::new(),
            updates: self.updates.clone(),
            principal: "people/ann".to_owned(),
            environment: "staging".to_owned(),
        }
    }

    pub(crate) async fn call(&self, tool: &str) -> Result<CallOutput, Failure> {
        self.tools.call(self.cleared(tool), self.cx()).await
    }

    /// Calls a tool that the policy would ask a person about.
    pub(crate) async fn unguarded(&self, spec: &ToolSpec) -> Result<CallOutput, Failure> {
        let call = crate::guard::policy::tests::call(spec);
        self.tools.call(crate::guard::policy::tests::unguarded(call), self.cx()).await
    }

    /// What was told since the last look: `S1` started attempt 1, `P` progressed, `F1` finished,
    /// `F1+` finished and to be retried.
    pub(crate) fn told(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Ok(update) = self.told.try_recv() {
            lines.push(match update {
                CallUpdate::Started { attempt, .. } => format!("S{attempt}"),
                CallUpdate::Progressed { .. } => "P".to_owned(),
                CallUpdate::Finished { attempt, will_retry, .. } => {
                    format!("F{attempt}{}", if will_retry { "+" } else { "" })
                }
            });
        }
        lines
    }

    /// The next update that is told.
    pub(crate) async fn next_told(&mut self) -> CallUpdate {
        self.told.recv().await.unwrap()
    }
}

pub(crate) fn cleared(spec: &ToolSpec) -> Cleared<Call> {
    let call = crate::guard::policy::tests::call(spec);
    Policy::default().clear(call, spec).unwrap()
}
