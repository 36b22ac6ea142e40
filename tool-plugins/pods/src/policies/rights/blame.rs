//! Which object a person would mend so that a refused right is given: the role that lacks a verb,
//! the binding that names another account, the role that is gone, the workload that runs as
//! another account than before; the account itself when nothing is bound to it.

use agent_sdk::Entity;
use jiff::Timestamp;
use plugin_cluster::{Object, names::distance, pod::list, sayings::Forbidden};
use serde_json::Value;

use super::{Rights, allows, covers, names};
use crate::{policies::Scene, rollouts::edits, within};

/// The object to mend, and why.
pub(super) struct Blame {
    pub(super) object: Entity,
    pub(super) why: &'static str,
    /// What is wrong with it, the end of a sentence.
    pub(super) says: String,
    /// What its rules give, when it is a role.
    pub(super) has: String,
    /// When it last was edited or made.
    pub(super) since: Option<Timestamp>,
}

/// Edits older than this are no news, in hours.
const RECENT_HOURS: i64 = 14 * 24;

type Around<'a> = (&'a Scene<'a>, &'a [Object], &'a [Entity]);

pub(super) fn of(rights: &Rights, asked: &Forbidden, around: Around<'_>) -> Blame {
    let now = around.0.cluster.now();
    gone_role(rights, asked)
        .or_else(|| other_account(rights, asked, around))
        .or_else(|| short_role(rights, asked, now))
        .or_else(|| strayed_binding(rights, asked, now))
        .or_else(|| unbound_role(rights, asked, now))
        .unwrap_or_else(|| Blame {
            object: Entity::new("ServiceAccount", asked.home.as_str(), asked.account.as_str()),
            why: "nothing_bound",
            says: "no role that allows it is bound to the account".to_owned(),
            has: String::new(),
            since: None,
        })
}

/// When an object was last edited or, lately, made.
fn news(object: &Object, now: Timestamp) -> Option<Timestamp> {
    let edit = edits::last_edit(object, now).map(|e| e.time);
    edit.or_else(|| object.created()).filter(|at| within(*at, now, RECENT_HOURS))
}

/// A binding of the account refers to a role that does not exist.
fn gone_role(rights: &Rights, asked: &Forbidden) -> Option<Blame> {
    let bound = rights.in_force(asked).find(|b| names(b, asked) && rights.role_of(b).is_none());
    let (kind, name, by) = match (&asked.role_missing, bound) {
        (Some((kind, name)), bound) => (*kind, name.clone(), bound),
        (None, Some(bound)) if !rights.roles.is_empty() => {
            let kind =
                if bound.text("/roleRef/kind") == "ClusterRole" { "ClusterRole" } else { "Role" };
            (kind, bound.text("/roleRef/name").to_owned(), Some(bound))
        }
        (None, _) => return None,
    };
    let home = if kind == "Role" { asked.namespace.as_deref().unwrap_or_default() } else { "" };
    // The built-in roles are seldom recorded.
    if ["view", "edit", "admin", "cluster-admin"].contains(&name.as_str()) {
        return None;
    }
    let by = by.map(|b| format!(", which {} {} refers to", b.kind(), b.name())).unwrap_or_default();
    Some(Blame {
        object: Entity::new(kind, home, name.as_str()),
        why: "role_missing",
        says: format!("{kind} {name}{by}, does not exist"),
        has: String::new(),
        since: None,
    })
}

/// The workload ran as another account before, one that has the right.
fn other_account(
    rights: &Rights,
    asked: &Forbidden,
    (scene, sets, users): Around<'_>,
) -> Option<Blame> {
    let [user] = users else { return None };
    if user.kind != "Deployment" {
        return None;
    }
    let account = |set: &Object| set.text("/spec/template/spec/serviceAccountName").to_owned();
    let mut own: Vec<&Object> = sets
        .iter()
        .filter(|s| s.namespace() == user.namespace)
        .filter(|s| s.owner() == Some((user.kind.as_str(), user.name.as_str())))
        .collect();
    own.sort_by_key(|s| s.created());
    let newest = own.last()?;
    let before = own.iter().rev().skip(1).map(|s| account(s)).next()?;
    let now = account(newest);
    let before = if before.is_empty() { "default".to_owned() } else { before };
    if before == asked.account || !(now == asked.account || now.is_empty()) {
        return None;
    }
    let then = Forbidden { account: before.clone(), ..asked.clone() };
    rights.grants(&then).then(|| Blame {
        object: user.clone(),
        why: "other_account",
        says: format!(
            "{} {} runs as it since its last rollout, before as {before}, which may",
            user.kind, user.name
        ),
        has: String::new(),
        since: newest.created().filter(|at| within(*at, scene.cluster.now(), RECENT_HOURS)),
    })
}

/// A role bound to the account that was meant to give the right: one that is about the resource,
/// else the one edited last, else the only one.
fn short_role(rights: &Rights, asked: &Forbidden, now: Timestamp) -> Option<Blame> {
    let mut bound: Vec<&Object> = rights
        .in_force(asked)
        .filter(|b| names_itself(b, asked))
        .filter_map(|b| rights.role_of(b))
        .collect();
    bound.sort_by_key(|r| r.entity());
    bound.dedup_by_key(|r| r.entity());
    let about = |role: &&&Object| role.list("/rules").iter().any(|rule| covers(rule, asked));
    let near = |role: &&&Object| {
        let plain = asked.resource.split('/').next().unwrap_or_default();
        role.list("/rules").iter().any(|rule| {
            let texts = |key| list(rule, key).iter().filter_map(Value::as_str).collect::<Vec<_>>();
            texts("resources").iter().any(|r| r.split('/').next() == Some(plain))
        })
    };
    let edited = |role: &&&Object| edits::last_edit(role, now).map(|e| e.time);
    let role = bound
        .iter()
        .find(about)
        .or_else(|| bound.iter().find(near))
        .or_else(|| bound.iter().filter(|r| edited(r).is_some()).max_by_key(edited))
        .or_else(|| bound.first().filter(|_| bound.len() == 1))?;
    let has = given(role);
    Some(Blame {
        object: role.entity(),
        why: "verb_missing",
        says: format!("{} {} gives it only {has}", role.kind(), role.name()),
        has,
        since: news(role, now),
    })
}

/// Whether a binding names the account and not only everybody.
fn names_itself(binding: &Object, asked: &Forbidden) -> bool {
    let group = |s: &Value| s.get("kind").and_then(Value::as_str) == Some("Group");
    names(binding, asked) && !binding.list("/subjects").iter().all(group)
}

/// What a role's rules give, short: `pods: get,list; jobs: create`.
fn given(role: &Object) -> String {
    let joined = |rule: &Value, key: &str| {
        let texts: Vec<&str> = list(rule, key).iter().filter_map(Value::as_str).collect();
        texts.join(",")
    };
    let rules: Vec<String> = role
        .list("/rules")
        .iter()
        .take(6)
        .map(|rule| format!("{}: {}", joined(rule, "resources"), joined(rule, "verbs")))
        .collect();
    if rules.is_empty() { "nothing".to_owned() } else { rules.join("; ") }
}

/// A binding to a role that gives the right, with a subject that misses the account: another
/// namespace, a name almost the same, an account that nobody runs as; or the right binding in
/// another namespace.
fn strayed_binding(rights: &Rights, asked: &Forbidden, now: Timestamp) -> Option<Blame> {
    let mut best: Option<(usize, &Object, &'static str, String)> = None;
    for binding in &rights.bindings {
        let Some(role) = rights.role_of(binding) else { continue };
        if !allows(role, asked) {
            continue;
        }
        let here = rights.in_force(asked).any(|b| b.entity() == binding.entity());
        for subject in binding.list("/subjects") {
            let text = |key| subject.get(key).and_then(Value::as_str).unwrap_or_default();
            let (name, home) = (text("name"), text("namespace"));
            let lettered = distance(name, &asked.account);
            let (rank, why) = match (here, name == asked.account, home == asked.home) {
                (true, true, false) => (0, "wrong_namespace"),
                (false, true, true) => (1, "wrong_namespace"),
                (true, false, true) if lettered <= 3 => (2, "wrong_subject"),
                (true, false, true) if news(binding, now).is_some() => (3, "wrong_subject"),
                _ => continue,
            };
            let says = if here {
                format!("{} {} names {home}:{name} instead", binding.kind(), binding.name())
            } else {
                format!(
                    "{} {} gives it in namespace {} only",
                    binding.kind(),
                    binding.name(),
                    binding.namespace()
                )
            };
            if best.as_ref().is_none_or(|(known, ..)| rank < *known) {
                best = Some((rank, binding, why, says));
            }
        }
        if here && binding.list("/subjects").is_empty() && best.is_none() {
            let says = format!("{} {} names nobody", binding.kind(), binding.name());
            best = Some((2, binding, "wrong_subject", says));
        }
    }
    let (_, binding, why, says) = best?;
    Some(Blame {
        object: binding.entity(),
        why,
        says,
        has: String::new(),
        since: news(binding, now),
    })
}

/// A role of the place that gives the right and that nothing binds: its binding is gone.
fn unbound_role(rights: &Rights, asked: &Forbidden, now: Timestamp) -> Option<Blame> {
    let bound = |role: &&Object| {
        rights
            .bindings
            .iter()
            .any(|b| rights.role_of(b).is_some_and(|r| r.entity() == role.entity()))
    };
    let here = |role: &&Object| match role.kind() {
        "Role" => asked.namespace.as_deref() == Some(role.namespace()),
        _ => {
            !role.name().starts_with("system:")
                && !role.labels().contains_key("kubernetes.io/bootstrapping")
        }
    };
    let mut lone = rights.roles.iter().filter(here).filter(|r| allows(r, asked) && !bound(r));
    let role = lone.next()?;
    if lone.next().is_some() {
        return None;
    }
    Some(Blame {
        object: role.entity(),
        why: "binding_missing",
        says: format!(
            "{} {} would allow it, but no binding gives it to the account",
            role.kind(),
            role.name()
        ),
        has: given(role),
        since: news(role, now).filter(|_| edits::last_edit(role, now).is_some()),
    })
}
