//! For programs that ask agentd: the generated client, and [`Watch`], the events of one
//! investigation as a stream that no broken connection ends. It knows nothing of how agentd works
//! and decides nothing; the messages and their comments are in [`v1`].
//!
//! ```no_run
//! use agent_client::{Client, v1};
//! use futures_util::TryStreamExt as _;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let client = Client::connect("http://127.0.0.1:50051")?;
//!     let alert = v1::Alert {
//!         r#type: "high_memory".to_owned(),
//!         service: "web-app".to_owned(),
//!         ..v1::Alert::default()
//!     };
//!     let request = v1::InvestigateRequest {
//!         alert: Some(alert),
//!         // Comes back at once; the events are followed below.
//!         wait: Some(Default::default()),
//!         ..v1::InvestigateRequest::default()
//!     };
//!     let answer = client.agent().investigate(request).await?.into_inner();
//!     let investigation = answer.investigation.unwrap_or_default();
//!
//!     let mut events = client.watch(&investigation.name);
//!     while let Some(event) = events.try_next().await? {
//!         println!("{:>3} {}", event.sequence, event.summary);
//!     }
//!     Ok(())
//! }
//! ```

mod client;
pub mod error;
mod watch;

/// Package `agentd.tool.v1`: what plugins and agentd speak; observations and failures are its.
pub use agent_proto::tool::v1 as tool;
/// Package `agentd.v1`: messages, and the generated clients of all services.
pub use agent_proto::v1;
pub use client::{Bearer, Client, Options, Wire};
pub use error::Error;
pub use watch::Watch;
