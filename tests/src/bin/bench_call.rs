//! What the way through agentd costs: a tool call through all of it (guard, tower stack, client,
//! an SDK plugin over the loopback) beside the same messages over bare tonic, in one run, in
//! alternating rounds, so that both meet the same machine. Prints, never judges.
//!
//! Usage: `cargo run --release -p agent-tests --bin bench_call [ROUNDS] [CALLS]`

#![expect(clippy::print_stdout, reason = "a program for people")]

use std::time::{Duration, Instant};

use agent_proto::tool::v1::{
    self as pb,
    call_response::Update,
    tool_service_client::ToolServiceClient,
    tool_service_server::{ToolService, ToolServiceServer},
};
use agent_sdk::{Entity, Failure, Observation, Options, Output, Plugin, RateLimit, Spec, Tool};
use agentd::{
    app,
    config::Config,
    guard::policy::Policy,
    plugin::{CallCx, Tools},
    tool::Call,
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
    let mut bare = bare().await?;
    // Warm: connections, branch predictors, the registry's first look at health.
    whole(daemon.tools()).await?;
    raw(&mut bare).await?;
    let (mut through, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        for _ in 0..calls {
            through.push(whole(daemon.tools()).await?);
        }
        for _ in 0..calls {
            beside.push(raw(&mut bare).await?);
        }
    }
    tell(&mut through, &mut beside);
    let _ = stop.send(());
    plugin.await??;
    daemon.stop().await?;
    Ok(())
}

fn tell(through: &mut [Duration], beside: &mut [Duration]) {
    through.sort_unstable();
    beside.sort_unstable();
    println!("{} calls each, alternating", through.len());
    println!("{:<28}{:>12}{:>12}", "", "p50", "p99");
    for (name, taken) in [("through agentd", &*through), ("bare tonic echo", &*beside)] {
        let (p50, p99) = (share(taken, 50), share(taken, 99));
        println!("{name:<28}{:>9.1} us{:>9.1} us", micros(p50), micros(p99));
    }
    let ratio = |percent| micros(share(through, percent)) / micros(share(beside, percent));
    println!("{:<28}{:>12.2}{:>12.2}", "ratio", ratio(50), ratio(99));
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
async fn whole(tools: &Tools) -> Result<Duration> {
    let begun = Instant::now();
    let specs = tools.specs();
    let spec = specs.first().context("the tool is there")?;
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

/// The same messages over bare tonic.
async fn raw(client: &mut ToolServiceClient<Channel>) -> Result<Duration> {
    let begun = Instant::now();
    let request = pb::CallRequest {
        call_id: "bench".to_owned(),
        arguments_json: ARGUMENTS.to_owned(),
        ..pb::CallRequest::default()
    };
    let mut answer = client.call(request).await?.into_inner();
    while answer.message().await?.is_some() {}
    Ok(begun.elapsed())
}

async fn bare() -> Result<ToolServiceClient<Channel>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let served = Server::builder().add_service(ToolServiceServer::new(Bare));
    tokio::spawn(served.serve_with_incoming(incoming));
    let channel = Channel::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
    Ok(ToolServiceClient::new(channel.connect().await?))
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
