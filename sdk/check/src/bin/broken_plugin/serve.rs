//! The plugin's own port: calls, the catalog and health.

use std::sync::{Arc, atomic::Ordering};

use agent_proto::tool::v1::{
    CallRequest, CallResponse, GetCatalogRequest, GetCatalogResponse,
    tool_service_server::ToolService,
};
use futures_util::{Stream, StreamExt as _};
use std::pin::Pin;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_server::Health};

use crate::{
    call::{self, Out},
    plugin::Plugin,
};

pub(crate) struct Served(pub(crate) Arc<Plugin>);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl ToolService for Served {
    type CallStream = Answers<CallResponse>;

    async fn get_catalog(
        &self,
        _: Request<GetCatalogRequest>,
    ) -> Result<Response<GetCatalogResponse>, Status> {
        let mut catalog = self.0.catalog.clone();
        if self.0.breaks("CAT-02") {
            catalog.tools.pop();
        }
        Ok(Response::new(GetCatalogResponse { catalog: Some(catalog) }))
    }

    async fn call(
        &self,
        request: Request<CallRequest>,
    ) -> Result<Response<Self::CallStream>, Status> {
        let expected = format!("Bearer {}", self.0.caller_token);
        let presented =
            request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        if presented != Some(expected.as_str()) && !self.0.breaks("AUTH-01") {
            return Err(Status::unauthenticated("the caller token is not the one registered"));
        }
        let (out, updates) = Out::new(&self.0);
        let cancelled = CancellationToken::new();
        let left = out.clone();
        let withdrawn = cancelled.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = left.closed() => withdrawn.cancel(),
                () = withdrawn.cancelled() => {}
            }
        });
        let plugin = Arc::clone(&self.0);
        let request = request.into_inner();
        tokio::spawn(async move {
            call::run(plugin, request, out, cancelled.clone()).await;
            cancelled.cancel();
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(updates).map(Ok))))
    }
}

/// Health, as the plugin's lease has it.
pub(crate) struct Told(pub(crate) Arc<Plugin>);

impl Told {
    fn status(&self) -> HealthCheckResponse {
        let draining = self.0.draining.is_cancelled() && !self.0.breaks("HLTH-01:draining");
        let serving = self.0.ready.load(Ordering::SeqCst) && !draining && !self.0.breaks("HLTH-01");
        HealthCheckResponse { status: if serving { 1 } else { 2 } }
    }
}

#[tonic::async_trait]
impl Health for Told {
    type WatchStream = Answers<HealthCheckResponse>;

    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(self.status()))
    }

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("ask again instead"))
    }
}
