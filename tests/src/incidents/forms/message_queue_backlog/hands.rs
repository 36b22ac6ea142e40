//! Consumers that somebody took away.

use crate::incidents::{
    clock::{MIN, NOW, Sec},
    cluster::Cluster,
    drawn::newer,
    series::along,
    traffic::Id,
    truth::Truth,
    voice::{Runtime, Voice},
    workload::{Front, Kind},
};

/// A NATS server with JetStream.
fn nats(cluster: &mut Cluster, name: &str) -> Id {
    let home = cluster.home();
    let mut draft = cluster.draft(&home, name, Kind::StatefulSet);
    draft.always(|template| {
        "nats".clone_into(&mut template.image);
        "2.10.18-alpine".clone_into(&mut template.tag);
    });
    (draft.runtime, draft.voice, draft.replicas) = (Runtime::Store, Voice::Plain, 3);
    (draft.port, draft.instrumented) = (4222, false);
    "nats".clone_into(&mut draft.container);
    draft.routine = vec![
        "[7] [INF] JetStream cluster new stream leader for '$G > EVENTS'".to_owned(),
        "[7] [INF] 10.244.1.{n}:6222 - rid:{n} - Route connection created".to_owned(),
    ];
    draft.front = Some(Front {
        name: name.to_owned(),
        port: 4222,
        target: serde_json::json!(4222),
        selector: None,
        edited: None,
    });
    cluster.add(draft)
}

fn measured(cluster: &mut Cluster, (stream, durable): (&str, &str), (at, rate): (Sec, f64)) {
    let home = cluster.home();
    let pairs = [("namespace", home.as_str()), ("stream_name", stream), ("consumer_name", durable)];
    let full = rate * 0.7 * (600 - at) as f64;
    let pending = along(&[(at, 6.0), (600, full)]).iter().map(|value| value.floor()).collect();
    cluster.metrics.gauge("jetstream_consumer_num_pending", &pairs, pending);
    let unanswered = along(&[(at, 40.0), (at + 60, 10.0)]);
    cluster.metrics.gauge("jetstream_consumer_num_ack_pending", &pairs, unanswered);
    let delivered: Vec<f64> = along(&[(at, rate), (at + 60, rate * 0.3)]);
    let name = "jetstream_consumer_delivered_stream_seq";
    let kind = crate::incidents::series::Type::Gauge;
    cluster.metrics.growing((name, kind, name), &pairs, 4_100_000.0, &delivered);
    let stream = [("namespace", home.as_str()), ("stream_name", stream)];
    let come: Vec<f64> = along(&[(0, rate)]);
    let name = "jetstream_stream_last_seq";
    cluster.metrics.growing((name, kind, name), &stream, 4_100_020.0, &come);
}

/// The consumers of a stream were scaled to a quarter by hand; as much comes in as ever, and what
/// is left over waits. The producer was released shortly before, which is innocent.
pub(super) fn fewer_hands(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let app = cluster.app(hops);
    let producer = app.last();
    let name = cluster.names.thing(&["nats", "bus", "stream"]);
    nats(cluster, &name);
    let (home, called) = (cluster.home(), cluster.names.worker());
    let worker = cluster.worker(&home, &called);
    let address = format!("nats://{name}:4222");
    for id in [producer, worker] {
        cluster[id].always(|template| template.set_env("NATS_URL", &address));
    }
    let stem = called.split('-').next().unwrap_or("items").to_uppercase();
    let durable = format!("{called}-durable");
    cluster[worker].routine = vec![
        format!("{stem}.created: message seq {{n}} acked after {{ms}}ms"),
        format!("pull {durable}: batch of {{n}} fetched"),
    ];
    cluster.scale(worker, 4, -40 * 86_400);
    let at = cluster.minutes_ago(12, 45);
    cluster.scale(worker, 1, at);
    let rate = cluster.dice.range(20.0, 80.0);
    measured(cluster, (&stem, &durable), (at, rate));
    cluster[worker].cpu_course = vec![(at, 90.0), (at + 60, 260.0), (NOW + 900, 260.0)];
    cluster.roll(producer, at - cluster.dice.clone().between(100, 500), |template| {
        template.tag = newer(&template.tag);
    });
    let alert = cluster.dice.pick(&[
        "JetStreamConsumerPendingHigh",
        "NatsConsumerLag",
        "stream_processing_delay",
    ]);
    Truth::new(cluster, alert, worker, cluster.reference(worker))
        .accept(cluster.parts(worker))
        .claimed("warning")
        .told(
            "Fewer consumers than the stream needs",
            &format!("Consumer {durable} of stream {stem} has a growing number of pending messages since {} minutes.", -at / MIN),
            &format!("{called} was scaled from 4 pods to 1 by hand; it consumes a third of what comes into {stem}, and the rest waits."),
        )
        .rated("medium", "P3")
        .mention(&[&called])
        .mention(&["scaled", "replica", "from 4 to 1", "too few", "fewer consumers"])
        .not_claim(&["OOM", "poison", "dns failure", "network policy", "disk full"])
}
