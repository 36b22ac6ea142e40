//! For authors of agentd plugins: describe a tool, do the work, say what you saw. The SDK does the
//! rest: registration and its lease, deadlines and cancellation that reach the work, limits,
//! masking of secrets, progress, draining.
//!
//! A complete plugin, with its test:
//!
//! ```
//! use agent_sdk::{
//!     Applies, CallCx, Entity, Failure, Observation, Output, Plugin, Polarity, Spec, Tool, kit,
//! };
//!
//! /// What the tool takes; its JSON Schema is made from this.
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct Arguments {
//!     /// Queue to look at.
//!     queue: String,
//! }
//!
//! struct CheckQueue;
//!
//! impl Tool for CheckQueue {
//!     type Args = Arguments;
//!
//!     fn spec(&self) -> Spec {
//!         Spec::read_only("check_queue", "Tells how many messages wait in a queue.")
//!             .applies(Applies::from_start(r#"{"queue":"{service}"}"#).emits(&["queues.backlog"]))
//!     }
//!
//!     async fn call(&self, _cx: CallCx, args: Arguments) -> Result<Output, Failure> {
//!         let waiting = 7; // Ask the broker here.
//!         let subject = Entity::new("Queue", "", args.queue);
//!         let statement = format!("{waiting} messages wait in {}", subject.name);
//!         let seen = Observation::new("queues.backlog", subject, statement);
//!         Ok(Output::new(&waiting)?.observe(seen.value(7.0, "1")))
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // A signal of its own has weight once it is said what it tells.
//!     let plugin = Plugin::new("queues", "1.0.0")
//!         .tool(CheckQueue)
//!         .signal("backlog", "more messages wait than usual", Polarity::Harm);
//!     // A plugin's main ends with: plugin.run_from_env().await
//!     let harness = kit::Harness::new(plugin).await?;
//!     let outcome = harness.call("check_queue", serde_json::json!({"queue": "orders"})).await;
//!     assert_eq!(outcome.result()?.observations[0].statement, "7 messages wait in orders");
//!     Ok(())
//! }
//! ```
//!
//! `main` reads `AGENTD_URL` (`http://127.0.0.1:50051`), `AGENTD_PLUGIN_TOKEN` or
//! `AGENTD_PLUGIN_TOKEN_FILE`, `PLUGIN_LISTEN` (`127.0.0.1:0`) and `PLUGIN_ADVERTISE`; for TLS
//! `AGENTD_CA_FILE`, `PLUGIN_TLS_CERT`, `PLUGIN_TLS_KEY` and `PLUGIN_TLS_CLIENT_CA`, see [`Options`].

mod arguments;
pub mod call;
mod descriptor;
pub mod error;
pub mod failure;
#[cfg(test)]
mod fake;
mod instance;
pub mod kit;
mod lease;
pub mod limits;
pub mod observation;
mod offered;
pub mod options;
mod outgoing;
pub mod output;
pub mod plugin;
/// Masks the common shapes of secrets; applied to everything that leaves a plugin.
pub use agent_redact as redact;
mod running;
mod secure;
mod server;
pub mod tool;

/// The messages of the plugin contract, for tests that look at the wire itself.
pub use agent_proto::tool::v1 as wire;
pub use call::{CallCx, Severity};
pub use error::Error;
pub use failure::{Effects, Failure, FailureClass};
pub use observation::{Entity, Observation, Relation, RelationKind};
pub use options::{Options, TlsFiles};
pub use output::Output;
pub use plugin::{Plugin, Polarity};
pub use tool::{Applies, RateLimit, Risk, SideEffect, Spec, Tool};
