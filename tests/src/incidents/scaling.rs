//! Autoscalers, quotas and policies as they usually lie about.

use serde_json::{Value, json};

use super::{
    clock::{DAY, Sec},
    cluster::Cluster,
    object::{Edit, Ref},
    traffic::Id,
};

/// An autoscaler as it stands.
#[derive(Debug, Clone)]
pub struct Scaler {
    /// Fewest and most pods.
    pub bounds: (usize, usize),
    /// Pods it wants.
    pub desired: usize,
    /// CPU in percent of the request: now, and as wanted. None is unknown.
    pub usage: (Option<i64>, i64),
    /// `AbleToScale`, `ScalingActive`, `ScalingLimited`: status, reason, message, since.
    pub conditions: [(&'static str, &'static str, String, Sec); 3],
}

impl Scaler {
    /// One that works and has nothing to do.
    #[must_use]
    pub fn calm(bounds: (usize, usize), desired: usize) -> Self {
        let since = -DAY * 20;
        Self {
            bounds,
            desired,
            usage: (Some(38), 75),
            conditions: [
                ("True", "ReadyForNewScale", "recommended size matches current size".to_owned(), since),
                ("True", "ValidMetricFound", "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)".to_owned(), since),
                ("False", "DesiredWithinRange", "the desired count is within the acceptable range".to_owned(), since),
            ],
        }
    }

    /// One that would want more than it may.
    #[must_use]
    pub fn at_most(bounds: (usize, usize), usage: i64, since: Sec) -> Self {
        let mut scaler = Self::calm(bounds, bounds.1);
        scaler.usage = (Some(usage), 75);
        scaler.conditions[2] = (
            "True",
            "TooManyReplicas",
            "the desired replica count is more than the maximum replica count".to_owned(),
            since,
        );
        scaler
    }
}

impl Cluster {
    /// An autoscaler of `target`, called `name`.
    pub fn scaler(&mut self, target: Id, name: &str, scaler: &Scaler) -> Ref {
        let named = Ref::new("HorizontalPodAutoscaler", &self[target].namespace, name);
        let made = -DAY * 60;
        let meta =
            self.objects.meta(&named, made, &[Edit::new(made, self.habits.deployer, &["f:spec"])]);
        let clock = self.clock;
        let kinds = ["AbleToScale", "ScalingActive", "ScalingLimited"];
        let conditions: Vec<Value> = kinds
            .iter()
            .zip(&scaler.conditions)
            .map(|(kind, (status, reason, message, since))| {
                json!({"type": kind, "status": status,
                "lastTransitionTime": clock.rfc(*since), "reason": reason, "message": message})
            })
            .collect();
        let current = scaler.usage.0.map_or_else(|| json!([]), |percent| json!([{"type": "Resource", "resource": {"name": "cpu",
            "current": {"averageUtilization": percent, "averageValue": format!("{}m", percent * self[target].template().cpu_request / 100)}}}]));
        let body = json!({"spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": self[target].kind.name(), "name": self[target].name},
            "minReplicas": scaler.bounds.0, "maxReplicas": scaler.bounds.1, "metrics": [{"type": "Resource", "resource": {"name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": scaler.usage.1}}}]}, "status": {"currentReplicas": self[target].present().count(),
            "desiredReplicas": scaler.desired, "observedGeneration": 1, "currentMetrics": current, "conditions": conditions}});
        self.objects.put("HorizontalPodAutoscaler", meta, body);
        named
    }

    /// A quota on the numbers of objects with room left, as many namespaces have.
    pub fn roomy_quota(&mut self, namespace: &str) {
        let made = -DAY * 100;
        let named = Ref::new("ResourceQuota", namespace, "object-counts");
        let meta = self.objects.meta(
            &named,
            made,
            &[Edit::new(made, "kubectl-client-side-apply", &["f:spec.f:hard"])],
        );
        let hard = json!({"pods": "80", "services": "40"});
        self.objects.put("ResourceQuota", meta, json!({"spec": {"hard": hard}, "status": {"hard": hard, "used": {"pods": "17", "services": "9"}}}));
    }

    /// A network policy that lets everything of the cluster in, as many namespaces have.
    pub fn open_policy(&mut self, namespace: &str) {
        let made = -DAY * 140;
        let named = Ref::new("NetworkPolicy", namespace, "allow-from-cluster");
        let meta = self.objects.meta(
            &named,
            made,
            &[Edit::new(made, "helm", &["f:spec.f:ingress", "f:spec.f:podSelector"])],
        );
        self.objects.put(
            "NetworkPolicy",
            meta,
            json!({"spec": {"podSelector": {}, "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {}}, {"namespaceSelector": {}}]}]}}),
        );
    }
}
