//! Settings that were changed under running programs.

mod limits_at_the_gate;

use super::Tale;
use crate::incidents::{
    clock::MIN,
    cluster::Cluster,
    object::{Edit, Ref},
    traffic::{Harm, Peer, Why},
    truth::Truth,
    voice::Level,
    workload::Saying,
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("hot_reloaded_timeout", hot_reloaded_timeout),
    ("flag_by_restart", flag_by_restart),
    ("everybody_shares_a_limit", limits_at_the_gate::everybody_shares_a_limit),
];

/// A timeout in a mounted ConfigMap became far too small; the program reloads it by itself.
fn hot_reloaded_timeout(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2) + 2;
    let app = cluster.app(hops);
    let (id, callee) = (app.caller(), app.last());
    let space = cluster.home();
    let map = format!("{}-settings", cluster[id].called());
    let at = cluster.minutes_ago(9, 45);
    let new = cluster.dice.pick(&["5ms", "10ms", "8ms"]);
    let editor = cluster.habits.editor;
    let file = format!("upstream:\n  timeout: {new}\n  retries: 1\nlog:\n  level: info\n");
    cluster.config_map(
        (&space, &map),
        &[("settings.yaml", file)],
        &[Edit::new(at, editor, &["f:data.f:settings.yaml"])],
    );
    cluster[id].always(|template| {
        template.mount("settings", "/etc/app", serde_json::json!({"configMap": {"name": map}}))
    });
    let seen = at + cluster.dice.between(20, 80);
    let share = cluster.dice.range(0.5, 0.9);
    let peer = cluster[callee].called().to_owned();
    let slow = cluster.dice.range(30.0, 70.0);
    if let Some(station) = cluster.traffic.station(callee) {
        station.latency = slow;
    }
    for call in cluster
        .traffic
        .calls
        .iter_mut()
        .filter(|call| call.from == id && call.to == Peer::In(callee))
    {
        call.timeout = 3000.0;
    }
    let why = Why::Said(format!("call to {peer} gave up: timeout of {new} exceeded"));
    cluster.traffic.harm_call(id, Peer::In(callee), &Harm::errors(seen, share, why));
    let words = cluster.dice.pick(&[
        "configuration reloaded from /etc/app/settings.yaml: upstream.timeout 3s -> {new}",
        "config file changed, applying: upstream.timeout={new} (was 3s)",
    ]);
    cluster[id].sayings.push(Saying::new(seen, 0, Level::Info, &words.replace("{new}", new)));
    Truth::new(cluster, "high_error_rate", app.gate(), Ref::new("ConfigMap", &space, &map))
        .accept([cluster.reference(id)])
        .accept(cluster.parts(id))
        .told(
            "Calls give up after milliseconds since a settings edit",
            &format!("{} fails for many users since {} minutes.", cluster[app.gate()].called(), -seen / MIN),
            &format!("ConfigMap {map} was edited: upstream.timeout went from 3s to {new}, so calls to {peer} give up before it can answer; {peer} itself is well."),
        )
        .rated(if hops > 2 { "hard" } else { "medium" }, cluster.effect(app.gate()))
        .mention(&[&map, "configmap", "config", "setting"])
        .mention(&["timeout", new])
        .not_claim(&["OOM", "bad release", "dns failure", "traffic spike", "pool exhausted"])
}

/// A flag in the environment was switched and the Deployment restarted; the image is the same.
fn flag_by_restart(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let app = cluster.app(hops);
    let id = app.last();
    let space = cluster.home();
    let (flag, old, new, line) = cluster.dice.pick(&[
        (
            "FEATURE_STRICT_SCHEMA",
            "false",
            "true",
            "strict schema: rejecting record {id}, unknown field 'legacyRef'",
        ),
        (
            "PRICE_ENGINE_MODE",
            "classic",
            "v2",
            "engine v2 has no rule set for region {n}, request {id} failed",
        ),
        ("DEFAULT_CURRENCY", "EUR", "EURO", "unknown currency code EURO for request {id}"),
        ("MAX_BATCH", "500", "0", "batch of size 0 refused for request {id}: limit is MAX_BATCH"),
        ("READ_ONLY", "false", "true", "write rejected for {id}: service is in read-only mode"),
    ]);
    let map = format!("{}-config", cluster[id].called());
    let edited = cluster.minutes_ago(12, 40);
    let editor = cluster.habits.editor;
    let pairs =
        [(flag, new.to_owned()), ("LOG_FORMAT", "default".to_owned()), ("WORKERS", "8".to_owned())];
    let path = format!("f:data.f:{flag}");
    cluster.config_map((&space, &map), &pairs, &[Edit::new(edited, editor, &[&path])]);
    cluster[id].always(|template| template.env_from_map(&map));
    let at = edited + cluster.dice.between(30, 150);
    let stamp = cluster.clock.rfc(at);
    let revision = cluster.roll(id, at, |template| {
        template.annotations.push(("kubectl.kubernetes.io/restartedAt".to_owned(), stamp));
    });
    let share = cluster.dice.range(0.3, 0.75);
    cluster.traffic.harm(id, Harm { grows: 60, ..Harm::errors(at + 25, share, Why::Status(500)) });
    let mut saying = Saying::new(at + 22, cluster.dice.between(4, 14), Level::Error, line);
    saying.revision = Some(revision);
    cluster[id].sayings.push(saying);
    let mut hello = Saying::new(
        at + 4,
        0,
        Level::Info,
        &format!("effective configuration: {flag}={new} WORKERS=8"),
    );
    hello.revision = Some(revision);
    cluster[id].sayings.push(hello);
    let name = cluster[id].name.clone();
    Truth::new(cluster, "high_error_rate", app.gate(), Ref::new("ConfigMap", &space, &map))
        .accept([cluster.reference(id)])
        .accept(cluster.parts(id))
        .told(
            "A switched flag takes effect with a restart",
            &format!("More than a fifth of the requests of {} fail.", cluster[app.gate()].called()),
            &format!("{flag} in ConfigMap {map} was changed from {old} to {new}; since the restart {name} rejects requests. The image is the same."),
        )
        .rated(["easy", "medium", "hard"].get(hops).copied().unwrap_or("hard"), cluster.effect(app.gate()))
        .mention(&[&map, flag, "configmap", "config", "setting"])
        .mention(&[flag, new, "changed", "edit", "restart"])
        .not_claim(&["OOM", "new image", "dns failure", "traffic spike", "network policy"])
}
