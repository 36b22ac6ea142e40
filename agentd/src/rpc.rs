//! The gRPC door: which services are served, with health and reflection that name exactly those.
//! Each service converts, calls, converts; nothing is decided here.

pub mod convert;
mod gate;
pub mod investigations;
pub mod page;
pub mod plugins;
mod relay;
pub mod status;

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::Stream as Incoming;
use http::{HeaderName, HeaderValue, Method};

use tonic::{
    service::Routes,
    transport::{
        Server,
        server::{Connected, TcpConnectInfo},
    },
};
use tonic_health::server::HealthReporter;
use tonic_web::GrpcWebLayer;
use tower_http::cors::{AllowHeaders, CorsLayer};

use agent_proto::{
    tool::v1::{
        plugin_registry_service_server::PluginRegistryServiceServer,
        tool_relay_service_server::ToolRelayServiceServer,
    },
    v1::{agent_service_server::AgentServiceServer, catalog_service_server::CatalogServiceServer},
};

use self::{gate::Gate, investigations::Investigations, plugins::Plugins};
use crate::{
    guard::tokens::Tokens,
    transport::{Listener, Stream},
};

/// Largest message in or out, in bytes.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;
/// Most requests at once on one connection: streams of watchers and parked calls use them up.
const MAX_STREAMS: u32 = 1024;
/// How often a quiet connection is asked whether it lives, and how long the answer may take.
const PING: Duration = Duration::from_secs(20);

/// Services that are served, by full name; health and reflection tell of these and no others.
pub const SERVICES: [&str; 4] = [
    "agentd.v1.AgentService",
    "agentd.v1.CatalogService",
    "agentd.tool.v1.PluginRegistryService",
    "agentd.tool.v1.ToolRelayService",
];

/// Everything behind the door.
pub struct Services {
    /// Investigations for clients.
    pub investigations: Investigations,
    /// Where plugins announce themselves, and tools and plugins as the daemon sees them.
    pub plugins: Plugins,
}

/// A fault of the door itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The descriptors built into the program are not sound.
    #[error("reflection cannot be served")]
    Reflection(#[source] Box<tonic_reflection::server::Error>),
    /// The server ended by itself.
    #[error("the gRPC server ended")]
    Server(#[from] tonic::transport::Error),
}

/// Serves until `shutdown` resolves; running requests are then finished. Who may ask is told by
/// `tokens`, and from which pages of a browser by `origins`.
///
/// # Errors
/// When the server cannot be put together or ends by itself.
pub async fn serve(
    listener: Listener,
    services: Services,
    (tokens, origins): (Tokens, Vec<HeaderValue>),
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let (reporter, health) = tonic_health::server::health_reporter();
    tell_health(&reporter).await;
    let agent = AgentServiceServer::new(services.investigations)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let catalog = CatalogServiceServer::new(services.plugins.clone())
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let reflection = |error| Error::Reflection(Box::new(error));
    let routes = Routes::new(agent)
        .add_service(catalog)
        .add_service(relay(services.plugins.clone()))
        .add_service(registration(services.plugins))
        .add_service(health)
        .add_service(described().build_v1().map_err(reflection)?)
        .add_service(described().build_v1alpha().map_err(reflection)?);
    Server::builder()
        .max_concurrent_streams(Some(MAX_STREAMS))
        // Who parks a slot and is gone without a word is found out; clients bear such pings.
        .http2_keepalive_interval(Some(PING))
        .http2_keepalive_timeout(Some(PING))
        // gRPC-Web speaks HTTP/1 as well. Whoever asks from another page of a browser is let in by
        // its origin; the question for that carries no token, so that it is asked first.
        .accept_http1(true)
        .layer(cross_origin(origins))
        .layer(GrpcWebLayer::new())
        .layer(Gate::new(tokens))
        .add_routes(routes)
        .serve_with_incoming_shutdown(Connections(listener), shutdown)
        .await?;
    Ok(())
}

/// Serves the registration of plugins alone, until `shutdown` resolves: for those that this process
/// supervises, where the door for others asks for what they do not have.
///
/// # Errors
/// When the server ends by itself.
pub async fn serve_children(
    listener: Listener,
    plugins: Plugins,
    tokens: Tokens,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    Server::builder()
        .layer(Gate::new(tokens))
        .add_service(registration(plugins))
        .serve_with_incoming_shutdown(Connections(listener), shutdown)
        .await?;
    Ok(())
}

/// What browsers are told of pages from elsewhere (Fetch Standard, 3.2).
fn cross_origin(origins: Vec<HeaderValue>) -> CorsLayer {
    let told = ["grpc-status", "grpc-message", "grpc-status-details-bin"];
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(told.map(HeaderName::from_static))
        .max_age(Duration::from_secs(600))
}

fn relay(plugins: Plugins) -> ToolRelayServiceServer<Plugins> {
    ToolRelayServiceServer::new(plugins)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE)
}

fn registration(plugins: Plugins) -> PluginRegistryServiceServer<Plugins> {
    PluginRegistryServiceServer::new(plugins)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE)
}

/// Connections as tonic takes them.
struct Connections(Listener);

impl Incoming for Connections {
    type Item = io::Result<Stream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next(cx).map(|next| next.map(|(stream, _)| Ok(stream)))
    }
}

impl Connected for Stream {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.tcp().connect_info()
    }
}

async fn tell_health(reporter: &HealthReporter) {
    for service in SERVICES {
        reporter.set_service_status(service, tonic_health::ServingStatus::Serving).await;
    }
}

fn described() -> tonic_reflection::server::Builder<'static> {
    let mut builder = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(agent_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // So that clients can print the details of errors.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .with_service_name("grpc.health.v1.Health");
    for service in SERVICES {
        builder = builder.with_service_name(service);
    }
    builder
}
