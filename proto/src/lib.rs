//! The wire: messages and services of `agentd.v1` and `agentd.tool.v1`, generated from the
//! `.proto` files beside this crate, whose comments are the reference. No logic lives here.

pub mod stream;

/// Package `agentd.v1`: what clients of the daemon speak.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated code; the .proto comments are the documentation"
)]
pub mod v1 {
    tonic::include_proto!("agentd.v1");
    pub use crate::stream::{StreamEventsResponse, stream_events_response};
}

/// Package `agentd.tool.v1`: what plugins and the daemon speak.
pub mod tool {
    /// Revision 1 of the plugin contract.
    #[allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        reason = "generated code; the .proto comments are the documentation"
    )]
    pub mod v1 {
        tonic::include_proto!("agentd.tool.v1");
    }
}

/// All files above and their imports as an encoded `FileDescriptorSet`, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
