//! `agentd tools why`: what keeps a tool from being called, version by version, each reason with the
//! field or the state that decides it; and how its last calls went.

use agent_proto::{
    tool::v1::{FieldViolation, ToolVerdict},
    v1::{RecentCall, ToolInfo},
};

use super::{bare, call::failed, status};
use crate::cli::{
    Error,
    client::Client,
    out::Style,
    text::{clock, time, took, wrapped},
};

/// The page about `name`.
///
/// # Errors
/// When nobody ever offered it, or the daemon is gone.
pub(super) async fn of(client: &Client, name: &str, style: Style) -> Result<String, Error> {
    let wanted = bare(name);
    let mut versions = client.tools().await?;
    versions.retain(|tool| bare(&tool.name) == wanted);
    let refused = refusals(client, wanted).await?;
    if versions.is_empty() && refused.is_empty() {
        // Says how tools are named, when there is none of that name.
        versions.push(client.tool(name).await?);
    }
    let recent = match client.tool(name).await {
        Ok(tool) => tool.recent_calls,
        Err(_) => Vec::new(),
    };
    let mut lines: Vec<String> = Vec::new();
    for tool in &versions {
        lines.extend(page(tool, style));
    }
    for verdict in &refused {
        lines.push(style.bold(&format!("{wanted}: refused when it registered")));
        let failure = verdict.rejection.clone().unwrap_or_default();
        lines.push(failed(&failure).trim_end().to_owned());
    }
    if !recent.is_empty() {
        lines.push(format!("\n{}", style.bold("Last calls")));
        lines.extend(recent.iter().map(line));
    }
    Ok(lines.join("\n") + "\n")
}

/// Verdicts on tools of that name that were refused.
async fn refusals(client: &Client, wanted: &str) -> Result<Vec<ToolVerdict>, Error> {
    let plugins = client.plugins().await?;
    let verdicts = plugins.into_iter().flat_map(|plugin| plugin.refused_tools);
    let named = |verdict: &ToolVerdict| {
        verdict.tool.as_ref().is_some_and(|tool| format!("{}.{}", tool.plugin, tool.tool) == wanted)
    };
    Ok(verdicts.filter(named).collect())
}

fn page(tool: &ToolInfo, style: Style) -> Vec<String> {
    let reference = tool.r#ref.clone().unwrap_or_default();
    let head = format!(
        "{} {}: {}, {} ready",
        bare(&tool.name),
        reference.version,
        status(tool.status()),
        tool.ready_instances
    );
    let mut lines = vec![style.bold(&head)];
    if tool.obstacles.is_empty() {
        lines.push("  nothing stands in its way".to_owned());
    }
    lines.extend(tool.obstacles.iter().map(obstacle));
    lines.extend(tool.warnings.iter().map(|said| wrapped("  advice: ", said)));
    lines
}

fn obstacle(found: &FieldViolation) -> String {
    wrapped("  - ", &format!("{} ({}): {}", found.field, found.reason, found.description))
}

/// One attempt that ended.
fn line(call: &RecentCall) -> String {
    let when = time(call.end_time.as_ref()).map(clock).unwrap_or_default();
    let instance: String = call.instance_id.chars().take(8).collect();
    let head = format!("  {when}  {:>8}  {instance}  ", took(call.duration.as_ref()));
    match &call.failure {
        None => format!("{head}ok"),
        Some(failure) => wrapped(&head, &format!("{}: {}", failure.reason, failure.message)),
    }
}
