//! A setting of the gate that turns most users away.

use serde_json::json;

use crate::incidents::{
    clock::MIN,
    cluster::Cluster,
    drawn::newer,
    object::{Edit, Ref},
    series::along,
    traffic::{Harm, Why},
    truth::Truth,
    voice::{Level, Runtime, Voice},
};

/// The request limit in the gate's configuration counts all users as one: most are turned away at
/// the gate, and nothing inside fails. A number of the business falls.
pub(super) fn everybody_shares_a_limit(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let (gate, home) = (app.gate(), cluster.home());
    (cluster[gate].runtime, cluster[gate].voice) = (Runtime::Proxy, Voice::Nginx);
    let map = format!("{}-nginx", cluster[gate].called());
    let at = cluster.minutes_ago(9, 40);
    let rate = cluster.dice.pick(&["5r/s", "2r/s", "10r/s"]);
    let file = format!(
        "limit_req_zone $server_name zone=peruser:10m rate={rate};\nupstream app {{ server {}:80; keepalive 32; }}\nserver {{\n  listen 8080;\n  limit_req zone=peruser burst=4 nodelay;\n  limit_req_status 429;\n  location / {{ proxy_pass http://app; }}\n}}\n",
        app.path.get(1).map_or("app", |id| cluster[*id].called())
    );
    let editor = cluster.habits.editor;
    let edit = Edit::new(at, editor, &["f:data.f:default.conf"]);
    cluster.config_map((&home, &map), &[("default.conf", file)], &[edit]);
    cluster[gate].always(|template| {
        template.mount("conf", "/etc/nginx/conf.d", json!({"configMap": {"name": map}}));
    });
    let seen = at + cluster.dice.between(25, 85);
    cluster[gate].say(seen, 0, Level::Info, "signal 1 (SIGHUP) received, reconfiguring");
    let line = "limiting requests, excess: 4.{n} by zone \"peruser\", client: 203.0.113.61, server: _, request: \"POST /v1/items HTTP/1.1\"";
    cluster[gate].say(seen + 4, 3, Level::Error, line);
    let share = cluster.dice.range(0.55, 0.85);
    cluster.traffic.harm(gate, Harm::errors(seen, share, Why::Status(429)));
    let usual = cluster.dice.range(2.0, 9.0);
    let points = [(seen, usual), (seen + 90, usual * (1.0 - share))];
    let metric = cluster.dice.pick(&["shop_orders_placed", "bookings_confirmed", "signups_done"]);
    cluster.metrics.counter(metric, &[("namespace", &home)], 81_000.0, &along(&points));
    let inner = app.last();
    let other = at + cluster.dice.between(-400, -60);
    cluster.roll(inner, other, |template| template.tag = newer(&template.tag));
    let alert = cluster.dice.pick(&["conversions_low", "BusinessKpiDrop", "orders_per_minute_low"]);
    Truth::new(cluster, alert, gate, Ref::new("ConfigMap", &home, &map))
        .accept([cluster.reference(gate)])
        .accept(cluster.parts(gate))
        .told(
            "A limit that all users share",
            &format!("rate({metric}_total[5m]) of {home} is less than half of the same hour last week, since {} minutes.", -seen / MIN),
            &format!("ConfigMap {map} was edited: its request limit of {rate} is counted for all users together, so {} turns most of them away with 429.", cluster[gate].name),
        )
        .rated("medium", cluster.effect(gate))
        .mention(&[&map, "configmap", "config", "setting"])
        .mention(&["limit", "429", "limiting requests", rate])
        .not_claim(&["OOM", "bad release", "dns failure", "network policy", "pool exhausted"])
}
