//! Autoscalers: whether each has its target and its metrics, has room to scale, can ever trigger,
//! and scales what its name says. A fault of days is told with its age: it hurts only when load
//! comes.

mod bound;
mod target;

use agent_sdk::{Entity, Observation, Relation, RelationKind};
use jiff::{SignedDuration, Timestamp};
use plugin_cluster::{Answer, Kind, Object, object::Condition, sayings};

use super::Scene;

/// An autoscaler without metrics for less than this is of the moment: pods start without them.
const LASTING: SignedDuration = SignedDuration::from_mins(10);

pub(super) async fn judge(scene: &Scene<'_>, answer: &mut Answer) {
    let listed = scene.cluster.list(Kind::HorizontalPodAutoscaler, scene.namespace).await;
    let autoscalers = answer.or_gap("horizontalpodautoscalers", listed);
    if autoscalers.is_empty() {
        return;
    }
    let mut workloads = Vec::new();
    for kind in [Kind::Deployment, Kind::StatefulSet] {
        workloads.extend(scene.cluster.list(kind, scene.namespace).await.unwrap_or_default());
    }
    let all = All { autoscalers: &autoscalers, workloads: &workloads };
    for autoscaler in &autoscalers {
        let one = One { autoscaler, now: scene.cluster.now(), scene };
        one.judge(&all, answer);
    }
    target::wrong(&all, answer);
    target::conflicts(&all, answer);
    metrics_servers(scene, &autoscalers, answer).await;
}

/// What stands around one autoscaler.
struct All<'a> {
    autoscalers: &'a [Object],
    workloads: &'a [Object],
}

/// One autoscaler at a time.
struct One<'a> {
    autoscaler: &'a Object,
    now: Timestamp,
    scene: &'a Scene<'a>,
}

/// What an autoscaler scales, as it names it.
fn target(autoscaler: &Object) -> Entity {
    Entity::new(
        autoscaler.text("/spec/scaleTargetRef/kind"),
        autoscaler.namespace(),
        autoscaler.text("/spec/scaleTargetRef/name"),
    )
}

// === impl One ===

impl One<'_> {
    fn judge(&self, all: &All<'_>, answer: &mut Answer) {
        let target = target(self.autoscaler);
        let workload = all.workloads.iter().find(|w| w.entity() == target);
        if let Some(seen) = target::missing(self, all, workload.is_some()) {
            answer.relate_all(seen.1);
            answer.harm(seen.0);
            return;
        }
        answer.relate(Relation::new(
            self.autoscaler.entity(),
            RelationKind::Governs,
            target.clone(),
        ));
        let zero = workload.is_some_and(|w| crate::pods::desired(w) == 0);
        let mut harms: Vec<Observation> = Vec::new();
        harms.extend(self.no_metrics().filter(|_| !zero));
        harms.extend(workload.and_then(|w| bound::never_triggers(self, w)));
        harms.extend(bound::at_max(self));
        if harms.is_empty() && !zero {
            answer.health(self.well(target));
        }
        for seen in harms {
            answer.harm(seen);
        }
    }

    fn observe(&self, signal: &str, says: &str) -> Observation {
        let says = format!("HorizontalPodAutoscaler {} {says}", self.autoscaler.name());
        Observation::new(signal, self.autoscaler.entity(), says).until(self.now)
    }

    fn no_metrics(&self) -> Option<Observation> {
        let condition = self.autoscaler.condition("ScalingActive").filter(|c| c.status == "False");
        let Condition { reason, message, since, .. } = condition?;
        if reason == "ScalingDisabled" {
            return None;
        }
        let failure = sayings::scaling_failure(reason, message);
        if failure.why == "two_autoscalers" {
            return None;
        }
        let lasting = since.is_none_or(|since| self.now.duration_since(since) >= LASTING);
        let at = since.map(|t| format!(" since {t}")).unwrap_or_default();
        let metric = match failure.metric.as_str() {
            "" => self.metric().0,
            told => told.to_owned(),
        };
        let says = format!("cannot compute replicas{at} ({reason}): {message}");
        Some(
            self.observe("policy.hpa_no_metrics", &says)
                .maybe_since(since)
                .attr("why", failure.why)
                .attr("metric", metric)
                .attr("container", failure.container)
                .attr("reason", reason)
                .attr("replicas", self.replicas().to_string())
                .attr("max", self.max().to_string())
                .attr("lasting", if lasting { "true" } else { "" })
                .quote(message)
                .peer(target(self.autoscaler)),
        )
    }

    fn replicas(&self) -> i64 {
        self.autoscaler.number("/status/currentReplicas").unwrap_or(0)
    }

    fn max(&self) -> i64 {
        self.autoscaler.number("/spec/maxReplicas").unwrap_or(0)
    }

    fn min(&self) -> i64 {
        self.autoscaler.number("/spec/minReplicas").unwrap_or(1)
    }

    /// The first metric: its name and its target as written.
    fn metric(&self) -> (String, String) {
        let Some(metric) = self.autoscaler.list("/spec/metrics").first() else {
            let target = self.autoscaler.number("/spec/targetCPUUtilizationPercentage");
            return ("cpu".to_owned(), target.map(|t| format!("{t} %")).unwrap_or_default());
        };
        let kinds = ["resource", "containerResource", "pods", "object", "external"];
        let Some(of) = kinds.iter().find_map(|kind| metric.get(kind)) else {
            return (String::new(), String::new());
        };
        let name = of.get("name").or_else(|| of.get("metric")?.get("name"));
        let target = of.get("target");
        let percent = target.and_then(|t| t.get("averageUtilization"));
        let value = target.and_then(|t| t.get("averageValue").or_else(|| t.get("value")));
        let told = match (percent, value) {
            (Some(percent), _) => format!("{percent} %"),
            (None, Some(value)) => plugin_cluster::pod::shown(value),
            _ => String::new(),
        };
        (name.map(plugin_cluster::pod::shown).unwrap_or_default(), told)
    }

    /// What the first metric stands at, as the controller last saw it.
    fn current(&self) -> String {
        let Some(metric) = self.autoscaler.list("/status/currentMetrics").first() else {
            return String::new();
        };
        let kinds = ["resource", "containerResource", "pods", "object", "external"];
        let current = kinds.iter().find_map(|kind| metric.get(kind)?.get("current"));
        let Some(current) = current else { return String::new() };
        match (current.get("averageUtilization"), current.get("averageValue")) {
            (Some(percent), _) => format!("{percent} %"),
            (None, Some(value)) => plugin_cluster::pod::shown(value),
            _ => current.get("value").map(plugin_cluster::pod::shown).unwrap_or_default(),
        }
    }

    fn well(&self, target: Entity) -> Observation {
        let says = format!(
            "reads its metrics and may scale: {} of at most {} replicas",
            self.replicas(),
            self.max()
        );
        self.observe("policy.hpa_ok", &says)
            .attr("replicas", self.replicas().to_string())
            .attr("max", self.max().to_string())
            .peer(target)
    }
}

/// Autoscalers live on a metrics server; when there is one in the cluster, they depend on it.
async fn metrics_servers(scene: &Scene<'_>, autoscalers: &[Object], answer: &mut Answer) {
    let all = scene.cluster.list(Kind::Deployment, None).await.unwrap_or_default();
    let serves = |w: &&Object| {
        let named =
            |text: &str| text.contains("metrics-server") || text.contains("metrics-apiserver");
        named(w.name()) || w.labels().values().any(|v| named(v))
    };
    for server in all.iter().filter(serves) {
        for autoscaler in autoscalers {
            let resource = autoscaler
                .list("/spec/metrics")
                .iter()
                .all(|m| m.get("resource").is_some() || m.get("containerResource").is_some());
            if resource {
                let edge = (autoscaler.entity(), server.entity());
                answer.relate(Relation::new(edge.0, RelationKind::Uses, edge.1));
            }
        }
    }
}
