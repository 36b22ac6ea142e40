//! One run of the agent about one alert: its id, its life, its bounds. The aggregate is a fold of
//! its events: see [`state`].

pub mod event;
pub mod finding;
pub mod plan;
pub mod report;
pub mod state;

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use jiff::Timestamp;
use uuid::Uuid;

use crate::alert::Alert;

/// Id of an investigation: a UUID of version 7, so that ids sort by time of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InvestigationId(pub Uuid);

/// Prefix of the resource name.
const COLLECTION: &str = "investigations/";

impl InvestigationId {
    /// The resource name, `investigations/{id}`.
    #[must_use]
    pub fn resource(&self) -> String {
        format!("{COLLECTION}{}", self.0)
    }
}

impl fmt::Display for InvestigationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Text that is not the name of an investigation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is not an investigation's name; use \"investigations/{{uuid}}\" or the bare uuid"
)]
pub struct BadName {
    /// What was given, cut to 64 characters.
    given: String,
}

/// Reads the resource name or the bare id.
impl FromStr for InvestigationId {
    type Err = BadName;

    fn from_str(name: &str) -> Result<Self, BadName> {
        let bare = name.strip_prefix(COLLECTION).unwrap_or(name);
        bare.parse().map(Self).map_err(|_| BadName { given: name.chars().take(64).collect() })
    }
}

/// Where an investigation stands. The last four are terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Waits for capacity.
    Queued,
    /// Works.
    Running,
    /// Finished with a report.
    Succeeded,
    /// Finished with a report that has gaps or was cut short.
    Partial,
    /// The store was lost.
    Failed,
    /// Withdrawn.
    Cancelled,
}

impl Phase {
    /// Whether nothing more will happen.
    #[must_use]
    pub fn terminal(self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Succeeded | Self::Partial | Self::Failed | Self::Cancelled => true,
        }
    }
}

/// How much freedom the agent has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Autonomy {
    /// Development.
    Dev,
    /// Staging.
    Staging,
    /// Production.
    #[default]
    Production,
    /// Declared incident in production.
    Incident,
}

/// Bounds in force for one investigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Wall time.
    pub max_duration: Duration,
    /// Tool calls, retries included.
    pub max_tool_calls: u32,
    /// Rounds of asking and weighing.
    pub max_rounds: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { max_duration: Duration::from_secs(300), max_tool_calls: 60, max_rounds: 6 }
    }
}

/// What an investigation has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tool calls, retries included.
    pub tool_calls: u32,
}

/// One run as clients see it. Field for field `agentd.v1.Investigation`.
#[derive(Debug, Clone, PartialEq)]
pub struct Investigation {
    /// Id.
    pub id: InvestigationId,
    /// What set it off.
    pub alert: Alert,
    /// Where it stands.
    pub phase: Phase,
    /// Freedom in force.
    pub autonomy: Autonomy,
    /// Bounds in force.
    pub bounds: Bounds,
    /// Used so far.
    pub usage: Usage,
    /// Who asked.
    pub principal: String,
    /// When asked.
    pub created: Timestamp,
    /// When it became terminal.
    pub ended: Option<Timestamp>,
    /// Sequence of its newest event; 0 before the first.
    pub last_seq: u32,
    /// Outcome, once there is one.
    pub report: Option<report::Report>,
    /// Free labels of the caller.
    pub labels: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_bare_or_in_full_and_nothing_else() {
        let id = InvestigationId(Uuid::from_u128(0x0193_4567));
        assert_eq!(id.resource().parse(), Ok(id));
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "investigations/", "episodes/1", "not-a-uuid"] {
            assert!(bad.parse::<InvestigationId>().is_err(), "{bad:?}");
        }
    }
}
