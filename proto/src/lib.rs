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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use prost::Message as _;

    /// Messages whose content is known to their author only: whoever has no more than reflection
    /// cannot print what holds one.
    const UNPRINTABLE: [&str; 4] = [
        ".google.protobuf.Any",
        ".google.protobuf.Struct",
        ".google.protobuf.Value",
        ".google.protobuf.ListValue",
    ];

    #[test]
    fn no_message_of_ours_holds_what_reflection_cannot_print() {
        let files = prost_types::FileDescriptorSet::decode(super::DESCRIPTORS).unwrap().file;
        // Messages within messages too, those of maps among them.
        let mut open: Vec<_> = files.into_iter().flat_map(|file| file.message_type).collect();
        let mut fields = 0;
        while let Some(message) = open.pop() {
            for field in &message.field {
                let (held, name) = (field.type_name(), message.name());
                assert!(!UNPRINTABLE.contains(&held), "{name}.{} holds {held}", field.name());
                fields += 1;
            }
            open.extend(message.nested_type);
        }
        assert!(fields > 300, "only {fields} fields were looked at");
    }
}
