//! How good are the reports: an answer against the truth of a recorded incident.
//!
//! `agentd eval` runs an investigation per scenario, makes an [`Answer`] of its report and asks
//! [`score`](score::score) for the verdict. Nothing here runs an investigation, reads a file or
//! knows a scenario; all of it is pure.
//!
//! Invariant: the verdicts are those of the corpus's own scorer, check by check; a test holds
//! them against verdicts which that scorer gave.

pub mod answer;
pub mod leak;
pub mod score;
pub mod table;
pub mod text;
pub mod truth;

pub use answer::{Answer, json_shape};
pub use score::{CheckName, Score, score};
pub use table::{Row, table};
pub use truth::{Ref, Truth};
