//! Plays agentd to a plugin in any language and says which rules of the contract it breaks: it
//! registers, renews, forgets, refuses, calls, cancels and kills as an agentd may, and watches. It
//! knows plugins by the wire only, and shares no code with the daemon or the SDK.

pub mod options;
pub mod report;
pub mod run;
pub mod verdict;

mod agentd;
mod exchange;
mod fixtures;
mod later;
mod line;
mod program;
mod scene;
mod schema;
mod spec;
mod stage;
