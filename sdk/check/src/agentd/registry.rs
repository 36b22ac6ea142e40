//! Register, Renew and Deregister of the played agentd.

use std::sync::Arc;

use agent_proto::tool::v1::{
    DeregisterRequest, DeregisterResponse, Failure, FailureClass, InstanceDirective,
    RegisterRequest, RegisterResponse, RenewRequest, RenewResponse, ToolVerdict,
    plugin_registry_service_server::PluginRegistryService,
};
use tokio::time::Instant;
use tonic::{Code, Request, Response, Status, metadata::MetadataMap};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{Deed, Lease, Registering, Renewing, Shared, tool_ref};

/// What a plugin sends at most in one message.
const MAX_MESSAGE: i32 = 4 * 1024 * 1024;

pub(super) struct Registry(pub(super) Arc<Shared>);

#[tonic::async_trait]
impl PluginRegistryService for Registry {
    async fn register(
        &self,
        request: Request<RegisterRequest>,
    ) -> Result<Response<RegisterResponse>, Status> {
        let token = bearer(request.metadata());
        let request = request.into_inner();
        let scripted = self.0.state().registering.pop_front();
        let note = |accepted| {
            let request = Box::new(request.clone());
            self.0.note(Deed::Registered { request, token: token.clone(), accepted });
        };
        let rejected = match scripted {
            Some(Registering::Refuse(status)) => {
                note(false);
                return Err(status);
            }
            Some(Registering::Reject(tool)) => tool,
            None => String::new(),
        };
        let catalog = request.catalog.clone().unwrap_or_default();
        let lease_id = uuid::Uuid::new_v4().simple().to_string();
        {
            let mut state = self.0.state();
            let ends = Instant::now() + self.0.pace.ttl;
            state.lease = Some(Lease { id: lease_id.clone(), ends });
            // Slots of an old lease are let go: dropping one ends it.
            state.idle.clear();
        }
        let verdicts = catalog
            .tools
            .iter()
            .map(|tool| ToolVerdict {
                tool: Some(tool_ref(&catalog.plugin, tool)),
                accepted: tool.name != rejected,
                rejection: (tool.name == rejected).then(rejection),
                ..ToolVerdict::default()
            })
            .collect();
        note(true);
        Ok(Response::new(RegisterResponse {
            lease_id,
            lease_ttl: self.0.pace.ttl.try_into().ok(),
            renew_interval: self.0.pace.renewal.try_into().ok(),
            protocol: 1,
            catalog_digest: "sha256:of-this-command".to_owned(),
            verdicts,
            max_message_bytes: MAX_MESSAGE,
            server_id: "plugin-check".to_owned(),
            warnings: Vec::new(),
        }))
    }

    async fn renew(
        &self,
        request: Request<RenewRequest>,
    ) -> Result<Response<RenewResponse>, Status> {
        let request = request.into_inner();
        let now = Instant::now();
        let (known, directive) = {
            let mut state = self.0.state();
            let mut directive = InstanceDirective::Continue;
            match state.renewing.pop_front() {
                Some(Renewing::Forget) => state.lease = None,
                Some(Renewing::Direct(wanted)) => directive = wanted,
                None => {}
            }
            let lease = state.lease.as_mut().filter(|l| l.id == request.lease_id && l.ends > now);
            let known = lease.is_some();
            if let Some(lease) = lease {
                lease.ends = now + self.0.pace.ttl;
            }
            (known, directive)
        };
        self.0.note(Deed::Renewed { request, known });
        if !known {
            return Err(lease_unknown());
        }
        Ok(Response::new(RenewResponse {
            lease_ttl: self.0.pace.ttl.try_into().ok(),
            renew_interval: self.0.pace.renewal.try_into().ok(),
            directive: directive.into(),
            ..RenewResponse::default()
        }))
    }

    async fn deregister(
        &self,
        request: Request<DeregisterRequest>,
    ) -> Result<Response<DeregisterResponse>, Status> {
        let request = request.into_inner();
        self.0.state().lease.take_if(|lease| lease.id == request.lease_id);
        self.0.note(Deed::Deregistered);
        Ok(Response::new(DeregisterResponse::default()))
    }
}

/// The token of `authorization: Bearer`.
pub(super) fn bearer(metadata: &MetadataMap) -> Option<String> {
    let value = metadata.get("authorization")?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.to_owned())
}

/// A status with the reason that machines read.
pub(crate) fn status(code: Code, reason: &str, message: &str) -> Status {
    let details = ErrorDetails::with_error_info(
        reason,
        "agentd",
        [("from".to_owned(), "plugin-check".to_owned())],
    );
    Status::with_error_details(code, message, details)
}

/// The lease is not known.
pub(super) fn lease_unknown() -> Status {
    status(Code::NotFound, "LEASE_UNKNOWN", "this lease is not known; register again")
}

fn rejection() -> Failure {
    Failure {
        failure_class: FailureClass::Config.into(),
        code: Code::FailedPrecondition.into(),
        message: "rejected by plugin-check, to see whether the others are served".to_owned(),
        reason: "REJECTED_BY_CHECK".to_owned(),
        domain: "agentd".to_owned(),
        ..Failure::default()
    }
}
