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
//!     // The main of a plugin returns std::process::ExitCode and ends here with: plugin.main().await
//!     let harness = kit::Harness::new(plugin).await?;
//!     let outcome = harness.call("check_queue", serde_json::json!({"queue": "orders"})).await;
//!     assert_eq!(outcome.result()?.observations[0].statement, "7 messages wait in orders");
//!     Ok(())
//! }
//! ```
//!
//! # A tool that changes something
//!
//! It says what kind of change it makes, how that is undone, and heeds a dry run. What must not be
//! left half done stands in [`CallCx::protect`]; with [`Spec::keyed`] the SDK sees to it that a
//! retry, as after a connection was cut, has no second effect and gets the first one's result.
//!
//! ```
//! use std::sync::{Arc, atomic::{AtomicU32, Ordering}};
//!
//! use agent_sdk::{CallCx, Effects, Failure, Output, Plugin, Spec, Tool, kit};
//! use serde_json::json;
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct Arguments {
//!     /// Deployment to scale.
//!     deployment: String,
//!     /// Replicas wanted.
//!     replicas: u32,
//! }
//!
//! #[derive(serde::Serialize, schemars::JsonSchema)]
//! struct Scaled {
//!     before: u32,
//!     after: u32,
//! }
//!
//! /// Stands for the cluster.
//! #[derive(Clone)]
//! struct Scale(Arc<AtomicU32>);
//!
//! impl Tool for Scale {
//!     type Args = Arguments;
//!
//!     fn spec(&self) -> Spec {
//!         Spec::reversible("scale", "Sets the number of replicas of a deployment.")
//!             .permissions(&["k8s:deployments/patch"])
//!             .keyed()
//!             // Its own undo: back to the number there was.
//!             .compensated_by("scale", false)
//!             .supports_dry_run()
//!             .returns::<Scaled>()
//!     }
//!
//!     async fn call(&self, cx: CallCx, args: Arguments) -> Result<Output, Failure> {
//!         // What is checked here is checked by a dry run too.
//!         let before = self.0.load(Ordering::SeqCst);
//!         if args.replicas > 100 {
//!             let failure = Failure::invalid_argument("arguments.replicas", "is at most 100");
//!             return Err(failure.nothing_changed());
//!         }
//!         let change = format!("{}: {before} to {} replicas", args.deployment, args.replicas);
//!         let scaled = Scaled { before, after: args.replicas };
//!         if cx.dry_run() {
//!             return Ok(Output::new(&scaled)?.planned_effect(change));
//!         }
//!         if cx.is_cancelled() {
//!             // Nobody waits any more, and nothing was changed yet.
//!             return Err(Failure::external("WITHDRAWN", "not begun").effects(Effects::None));
//!         }
//!         let cluster = self.clone();
//!         cx.protect(async move { cluster.0.store(args.replicas, Ordering::SeqCst) }).await;
//!         let undo = json!({"deployment": args.deployment, "replicas": before});
//!         Ok(Output::new(&scaled)?
//!             .summary(change)
//!             .compensation("scale", undo, format!("back to {before} replicas"), None))
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let cluster = Scale(Arc::new(AtomicU32::new(2)));
//!     let harness = kit::Harness::new(Plugin::new("remedies", "1.0.0").tool(cluster.clone())).await?;
//!     let wanted = json!({"deployment": "web", "replicas": 5});
//!
//!     let dry = kit::Call { dry_run: true, ..kit::Call::default() };
//!     let planned = harness.call_with("scale", wanted.clone(), dry).await;
//!     assert_eq!(planned.result()?.planned_effects, ["web: 2 to 5 replicas"]);
//!     assert_eq!(cluster.0.load(Ordering::SeqCst), 2);
//!
//!     let key = "7e57c0de".to_owned();
//!     let act = kit::Call { execute: true, idempotency_key: key, ..kit::Call::default() };
//!     let first = harness.call_with("scale", wanted.clone(), act.clone()).await;
//!     cluster.0.store(9, Ordering::SeqCst); // Somebody else, meanwhile.
//!     let again = harness.call_with("scale", wanted, act).await;
//!     assert_eq!(again.result()?, first.result()?);
//!     assert_eq!(cluster.0.load(Ordering::SeqCst), 9);
//!
//!     let undo = &first.result()?.compensations[0];
//!     assert_eq!(undo.arguments_json, r#"{"deployment":"web","replicas":2}"#);
//!     Ok(())
//! }
//! ```
//!
//! # Settings
//!
//! `main` reads `AGENTD_URL` (`http://127.0.0.1:50051`), `AGENTD_PLUGIN_TOKEN` or
//! `AGENTD_PLUGIN_TOKEN_FILE`, `PLUGIN_MODE` (`direct` or `relay`), `PLUGIN_SLOTS` (8, with `relay`),
//! `PLUGIN_LISTEN` (`127.0.0.1:0`) and `PLUGIN_ADVERTISE`; for TLS `AGENTD_CA_FILE`,
//! `PLUGIN_TLS_CERT`, `PLUGIN_TLS_KEY` and `PLUGIN_TLS_CLIENT_CA`, see [`Options`].
//!
//! With `PLUGIN_MODE=relay` the plugin listens nowhere: it dials agentd and parks slots there, down
//! which the calls come. That is for a plugin behind NAT, in another cluster, on a laptop; the tools
//! are the same.

mod arguments;
pub mod call;
mod descriptor;
pub mod error;
pub mod failure;
#[cfg(test)]
mod fake;
mod instance;
mod keyed;
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
pub mod readiness;
mod relay;
mod running;
mod secure;
mod server;
mod shelter;
pub mod tool;

/// The messages of the plugin contract, for tests that look at the wire itself.
pub use agent_proto::tool::v1 as wire;
pub use call::{CallCx, Severity};
pub use error::Error;
pub use failure::{Effects, Failure, FailureClass};
pub use observation::{Entity, Observation, Relation, RelationKind};
pub use options::{Mode, Options, TlsFiles};
pub use output::{Output, Usage};
pub use plugin::{Plugin, Polarity};
pub use readiness::ToolReadiness;
pub use tool::{Applies, Idempotency, RateLimit, Retry, Risk, Scope, SideEffect, Spec, Tool};

/// What the README shows is compiled and run with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
