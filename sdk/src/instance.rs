//! One running instance of a plugin and its `ToolService`: who may call, what may be called, and
//! in which order that is checked. Refusals come before `accepted` and have no effects.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use agent_proto::tool::v1::{
    CallMode, CallRequest, CallResponse, GetCatalogRequest, GetCatalogResponse, PluginCatalog,
    ToolRef, ToolVerdict, call_response::Update, tool_service_server::ToolService,
};
use futures_util::Stream;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status, metadata::MetadataMap};

use crate::{
    call::Asked,
    failure::{Failure, FailureClass},
    keyed::{Deeds, Keyed},
    limits::Bounds,
    offered::Offered,
    outgoing::failure_update,
    readiness::ToolReadiness,
    running::{Beginning, Running},
    shelter::Shelter,
};

/// How soon a caller that met a full instance may come back.
const BUSY_RETRY: Duration = Duration::from_secs(1);

/// A process of the plugin, as agentd sees it.
pub(crate) struct Instance {
    /// Drawn once a process.
    pub(crate) id: String,
    /// What agentd must present on each call.
    pub(crate) caller_token: String,
    /// What is offered.
    pub(crate) catalog: PluginCatalog,
    /// Calls taken at once.
    pub(crate) capacity: u16,
    /// Calls that run or whose last update is not read yet.
    pub(crate) calls: TaskTracker,
    /// Cancelled when running calls must end.
    pub(crate) ending: CancellationToken,
    /// Cancelled when no new call is taken.
    pub(crate) draining: CancellationToken,
    tools: Vec<Offered>,
    places: Arc<Semaphore>,
    /// Work that goes on although its call is over.
    pub(crate) shelter: Shelter,
    deeds: Arc<Deeds>,
    /// What its author says is out of order.
    pub(crate) unready: ToolReadiness,
    /// Digests by tool and version, as agentd computed them.
    digests: Mutex<BTreeMap<(String, String), String>>,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The caller token is a secret.
        f.debug_struct("Instance").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Instance {
    pub(crate) fn new(
        catalog: PluginCatalog,
        tools: Vec<Offered>,
        capacity: u16,
        unready: ToolReadiness,
    ) -> Self {
        let draw = || uuid::Uuid::new_v4();
        let capacity = capacity.max(1);
        Self {
            id: draw().to_string(),
            caller_token: format!("{}{}", draw().simple(), draw().simple()),
            catalog,
            capacity,
            calls: TaskTracker::new(),
            ending: CancellationToken::new(),
            draining: CancellationToken::new(),
            tools,
            places: Arc::new(Semaphore::new(usize::from(capacity))),
            shelter: Shelter::default(),
            deeds: Arc::default(),
            unready,
            digests: Mutex::default(),
        }
    }

    /// Calls now running.
    pub(crate) fn in_flight(&self) -> usize {
        usize::from(self.capacity).saturating_sub(self.places.available_permits())
    }

    /// Resolves once no call runs.
    pub(crate) async fn idle(&self) {
        let _ = self.places.acquire_many(u32::from(self.capacity)).await;
    }

    /// Takes over what agentd calls the accepted tools.
    pub(crate) fn learn_digests(&self, verdicts: &[ToolVerdict]) {
        let digests = verdicts
            .iter()
            .filter(|verdict| verdict.accepted || verdict.quarantined)
            .filter_map(|verdict| verdict.tool.clone())
            .map(|tool| ((tool.tool, tool.version), tool.digest))
            .collect();
        *self.digests.lock().unwrap_or_else(PoisonError::into_inner) = digests;
    }

    fn check_token(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let presented = metadata
            .get("authorization")
            .and_then(|value| value.as_bytes().split_first_chunk::<7>())
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "))
            .map(|(_, token)| token);
        match presented {
            Some(token) if is_same(token, self.caller_token.as_bytes()) => Ok(()),
            Some(_) => Err(Status::unauthenticated("the caller token is not the one registered")),
            None => Err(Status::unauthenticated(
                "a caller token is needed: authorization: Bearer and the token of Register",
            )),
        }
    }

    fn find(&self, wanted: &ToolRef) -> Result<&Offered, Refusal> {
        let offered = &self.catalog.plugin;
        if !wanted.plugin.is_empty() && wanted.plugin != *offered {
            let message = format!("this is plugin {offered}, not {}", wanted.plugin);
            return Err(Refusal::unknown_tool(message));
        }
        let mut named = self.tools.iter().filter(|t| t.descriptor.name == wanted.tool).peekable();
        if named.peek().is_none() {
            let message = format!("plugin {offered} has no tool {}", wanted.tool);
            return Err(Refusal::unknown_tool(message));
        }
        let digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        let is_wanted = |tool: &&Offered| {
            let key = (tool.descriptor.name.clone(), tool.descriptor.version.clone());
            (wanted.version.is_empty() || wanted.version == tool.descriptor.version)
                && (wanted.digest.is_empty() || digests.get(&key) == Some(&wanted.digest))
        };
        // The newest comes last.
        named.rfind(is_wanted).ok_or_else(|| {
            let message = format!(
                "tool {} is not offered as version {:?} with digest {:?}",
                wanted.tool, wanted.version, wanted.digest
            );
            Refusal::from(Failure::new(FailureClass::Config, "DESCRIPTOR_MISMATCH", message))
        })
    }

    /// The answer to a call that came when its slot had been given back.
    pub(crate) fn refuse_late(&self) -> Answer {
        self.refused(draining().into())
    }

    fn refused(&self, refusal: Refusal) -> Answer {
        Answer::Refused(Some(Box::new(refusal.into_update(&self.catalog.plugin))))
    }

    /// The updates of one call, refused or begun. Whoever hands it in is believed to be agentd.
    pub(crate) fn answer(&self, request: CallRequest) -> Answer {
        if self.draining.is_cancelled() {
            return self.refused(draining().into());
        }
        match self.begin(request) {
            Ok(running) => Answer::Running(Box::new(running)),
            Err(refusal) => self.refused(refusal),
        }
    }

    fn begin(&self, request: CallRequest) -> Result<Running, Refusal> {
        let tool = self.find(&request.tool.clone().unwrap_or_default())?;
        let dry_run = is_dry_run(request.mode(), tool)?;
        let start = tool.prepare(&request.arguments_json)?;
        let keyed = self.keyed(tool, &request, dry_run)?;
        let bounds = Bounds::from(request.limits);
        if bounds.timeout.is_zero() {
            let message = "no time was left when the call arrived";
            return Err(Failure::new(FailureClass::Timeout, "TIMEOUT", message).into());
        }
        let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() else {
            let message = format!("{} calls are running, no more are taken", self.capacity);
            let mut failure = Failure::new(FailureClass::RateLimited, "AT_CAPACITY", message);
            failure.retry_after = Some(BUSY_RETRY);
            return Err(failure.into());
        };
        let context = request.context.unwrap_or_default();
        let traceparent = context.trace_context.get("traceparent").map(String::as_str);
        let span = tracing::info_span!(
            "call",
            tool = tool.descriptor.name,
            call_id = request.call_id,
            traceparent
        );
        let beginning = Beginning {
            start,
            keyed,
            bounds,
            is_harmless: dry_run || tool.is_read_only(),
            instance_id: self.id.clone(),
            plugin: self.catalog.plugin.clone(),
            permit,
            withdrawn: self.ending.child_token(),
            shelter: self.shelter.clone(),
            span,
            asked: Asked {
                call_id: request.call_id,
                page_token: request.page_token,
                idempotency_key: request.idempotency_key,
                result_bytes: bounds.result_bytes,
                dry_run,
                context,
            },
        };
        Ok(Running::begin(beginning, &self.calls))
    }

    /// The claim on the key of a call, where there is one that counts.
    fn keyed(
        &self,
        tool: &Offered,
        request: &CallRequest,
        dry_run: bool,
    ) -> Result<Option<Keyed>, Refusal> {
        let key = &request.idempotency_key;
        if dry_run || key.is_empty() || !tool.is_keyed() {
            return Ok(None);
        }
        let arguments = request.arguments_json.clone();
        let keyed = Keyed::new(&self.deeds, &tool.descriptor.name, key, arguments);
        keyed
            .map(Some)
            .map_err(|failure| Refusal { failure, code: Some(tonic::Code::AlreadyExists.into()) })
    }
}

/// A failure before `accepted`, with the code where it is not its class's usual one.
struct Refusal {
    failure: Failure,
    code: Option<i32>,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, code: None }
    }
}

impl Refusal {
    fn unknown_tool(message: String) -> Self {
        let failure = Failure::new(FailureClass::Config, "UNKNOWN_TOOL", message);
        Self { failure, code: Some(tonic::Code::NotFound.into()) }
    }

    fn into_update(self, plugin: &str) -> Update {
        let mut update = failure_update(self.failure.nothing_changed(), plugin);
        if let (Update::Failure(failure), Some(code)) = (&mut update, self.code) {
            failure.code = code;
        }
        update
    }
}

fn draining() -> Failure {
    let message = "the plugin is stopping and takes no new calls";
    Failure::new(FailureClass::Transient, "DRAINING", message)
}

/// Whether the call is a dry run. Mode unset is never read as "act": it runs what changes nothing.
///
/// # Errors
/// When the tool has no way to do what the mode asks for.
fn is_dry_run(mode: CallMode, tool: &Offered) -> Result<bool, Failure> {
    match mode {
        CallMode::Execute => Ok(false),
        CallMode::Unspecified if tool.is_read_only() => Ok(false),
        CallMode::DryRun | CallMode::Unspecified if tool.descriptor.supports_dry_run => Ok(true),
        CallMode::Unspecified => Err(Failure::invalid_argument(
            "mode",
            "must be CALL_MODE_EXECUTE for a tool that changes something",
        )),
        CallMode::DryRun => {
            Err(Failure::invalid_argument("mode", "this tool does not support a dry run"))
        }
    }
}

/// Equality in a time that does not tell where the difference is.
fn is_same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |sum, (l, r)| sum | (l ^ r)) == 0
}

// === impl ToolService ===

/// The service over a shared instance.
#[derive(Clone)]
pub(crate) struct Served(pub(crate) Arc<Instance>);

#[tonic::async_trait]
impl ToolService for Served {
    type CallStream = Answer;

    async fn get_catalog(
        &self,
        _: Request<GetCatalogRequest>,
    ) -> Result<Response<GetCatalogResponse>, Status> {
        // What a plugin offers is no secret: people look at it with bare grpcurl. Calls are guarded.
        Ok(Response::new(GetCatalogResponse { catalog: Some(self.0.catalog.clone()) }))
    }

    async fn call(&self, request: Request<CallRequest>) -> Result<Response<Answer>, Status> {
        self.0.check_token(request.metadata())?;
        let (metadata, _, mut call) = request.into_parts();
        take_trace(&metadata, &mut call);
        Ok(Response::new(self.0.answer(call)))
    }
}

/// Takes the trace from the metadata, where ordinary interceptors put it; the message leads.
fn take_trace(metadata: &MetadataMap, call: &mut CallRequest) {
    let traced = call.context.as_ref().is_some_and(|c| c.trace_context.contains_key("traceparent"));
    if traced || metadata.get("traceparent").is_none() {
        return;
    }
    let context = call.context.get_or_insert_default();
    for key in ["traceparent", "tracestate", "baggage"] {
        if let Some(value) = metadata.get(key).and_then(|value| value.to_str().ok()) {
            context.trace_context.insert(key.to_owned(), value.to_owned());
        }
    }
}

// === impl Answer ===

/// The updates of one call.
pub(crate) enum Answer {
    /// It was accepted.
    Running(Box<Running>),
    /// It was refused: one update.
    Refused(Option<Box<Update>>),
}

impl Answer {
    /// Cancelling it ends the work, and the last update says so; none where nothing works.
    pub(crate) fn withdrawal(&self) -> Option<CancellationToken> {
        match self {
            Self::Running(running) => Some(running.withdrawal()),
            Self::Refused(_) => None,
        }
    }
}

impl Stream for Answer {
    type Item = Result<CallResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.get_mut() {
            Self::Running(running) => Pin::new(running.as_mut()).poll_next(cx),
            Self::Refused(update) => Poll::Ready(
                update.take().map(|update| Ok(CallResponse { sequence: 1, update: Some(*update) })),
            ),
        }
    }
}

#[cfg(test)]
mod tests;
