//! How good the answers are on many recorded incidents: each is investigated by a real daemon in
//! this process, which asks the bundled plugins over gRPC on the loopback, and the report is scored
//! with [`agentd::eval`]. Recordings and answers can be disturbed on purpose, to see whether the
//! verdict stands. Nothing here looks into the daemon, and the truth of an incident is read for
//! scoring only: what plugins see is a copy without it.

pub mod case;
pub mod explain;
pub mod figures;
pub mod investigate;
pub mod machine;
pub mod outcome;
pub mod planted;
pub mod relay;
pub mod repeat;
pub mod stage;
pub mod stand;
pub mod swollen;
pub mod table;
pub mod thinking;
pub mod variant;
pub mod warnings;
