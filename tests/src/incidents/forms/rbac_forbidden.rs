//! Accounts that may not do what their programs need.

use serde_json::{Value, json};

use super::Tale;
use crate::incidents::{
    clock::{DAY, HOUR, MIN, Sec},
    cluster::Cluster,
    mishap::crashes_since,
    object::{Edit, Ref},
    rights::Wish,
    traffic::{Harm, Id, Why},
    truth::Truth,
    voice::{self, Level, Runtime, Voice},
    workload::Saying,
};

pub(super) const FORMS: &[(&str, Tale)] =
    &[("role_loses_a_verb", role_loses_a_verb), ("account_nobody_bound", account_nobody_bound)];

const WISHES: [Wish; 5] = [
    Wish { verb: "list", group: "", resource: "configmaps", kind: "ConfigMap" },
    Wish { verb: "list", group: "", resource: "pods", kind: "Pod" },
    Wish { verb: "list", group: "batch", resource: "jobs", kind: "Job" },
    Wish { verb: "list", group: "", resource: "secrets", kind: "Secret" },
    Wish { verb: "update", group: "coordination.k8s.io", resource: "leases", kind: "Lease" },
];

/// Rules that allow `verbs` on what `wish` is about, and something beside it.
fn rules(wish: &Wish, verbs: &[&str]) -> Value {
    json!([
        {"apiGroups": [wish.group], "resources": [wish.resource], "verbs": verbs},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
    ])
}

/// A client of the API is written in one of few languages.
fn api_client(cluster: &mut Cluster, id: Id) {
    let runtime = match cluster.dice.below(5) {
        0 => Runtime::Java,
        1 => Runtime::Python,
        2 => Runtime::Rust,
        _ => Runtime::Go,
    };
    cluster[id].runtime = runtime;
    cluster[id].voice = voice::draw_for(runtime, &mut cluster.dice);
    if runtime == Runtime::Go && cluster.dice.chance(0.6) {
        cluster[id].voice = Voice::Klog;
    }
}

/// A Role was tidied up and lost a verb; a controller that needs it goes on in vain, or ends.
fn role_loses_a_verb(cluster: &mut Cluster) -> Truth {
    let space = cluster.home();
    cluster.app(1);
    let name = cluster.names.thing(&["operator", "controller", "sync-agent", "reconciler"]);
    let id = cluster.worker(&space, &name);
    api_client(cluster, id);
    let place = cluster.dice.below(WISHES.len());
    let wish = WISHES.get(place).copied().unwrap_or(WISHES[0]);
    let (made, at) = (-DAY * 120, cluster.minutes_ago(9, 50));
    let account = cluster.account(&space, &name, made);
    let role = Ref::new("Role", &space, &format!("{name}-role"));
    let editor = cluster.habits.editor;
    cluster.role(
        &role,
        rules(&wish, &["get", "watch"]),
        (made, &[Edit::new(at, editor, &["f:rules"])]),
    );
    let binding = Ref::new("RoleBinding", &space, &format!("{name}-binding"));
    cluster.binding(&binding, &role, &account, (made, &[]));
    cluster[id].always(|template| {
        template.spec.push(("serviceAccountName".to_owned(), json!(name)));
    });
    let (text, trace) = wish.reported(cluster[id].runtime, (&space, &name));
    let ends = cluster.dice.chance(0.5);
    let alert = if ends {
        cluster[id].crash = vec![
            (Level::Error, text, trace),
            (
                Level::Fatal,
                "could not start: timed out waiting for caches to sync".to_owned(),
                Vec::new(),
            ),
        ];
        let begun = at + cluster.dice.between(60, 200);
        let run = cluster.dice.between(20, 125);
        cluster.replace_all(id, begun, |pod| {
            crashes_since(pod, (pod.created + 3, run), (1, "Error"));
        });
        cluster.crash_events(id);
        "pod_crash_looping"
    } else {
        let every = cluster.dice.between(9, 30);
        let mut saying = Saying::new(at + 8, every, Level::Error, &text);
        saying.trace = trace;
        cluster[id].sayings.push(saying);
        "reconcile_errors"
    };
    let Wish { verb, resource, .. } = wish;
    Truth::new(cluster, alert, id, role.clone())
        .accept([binding, account, cluster.reference(id)])
        .accept(cluster.parts(id))
        .claimed("warning")
        .told(
            "A controller may not do its work any more",
            &format!("{name} makes no progress since about {} minutes.", -at / MIN),
            &format!("Role {} was edited and no longer allows to {verb} {resource}: the API server forbids it to the account {name}, so {name} makes no progress.", role.name),
        )
        .rated("easy", "P3")
        .mention(&["forbidden", "RBAC", "permission", "not allowed", "cannot"])
        .mention(&[resource, &role.name, &name])
        .not_claim(&["OOM", "network policy", "dns failure", "image pull", "expired token"])
}

/// A rollout moved a service to an account of its own, which nobody bound: the binding still
/// names the old one. Its requests fail; the alert is some calls further up.
fn account_nobody_bound(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(4);
    let app = cluster.app(hops);
    let (id, gate, space) = (app.last(), app.gate(), cluster.home());
    api_client(cluster, id);
    let place = cluster.dice.below(4);
    let wish = WISHES.get(place).copied().unwrap_or(WISHES[0]);
    let made = -DAY * cluster.dice.between(60, 200);
    let stem = cluster[id].called().to_owned();
    let (old, new) = (
        format!("{stem}-sa"),
        format!("{stem}-{}", cluster.dice.pick(&["runner", "identity", "workload"])),
    );
    let was = cluster.account(&space, &old, made);
    let at = cluster.minutes_ago(8, 45);
    let account = cluster.account(&space, &new, at - cluster.dice.clone().between(30, HOUR));
    let role = Ref::new("Role", &space, &format!("{stem}-reader"));
    cluster.role(&role, rules(&wish, &["get", "list", "watch"]), (made, &[]));
    let binding = Ref::new("RoleBinding", &space, &format!("{stem}-reader"));
    cluster.binding(&binding, &role, &was, (made, &[]));
    cluster[id].always(|template| {
        template.spec.push(("serviceAccountName".to_owned(), json!(old)));
    });
    let revision = cluster.roll(id, at, |template| {
        template.spec.retain(|(key, _)| key != "serviceAccountName");
        template.spec.push(("serviceAccountName".to_owned(), json!(new)));
    });
    let from: Sec = at + 20;
    let (text, trace) = wish.reported(cluster[id].runtime, (&space, &new));
    let mut saying = Saying::new(from, cluster.dice.between(4, 14), Level::Error, &text);
    (saying.trace, saying.revision) = (trace, Some(revision));
    cluster[id].sayings.push(saying);
    let (status, share) = (cluster.dice.pick(&[500, 503, 500]), cluster.dice.range(0.55, 1.0));
    cluster.traffic.harm(id, Harm { grows: 60, ..Harm::errors(from, share, Why::Status(status)) });
    let name = cluster[id].name.clone();
    let Wish { verb, resource, .. } = wish;
    Truth::new(cluster, "high_error_rate", gate, binding.clone())
        .accept([cluster.reference(id), role, account])
        .accept(cluster.parts(id))
        .told(
            "A service runs under an account that nobody bound",
            &format!("{} fails for many requests since about {} minutes.", cluster[gate].called(), -at / MIN),
            &format!("{name} runs under the account {new} since its rollout, but RoleBinding {} still names {old}: the API server forbids it to {verb} {resource}, so its requests fail.", binding.name),
        )
        .rated(["easy", "medium", "hard"].get(hops).copied().unwrap_or("hard"), cluster.effect(gate))
        .mention(&["forbidden", "RBAC", "permission", "RoleBinding", "cannot"])
        .mention(&[&new, resource, &name, &stem])
        .not_claim(&["OOM", "network policy", "dns failure", "image pull", "pool exhausted"])
}
