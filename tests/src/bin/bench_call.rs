//! What the way through agentd costs: a tool call through all of it (guard, tower stack, client) to a
//! plugin on the SDK, and to one that is nothing but tonic, beside the same request over bare tonic, and
//! beside one that is next to empty, in one run, in alternating rounds, so that all meet the same machine.
//! Both ends are in this process: the time on its CPUs is that of caller and called. Prints, never judges.
//!
//! Usage: `cargo run --release -p agent-tests --bin bench_call [ROUNDS] [CALLS]`

#![expect(clippy::print_stdout, reason = "a program for people")]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use agent_proto::tool::v1::{
    self as pb,
    call_response::Update,
    plugin_registry_service_client::PluginRegistryServiceClient,
    tool_service_client::ToolServiceClient,
    tool_service_server::{ToolService, ToolServiceServer},
};
use agent_sdk::{Entity, Failure, Observation, Options, Output, Plugin, RateLimit, Spec, Tool};
use agentd::{
    app,
    config::Config,
    guard::policy::Policy,
    plugin::{CallCx, Tools},
    tool::{Call, ToolSpec},
};
use anyhow::{Context as _, Result, anyhow};
use futures_util::{Stream, stream};
use tokio::{net::TcpListener, sync::mpsc};
use tonic::{
    Request, Response, Status,
    transport::{Channel, Server, server::TcpIncoming},
};

const ARGUMENTS: &str = r#"{"word":"over and out"}"#;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let rounds = arguments.next().unwrap_or(Ok(20))?;
    let calls = arguments.next().unwrap_or(Ok(250))?;
    // On a thread of the runtime, as the engine is.
    tokio::spawn(measured(rounds, calls)).await?
}

async fn measured(rounds: usize, calls: usize) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut config = Config::with_data_dir(dir.path().join("data"));
    config.grpc.listen.set_port(0);
    config.http.listen = None;
    let daemon = app::start(config, None).await?;
    let options = Options { agentd_url: format!("http://{}", daemon.grpc()), ..Options::default() };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let plugin = tokio::spawn(Plugin::new("bench", "1.0.0").tool(Echo).serve(options, async {
        let _ = stopped.await;
    }));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    let named = ["bench".to_owned()];
    daemon.tools().wait_ready(&named, deadline).await.map_err(|e| anyhow!("not ready: {e:?}"))?;
    let (mut bare, address) = bare().await?;
    let registered = tokio::spawn(announced(daemon.grpc(), address));
    let named = ["bare".to_owned()];
    daemon.tools().wait_ready(&named, deadline).await.map_err(|e| anyhow!("not ready: {e:?}"))?;
    // Warm: connections, branch predictors, the registry's first look at health.
    let mut rows = [
        Row::new("agentd to an SDK plugin"),
        Row::new("agentd to bare tonic"),
        Row::new("bare tonic, next to empty"),
        Row::new("bare tonic"),
    ];
    let specs = daemon.tools().specs();
    let of = |plugin: &str| specs.iter().find(|spec| spec.id.plugin == plugin).context("not there");
    let ways = [Way::Guarded(of("bench")?), Way::Guarded(of("bare")?), Way::Empty, Way::Bare];
    for round in 0..=rounds {
        for (row, way) in rows.iter_mut().zip(&ways) {
            let on_cpu = cpu();
            for _ in 0..calls {
                let took = match way {
                    Way::Guarded(spec) => guarded(daemon.tools(), spec).await?,
                    Way::Empty => raw(&mut bare, empty()).await?,
                    Way::Bare => raw(&mut bare, same()?).await?,
                };
                row.taken.push(took);
            }
            row.on_cpu += cpu().saturating_sub(on_cpu);
            if round == 0 {
                *row = Row::new(row.name);
            }
        }
    }
    tell(&mut rows);
    let _ = stop.send(());
    plugin.await??;
    registered.abort();
    daemon.stop().await?;
    Ok(())
}

/// How a call is made.
enum Way<'a> {
    Guarded(&'a ToolSpec),
    Empty,
    Bare,
}

/// One way of calling, measured.
struct Row {
    name: &'static str,
    taken: Vec<Duration>,
    /// Of this process, while these calls were made.
    on_cpu: Duration,
}

impl Row {
    fn new(name: &'static str) -> Self {
        Self { name, taken: Vec::new(), on_cpu: Duration::ZERO }
    }
}

/// What this process has spent on CPUs.
fn cpu() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(spent).unwrap_or_default()
}

/// Prints the rows, each beside the last.
fn tell(rows: &mut [Row; 4]) {
    let [.., last] = rows;
    last.taken.sort_unstable();
    let calls = f64::from(u32::try_from(last.taken.len()).unwrap_or(u32::MAX));
    let beside = [share(&last.taken, 50), share(&last.taken, 99), last.on_cpu];
    println!("{calls} calls each, in turn");
    println!("{:<26}{:>18}{:>18}{:>18}", "", "p50", "p99", "CPU a call");
    for row in rows {
        row.taken.sort_unstable();
        let own = [share(&row.taken, 50), share(&row.taken, 99), row.on_cpu];
        let cells = [1.0, 1.0, calls].into_iter().zip(own.into_iter().zip(beside));
        let cells: String = cells
            .map(|(of, (own, beside))| {
                let (own, beside) = (micros(own) / of, micros(beside) / of);
                format!("{own:>9.1} us {:>4.2}x", own / beside)
            })
            .collect();
        println!("{:<26}{cells}", row.name);
    }
}

/// The value that `percent` of the sorted ones do not exceed.
fn share(sorted: &[Duration], percent: usize) -> Duration {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

fn micros(taken: Duration) -> f64 {
    taken.as_secs_f64() * 1e6
}

/// One call through all of agentd.
async fn guarded(tools: &Tools, spec: &ToolSpec) -> Result<Duration> {
    let begun = Instant::now();
    let call = Call {
        page_token: String::new(),
        tool: spec.id.clone(),
        arguments: ARGUMENTS.to_owned(),
        idempotency_key: uuid::Uuid::from_u128(7),
        investigation: "investigations/bench".to_owned(),
        step: "s1".to_owned(),
    };
    let cleared = Policy::default().clear(call, spec).map_err(|f| anyhow!("refused: {f:?}"))?;
    let (updates, mut told) = mpsc::channel(16);
    let cx = CallCx {
        deadline: tokio::time::Instant::now() + Duration::from_secs(10),
        cancel: tokio_util::sync::CancellationToken::new(),
        updates,
        principal: "bench".to_owned(),
        environment: String::new(),
    };
    // Both at once, as the engine does it.
    let (answer, _) =
        tokio::join!(tools.call(cleared, cx), async { while told.recv().await.is_some() {} });
    answer.map_err(|failure| anyhow!("failed: {failure:?}"))?;
    Ok(begun.elapsed())
}

/// A call over bare tonic.
async fn raw(
    client: &mut ToolServiceClient<Channel>,
    request: Request<pb::CallRequest>,
) -> Result<Duration> {
    let begun = Instant::now();
    let mut answer = client.call(request).await?.into_inner();
    while answer.message().await?.is_some() {}
    Ok(begun.elapsed())
}

/// A request that says next to nothing.
fn empty() -> Request<pb::CallRequest> {
    Request::new(pb::CallRequest {
        call_id: "bench".to_owned(),
        arguments_json: ARGUMENTS.to_owned(),
        ..pb::CallRequest::default()
    })
}

/// The request that agentd makes of the call, header for header and field for field.
fn same() -> Result<Request<pb::CallRequest>> {
    let call_id = uuid::Uuid::new_v4();
    let parent = format!("00-{}-{:016x}-01", call_id.simple(), call_id.as_u64_pair().1);
    let span = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let mut request = Request::new(pb::CallRequest {
        call_id: call_id.to_string(),
        tool: Some(pb::ToolRef {
            plugin: "bare".to_owned(),
            tool: "echo".to_owned(),
            version: "1.0.0".to_owned(),
            digest: format!("sha256:{}", "7e57c0de".repeat(8)),
        }),
        arguments_json: ARGUMENTS.to_owned(),
        mode: pb::CallMode::Execute.into(),
        idempotency_key: uuid::Uuid::from_u128(7).to_string(),
        attempt: 1,
        limits: Some(pb::CallLimits {
            timeout: span(30),
            max_result_bytes: 256 * 1024,
            min_progress_interval: span(1),
        }),
        context: Some(pb::CallContext {
            investigation: "investigations/bench".to_owned(),
            step_id: "s1".to_owned(),
            principal: "bench".to_owned(),
            trace_context: [("traceparent".to_owned(), parent.clone())].into(),
            ..pb::CallContext::default()
        }),
        page_token: String::new(),
    });
    request.metadata_mut().insert("traceparent", parent.parse()?);
    request.set_timeout(Duration::from_secs(30));
    Ok(request)
}

/// A plugin that is nothing but tonic, and a client of it that is no more.
async fn bare() -> Result<(ToolServiceClient<Channel>, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let served = Server::builder().add_service(ToolServiceServer::new(Bare));
    tokio::spawn(served.serve_with_incoming(incoming));
    let channel = Channel::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
    Ok((ToolServiceClient::new(channel.connect().await?), address))
}

/// Registers the plugin at `address`, and keeps its lease.
async fn announced(agentd: SocketAddr, address: SocketAddr) -> Result<()> {
    let tool = pb::ToolDescriptor {
        name: "echo".to_owned(),
        version: "1.0.0".to_owned(),
        description: "Says what it heard.".to_owned(),
        side_effect: pb::SideEffect::ReadOnly.into(),
        input_schema_json: r#"{"type":"object","additionalProperties":true}"#.to_owned(),
        ..pb::ToolDescriptor::default()
    };
    let request = pb::RegisterRequest {
        instance_id: uuid::Uuid::new_v4().to_string(),
        catalog: Some(pb::PluginCatalog {
            plugin: "bare".to_owned(),
            version: "1.0.0".to_owned(),
            tools: vec![tool],
            ..pb::PluginCatalog::default()
        }),
        transport: Some(pb::register_request::Transport::Direct(pb::DirectTransport {
            endpoint: address.to_string(),
            ..pb::DirectTransport::default()
        })),
        ..pb::RegisterRequest::default()
    };
    let mut registry = PluginRegistryServiceClient::connect(format!("http://{agentd}")).await?;
    let answer = registry.register(request).await?.into_inner();
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let renewal = pb::RenewRequest {
            lease_id: answer.lease_id.clone(),
            catalog_digest: answer.catalog_digest.clone(),
            ..pb::RenewRequest::default()
        };
        registry.renew(renewal).await?;
    }
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Said {
    word: String,
}

/// The tool: says what it heard.
struct Echo;

impl Tool for Echo {
    type Args = Said;

    fn spec(&self) -> Spec {
        let limit = RateLimit {
            calls: 1_000_000,
            period: Duration::from_secs(1),
            burst: 1_000_000,
            max_concurrent: 0,
        };
        Spec::read_only("echo", "Says what it heard.").rate_limit(limit)
    }

    async fn call(&self, _cx: agent_sdk::CallCx, said: Said) -> Result<Output, Failure> {
        let heard = Observation::new("bench.heard", Entity::new("Word", "", "it"), &said.word);
        Ok(Output::new(&said.word)?.observe(heard))
    }
}

/// The same without anything of ours around it.
struct Bare;

#[tonic::async_trait]
impl ToolService for Bare {
    type CallStream =
        std::pin::Pin<Box<dyn Stream<Item = Result<pb::CallResponse, Status>> + Send>>;

    async fn call(
        &self,
        request: Request<pb::CallRequest>,
    ) -> Result<Response<Self::CallStream>, Status> {
        let result_json = request.into_inner().arguments_json;
        let updates = [
            Update::Accepted(pb::CallAccepted::default()),
            Update::Result(pb::CallResult { result_json, ..pb::CallResult::default() }),
        ];
        let messages = updates
            .map(|update| Ok(pb::CallResponse { update: Some(update), ..Default::default() }));
        Ok(Response::new(Box::pin(stream::iter(messages))))
    }

    async fn get_catalog(
        &self,
        _: Request<pb::GetCatalogRequest>,
    ) -> Result<Response<pb::GetCatalogResponse>, Status> {
        Err(Status::unimplemented("an echo has no catalog"))
    }
}
