//! Events about workloads, autoscalers and Jobs.

use plugin_cluster::{Event, Object, Rules, sayings};

use super::one_line;
use crate::gather::{Finding, Rank};

/// Something that the server would not let be made. Of a quota the quota is the subject, and who
/// was refused its peer.
pub(super) fn refused(event: &Event, rules: &Rules) -> Vec<Finding> {
    if let Some(refusal) = sayings::quota_refusal(&event.message) {
        let namespace = event.about.namespace.as_str();
        let refused = format!("{} {}", event.about.kind, event.about.name);
        let amounts = refusal.amounts();
        let told = if amounts.is_empty() { one_line(&event.message) } else { amounts };
        let subject = rules.refuser(namespace, &refusal);
        let says = match &subject {
            Some(_) => format!("refuses {refused} new objects: {told}"),
            None => format!("is refused new objects by a {}: {told}", refusal.kind),
        };
        let finding = match subject {
            Some(rule) => Finding::new("policy.quota_exceeded", Rank::Harm, rule, says)
                .peer(event.about.clone()),
            None => {
                let about = event.about.clone();
                Finding::new("policy.quota_exceeded", Rank::Harm, about, says)
            }
        };
        let by = if refusal.name.is_empty() { refusal.kind } else { refusal.name.as_str() };
        let finding = finding.attr("by", by);
        let all = refusal.attributes().into_iter();
        return vec![all.fold(finding, |finding, (key, value)| finding.attr(key, value))];
    }
    let Some(refusal) = sayings::refusal(&event.message) else { return Vec::new() };
    let says = format!("cannot create a pod: {}", one_line(&event.message));
    let by = if refusal.kind == "Webhook" { "webhook" } else { "by" };
    let finding = Finding::new(refusal.signal, Rank::Harm, event.about.clone(), says);
    vec![finding.attr(by, refusal.by.as_str())]
}

/// A refusal by a webhook is a fact about the configuration that holds it, when that is known.
pub(crate) fn by_webhook(mut finding: Finding, event: &Event, webhooks: &[Object]) -> Finding {
    if finding.signal != "policy.webhook_failed" {
        return finding;
    }
    let Some(failure) = sayings::webhook(&event.message) else { return finding };
    if let Some(culprit) = failure.culprit(webhooks) {
        let refused = std::mem::replace(&mut finding.subject, culprit);
        finding.says = format!("refuses pods of {} {}", refused.kind, refused.name);
        finding.peer = Some(refused);
    }
    finding.attr("why", failure.why)
}

/// Repeated less often or over less time than this, an autoscaler's complaint is of the moment:
/// pods that start have no metrics yet.
const LASTING_COUNT: u64 = 20;

/// Why an autoscaler cannot scale.
pub(super) fn autoscaler(event: &Event) -> Vec<Finding> {
    let complains = event.reason.starts_with("Failed")
        || matches!(event.reason.as_str(), "InvalidMetricSourceType" | "AmbiguousSelector");
    if !event.warning || !complains {
        return Vec::new();
    }
    let failure = sayings::scaling_failure(&event.reason, &event.message);
    let signal = match failure.why {
        "target_missing" => "policy.hpa_target_missing",
        "two_autoscalers" => "policy.hpa_conflict",
        _ => "policy.hpa_no_metrics",
    };
    let minutes =
        event.first.zip(event.last).map_or(0, |(first, last)| last.duration_since(first).as_mins());
    let lasting = event.count >= LASTING_COUNT || minutes >= 10;
    let says = format!("cannot scale: {}", one_line(&event.message));
    let finding = Finding::new(signal, Rank::Harm, event.about.clone(), says)
        .attr("why", failure.why)
        .attr("metric", failure.metric)
        .attr("container", failure.container)
        .attr("reason", event.reason.as_str())
        .attr("lasting", if lasting { "true" } else { "" })
        .distinct(&["why"]);
    vec![finding]
}

pub(super) fn job(event: &Event) -> Vec<Finding> {
    if event.about.kind != "Job" {
        return Vec::new();
    }
    let says = format!("gave up: {}", event.reason);
    let failed = Finding::new("job.failed", Rank::Harm, event.about.clone(), says)
        .attr("reason", event.reason.as_str());
    if event.reason != "DeadlineExceeded" {
        return vec![failed];
    }
    let says = "ran longer than its deadline and was ended";
    vec![failed, Finding::new("job.deadline_exceeded", Rank::Harm, event.about.clone(), says)]
}
