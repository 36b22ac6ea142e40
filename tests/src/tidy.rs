//! House rules as functions over texts, so that each rule can be seen to fail on a planted
//! snippet. `tests/tidy.rs` runs them over the workspace. A rule returns one line per fault; it
//! never looks at the disk itself.

pub mod incidents;
pub mod layers;
pub mod manifests;
pub mod names;
pub mod rust;
pub mod tree;

/// A fault, as one line: where and what to do.
pub type Fault = String;
