//! `PluginRegistryService`, where plugins announce themselves, and `CatalogService`, where people
//! see them. Convert, call, convert: what is decided is decided in `plugin::registry`.

mod calling;
mod news;
mod standing;
mod words;

use agent_proto::{tool::v1 as tool, v1 as pb};
use jiff::{SignedDuration, Timestamp};
use tonic::{Request, Response, Status};

use super::{
    gate,
    page::{Asked, Page, Sizes, page},
    status::Problem,
};
use crate::{
    guard::{policy::Policy, tokens::bearer},
    plugin::{
        Tools, contracts,
        registry::{
            Caller, InstanceView, Lease, PluginView, Readiness, RecentCall, Registry, Standing,
            ToolView,
        },
        wire,
    },
    tool::{Risk, SideEffect, ToolSpec},
};

const TOOLS: Sizes = Sizes { usual: 100, most: 1000 };
const PLUGINS: Sizes = Sizes { usual: 50, most: 500 };
const WORDS: Sizes = Sizes { usual: 200, most: 1000 };

/// Both services over one registry.
#[derive(Debug, Clone)]
pub struct Plugins {
    registry: Registry,
    tools: Tools,
    policy: Policy,
    clock: fn() -> Timestamp,
}

impl Plugins {
    /// Services over `registry`; `tools` and `policy` are for calls by hand, `clock` tells the wall
    /// time that is shown.
    #[must_use]
    pub fn new(
        registry: Registry,
        (tools, policy): (Tools, Policy),
        clock: fn() -> Timestamp,
    ) -> Self {
        Self { registry, tools, policy, clock }
    }
}

impl Plugins {
    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }
}

// === impl PluginRegistryService ===

#[tonic::async_trait]
impl tool::plugin_registry_service_server::PluginRegistryService for Plugins {
    async fn register(
        &self,
        request: Request<tool::RegisterRequest>,
    ) -> Result<Response<tool::RegisterResponse>, Status> {
        let caller = caller(&request);
        let answer = self.registry.register(request.into_inner(), &caller).await;
        answer.map(Response::new).map_err(|error| Problem::from(error).into())
    }

    async fn renew(
        &self,
        request: Request<tool::RenewRequest>,
    ) -> Result<Response<tool::RenewResponse>, Status> {
        let who = gate::who(&request);
        self.registry.check_holder(&request.get_ref().lease_id, &who).map_err(Problem::from)?;
        let mut answer = self.registry.renew(request.get_ref()).map_err(Problem::from)?;
        answer.server_time = Some(wire::timestamp_to((self.clock)()));
        Ok(Response::new(answer))
    }

    async fn deregister(
        &self,
        request: Request<tool::DeregisterRequest>,
    ) -> Result<Response<tool::DeregisterResponse>, Status> {
        let who = gate::who(&request);
        self.registry.check_holder(&request.get_ref().lease_id, &who).map_err(Problem::from)?;
        Ok(Response::new(self.registry.deregister(request.get_ref())))
    }
}

fn caller<T>(request: &Request<T>) -> Caller {
    let bearer = request
        .metadata()
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .and_then(bearer)
        .map(str::to_owned);
    Caller { peer: request.remote_addr(), bearer, who: gate::who(request) }
}

// === impl CatalogService ===

#[tonic::async_trait]
impl pb::catalog_service_server::CatalogService for Plugins {
    async fn list_tools(
        &self,
        request: Request<pb::ListToolsRequest>,
    ) -> Result<Response<pb::ListToolsResponse>, Status> {
        let request = request.into_inner();
        let mut tools = self.registry.tools();
        if !request.plugin.is_empty() {
            tools.retain(|tool| tool.spec.id.plugin == request.plugin);
        }
        let filter = format!("tools of {}", request.plugin);
        let asked = Asked { size: request.page_size, token: &request.page_token, filter: &filter };
        let Page { items, next } = page(tools, key, asked, TOOLS)?;
        Ok(Response::new(pb::ListToolsResponse {
            tools: items
                .into_iter()
                .map(|tool| pb::ToolInfo {
                    recent_calls: Vec::new(),
                    ..self.tool_to(tool, request.brief)
                })
                .collect(),
            next_page_token: next,
            catalog_digest: self.registry.catalog_digest(),
        }))
    }

    async fn get_tool(
        &self,
        request: Request<pb::GetToolRequest>,
    ) -> Result<Response<pb::GetToolResponse>, Status> {
        let request = request.into_inner();
        let (plugin, name) = calling::name_of(&request.name)?;
        let found = self.registry.tool(plugin, name, &request.version);
        let found = found.ok_or_else(|| Problem::not_found("tool", &request.name))?;
        let accepted_descriptor = self.registry.accepted_before(&found.spec.id);
        let tool = pb::ToolInfo { accepted_descriptor, ..self.tool_to(found, false) };
        Ok(Response::new(pb::GetToolResponse { tool: Some(tool) }))
    }

    async fn list_plugins(
        &self,
        request: Request<pb::ListPluginsRequest>,
    ) -> Result<Response<pb::ListPluginsResponse>, Status> {
        let request = request.into_inner();
        let now = (self.clock)();
        let asked =
            Asked { size: request.page_size, token: &request.page_token, filter: "plugins" };
        let all = self.registry.plugins();
        let Page { items, next } = page(all, |plugin| plugin.name.clone(), asked, PLUGINS)?;
        Ok(Response::new(pb::ListPluginsResponse {
            plugins: items.into_iter().map(|plugin| plugin_to(plugin, now)).collect(),
            next_page_token: next,
        }))
    }

    async fn set_tool_status(
        &self,
        request: Request<pb::SetToolStatusRequest>,
    ) -> Result<Response<pb::SetToolStatusResponse>, Status> {
        let tool = self.decide(request.into_inner()).await?;
        Ok(Response::new(pb::SetToolStatusResponse { tool: Some(tool) }))
    }

    type WatchPluginsStream = news::Watched;

    async fn watch_plugins(
        &self,
        request: Request<pb::WatchPluginsRequest>,
    ) -> Result<Response<news::Watched>, Status> {
        Ok(Response::new(news::watch(&self.registry, request.get_ref())?))
    }

    async fn call_tool(
        &self,
        request: Request<pb::CallToolRequest>,
    ) -> Result<Response<pb::CallToolResponse>, Status> {
        let principal = gate::principal(&request);
        self.call(request.into_inner(), principal).await.map(Response::new).map_err(Status::from)
    }

    async fn list_signals(
        &self,
        request: Request<pb::ListSignalsRequest>,
    ) -> Result<Response<pb::ListSignalsResponse>, Status> {
        let request = request.get_ref();
        let asked =
            Asked { size: request.page_size, token: &request.page_token, filter: "signals" };
        let Page { items, next } = page(words::signals(&self.registry), words::key, asked, WORDS)?;
        Ok(Response::new(pb::ListSignalsResponse { signals: items, next_page_token: next }))
    }

    async fn list_causes(
        &self,
        request: Request<pb::ListCausesRequest>,
    ) -> Result<Response<pb::ListCausesResponse>, Status> {
        let request = request.get_ref();
        let asked = Asked { size: request.page_size, token: &request.page_token, filter: "causes" };
        let mut all: Vec<_> = self.registry.catalogue().causes().iter().map(words::cause).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        let Page { items, next } = page(all, |cause| cause.id.clone(), asked, WORDS)?;
        Ok(Response::new(pb::ListCausesResponse { causes: items, next_page_token: next }))
    }

    async fn get_cause(
        &self,
        request: Request<pb::GetCauseRequest>,
    ) -> Result<Response<pb::GetCauseResponse>, Status> {
        let id = &request.get_ref().id;
        let known = self.registry.catalogue();
        let cause = known.cause(id).ok_or_else(|| Problem::not_found("cause", id))?;
        let shown = pb::CauseInfo { document: cause.document.to_string(), ..words::cause(cause) };
        Ok(Response::new(pb::GetCauseResponse { cause: Some(shown) }))
    }
}

/// Sorts as the registry does.
fn key(tool: &ToolView) -> String {
    let id = &tool.spec.id;
    [&id.plugin, &id.tool, &id.version, &id.digest].map(String::as_str).join("\u{1}")
}

impl Plugins {
    fn tool_to(&self, view: ToolView, brief: bool) -> pb::ToolInfo {
        let spec = &view.spec;
        let mut descriptor = (*view.descriptor).clone();
        if brief {
            descriptor.input_schema_json.clear();
            descriptor.output_schema_json.clear();
        }
        let status = match view.standing {
            Standing::Active => pb::ToolStatus::Active,
            Standing::Unavailable => pb::ToolStatus::Unavailable,
            Standing::Tripped => pb::ToolStatus::Tripped,
            Standing::Quarantined => pb::ToolStatus::Quarantined,
            Standing::Disabled => pb::ToolStatus::Disabled,
        };
        let now = (self.clock)();
        pb::ToolInfo {
            name: format!("tools/{}", spec.id),
            r#ref: Some(wire::tool_ref_to(&spec.id)),
            descriptor: Some(descriptor),
            model_name: format!("{}__{}", spec.id.plugin, spec.id.tool),
            effective_risk: wire::spec::risk_to(effective_risk(spec, &view.descriptor)).into(),
            requires_approval: spec.always_ask || spec.side_effect > SideEffect::ReadOnly,
            status: status.into(),
            ready_instances: i32::try_from(view.ready_instances).unwrap_or(i32::MAX),
            last_failure: view.last_failure.as_ref().map(wire::failure_to),
            obstacles: view.obstacles.iter().map(wire::violation_to).collect(),
            recent_calls: view.recent.iter().map(|call| recent_to(call, now)).collect(),
            warnings: view.warnings,
            accepted_descriptor: None,
        }
    }
}

fn recent_to(call: &RecentCall, now: Timestamp) -> pb::RecentCall {
    let ago = SignedDuration::try_from(call.ago).unwrap_or(SignedDuration::MAX);
    pb::RecentCall {
        end_time: now.checked_sub(ago).ok().map(wire::timestamp_to),
        duration: Some(wire::duration_to(call.took)),
        instance_id: call.instance_id.clone(),
        failure: call.failure.as_ref().map(wire::failure_to),
        flaws: call.flaws.iter().map(ToString::to_string).collect(),
    }
}

/// A plugin cannot talk its risk down below what its effect means (PROTOCOL 4.6).
fn effective_risk(spec: &ToolSpec, declared: &tool::ToolDescriptor) -> Risk {
    let floor = match spec.side_effect {
        // It can do more than it says.
        SideEffect::ReadOnly if contracts::writes(declared).is_some() => Risk::Medium,
        SideEffect::ReadOnly => Risk::Low,
        SideEffect::Additive => Risk::Medium,
        SideEffect::Reversible => Risk::High,
        SideEffect::Destructive => Risk::Critical,
    };
    spec.risk.max(floor)
}

fn plugin_to(plugin: PluginView, now: Timestamp) -> pb::PluginInfo {
    pb::PluginInfo {
        name: format!("plugins/{}", plugin.name),
        instances: plugin.instances.into_iter().map(|one| instance_to(one, now)).collect(),
        warnings: plugin.warnings,
        refused_tools: plugin.refused,
    }
}

fn instance_to(view: InstanceView, now: Timestamp) -> pb::InstanceInfo {
    let state = match view.readiness {
        Readiness::Ready => tool::InstanceState::Ready,
        Readiness::Unready => tool::InstanceState::Unready,
        Readiness::Draining => tool::InstanceState::Draining,
    };
    let ends = match view.lease {
        Lease::Left(span) => SignedDuration::try_from(span).map(|span| now.saturating_add(span)),
        Lease::Expired(span) => SignedDuration::try_from(span).map(|span| now.saturating_sub(span)),
    };
    pb::InstanceInfo {
        instance_id: view.instance_id,
        version: view.version,
        state: state.into(),
        endpoint: view.endpoint,
        lease_expire_time: ends.ok().and_then(Result::ok).map(wire::timestamp_to),
        calls_in_flight: i32::try_from(view.calls_in_flight).unwrap_or(i32::MAX),
        recent_failures: i32::try_from(view.recent_failures).unwrap_or(i32::MAX),
    }
}

#[cfg(test)]
mod tests;
