//! One running instance of a plugin and its `ToolService`: who may call, what may be called, and
//! in which order that is checked. Refusals come before `accepted` and have no effects.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agent_proto::tool::v1::{
    CallMode, CallRequest, CallResponse, GetCatalogRequest, GetCatalogResponse, PluginCatalog,
    ToolRef, ToolVerdict, call_response::Update, tool_service_server::ToolService,
};
use futures_util::{Stream, stream};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status, metadata::MetadataMap};

use crate::{
    call::Asked,
    failure::{Failure, FailureClass},
    limits::Bounds,
    offered::Offered,
    outgoing::failure_update,
    running::{Beginning, Running},
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
    pub(crate) fn new(catalog: PluginCatalog, tools: Vec<Offered>, capacity: u16) -> Self {
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

    fn begin(&self, request: CallRequest) -> Result<Running, Refusal> {
        let tool = self.find(&request.tool.clone().unwrap_or_default())?;
        check_mode(request.mode(), tool)?;
        let start = tool.prepare(&request.arguments_json)?;
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
        let beginning = Beginning {
            start,
            bounds,
            is_read_only: tool.is_read_only(),
            instance_id: self.id.clone(),
            plugin: self.catalog.plugin.clone(),
            permit,
            withdrawn: self.ending.child_token(),
            asked: Asked {
                call_id: request.call_id,
                page_token: request.page_token,
                idempotency_key: request.idempotency_key,
                result_bytes: bounds.result_bytes,
                context: request.context.unwrap_or_default(),
            },
        };
        Ok(Running::begin(beginning, &self.calls))
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
        let mut update = failure_update(self.failure, plugin);
        if let (Update::Failure(failure), Some(code)) = (&mut update, self.code) {
            failure.code = code;
        }
        update
    }
}

/// Mode unset is never read as "act": it runs what changes nothing, and no tool of this SDK has a
/// dry run yet.
fn check_mode(mode: CallMode, tool: &Offered) -> Result<(), Failure> {
    match mode {
        CallMode::Execute => Ok(()),
        CallMode::Unspecified if tool.is_read_only() => Ok(()),
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

type Updates = Pin<Box<dyn Stream<Item = Result<CallResponse, Status>> + Send>>;

#[tonic::async_trait]
impl ToolService for Served {
    type CallStream = Updates;

    async fn get_catalog(
        &self,
        _: Request<GetCatalogRequest>,
    ) -> Result<Response<GetCatalogResponse>, Status> {
        // What a plugin offers is no secret: people look at it with bare grpcurl. Calls are guarded.
        Ok(Response::new(GetCatalogResponse { catalog: Some(self.0.catalog.clone()) }))
    }

    async fn call(&self, request: Request<CallRequest>) -> Result<Response<Updates>, Status> {
        self.0.check_token(request.metadata())?;
        let begun = if self.0.draining.is_cancelled() {
            let message = "the plugin is stopping and takes no new calls";
            Err(Failure::new(FailureClass::Transient, "DRAINING", message).into())
        } else {
            self.0.begin(request.into_inner())
        };
        let updates: Updates = match begun {
            Ok(running) => Box::pin(running),
            Err(refusal) => {
                let update = Some(refusal.into_update(&self.0.catalog.plugin));
                Box::pin(stream::iter([Ok(CallResponse { sequence: 1, update })]))
            }
        };
        Ok(Response::new(updates))
    }
}

#[cfg(test)]
mod tests;
