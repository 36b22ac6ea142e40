//! `SetToolStatus`: people accept a tool that changed, switch one off, and on again.

use agent_proto::v1 as pb;

use super::{Plugins, calling::name_of};
use crate::{
    plugin::registry::{Decision, ToolView},
    rpc::status::Problem,
    tool::Violation,
};

/// Longest reason, in bytes.
const MAX_REASON: usize = 2 * 1024;

impl Plugins {
    /// Sets the standing of a tool, and gives the tool as it is then.
    pub(super) async fn decide(
        &self,
        request: pb::SetToolStatusRequest,
    ) -> Result<pb::ToolInfo, Problem> {
        let name = name_of(&request.name)?;
        let refused = |field: &str, reason: &str, description: String| {
            Problem::invalid(vec![Violation {
                field: field.to_owned(),
                description,
                reason: reason.to_owned(),
            }])
        };
        if request.reason.len() > MAX_REASON {
            let said = format!("has {} bytes; give at most {MAX_REASON}", request.reason.len());
            return Err(refused("reason", "TOO_LONG", said));
        }
        let decision = match request.status() {
            pb::ToolStatus::Active => Decision::Activate { digest: request.digest },
            pb::ToolStatus::Disabled => Decision::Disable { reason: request.reason },
            pb::ToolStatus::Unspecified
            | pb::ToolStatus::Quarantined
            | pb::ToolStatus::Unavailable
            | pb::ToolStatus::Tripped => {
                let said = "give TOOL_STATUS_ACTIVE or TOOL_STATUS_DISABLED; the others come by \
                            themselves";
                return Err(refused("status", "NOT_SETTABLE", said.to_owned()));
            }
        };
        let digest = match &decision {
            Decision::Activate { digest } => digest.clone(),
            Decision::Disable { .. } => String::new(),
        };
        self.registry.decide(name, decision).await?;
        let (plugin, tool) = name;
        // Another plugin may offer the very same.
        let named = |found: &ToolView| {
            let id = &found.spec.id;
            (id.plugin.as_str(), id.tool.as_str()) == (plugin, tool) && id.digest == digest
        };
        let looked_at = self.registry.tools().into_iter().find(named);
        let shown = looked_at.or_else(|| self.registry.tool(plugin, tool, ""));
        // One that nobody offers now was decided about all the same.
        Ok(shown.map_or_else(
            || pb::ToolInfo {
                name: format!("tools/{}.{}", name.0, name.1),
                status: pb::ToolStatus::Unavailable.into(),
                ..pb::ToolInfo::default()
            },
            |tool| self.tool_to(tool, false),
        ))
    }
}
