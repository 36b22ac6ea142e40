//! Compiles the `.proto` files with protox, so that no system `protoc` is needed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const FILES: [&str; 9] = [
    "agentd/tool/v1/types.proto",
    "agentd/tool/v1/observation.proto",
    "agentd/tool/v1/tool.proto",
    "agentd/tool/v1/registry.proto",
    "agentd/tool/v1/relay.proto",
    "agentd/v1/resources.proto",
    "agentd/v1/events.proto",
    "agentd/v1/agent.proto",
    "agentd/v1/control.proto",
];

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script its folder this way")]
fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?).join("descriptors.bin");
    fs::write(out, descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // Maps in key order: encoding an event twice gives the same bytes.
        .btree_map(".")
        // The stream carries events as they were stored, without decoding them: see `stream.rs`.
        .extern_path(".agentd.v1.StreamEventsResponse", "crate::stream::StreamEventsResponse")
        // The largest arms by far; boxing keeps every other event small.
        .boxed(".agentd.v1.Event.payload.started")
        .boxed(".agentd.v1.Event.payload.finished")
        .boxed(".agentd.v1.Event.payload.tool_call_finished")
        .boxed(".agentd.v1.Event.payload.evidence_recorded")
        .compile_fds(descriptors)?;
    Ok(())
}
