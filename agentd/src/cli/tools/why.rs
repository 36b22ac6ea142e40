//! `agentd tools why`: what keeps a tool from being called, version by version, each reason with the
//! field or the state that decides it; and how its last calls went.

use agent_proto::{
    tool::v1::{FieldViolation, ToolVerdict},
    v1::{RecentCall, ToolInfo},
};

use jiff::Timestamp;

use super::{
    bare,
    call::failed,
    page::{accepting, version_of},
    standing,
};
use crate::{
    app::clock,
    cli::{
        Error,
        client::Client,
        out::Style,
        text::{moment, time, took, wrapped},
    },
};

/// The page about `name`, `PLUGIN.TOOL`.
///
/// # Errors
/// When nobody ever offered it, or the daemon is gone.
pub(super) async fn of(client: &Client, name: &str, style: Style) -> Result<String, Error> {
    let mut versions = client.tools().await?;
    versions.retain(|tool| bare(&tool.name) == name);
    let refused = refusals(client, name).await?;
    if versions.is_empty() && refused.is_empty() {
        // Says what could have been meant.
        let tool = super::name::told(client, name, client.tool(name, "").await).await?;
        versions.push(tool);
    }
    let mut lines: Vec<String> = Vec::new();
    let mut calls: Vec<RecentCall> = Vec::new();
    for listed in &versions {
        // What was called lately, and what was accepted before, is told of one tool only.
        let whole = client.tool(name, version_of(listed)).await.ok();
        let whole = whole.filter(|tool| tool.r#ref == listed.r#ref);
        let tool = whole.as_ref().unwrap_or(listed);
        lines.extend(page(tool, style)?);
        calls.extend(tool.recent_calls.iter().cloned());
    }
    for verdict in &refused {
        let version = verdict.tool.as_ref().map(|tool| tool.version.as_str()).unwrap_or_default();
        let head = format!("{name} {version}: refused when it registered");
        lines.push(style.bold(head.replace(" :", ":").as_str()));
        let failure = verdict.rejection.clone().unwrap_or_default();
        lines.push(failed(&failure).trim_end().to_owned());
    }
    if !calls.is_empty() {
        let ended = |call: &RecentCall| {
            call.end_time.as_ref().map(|end| (end.seconds, end.nanos)).unwrap_or_default()
        };
        calls.sort_by_key(|call| std::cmp::Reverse(ended(call)));
        lines.push(format!("\n{}", style.bold("Last calls")));
        lines.extend(calls.iter().map(|call| line(call, clock())));
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

fn page(tool: &ToolInfo, style: Style) -> Result<Vec<String>, Error> {
    let head = format!(
        "{} {}: {}, {} ready",
        bare(&tool.name),
        version_of(tool),
        standing(tool),
        tool.ready_instances
    );
    let mut lines = vec![style.bold(&head)];
    if tool.obstacles.is_empty() {
        lines.push("  nothing stands in its way".to_owned());
    }
    lines.extend(tool.obstacles.iter().map(obstacle));
    lines.extend(accepting(tool)?);
    lines.extend(tool.warnings.iter().map(|said| wrapped("  advice: ", said)));
    Ok(lines)
}

/// One obstacle; a command that mends it has a line of its own, to be copied.
fn obstacle(found: &FieldViolation) -> String {
    let head = format!("{} ({})", found.field, found.reason);
    match found.description.rsplit_once("; agentd tools ") {
        Some((said, command)) => {
            let said = wrapped("  - ", &format!("{head}: {said}"));
            format!("{said}\n    agentd tools {}", seen(command))
        }
        None => wrapped("  - ", &format!("{head}: {}", found.description)),
    }
}

/// Without what steers a terminal.
fn seen(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect()
}

/// One attempt that ended.
fn line(call: &RecentCall, now: Timestamp) -> String {
    let when = time(call.end_time.as_ref()).map(|at| moment(at, now)).unwrap_or_default();
    let instance: String = call.instance_id.chars().take(8).collect();
    let head = format!("  {when}  {:>8}  {instance}  ", took(call.duration.as_ref()));
    match &call.failure {
        None if call.flaws.is_empty() => format!("{head}ok"),
        None => wrapped(&head, &format!("ok, but {}", call.flaws.join("; "))),
        Some(failure) => wrapped(&head, &format!("{}: {}", failure.reason, failure.message)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_command_that_mends_has_a_line_of_its_own() {
        let found = FieldViolation {
            field: "status".to_owned(),
            reason: "DISABLED".to_owned(),
            description: "was switched off by a person (slow); agentd tools enable a.b".to_owned(),
        };
        assert_eq!(
            obstacle(&found),
            "  - status (DISABLED): was switched off by a person (slow)\n    agentd tools enable a.b"
        );
    }

    #[test]
    fn a_healthy_tool_has_no_obstacle_and_its_advice_once() {
        let tool = ToolInfo {
            name: "tools/a.b".to_owned(),
            status: agent_proto::v1::ToolStatus::Active.into(),
            warnings: vec!["has no applies".to_owned()],
            ..ToolInfo::default()
        };
        assert_eq!(
            page(&tool, Style::Plain).unwrap(),
            ["a.b : active, 0 ready", "  nothing stands in its way", "  advice: has no applies"]
        );
    }

    #[test]
    fn calls_of_another_day_have_their_date_and_short_ones_their_milliseconds() {
        let mut call = RecentCall {
            end_time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
            duration: Some(prost_types::Duration { seconds: 0, nanos: 3_000_000 }),
            instance_id: "0123456789".to_owned(),
            failure: None,
            flaws: Vec::new(),
        };
        let now = Timestamp::from_second(1_700_200_000).unwrap();
        assert_eq!(line(&call, now), "  2023-11-14 22:13:20      3 ms  01234567  ok");
        call.flaws = vec!["LOG: more than 50 lines".to_owned()];
        assert!(
            line(&call, now).ends_with("ok, but LOG: more than 50 lines"),
            "{}",
            line(&call, now)
        );
    }
}
