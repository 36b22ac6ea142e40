//! The rules of namespaces on how much may be created: quotas and limit ranges, and which of them
//! stands behind a refusal. What they say of one workload is for the plugins to judge.

use agent_sdk::{Entity, Failure};
use serde_json::Value;

use crate::{Cluster, Kind, Object, pod, quantity, sayings::QuotaRefusal};

/// The quotas and limit ranges in sight.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// The quotas.
    pub quotas: Vec<Object>,
    /// The limit ranges.
    pub ranges: Vec<Object>,
    /// What could not be listed.
    pub gaps: Vec<(&'static str, Failure)>,
}

// === impl Rules ===

impl Rules {
    /// Reads the rules of one namespace or of all.
    pub async fn read(cluster: &Cluster, namespace: Option<&str>) -> Self {
        let mut rules = Self::default();
        match cluster.list(Kind::ResourceQuota, namespace).await {
            Ok(quotas) => rules.quotas = quotas,
            Err(why) => rules.gaps.push((Kind::ResourceQuota.plural(), why)),
        }
        match cluster.list(Kind::LimitRange, namespace).await {
            Ok(ranges) => rules.ranges = ranges,
            Err(why) => rules.gaps.push((Kind::LimitRange.plural(), why)),
        }
        rules
    }

    /// The object that refused; none when the sentence does not name it and nothing known fits.
    #[must_use]
    pub fn refuser(&self, namespace: &str, refusal: &QuotaRefusal) -> Option<Entity> {
        if !refusal.name.is_empty() {
            return Some(Entity::new(refusal.kind, namespace, refusal.name.as_str()));
        }
        let here = || self.ranges.iter().filter(|range| range.namespace() == namespace);
        let bounds = |range: &&Object| {
            refusal.ceilings.iter().any(|c| has_bound(range, refusal.why, &c.resource, &c.hard))
        };
        let one = here().find(bounds).or_else(|| here().next().filter(|_| here().count() == 1));
        one.map(Object::entity)
    }
}

fn has_bound(range: &Object, why: &str, resource: &str, hard: &str) -> bool {
    let field = match why {
        "below" => "min",
        "ratio" => "maxLimitRequestRatio",
        _ => "max",
    };
    range.list("/spec/limits").iter().any(|limit| {
        let told = limit.get(field).and_then(|bounds| bounds.get(resource)).map(pod::shown);
        told.is_some_and(|told| same_amount(&told, hard))
    })
}

fn same_amount(a: &str, b: &str) -> bool {
    match (quantity::parse(a), quantity::parse(b)) {
        (Some(a), Some(b)) => (a - b).abs() <= f64::EPSILON * a.abs().max(1.0),
        _ => a == b,
    }
}

// === impl QuotaRefusal ===

impl QuotaRefusal {
    /// The amounts as attributes: `resource`, `requested`, `used`, `hard` as comma lists, `why`.
    #[must_use]
    pub fn attributes(&self) -> [(&'static str, String); 5] {
        let list = |of: fn(&crate::sayings::Ceiling) -> &str| {
            let told: Vec<&str> =
                self.ceilings.iter().map(of).filter(|value| !value.is_empty()).collect();
            told.join(",")
        };
        [
            ("resource", list(|c| &c.resource)),
            ("requested", list(|c| &c.requested)),
            ("used", list(|c| &c.used)),
            ("hard", list(|c| &c.hard)),
            ("why", self.why.to_owned()),
        ]
    }

    /// The amounts in words, such as `limits.memory: 1Gi asked for, 8Gi of 8Gi used`.
    #[must_use]
    pub fn amounts(&self) -> String {
        let one = |c: &crate::sayings::Ceiling| match self.why {
            "exceeded" => {
                format!("{}: {} asked for, {} of {} used", c.resource, c.requested, c.used, c.hard)
            }
            "unspecified" => format!("{} must be given", c.resource),
            "below" => {
                format!("{}: {} asked for, at least {} wanted", c.resource, c.requested, c.hard)
            }
            _ if c.requested.is_empty() => {
                format!("{}: no limit given, at most {}", c.resource, c.hard)
            }
            _ => format!("{}: {} asked for, at most {} allowed", c.resource, c.requested, c.hard),
        };
        self.ceilings.iter().map(one).collect::<Vec<_>>().join("; ")
    }
}

/// What one more pod of a template asks of a quota's resource, in base units; none when the
/// resource is not about pods.
#[must_use]
pub fn demand(spec: &Value, resource: &str) -> Option<f64> {
    let (part, name) = match resource {
        "pods" | "count/pods" => return Some(1.0),
        "cpu" | "requests.cpu" => ("requests", "cpu"),
        "memory" | "requests.memory" => ("requests", "memory"),
        "limits.cpu" => ("limits", "cpu"),
        "limits.memory" => ("limits", "memory"),
        "ephemeral-storage" | "requests.ephemeral-storage" => ("requests", "ephemeral-storage"),
        "limits.ephemeral-storage" => ("limits", "ephemeral-storage"),
        other => ("requests", other.strip_prefix("requests.").filter(|r| r.contains('/'))?),
    };
    let amount = |container: &Value| {
        let resources = container.get("resources")?;
        // A limit without a request is the request, too.
        let told = resources.get(part).and_then(|r| r.get(name));
        let told = told.or_else(|| resources.get("limits").and_then(|r| r.get(name)))?;
        quantity::parse(&pod::shown(told))
    };
    Some(pod::list(spec, "containers").iter().filter_map(amount).sum())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;
    use crate::sayings::quota_refusal;

    fn range(name: &str, limits: &Value) -> Object {
        Object::new(json!({"kind": "LimitRange",
            "metadata": {"name": name, "namespace": "shop"}, "spec": {"limits": limits}}))
    }

    #[test]
    fn a_nameless_limit_range_is_found_by_its_bound() {
        let rules = Rules {
            ranges: vec![
                range("small", &json!([{"type": "Container", "max": {"cpu": "500m"}}])),
                range("large", &json!([{"type": "Container", "max": {"memory": "1024Mi"}}])),
            ],
            ..Rules::default()
        };
        let said = "maximum memory usage per Container is 1Gi, but limit is 2Gi";
        let refusal = quota_refusal(said).unwrap();
        assert_eq!(rules.refuser("shop", &refusal).unwrap().name, "large");
        assert_eq!(rules.refuser("elsewhere", &refusal), None);
        assert_eq!(refusal.amounts(), "memory: 2Gi asked for, at most 1Gi allowed");
    }

    #[test]
    fn the_demand_of_a_pod_is_summed_over_its_containers() {
        let spec = json!({"containers": [
            {"resources": {"requests": {"cpu": "250m"}, "limits": {"cpu": "1", "memory": "1Gi"}}},
            {"resources": {"requests": {"cpu": "250m"}}}]});
        for (resource, want) in [
            ("pods", Some(1.0)),
            ("requests.cpu", Some(0.5)),
            ("limits.cpu", Some(1.0)),
            ("requests.memory", Some(1_073_741_824.0)),
            ("services", None),
            ("requests.storage", None),
        ] {
            assert_eq!(demand(&spec, resource), want, "{resource}");
        }
    }
}
