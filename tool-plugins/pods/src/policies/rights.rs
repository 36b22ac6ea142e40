//! Rights: for each right that a service account was refused, what its bindings give it, and
//! which role or binding a person would mend. Judged only where something was refused: a right
//! that nobody asks for is not missed.

mod blame;

use agent_sdk::{Entity, Observation, Relation, RelationKind};
use plugin_cluster::{Answer, Kind, Object, pod::list, sayings::Forbidden};
use serde_json::Value;

use super::{
    Scene,
    heard::{Heard, Times},
};
use blame::Blame;

/// All roles and bindings of the cluster.
pub(super) struct Rights {
    roles: Vec<Object>,
    bindings: Vec<Object>,
    /// Whether absence of a role or a binding means something.
    known: bool,
}

pub(super) async fn judge(scene: &Scene<'_>, heard: &Heard, answer: &mut Answer) {
    if heard.refusals.is_empty() {
        return;
    }
    let rights = Rights::read(scene, answer).await;
    let sets = scene.cluster.list(Kind::ReplicaSet, None).await.unwrap_or_default();
    for (asked, times) in &heard.refusals {
        if rights.known && rights.grants(asked) {
            // Mended since: what was refused is allowed now.
            continue;
        }
        let users = users(scene, asked);
        let blame = blame::of(&rights, asked, (scene, &sets, &users));
        rights.relate(asked, &users, answer);
        let old = blame.since.is_none_or(|at| times.first.is_some_and(|first| at < first));
        if times.always && old {
            answer.neutral(refused_always(asked, times, users.first()));
            continue;
        }
        let Some(first) = users.first().cloned() else {
            answer.harm(observation(scene, asked, (&blame, times)));
            continue;
        };
        for user in &users {
            let edge = Relation::new(blame.object.clone(), RelationKind::Governs, user.clone());
            if blame.object != *user {
                answer.relate(edge);
            }
        }
        let speaker = times.pod.as_ref().and_then(|pod| {
            scene.pods.iter().find(|p| p.entity() == *pod).map(|p| scene.owners.top(p))
        });
        let seen = observation(scene, asked, (&blame, times));
        answer.harm(seen.peer(speaker.unwrap_or(first)));
    }
}

/// The workloads that run as the account.
fn users(scene: &Scene<'_>, asked: &Forbidden) -> Vec<Entity> {
    let mut users: Vec<Entity> = scene
        .pods
        .iter()
        .filter(|p| p.namespace() == asked.home && account(p) == asked.account)
        .map(|p| scene.owners.top(p))
        .collect();
    users.sort();
    users.dedup();
    users
}

/// The account a pod runs as.
pub(super) fn account(pod: &Object) -> &str {
    match pod.text("/spec/serviceAccountName") {
        "" => "default",
        name => name,
    }
}

/// A right that was refused as far back as the log goes: it is lived with.
fn refused_always(asked: &Forbidden, times: &Times, user: Option<&Entity>) -> Observation {
    let account = Entity::new("ServiceAccount", asked.home.as_str(), asked.account.as_str());
    let says = format!(
        "ServiceAccount {} is refused to {} {} as far back as the log goes ({} times)",
        asked.account, asked.verb, asked.resource, times.count
    );
    let seen = Observation::new("policy.refused_always", account, says)
        .maybe_since(times.first)
        .maybe_until(times.last)
        .count(times.count)
        .attr("verb", asked.verb.as_str())
        .attr("resource", asked.resource.as_str())
        .quote(&times.quote);
    match user {
        Some(user) => seen.peer(user.clone()),
        None => seen,
    }
}

fn observation(
    scene: &Scene<'_>,
    asked: &Forbidden,
    (blame, times): (&Blame, &Times),
) -> Observation {
    let scope = asked
        .namespace
        .as_ref()
        .map_or("the whole cluster".to_owned(), |ns| format!("namespace {ns}"));
    let says = format!(
        "ServiceAccount {} may not {} {}{} in {scope}: {} (refused {} times)",
        asked.account,
        asked.verb,
        asked.resource,
        if asked.group.is_empty() { String::new() } else { format!(" of {}", asked.group) },
        blame.says,
        times.count.max(1)
    );
    let edited = blame.since.filter(|at| times.first.is_none_or(|first| *at <= first));
    Observation::new("policy.rbac_forbidden", blame.object.clone(), says)
        .maybe_since(edited.or(times.first))
        .maybe_until(times.last.or(Some(scene.cluster.now())))
        .count(times.count.max(1))
        .attr("verb", asked.verb.as_str())
        .attr("resource", asked.resource.as_str())
        .attr("group", asked.group.as_str())
        .attr("scope", asked.namespace.as_deref().unwrap_or("cluster"))
        .attr("service_account", format!("{}:{}", asked.home, asked.account))
        .attr("why", blame.why)
        .attr("has", blame.has.as_str())
        .attr("is_new", if times.always { "false" } else { "true" })
        .quote(&times.quote)
}

// === impl Rights ===

impl Rights {
    async fn read(scene: &Scene<'_>, answer: &mut Answer) -> Self {
        let mut rights = Self { roles: Vec::new(), bindings: Vec::new(), known: false };
        for kind in [Kind::Role, Kind::ClusterRole] {
            let listed = scene.cluster.list(kind, None).await;
            rights.roles.extend(answer.or_gap(kind.plural(), listed));
        }
        for kind in [Kind::RoleBinding, Kind::ClusterRoleBinding] {
            let listed = scene.cluster.list(kind, None).await;
            rights.bindings.extend(answer.or_gap(kind.plural(), listed));
        }
        rights.known = !rights.bindings.is_empty() || !rights.roles.is_empty();
        rights
    }

    /// Bindings that hold where the right was asked for.
    fn in_force<'a>(&'a self, asked: &'a Forbidden) -> impl Iterator<Item = &'a Object> {
        self.bindings.iter().filter(move |b| {
            b.kind() == "ClusterRoleBinding"
                || asked.namespace.as_deref().is_some_and(|ns| ns == b.namespace())
        })
    }

    /// The role a binding refers to.
    fn role_of(&self, binding: &Object) -> Option<&Object> {
        let (kind, name) = (binding.text("/roleRef/kind"), binding.text("/roleRef/name"));
        let home = if kind == "Role" { binding.namespace() } else { "" };
        self.roles.iter().find(|r| r.kind() == kind && r.name() == name && r.namespace() == home)
    }

    /// Whether the account has the right after all.
    fn grants(&self, asked: &Forbidden) -> bool {
        self.in_force(asked)
            .filter(|b| names(b, asked))
            .filter_map(|b| self.role_of(b))
            .any(|role| allows(role, asked))
    }

    fn relate(&self, asked: &Forbidden, users: &[Entity], answer: &mut Answer) {
        let account = Entity::new("ServiceAccount", asked.home.as_str(), asked.account.as_str());
        for user in users {
            answer.relate(Relation::new(user.clone(), RelationKind::Uses, account.clone()));
            for binding in self.in_force(asked).filter(|b| names(b, asked)) {
                let governs = |from: &Object| {
                    Relation::new(from.entity(), RelationKind::Governs, user.clone())
                };
                answer.relate(governs(binding));
                answer.relate_all(self.role_of(binding).map(governs));
            }
        }
    }
}

/// Whether a binding names the account, itself or through a group all accounts are in.
fn names(binding: &Object, asked: &Forbidden) -> bool {
    binding.list("/subjects").iter().any(|subject| {
        let text = |key| subject.get(key).and_then(Value::as_str).unwrap_or_default();
        match text("kind") {
            "ServiceAccount" => text("name") == asked.account && text("namespace") == asked.home,
            "Group" => {
                let own = format!("system:serviceaccounts:{}", asked.home);
                ["system:serviceaccounts", "system:authenticated", own.as_str()]
                    .contains(&text("name"))
            }
            "User" => {
                text("name") == format!("system:serviceaccount:{}:{}", asked.home, asked.account)
            }
            _ => false,
        }
    })
}

/// Whether a rule of the role allows what was asked.
fn allows(role: &Object, asked: &Forbidden) -> bool {
    role.list("/rules").iter().any(|rule| covers(rule, asked) && has(rule, "verbs", &asked.verb))
}

/// Whether a rule is about the resource asked for, whatever it lets do with it.
fn covers(rule: &Value, asked: &Forbidden) -> bool {
    if asked.resource.starts_with('/') {
        return list(rule, "nonResourceURLs").iter().filter_map(Value::as_str).any(|url| {
            url == asked.resource
                || url.strip_suffix('*').is_some_and(|stem| asked.resource.starts_with(stem))
        });
    }
    let names = list(rule, "resourceNames");
    let named = names.is_empty()
        || (!asked.name.is_empty() && names.iter().any(|n| n.as_str() == Some(&asked.name)));
    let below = asked.resource.split_once('/').map(|(_, part)| format!("*/{part}"));
    named
        && has(rule, "apiGroups", &asked.group)
        && (has(rule, "resources", &asked.resource)
            || below.is_some_and(|any| has(rule, "resources", &any)))
}

fn has(rule: &Value, key: &str, wanted: &str) -> bool {
    list(rule, key).iter().filter_map(Value::as_str).any(|have| have == "*" || have == wanted)
}
