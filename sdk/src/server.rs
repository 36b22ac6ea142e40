//! The gRPC server of a plugin: its tools, health and reflection. It does not know who listens:
//! the same router serves a socket and an in-memory pipe.

use std::sync::Arc;

use agent_proto::tool::v1::tool_service_server::{SERVICE_NAME as TOOL_SERVICE, ToolServiceServer};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::transport::{Server, server::Router};
use tonic_health::{
    ServingStatus,
    pb::health_server::{HealthServer, SERVICE_NAME as HEALTH_SERVICE},
    server::{HealthReporter, HealthService},
};

use crate::{
    error::Error,
    instance::{Instance, Served},
    limits::MAX_WIRE,
};

/// Files of the wire that a plugin serves; the rest is the daemon's.
const SERVED_FILES: [&str; 3] =
    ["agentd/tool/v1/types.proto", "agentd/tool/v1/observation.proto", "agentd/tool/v1/tool.proto"];

/// The switch between taking calls and not, as health tells it.
#[derive(Clone)]
pub(crate) struct Readiness(HealthReporter);

impl Readiness {
    /// Not ready, until a lease is held.
    pub(crate) async fn new() -> Self {
        let readiness = Self(HealthReporter::new());
        readiness.set(false).await;
        readiness
    }

    #[cfg(test)]
    pub(crate) fn reporter(&self) -> HealthReporter {
        self.0.clone()
    }

    /// Tells everyone who watches.
    pub(crate) async fn set(&self, ready: bool) {
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        for service in ["", TOOL_SERVICE] {
            self.0.set_service_status(service, status).await;
        }
    }
}

/// Everything a plugin serves.
///
/// # Errors
/// [`Error::Definition`] when the descriptors of the wire cannot be read, a defect of the build.
pub(crate) fn router(instance: Arc<Instance>, readiness: &Readiness) -> Result<Router, Error> {
    let tools = ToolServiceServer::new(Served(instance))
        .max_decoding_message_size(MAX_WIRE)
        .max_encoding_message_size(MAX_WIRE);
    let health = HealthServer::new(HealthService::from_health_reporter(readiness.0.clone()));
    let unreadable = |fault: &dyn std::fmt::Display| {
        Error::Definition(vec![format!("the descriptors of the wire cannot be read: {fault}")])
    };
    let files = served_files().map_err(|fault| unreadable(&fault))?;
    let v1 = reflection(&files)
        .with_service_name("grpc.reflection.v1.ServerReflection")
        .build_v1()
        .map_err(|fault| unreadable(&fault))?;
    let v1alpha = reflection(&files)
        .with_service_name("grpc.reflection.v1alpha.ServerReflection")
        .build_v1alpha()
        .map_err(|fault| unreadable(&fault))?;
    Ok(Server::builder()
        .add_service(tools)
        .add_service(health)
        .add_service(v1)
        .add_service(v1alpha))
}

fn served_files() -> Result<FileDescriptorSet, prost::DecodeError> {
    let mut files = FileDescriptorSet::decode(agent_proto::DESCRIPTORS)?;
    files
        .file
        .retain(|file| file.name().starts_with("google/") || SERVED_FILES.contains(&file.name()));
    Ok(files)
}

fn reflection<'a>(files: &FileDescriptorSet) -> tonic_reflection::server::Builder<'a> {
    tonic_reflection::server::Builder::configure()
        .register_file_descriptor_set(files.clone())
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .with_service_name(TOOL_SERVICE)
        .with_service_name(HEALTH_SERVICE)
}

#[cfg(test)]
mod tests;
