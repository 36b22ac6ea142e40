//! Whether a tool may be called at all, and what people decide about that.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Error, Registry, offer::Offer};
use crate::{
    plugin::{
        contracts::Held,
        news::{Kind, Subject},
    },
    tool::{Failure, FailureClass, ToolRef},
};

/// What a person wants of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It may be called. With the digest of the descriptor that was looked at, when one waits.
    Activate {
        /// The digest; empty when none waits.
        digest: String,
    },
    /// It may not.
    Disable {
        /// Why, for those who wonder.
        reason: String,
    },
}

// === impl Registry ===

impl Registry {
    /// The tool at exactly this version and digest, if it may be called.
    ///
    /// # Errors
    /// That nobody offers it any more, or what stands in its way.
    pub(crate) fn offered(&self, tool: &ToolRef) -> Result<Arc<Offer>, Failure> {
        let state = self.swept(Instant::now());
        let refused = |reason, said| Failure::ours(FailureClass::Permission, reason, said);
        match state.contracts.held(tool) {
            Held::Free => state.find(tool).ok_or_else(|| {
                let said = format!("no plugin offers {tool} {} any more", tool.version);
                Failure::ours(FailureClass::Transient, "NO_INSTANCE", said)
            }),
            Held::Quarantined(why) => Err(refused(
                "QUARANTINED",
                format!("{tool} waits for a person to accept it: {why}"),
            )),
            Held::Disabled(why) => {
                Err(refused("DISABLED", format!("{tool} was switched off by a person: {why}")))
            }
        }
    }

    /// Sets the standing of a tool, for all its versions. Durable when it returns.
    ///
    /// # Errors
    /// That the tool was never seen, that another descriptor waits than the one that was looked at,
    /// or that the decision cannot be written.
    pub async fn decide(
        &self,
        (plugin, tool): (&str, &str),
        decision: Decision,
    ) -> Result<(), Error> {
        let (kind, said) = self.take((plugin, tool), &decision)?;
        tracing::info!(plugin, tool, ?decision, "a person decided about a tool");
        self.shared.bell.news.tell(kind, Subject::tool(plugin, tool), said);
        self.shared.bell.ring();
        self.write().await
    }

    /// Takes a decision over, in memory.
    fn take(
        &self,
        (plugin, tool): (&str, &str),
        decision: &Decision,
    ) -> Result<(Kind, String), Error> {
        let name = (plugin.to_owned(), tool.to_owned());
        let mut state = self.swept(Instant::now());
        let (records, kind, said) = match decision {
            Decision::Activate { digest } => {
                let records = state.contracts.activate(&name, digest)?;
                let said = if state.contracts.is_disabled(&name) {
                    format!("{plugin}.{tool} was accepted and is still switched off")
                } else {
                    format!("{plugin}.{tool} may be called")
                };
                (records, Kind::ToolActivated, said)
            }
            Decision::Disable { reason } => {
                let said = format!("{plugin}.{tool} was switched off: {reason}");
                (state.contracts.disable(&name, reason)?, Kind::ToolDisabled, said)
            }
        };
        state.keep(records);
        Ok((kind, said))
    }
}
