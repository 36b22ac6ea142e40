//! One attempt over gRPC: sends the call to the instance it has a place at, and reads the whole
//! stream of answers before it answers itself. The stream is read to its end or dropped, never
//! left unread: four unread ones stop a connection.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use agent_proto::tool::v1::{self as pb, tool_service_client::ToolServiceClient};
use futures_util::future::BoxFuture;
use hyper_util::rt::TokioIo;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tonic::{
    Request, Status, Streaming,
    transport::{Channel, Endpoint},
};
use tower::Service;
use uuid::Uuid;

use super::{
    attempt::{Attempt, Fault},
    clean,
    fault::{self, CONNECT_FAILED},
    instance::Line,
    reading::{MAX_RESULT, Reading, Said},
    secured::{HTTPS, Way},
    stack::TOO_LARGE,
    wire,
};
use crate::{
    tool::{Call, CallOutput, FailureClass, Flaw, ResultGap},
    transport::answering::Answering,
};

/// Largest message in either direction, in bytes.
pub(crate) const MAX_MESSAGE: usize = 4 * 1024 * 1024;
/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// Bytes that may be under way on one stream.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// Bytes that may be under way on one connection.
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
/// What the plugin's own timer is told beyond the attempt's timeout.
const HEADER_GRACE: Duration = Duration::from_millis(500);
/// Shortest time between two lines of progress that is asked for.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
/// How long a result may be held against its schema.
const CHECKING: Duration = Duration::from_secs(2);
/// How long the end of the stream may follow the last update.
const ENDING: Duration = Duration::from_secs(1);

/// A connection to `address`, made when first used and again when it broke, by TLS where there is
/// a `way`. No HTTP/2 keepalive: common servers take it for an attack.
///
/// # Errors
/// When it is not an address.
pub(crate) fn channel(
    address: SocketAddr,
    way: Option<Way>,
) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let Some(Way { dialler, name }) = way else {
        let dial = tower::service_fn(move |_| async move {
            within(Answering::connect(address, CONNECT)).await.map(TokioIo::new)
        });
        return Ok(endpoint.connect_with_connector_lazy(dial));
    };
    // Not tonic's own TLS: that keeps the certificates it began with over all reconnections.
    let origin = Endpoint::from_shared(format!("{HTTPS}{address}"))?.uri().clone();
    let dial = tower::service_fn(move |_| {
        let (dialler, name) = (dialler.clone(), name.clone());
        async move { within(dialler.connect(address, name)).await.map(TokioIo::new) }
    });
    Ok(endpoint.origin(origin).connect_with_connector_lazy(dial))
}

/// Bounds the making of a connection. Not tonic's own bound: what that ends is not told as a connection
/// that did not come about.
async fn within<T>(connecting: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer to the connection");
    timeout(CONNECT, connecting).await.map_err(late)?
}

/// The innermost service of the stack.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Client;

impl Service<Attempt> for Client {
    type Response = CallOutput;
    type Error = Fault;
    type Future = BoxFuture<'static, Result<CallOutput, Fault>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        Box::pin(async move {
            let result = match begin(&attempt).await {
                Ok(answers) => read(&attempt, answers).await,
                Err(fault) => Err(fault),
            };
            result.map_err(|mut fault| {
                clean::failure(attempt.ask.redact, &mut fault.failure);
                fault
            })
        })
    }
}

/// What a call is answered with, whichever way.
enum Answers {
    Direct(Box<Streaming<pb::CallResponse>>),
    Relay(mpsc::Receiver<Result<pb::CallResponse, Status>>),
}

impl Answers {
    async fn next(&mut self) -> Result<Option<pb::CallResponse>, Status> {
        match self {
            Self::Direct(stream) => stream.message().await,
            Self::Relay(updates) => updates.recv().await.transpose(),
        }
    }
}

/// Sends the call.
async fn begin(attempt: &Attempt) -> Result<Answers, Fault> {
    let spec = &attempt.ask.spec;
    match &attempt.seat.instance().line {
        Line::Direct { channel, authorization } => {
            let mut request = Request::new(message(attempt));
            // For interceptors that know nothing of the message.
            let parent = request.get_ref().context.as_ref();
            let parent = parent.and_then(|context| context.trace_context.get("traceparent"));
            if let Some(Ok(parent)) = parent.map(|parent| parent.parse()) {
                request.metadata_mut().insert("traceparent", parent);
            }
            // Of all timeouts only this one travels, as a header.
            request.set_timeout(attempt.timeout + HEADER_GRACE);
            if let Some(authorization) = authorization {
                request.metadata_mut().insert("authorization", authorization.clone());
            }
            let mut client = ToolServiceClient::new(channel.clone())
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE);
            let instance = attempt.seat.instance();
            let mut unreached = instance.unreached_times();
            // Requests that wait for a connection are tried one after the other, each with a
            // connection of its own: what fails for one fails for all that wait with it.
            let answer = tokio::select! {
                biased;
                answer = client.call(request) => answer,
                _ = unreached.changed() => return Err(fault::unreached(spec)),
            };
            let answer = answer.map_err(|status| fault::read(&status, spec));
            if answer.as_ref().is_err_and(|fault| fault.failure.reason == CONNECT_FAILED) {
                instance.was_unreached();
            }
            Ok(Answers::Direct(Box::new(answer?.into_inner())))
        }
        Line::Relay(slots) => {
            let parked = slots.send(message(attempt), Instant::now() + CONNECT).await;
            Ok(Answers::Relay(parked.ok_or_else(|| fault::no_slot(spec))?))
        }
    }
}

fn message(attempt: &Attempt) -> pb::CallRequest {
    let (call, cx) = (&attempt.ask.call, &attempt.ask.cx);
    pb::CallRequest {
        call_id: attempt.call_id.to_string(),
        tool: Some(wire::tool_ref_to(&call.tool)),
        arguments_json: call.arguments.clone(),
        mode: pb::CallMode::Execute.into(),
        idempotency_key: call.idempotency_key.to_string(),
        attempt: i32::try_from(attempt.ask.attempt).unwrap_or(i32::MAX),
        limits: Some(pb::CallLimits {
            timeout: Some(wire::duration_to(attempt.timeout)),
            max_result_bytes: i32::try_from(MAX_RESULT).unwrap_or(i32::MAX),
            min_progress_interval: Some(wire::duration_to(PROGRESS_INTERVAL)),
        }),
        context: Some(pb::CallContext {
            investigation: call.investigation.clone(),
            step_id: call.step.clone(),
            principal: cx.principal.clone(),
            environment: cx.environment.clone(),
            trace_context: trace_context(call, attempt.call_id),
            ..pb::CallContext::default()
        }),
        page_token: call.page_token.clone(),
    }
}

/// Holds a result against its schema, on a thread that serves nobody: a stranger made both. A result
/// that breaks it is used all the same, since a wrong schema must not blind anybody.
async fn check_result(attempt: &Attempt, text: String) -> Option<ResultGap> {
    let (contract, id) = (Arc::clone(&attempt.ask.contract), &attempt.ask.spec.id);
    let checked = tokio::task::spawn_blocking(move || contract.fault_of_result(&text));
    let said = match timeout(CHECKING, checked).await {
        Ok(Ok(fault)) => format!("{id} breaks its own output schema: {}", fault?),
        Ok(Err(_)) | Err(_) => format!("{id}: its result takes too long to check"),
    };
    Some(clean::gap("result", FailureClass::Bug, "OUTPUT_SCHEMA", said))
}

/// What ties the spans of a plugin to the investigation: its id is the trace's, the attempt's is the
/// parent's (W3C Trace Context). A call by hand is a trace of its own.
fn trace_context(call: &Call, call_id: Uuid) -> BTreeMap<String, String> {
    let investigation = call.investigation.rsplit('/').next().unwrap_or_default();
    let trace = Uuid::parse_str(investigation).unwrap_or(call_id).simple();
    let span = call_id.as_u64_pair().1;
    BTreeMap::from([("traceparent".to_owned(), format!("00-{trace}-{span:016x}-01"))])
}

async fn read(attempt: &Attempt, mut answers: Answers) -> Result<CallOutput, Fault> {
    let spec = &attempt.ask.spec;
    let mut reading = Reading::new(spec, &attempt.ask.contract, attempt.ask.redact);
    let last = loop {
        let message = match answers.next().await.map_err(|status| fault::read(&status, spec)) {
            Ok(Some(message)) => message,
            Ok(None) => return Err(Fault::sent(reading.ended_early())),
            // What came before is worth something.
            Err(fault) if fault.failure.reason == TOO_LARGE => break Ok(reading.cut_off(&fault)),
            Err(fault) => return Err(fault),
        };
        match reading.take(message).map_err(Fault::sent)? {
            Said::Nothing => {}
            Said::Progress(share, line) => {
                attempt.ask.record.progressed(attempt.call_id, share, line);
            }
            Said::Last(last) => break last,
        }
    };
    // A stream that is dropped is reset; one that is read to its end is not.
    let ended = timeout(ENDING, answers.next()).await;
    if let Ok(Ok(Some(_))) = ended {
        return Err(Fault::sent(reading.went_on()));
    }
    let mut output = last.map_err(Fault::sent)?;
    output.flaws = reading.flaws();
    if ended.is_err() {
        let said = "the stream stayed open after its last update";
        output.flaws.push(Flaw::new("STREAM_LEFT_OPEN", said));
    }
    if let Some(text) = reading.unmasked() {
        output.gaps.extend(check_result(attempt, text).await);
    }
    attempt.ask.ear.listen(&spec.id.plugin, &mut output);
    Ok(output)
}
