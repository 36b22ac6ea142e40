//! A test kit for plugins: the real gRPC service of a plugin over an in-memory pipe, without a
//! daemon, a port or a token. What a test sees is what agentd would see.

use std::{sync::Arc, time::Duration};

use agent_proto::tool::v1::{
    self as wire, CallLimits, CallMode, CallRequest, CallResponse, ToolRef, call_response::Update,
    tool_service_client::ToolServiceClient,
};
use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use tokio::io::DuplexStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::{
    Request, Status,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};

use crate::{
    error::Error,
    instance::Instance,
    limits::MAX_WIRE,
    plugin::Plugin,
    server::{Readiness, router},
};

const CAPACITY: u16 = 8;
const PIPE: usize = 64 * 1024;

/// A served plugin and a client of it.
#[derive(Debug)]
pub struct Harness {
    instance: Arc<Instance>,
    channel: Channel,
    _server: AbortOnDropHandle<()>,
}

/// How to make a call; [`Call::default`] leaves all to the contract's defaults.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// Time for the attempt; unset means 30 s.
    pub timeout: Option<Duration>,
    /// Withdraw the call as soon as it is accepted.
    pub cancel_after_accepted: bool,
    /// Largest `result_json`; unset means 256 KiB.
    pub max_result_bytes: Option<u32>,
    /// Shortest time between two progress updates; unset means 200 ms.
    pub min_progress_interval: Option<Duration>,
    /// Whether to act, for tools that change something.
    pub execute: bool,
    /// Whether to change nothing and only say what would happen; leads over `execute`.
    pub dry_run: bool,
    /// Same for all attempts at one step; empty means none.
    pub idempotency_key: String,
    /// On whose behalf, and which trace it belongs to.
    pub context: wire::CallContext,
    /// Continues a truncated result.
    pub page_token: String,
}

/// How a call ended.
#[derive(Debug, Clone)]
pub enum End {
    /// With a result; chunks and facts sent before it are joined in.
    Result(Box<wire::CallResult>),
    /// With a failure.
    Failure(Box<wire::Failure>),
    /// It was withdrawn, as asked.
    Cancelled,
    /// With a gRPC status instead of a last update, or with none at all.
    Broken(Status),
}

/// Everything that came back from a call.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The updates in order, as they came.
    pub updates: Vec<CallResponse>,
    /// How it ended.
    pub end: End,
}

impl Harness {
    /// Serves `plugin`.
    ///
    /// # Errors
    /// [`Error::Definition`] when the plugin is put together wrongly.
    pub async fn new(plugin: Plugin) -> Result<Self, Error> {
        Self::with_capacity(plugin, CAPACITY).await
    }

    /// Serves `plugin`, which takes `capacity` calls at once.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub async fn with_capacity(plugin: Plugin, capacity: u16) -> Result<Self, Error> {
        let instance = Arc::new(plugin.into_instance(capacity)?);
        let readiness = Readiness::new().await;
        readiness.set(true).await;
        let router = router(Arc::clone(&instance), &readiness)?;
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let connections = stream::iter([Ok::<_, std::io::Error>(theirs)]).chain(stream::pending());
        let server = tokio::spawn(async move {
            let _ = router.serve_with_incoming(connections).await;
        });
        let channel = over(ours).map_err(Error::Server)?;
        Ok(Self { instance, channel, _server: AbortOnDropHandle::new(server) })
    }

    /// The connection, for what the kit has no method for: health, reflection, raw calls.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// What a caller must present as bearer token.
    #[must_use]
    pub fn caller_token(&self) -> &str {
        &self.instance.caller_token
    }

    /// The catalog as it is served.
    ///
    /// # Errors
    /// The status of the request.
    pub async fn catalog(&self) -> Result<wire::PluginCatalog, Status> {
        let request = self.authorised(wire::GetCatalogRequest {});
        let response = self.client().get_catalog(request).await?;
        Ok(response.into_inner().catalog.unwrap_or_default())
    }

    /// Calls a tool and waits for the end.
    pub async fn call(&self, tool: &str, arguments: Value) -> Outcome {
        self.call_with(tool, arguments, Call::default()).await
    }

    /// Calls a tool in a given way and waits for the end.
    pub async fn call_with(&self, tool: &str, arguments: Value, call: Call) -> Outcome {
        let span = |d: Duration| prost_types::Duration::try_from(d).ok();
        let mode = match (call.dry_run, call.execute) {
            (true, _) => CallMode::DryRun,
            (false, true) => CallMode::Execute,
            (false, false) => CallMode::Unspecified,
        };
        let request = CallRequest {
            call_id: uuid::Uuid::new_v4().to_string(),
            tool: Some(ToolRef { tool: tool.to_owned(), ..ToolRef::default() }),
            arguments_json: arguments.to_string(),
            mode: mode.into(),
            attempt: 1,
            limits: Some(CallLimits {
                timeout: call.timeout.and_then(span),
                max_result_bytes: call
                    .max_result_bytes
                    .map_or(0, |bytes| i32::try_from(bytes).unwrap_or(i32::MAX)),
                min_progress_interval: call.min_progress_interval.and_then(span),
            }),
            page_token: call.page_token,
            idempotency_key: call.idempotency_key,
            context: Some(call.context),
        };
        self.call_raw(request, call.cancel_after_accepted).await
    }

    /// Sends a request as it is and waits for the end.
    pub async fn call_raw(&self, request: CallRequest, cancel_after_accepted: bool) -> Outcome {
        let mut updates = Vec::new();
        let mut stream = match self.client().call(self.authorised(request)).await {
            Ok(response) => response.into_inner(),
            Err(status) => return Outcome { updates, end: End::Broken(status) },
        };
        loop {
            match stream.message().await {
                Ok(Some(response)) => {
                    let accepted = matches!(response.update, Some(Update::Accepted(_)));
                    updates.push(response);
                    if accepted && cancel_after_accepted {
                        return Outcome { updates, end: End::Cancelled };
                    }
                }
                Ok(None) => {
                    let end = joined(&updates);
                    return Outcome { updates, end };
                }
                Err(status) => return Outcome { updates, end: End::Broken(status) },
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Calls now running in the plugin.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.instance.in_flight()
    }

    /// Resolves once no call runs: what was withdrawn has been dropped.
    pub async fn idle(&self) {
        self.instance.idle().await;
    }

    fn client(&self) -> ToolServiceClient<Channel> {
        ToolServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_WIRE)
            .max_encoding_message_size(MAX_WIRE)
    }

    fn authorised<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Ok(token) = MetadataValue::try_from(format!("Bearer {}", self.caller_token())) {
            request.metadata_mut().insert("authorization", token);
        }
        request
    }
}

impl Outcome {
    /// The result.
    ///
    /// # Errors
    /// How it ended instead, in words.
    pub fn result(&self) -> Result<&wire::CallResult, String> {
        match &self.end {
            End::Result(result) => Ok(result),
            End::Failure(failure) => Err(format!("failed: {} {}", failure.reason, failure.message)),
            End::Cancelled => Err("withdrawn".to_owned()),
            End::Broken(status) => Err(format!("broken: {status}")),
        }
    }

    /// The failure, if it ended with one.
    #[must_use]
    pub fn failure(&self) -> Option<&wire::Failure> {
        match &self.end {
            End::Failure(failure) => Some(failure),
            End::Result(_) | End::Cancelled | End::Broken(_) => None,
        }
    }

    /// The structured part of the result; null when there is none.
    #[must_use]
    pub fn json(&self) -> Value {
        let json = self.result().map(|result| serde_json::from_str(&result.result_json));
        json.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// The signals of the typed facts, in order.
    #[must_use]
    pub fn signals(&self) -> Vec<&str> {
        let facts = self.result().map(|result| result.observations.as_slice()).unwrap_or_default();
        facts.iter().map(|fact| fact.signal.as_str()).collect()
    }
}

/// The last update with the pieces before it joined in.
fn joined(updates: &[CallResponse]) -> End {
    let mut whole = wire::CallResult::default();
    let mut json = String::new();
    for response in updates {
        match &response.update {
            Some(Update::Chunk(chunk)) => json.push_str(&chunk.json_fragment),
            Some(Update::Facts(facts)) => {
                whole.observations.extend(facts.observations.iter().cloned());
                whole.relations.extend(facts.relations.iter().cloned());
            }
            Some(Update::Failure(failure)) => return End::Failure(Box::new(failure.clone())),
            Some(Update::Result(result)) => {
                let mut result = result.clone();
                json.push_str(&result.result_json);
                result.result_json = json;
                whole.observations.append(&mut result.observations);
                whole.relations.append(&mut result.relations);
                result.observations = whole.observations;
                result.relations = whole.relations;
                return End::Result(Box::new(result));
            }
            Some(Update::Accepted(_) | Update::Progress(_) | Update::Log(_)) | None => {}
        }
    }
    End::Broken(Status::data_loss("the stream ended without a last update"))
}

/// A channel over one end of a pipe; there is no second connection.
fn over(pipe: DuplexStream) -> Result<Channel, tonic::transport::Error> {
    let pipe = Arc::new(std::sync::Mutex::new(Some(pipe)));
    let connector = tower::service_fn(move |_: http::Uri| {
        let pipe = pipe.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        std::future::ready(
            pipe.map(hyper_util::rt::TokioIo::new)
                .ok_or_else(|| std::io::Error::other("the harness was dropped")),
        )
    });
    Ok(Endpoint::from_shared("http://plugin.test")?.connect_with_connector_lazy(connector))
}
