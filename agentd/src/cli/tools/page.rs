//! `agentd tools show`: all of a tool that matters to who may call it, to who accepts it, and to its
//! author.

use agent_proto::{
    tool::v1::{
        Applicability, ApprovalRequirement, CacheScope, FailureClass, Idempotency, RiskLevel,
        ToolDescriptor,
    },
    v1::{ToolInfo, ToolStatus},
};

use super::{bare, change, effect, schema, standing};
use crate::cli::{
    Error,
    client::Client,
    out::Style,
    text::{chosen, wrapped},
};

/// The page about `name`, at `version` or the newest that can be called.
///
/// # Errors
/// When there is none of that name and version, or the daemon is gone.
pub(super) async fn of(
    client: &Client,
    name: &str,
    version: &str,
    style: Style,
) -> Result<String, Error> {
    let mut all = client.tools().await?;
    all.retain(|tool| bare(&tool.name) == name);
    let is_there = |tool: &ToolInfo| version_of(tool) == version;
    if !version.is_empty() && !all.is_empty() && !all.iter().any(is_there) {
        let there: Vec<&str> = all.iter().map(version_of).collect();
        let said =
            format!("there is no version {version} of {name}; there are {}", there.join(", "));
        return Err(Error::Missing(said));
    }
    let tool = super::name::told(client, name, client.tool(name, version).await).await?;
    let plugin = tool.r#ref.as_ref().map(|of| format!("plugins/{}", of.plugin));
    let plugins = client.plugins().await?;
    let own = plugins.into_iter().find(|known| Some(&known.name) == plugin.as_ref());
    let advice = own.map(|plugin| plugin.warnings).unwrap_or_default();
    all.retain(|other| other.r#ref != tool.r#ref);
    page(&tool, &all, &advice, style)
}

/// `others` are the other versions, `advice` is what the author of the plugin should mend.
fn page(
    tool: &ToolInfo,
    others: &[ToolInfo],
    advice: &[String],
    style: Style,
) -> Result<String, Error> {
    let descriptor = tool.descriptor.clone().unwrap_or_default();
    let reference = tool.r#ref.clone().unwrap_or_default();
    let mut lines = vec![style.bold(&format!("{} {}", bare(&tool.name), reference.version))];
    lines.extend(waiting(tool, others)?);
    lines.push(wrapped("", &descriptor.description));
    lines.push(String::new());
    let mut told = |head: &str, words: &str| lines.push(wrapped(&format!("{head:<11}"), words));
    told("Status", &format!("{}, {} ready", standing(tool), tool.ready_instances));
    if !others.is_empty() {
        let each = |other: &ToolInfo| format!("{} ({})", version_of(other), standing(other));
        told(
            "Versions",
            &format!("also {}", others.iter().map(each).collect::<Vec<_>>().join(", ")),
        );
    }
    if !descriptor.deprecation.is_empty() {
        told("Deprecated", &descriptor.deprecation);
    }
    told("Effect", &repeats(effect(descriptor.side_effect()), descriptor.idempotency()));
    told("Risk", &risk(tool, &descriptor));
    told("Approval", approval(tool, &descriptor));
    if !descriptor.permissions.is_empty() {
        told("Needs", &descriptor.permissions.join(", "));
    }
    told("Limits", &limits(&descriptor));
    told("Retry", &retry(&descriptor));
    told("Cache", &cache(&descriptor));
    told("Result", &schema::result(&descriptor.output_schema_json));
    if let Some(failure) = &tool.last_failure {
        told("Last fault", &failure.message);
    }
    told("Digest", &reference.digest);
    let arguments = schema::arguments(&descriptor.input_schema_json);
    headed(&mut lines, style, "Arguments", arguments);
    headed(&mut lines, style, "Asked without a model", asked(&descriptor.applies));
    let advice = tool.warnings.iter().chain(advice).map(|said| wrapped("  - ", said)).collect();
    headed(&mut lines, style, "For the plugin's author to mend", advice);
    Ok(lines.join("\n") + "\n")
}

/// What a person is asked for: this version, with what it changes, or another one.
fn waiting(tool: &ToolInfo, others: &[ToolInfo]) -> Result<Vec<String>, Error> {
    let name = bare(&tool.name);
    let mut lines = Vec::new();
    if tool.status() == ToolStatus::Quarantined {
        let digest = tool.r#ref.as_ref().map(|of| of.digest.as_str()).unwrap_or_default();
        lines.push("It waits for a person. To accept it as it is now:".to_owned());
        lines.push(format!("  agentd tools accept {name} {digest}"));
        lines.extend(accepting(tool)?);
        lines.push(String::new());
    }
    for other in others.iter().filter(|other| other.status() == ToolStatus::Quarantined) {
        let version = version_of(other);
        lines.push(format!("Version {version} waits for a person to look at it and accept it:"));
        lines.push(format!("  agentd tools show {name} --version {version}"));
        lines.push(String::new());
    }
    Ok(lines)
}

/// What accepting a tool that waits changes, a line or more for each field.
///
/// # Errors
/// Never, with descriptors that belong to the messages.
pub(super) fn accepting(tool: &ToolInfo) -> Result<Vec<String>, Error> {
    if tool.status() != ToolStatus::Quarantined {
        return Ok(Vec::new());
    }
    let Some((old, new)) = tool.accepted_descriptor.as_ref().zip(tool.descriptor.as_ref()) else {
        return Ok(vec!["  No version of it was accepted before: all of it is new.".to_owned()]);
    };
    let mut lines =
        vec![format!("  What differs from {}, which was accepted before:", old.version)];
    lines.extend(change::lines(old, new)?);
    Ok(lines)
}

fn headed(lines: &mut Vec<String>, style: Style, heading: &str, below: Vec<String>) {
    if !below.is_empty() {
        lines.push(format!("\n{}", style.bold(heading)));
        lines.extend(below);
    }
}

pub(super) fn version_of(tool: &ToolInfo) -> &str {
    tool.r#ref.as_ref().map(|of| of.version.as_str()).unwrap_or_default()
}

fn repeats(effect: &str, idempotency: Idempotency) -> String {
    let said = match idempotency {
        Idempotency::Natural => "repeating has no further effect",
        Idempotency::Keyed => "repeats are known by their key",
        Idempotency::None | Idempotency::Unspecified => "a repeat may act twice",
    };
    if effect == "reads only" { effect.to_owned() } else { format!("{effect}; {said}") }
}

fn risk(tool: &ToolInfo, descriptor: &ToolDescriptor) -> String {
    let word = |risk: RiskLevel| match risk {
        RiskLevel::Low => "low",
        RiskLevel::Medium => "medium",
        RiskLevel::High | RiskLevel::Unspecified => "high",
        RiskLevel::Critical => "critical",
    };
    let (declared, taken) = (word(descriptor.risk()), word(tool.effective_risk()));
    if declared == taken { taken.to_owned() } else { format!("{taken}; it says {declared}") }
}

fn approval(tool: &ToolInfo, descriptor: &ToolDescriptor) -> &'static str {
    match (descriptor.approval(), tool.requires_approval) {
        (ApprovalRequirement::Always, _) => {
            "of each call, says the tool; approvals come later, so that it is not called"
        }
        (_, true) => "of each call, says policy; approvals come later, so that it is not called",
        (_, false) => "none",
    }
}

fn limits(descriptor: &ToolDescriptor) -> String {
    let mut said = match &descriptor.timeout {
        Some(timeout) => format!("{} an attempt", chosen(Some(timeout))),
        None => "30 s an attempt".to_owned(),
    };
    if let Some(rate) = &descriptor.rate_limit {
        if rate.calls > 0 {
            let seconds = rate.period.as_ref().map(|period| (period.seconds, period.nanos));
            let each = match seconds {
                Some((1, 0)) => "a second".to_owned(),
                Some((60, 0)) => "a minute".to_owned(),
                Some((3600, 0)) => "an hour".to_owned(),
                _ => format!("in {}", chosen(rate.period.as_ref())),
            };
            said.push_str(&format!(", {} calls {each}", rate.calls));
        }
        if rate.max_concurrent > 0 {
            said.push_str(&format!(", {} at once", rate.max_concurrent));
        }
        let whose =
            if rate.shared_across_instances { "over all instances" } else { "for each instance" };
        said.push_str(&format!(", {whose}"));
    }
    said
}

fn retry(descriptor: &ToolDescriptor) -> String {
    let retry = descriptor.retry.clone().unwrap_or_default();
    let most = match retry.max_attempts {
        1 => return "never".to_owned(),
        0 => "3 attempts".to_owned(),
        most => format!("{most} attempts"),
    };
    let classes: Vec<&str> = retry
        .retryable_classes()
        .filter(|class| *class != FailureClass::Unspecified)
        .map(|class| class.as_str_name().trim_start_matches("FAILURE_CLASS_"))
        .collect();
    let classes = if classes.is_empty() { "what may pass".to_owned() } else { classes.join(", ") };
    format!("at most {most} after {classes}")
}

fn cache(descriptor: &ToolDescriptor) -> String {
    let cache = descriptor.cache.unwrap_or_default();
    let is_set = cache.ttl.as_ref().is_some_and(|ttl| ttl.seconds > 0 || ttl.nanos > 0);
    if !is_set {
        return "never".to_owned();
    }
    let whose = match cache.scope() {
        CacheScope::Shared => "shared by all who ask",
        CacheScope::Private | CacheScope::Unspecified => "for the same asker",
    };
    format!("while its data is younger than {}, {whose}", chosen(cache.ttl.as_ref()))
}

/// When it is asked, each in a sentence; signals that several may tell, once.
fn asked(all: &[Applicability]) -> Vec<String> {
    let mut told: Vec<&[String]> = Vec::new();
    all.iter()
        .map(|applies| {
            let may = match applies.emits.as_slice() {
                [] => String::new(),
                signals if told.contains(&signals) => "; may tell the same".to_owned(),
                signals => {
                    told.push(signals);
                    format!("; may tell {}", signals.join(", "))
                }
            };
            wrapped("  - ", &format!("{}{may}", when(applies)))
        })
        .collect()
}

/// One applicability in a sentence.
fn when(applies: &Applicability) -> String {
    let when = match (applies.alert_types.as_slice(), applies.after_signals.as_slice()) {
        ([], []) => "from the start".to_owned(),
        (types, []) => format!("from the start, for alerts {}", types.join(", ")),
        (_, signals) => format!("after {}", signals.join(", ")),
    };
    let about = match applies.subject_kinds.as_slice() {
        [] => "the alerted object".to_owned(),
        kinds => kinds.join(", "),
    };
    format!("{when}, about {about}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use agent_proto::tool::v1::{CachePolicy, RateLimit, RetryPolicy, SideEffect, ToolRef};
    use prost_types::Duration;

    use super::*;

    fn tool(version: &str, status: ToolStatus) -> ToolInfo {
        ToolInfo {
            name: "tools/probe.look".to_owned(),
            r#ref: Some(ToolRef {
                version: version.to_owned(),
                digest: format!("sha256:{version}"),
                ..ToolRef::default()
            }),
            descriptor: Some(ToolDescriptor {
                version: version.to_owned(),
                description: "Looks.".to_owned(),
                side_effect: SideEffect::ReadOnly.into(),
                risk: RiskLevel::Low.into(),
                ..ToolDescriptor::default()
            }),
            effective_risk: RiskLevel::Low.into(),
            status: status.into(),
            ..ToolInfo::default()
        }
    }

    #[test]
    fn when_a_tool_is_asked_is_said_in_a_sentence_and_the_same_signals_once() {
        let applies = Applicability {
            after_signals: vec!["log.*".to_owned()],
            subject_kinds: vec!["Pod".to_owned()],
            emits: vec!["log.line".to_owned()],
            ..Applicability::default()
        };
        let start = Applicability { after_signals: Vec::new(), ..applies.clone() };
        assert_eq!(
            asked(&[applies, start, Applicability::default()]),
            [
                "  - after log.*, about Pod; may tell log.line",
                "  - from the start, about Pod; may tell the same",
                "  - from the start, about the alerted object"
            ]
        );
    }

    #[test]
    fn a_version_that_waits_is_told_at_the_top_with_the_command() {
        let waits = tool("1.1.0", ToolStatus::Quarantined);
        let shown = page(&tool("1.0.0", ToolStatus::Active), &[waits], &[], Style::Plain).unwrap();
        assert!(
            shown.starts_with(
                "probe.look 1.0.0\nVersion 1.1.0 waits for a person to look at it and accept it:\n  \
                 agentd tools show probe.look --version 1.1.0\n\nLooks.\n"
            ),
            "{shown}"
        );
    }

    #[test]
    fn what_waits_is_shown_with_what_accepting_it_changes() {
        let mut waits = tool("1.1.0", ToolStatus::Quarantined);
        let page_of = |tool: &ToolInfo| page(tool, &[], &[], Style::Plain).unwrap();
        assert!(page_of(&waits).contains("all of it is new"));
        waits.accepted_descriptor = tool("1.0.0", ToolStatus::Active).descriptor;
        waits.descriptor.as_mut().unwrap().permissions = vec!["k8s:nodes/get".to_owned()];
        let shown = page_of(&waits);
        for line in [
            "  agentd tools accept probe.look sha256:1.1.0\n",
            "  What differs from 1.0.0, which was accepted before:\n",
            "    permissions: (unset) → k8s:nodes/get\n",
        ] {
            assert!(shown.contains(line), "{line} is not in\n{shown}");
        }
    }

    #[test]
    fn all_that_policy_and_the_tool_say_of_a_call_is_shown() {
        let mut shy = tool("1.0.0", ToolStatus::Active);
        shy.requires_approval = true;
        shy.effective_risk = RiskLevel::Critical.into();
        let descriptor = shy.descriptor.as_mut().unwrap();
        descriptor.deprecation = "use see instead".to_owned();
        descriptor.permissions = vec!["k8s:pods/list".to_owned()];
        descriptor.rate_limit = Some(RateLimit {
            calls: 60,
            period: Some(Duration { seconds: 60, nanos: 0 }),
            ..RateLimit::default()
        });
        descriptor.retry = Some(RetryPolicy {
            max_attempts: 2,
            retryable_classes: vec![FailureClass::External.into()],
            ..RetryPolicy::default()
        });
        descriptor.cache = Some(CachePolicy {
            ttl: Some(Duration { seconds: 30, nanos: 0 }),
            scope: CacheScope::Shared.into(),
        });
        shy.warnings = vec!["has no examples".to_owned()];
        let shown = page(&shy, &[], &[], Style::Plain).unwrap();
        for line in [
            "Status     needs approval, 0 ready\n",
            "Deprecated use see instead\n",
            "Risk       critical; it says low\n",
            "Approval   of each call, says policy; approvals come later, so that it is not called\n",
            "Needs      k8s:pods/list\n",
            "Limits     30 s an attempt, 60 calls a minute, for each instance\n",
            "Retry      at most 2 attempts after EXTERNAL\n",
            "Cache      while its data is younger than 30 s, shared by all who ask\n",
            "Result     of no form that it declares\n",
            "  - has no examples\n",
        ] {
            assert!(shown.contains(line), "{line} is not in\n{shown}");
        }
    }
}
