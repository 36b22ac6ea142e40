//! What an instance and everybody else is told of the tools it registered.

use agent_proto::tool::v1 as pb;
use tokio::time::Instant;

use super::{Registry, placed::Told};
use crate::plugin::{
    admission::descriptor::Checked,
    clean,
    contracts::Held,
    news::{Kind, Subject},
    wire,
};

impl Registry {
    /// Tells of an instance that registered, and of its tools that cannot be called. One that only
    /// comes back was told something `before`, which is not told again.
    pub(super) fn told(
        &self,
        instance: &Subject,
        before: Option<&[Told]>,
        verdicts: &[pb::ToolVerdict],
    ) {
        let plugin = &instance.plugin;
        let accepted = verdicts.iter().filter(|verdict| verdict.accepted).count();
        let offered = verdicts.len();
        tracing::info!(plugin, accepted, offered, "plugin registered");
        let news = &self.shared.bell.news;
        if before.is_none() {
            let said = format!("{plugin} registered; {accepted} of {offered} tools were accepted");
            news.tell(Kind::Registered, instance.clone(), said);
        }
        let known = before.unwrap_or_default();
        let is_new = |verdict: &&pb::ToolVerdict| {
            Told::of(verdict).is_some_and(|told| !known.contains(&told))
        };
        let unheard: Vec<&pb::ToolVerdict> = verdicts.iter().filter(is_new).collect();
        let now = Instant::now();
        let mut state = self.swept(now);
        let few = unheard.len().min(TOOLS_TOLD);
        let few = (0..few).take_while(|_| state.tool_lines.take(plugin, now)).count();
        drop(state);
        for verdict in unheard.iter().take(few) {
            let tool = verdict.tool.clone().unwrap_or_default().tool;
            let subject = Subject::tool(plugin, &tool);
            if let Some(rejection) = &verdict.rejection {
                tracing::warn!(plugin, tool, reason = rejection.reason, "tool was refused");
                let wrong: Vec<String> = rejection
                    .violations
                    .iter()
                    .map(|one| format!("{}: {}", one.field, one.description))
                    .collect();
                let why =
                    if wrong.is_empty() { rejection.message.clone() } else { wrong.join("; ") };
                let said = format!("{subject} was refused: {why}");
                news.tell(Kind::ToolRefused, subject, said);
            } else if verdict.quarantined {
                let why = verdict.warnings.last().cloned().unwrap_or_default();
                tracing::warn!(plugin, tool, why, "tool waits for a person to accept it");
                news.tell(Kind::ToolQuarantined, subject, why);
            }
        }
        let more = unheard.len() - few;
        if more > 0 && few > 0 {
            let said = format!("{plugin}: {more} more of its tools cannot be called");
            tracing::warn!(plugin, more, "tools were refused or wait for a person");
            news.tell(Kind::ToolRefused, instance.clone(), said);
        }
    }
}

/// Told with each tool that waits, since most often its author has only begun.
const WHILE_WRITING: &str =
    "who writes a plugin starts agentd with AGENTD__PLUGINS__ACCEPT_CHANGES=true";
/// Tools of one registration that are told of one by one when they cannot be called.
const TOOLS_TOLD: usize = 10;

/// What is said of a tool to its plugin.
pub(super) fn verdict(tool: &Checked, held: &Held) -> pb::ToolVerdict {
    let mut warnings = tool.warnings.clone();
    let quarantined = matches!(held, Held::Quarantined(_)) && tool.rejection.is_none();
    match held {
        Held::Free => {}
        Held::Quarantined(reason) => {
            warnings.push(WHILE_WRITING.to_owned());
            warnings.push(format!(
                "{reason}; it waits for a person: agentd tools accept {} {}",
                tool.id, tool.id.digest
            ));
        }
        Held::Disabled(reason) => {
            warnings.push(format!("was switched off by a person: {reason}"));
        }
    }
    // What was refused may be refused for its very length.
    let mut id = wire::tool_ref_to(&tool.id);
    clean::cut(&mut id.tool, 64);
    clean::cut(&mut id.version, 128);
    pb::ToolVerdict {
        tool: Some(id),
        accepted: tool.rejection.is_none() && !quarantined,
        quarantined,
        rejection: tool.rejection.as_ref().map(wire::failure_to),
        warnings,
    }
}

/// That all tools of an instance were refused, with the first faults.
pub(super) fn none_accepted(verdicts: &[pb::ToolVerdict]) -> Option<String> {
    if verdicts.is_empty() || verdicts.iter().any(|verdict| verdict.rejection.is_none()) {
        return None;
    }
    let faults = verdicts.iter().filter_map(|verdict| verdict.rejection.as_ref());
    let mut first: Vec<String> = faults.take(3).map(|fault| fault.message.clone()).collect();
    for fault in &mut first {
        clean::cut(fault, 512);
    }
    Some(format!("none of its tools was accepted: {}", first.join("; ")))
}
