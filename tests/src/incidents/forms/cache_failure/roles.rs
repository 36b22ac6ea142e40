//! A cache whose members changed their roles.

use crate::incidents::{
    clients::POOLED,
    clock::MIN,
    cluster::Cluster,
    drawn::newer,
    storage::Store,
    traffic::{Harm, Peer, Why},
    truth::Truth,
    voice::{Level, Runtime},
    workload::Saying,
};

fn read_only(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Java => {
            "io.lettuce.core.RedisReadOnlyException: READONLY You can't write against a read only replica."
        }
        Runtime::Python => {
            "redis.exceptions.ReadOnlyError: You can't write against a read only replica."
        }
        Runtime::Node => "ReplyError: READONLY You can't write against a read only replica.",
        Runtime::DotNet => {
            "StackExchange.Redis.RedisServerException: READONLY You can't write against a read only replica."
        }
        Runtime::Ruby => {
            "Redis::ReadOnlyError: READONLY You can't write against a read only replica."
        }
        Runtime::Php => "RedisException: READONLY You can't write against a read only replica.",
        Runtime::Go | Runtime::Rust | Runtime::Proxy | Runtime::Store => {
            "READONLY You can't write against a read only replica."
        }
    }
}

/// The first member was moved to another node; meanwhile another one was made primary, and the
/// first came back as a replica. Its users still write to the first.
#[expect(clippy::too_many_lines, reason = "one story, told in the order of its events")]
pub(super) fn first_comes_back_as_replica(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let (id, gate, home) = (app.last(), app.gate(), cluster.home());
    cluster.written_in(id, &POOLED);
    let name = cluster.names.thing(&["redis", "sessions", "kv"]);
    let cache = cluster.store(&home, &name, (Store::Redis, 3, 10));
    cluster.use_store(id, cache, true);
    let first = format!("{name}-0.{name}.{home}.svc.cluster.local");
    cluster[id].always(|template| template.set_env("REDIS_PRIMARY", &format!("{first}:6379")));
    let at = cluster.minutes_ago(7, 35);
    let workload = cluster[cache].clone();
    let newest = workload.revisions.len().saturating_sub(1);
    if let Some(old) = cluster[cache].pods.first_mut() {
        old.gone = Some(at);
    }
    let fresh = cluster.pod(&workload, 0, newest, at + 2);
    let back = fresh.ready_from;
    cluster[cache].pods.push(fresh);
    let told = [
        (0, back - 4, "Connecting to MASTER 10.244.1.44:6379"),
        (0, back - 3, "MASTER <-> REPLICA sync started"),
        (0, back - 1, "MASTER <-> REPLICA sync: Finished with success"),
        (
            1,
            at + 5,
            "MASTER MODE enabled (user request from 'id=7 addr=10.244.3.9:41822 name=sentinel-71ab cmd=exec user=default')",
        ),
        (1, back - 2, "Replica 10.244.2.31:6379 asks for synchronization"),
        (
            2,
            at + 6,
            "REPLICAOF 10.244.1.44:6379 enabled (user request from 'id=9 addr=10.244.3.9:41830 name=sentinel-71ab cmd=exec user=default')",
        ),
    ];
    for (number, when, text) in told {
        let mut saying = Saying::new(when, 0, Level::Info, text);
        saying.pod = Some(format!("{name}-{number}"));
        cluster[cache].sayings.push(saying);
    }
    for number in 0..3 {
        let pod = format!("{name}-{number}");
        let pairs = [("namespace", home.as_str()), ("pod", pod.as_str())];
        let role = |at: i64, before: f64, after: f64| {
            crate::incidents::series::along(&[(at, before), (at + 1, after)])
        };
        let replicas = match number {
            0 => role(at, 2.0, 0.0),
            1 => role(back, 0.0, 2.0),
            _ => role(at, 0.0, 0.0),
        };
        cluster.metrics.gauge("redis_connected_slaves", &pairs, replicas);
        cluster.metrics.constant("redis_up", &pairs, 1.0);
    }
    let share = cluster.dice.range(0.35, 0.7);
    let text = read_only(cluster[id].runtime).to_owned();
    let harm = Harm::errors(back, share, Why::Said(text));
    cluster.traffic.harm_call(id, Peer::In(cache), &harm);
    if let Some(&side) = app.sides.first() {
        cluster.roll(side, at - 220, |template| template.tag = newer(&template.tag));
    }
    let user = cluster[id].name.clone();
    let alert = cluster.dice.pick(&["high_error_rate", "CheckoutErrorsHigh", "slo_burn_rate"]);
    Truth::new(cluster, alert, gate, cluster.reference(cache))
        .accept([cluster.reference(id)])
        .accept(cluster.parts(cache))
        .accept(cluster.parts(id))
        .told(
            "Writes go to a replica",
            &format!("{} fails for a part of its users since {} minutes; reading works.", cluster[gate].called(), -back / MIN),
            &format!("{name}-0 was moved and came back as a replica of {name}-1; {user} still writes to {name}-0, which is read-only."),
        )
        .rated("hard", cluster.effect(gate))
        .mention(&[&name])
        .mention(&["READONLY", "read only", "read-only", "replica", "failover", "master", "primary"])
        .not_claim(&["OOM", "bad release", "dns failure", "network policy", "evict"])
}
