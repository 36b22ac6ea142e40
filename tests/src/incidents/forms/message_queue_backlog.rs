//! Consumers that do not keep up.

mod hands;
mod stuck;

use super::Tale;
use crate::incidents::{
    clock::{BEGIN, NOW, Sec},
    cluster::Cluster,
    object::Ref,
    queues::{Flow, Queue},
    storage::Store,
    traffic::{Harm, Id, Why},
    truth::Truth,
    voice::{Level, Runtime, Voice},
    workload::Saying,
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("message_that_cannot_be_read", message_that_cannot_be_read),
    ("consumer_lost_its_channel", consumer_lost_its_channel),
    ("slowed_by_a_provider", slowed_by_a_provider),
    ("flood_of_a_backfill", flood_of_a_backfill),
    ("forgotten_consumer_blocks_broker", stuck::forgotten_consumer_blocks_broker),
    ("thrown_out_of_the_group", stuck::thrown_out_of_the_group),
    ("silent_since", stuck::silent_since),
    ("fewer_hands", hands::fewer_hands),
];

/// `rate` messages come in; since `at` only `left` of them per second go out again.
fn falls_behind(
    cluster: &mut Cluster,
    queue: &Queue,
    (at, rate, left): (Sec, f64, f64),
    consumers: (f64, f64),
) -> f64 {
    let waiting = (rate - left).max(0.0) * (NOW - at) as f64;
    let later = (rate - left).max(0.0) * (NOW + 900 - at) as f64;
    cluster.queue_metrics(
        queue,
        Flow {
            depth: &[(BEGIN.min(at), 12.0), (at, 15.0), (NOW, waiting), (NOW + 900, later)],
            arriving: &[(BEGIN, rate)],
            leaving: &[
                (at.max(BEGIN) - 1, if at < BEGIN { left } else { rate }),
                (at.max(BEGIN) + 20, left),
            ],
            consumers: &[
                (at.max(BEGIN) - 1, if at < BEGIN { consumers.1 } else { consumers.0 }),
                (at.max(BEGIN), consumers.1),
            ],
            stuck: None,
        },
    );
    waiting
}

fn told(
    cluster: &Cluster,
    (alert, alerted): (&'static str, Id),
    culprit: Ref,
    (description, cause): (&str, &str),
) -> Truth {
    Truth::new(cluster, alert, alerted, culprit)
        .claimed("warning")
        .told("Messages wait longer and longer", description, cause)
        .mention(&[
            "lag",
            "backlog",
            "queue",
            "waiting messages",
            "behind",
            "unprocessed",
            "topic",
            "depth",
        ])
        .not_claim(&["OOM", "image pull", "dns failure", "memory leak", "network policy"])
}

/// The service that the alert names: the consumer itself, or the broker before which it happens.
fn shown(cluster: &mut Cluster, queue: &Queue, consumer: Id) -> (&'static str, Id) {
    let kafka = cluster[queue.broker].voice == Voice::Kafka;
    if cluster.dice.chance(0.5) {
        let lag = if kafka { "KafkaConsumerLagHigh" } else { "queue_not_drained" };
        (cluster.dice.pick(&["consumer_lag", lag, "queue_backlog"]), consumer)
    } else {
        let depth = if kafka { "KafkaTopicLagGrowing" } else { "queue_depth_high" };
        (cluster.dice.pick(&[depth, "MessageBacklogGrowing", "queue_backlog"]), queue.broker)
    }
}

/// What a consumer says of a message that it cannot read.
fn unreadable(runtime: Runtime, topic: &str, offset: i64) -> String {
    match runtime {
        Runtime::Java => format!(
            "Error while processing: org.apache.kafka.common.errors.RecordDeserializationException: Error deserializing VALUE for partition {topic}-1 at offset {offset}. If needed, please seek past the record to continue consumption."
        ),
        Runtime::Python => format!(
            "could not decode message {topic}[1]@{offset}: json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0); will retry"
        ),
        Runtime::Go
        | Runtime::Node
        | Runtime::DotNet
        | Runtime::Ruby
        | Runtime::Php
        | Runtime::Rust
        | Runtime::Proxy
        | Runtime::Store => format!(
            "handler failed for {topic} partition=1 offset={offset}: unexpected end of JSON input; retrying same offset"
        ),
    }
}

/// One message cannot be read; the consumer begins again at it each time.
fn message_that_cannot_be_read(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2);
    let app = cluster.app(hops);
    let (queue, id) = cluster.queue(app.last(), Store::Kafka);
    let at = cluster.minutes_ago(12, 45);
    let rate = cluster.dice.range(15.0, 120.0);
    // Only one partition stands still: the others have other consumers, or other turns.
    let waiting = rate / 3.0 * (NOW - at) as f64;
    let members = cluster[id].replicas as f64;
    cluster.queue_metrics(
        &queue,
        Flow {
            depth: &[(at, 4.0), (NOW, waiting), (NOW + 900, waiting + rate * 300.0)],
            arriving: &[(BEGIN, rate)],
            leaving: &[(at, rate), (at + 20, rate * 0.67)],
            consumers: &[(BEGIN, members)],
            stuck: Some("1"),
        },
    );
    let offset = cluster.dice.between(100_000, 9_000_000);
    let topic = queue.name.clone();
    let said = unreadable(cluster[id].runtime, &topic, offset);
    let owner = cluster[id].pods.first().map(|pod| pod.name.clone());
    cluster[id].sayings.push(Saying { pod: owner, ..Saying::new(at, 6, Level::Error, &said) });
    let (alert, alerted) = shown(cluster, &queue, id);
    let name = cluster[id].name.clone();
    let cause = format!(
        "{name} cannot read the message at offset {offset} of {topic} and tries it again and again; everything behind it in this partition waits."
    );
    let accept = cluster.parts(id);
    told(
        cluster,
        (alert, alerted),
        cluster.reference(id),
        (&format!("{waiting:.0} messages wait in {topic}, and more each minute."), &cause),
    )
    .accept(accept)
    .rated("medium", "P2")
    .mention(&[&name])
    .mention(&[
        "deserializ",
        "decode",
        "poison",
        "offset",
        "unexpected end",
        "retr",
        "same message",
        "stuck",
        "cannot read",
    ])
}

/// The broker closed the consumer's channel because it was not acknowledged in time; the program
/// lives on without consuming anything, and its pods are green.
fn consumer_lost_its_channel(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let app = cluster.app(hops);
    cluster.forgo(&["events"], 0.2);
    let (queue, id) = cluster.queue(app.last(), Store::Rabbit);
    let at = cluster.minutes_ago(10, 50);
    let rate = cluster.dice.range(5.0, 60.0);
    let consumers = cluster[id].replicas as f64;
    let waiting = falls_behind(cluster, &queue, (at, rate, 0.0), (consumers, 0.0));
    let topic = queue.name.clone();
    let line = cluster[id].routine.first().cloned().unwrap_or_default();
    cluster[id].routine = vec!["heartbeat ok".to_owned(), "GET /healthz 200 {ms}ms".to_owned()];
    cluster[id].sayings.push(Saying::new(BEGIN, 10, Level::Info, &line).until(at - 1));
    let closed = "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms. This timeout value can be configured, see consumers doc guide to learn more";
    cluster[id].say(at, 0, Level::Error, &format!("channel closed by server: 406 ({closed})"));
    let broker = queue.broker;
    for _ in 0..cluster[id].replicas {
        let text = format!(
            "Consumer '{}' on channel 1 and queue '{topic}' in vhost '/' has timed out waiting for a consumer acknowledgement of a delivery with delivery tag = {}. Timeout used: 1800000 ms.",
            cluster.dice.hex(12),
            cluster.dice.between(3, 900)
        );
        cluster[broker].say(at - 1, 0, Level::Error, &text);
    }
    let (alert, alerted) = shown(cluster, &queue, id);
    let name = cluster[id].name.clone();
    let cause = format!(
        "{name} lost its channel to the broker (acknowledgement timeout) and never subscribed again: queue {topic} has no consumer although the pods are ready."
    );
    let accept = cluster.parts(id);
    told(
        cluster,
        (alert, alerted),
        cluster.reference(id),
        (&format!("{waiting:.0} messages wait in {topic}."), &cause),
    )
    .accept(accept)
    .rated("medium", "P2")
    .mention(&[&name])
    .mention(&[
        "channel",
        "no consumer",
        "0 consumers",
        "without consumer",
        "acknowledg",
        "stopped consuming",
        "consumers",
        "stall",
        "stopped",
        "not consuming",
    ])
}

/// The consumer is as it was; the third party that it calls for each message has become slow.
fn slowed_by_a_provider(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2);
    let app = cluster.app(hops);
    let kind = cluster.dice.pick(&[Store::Kafka, Store::Rabbit, Store::Redis]);
    let (queue, id) = cluster.queue(app.last(), kind);
    let (place, host) = cluster.outside(id, true);
    let at = cluster.minutes_ago(12, 48);
    if let Some(outside) = cluster.traffic.outside.get_mut(place) {
        outside.harms.push(Harm { slow: 40.0, ..Harm::errors(at, 0.25, Why::Timeout) });
    }
    for call in cluster.traffic.calls.iter_mut().filter(|call| call.from == id) {
        call.timeout = call.timeout.max(5000.0);
    }
    cluster[id].instrumented = true;
    let rate = cluster.dice.range(10.0, 60.0);
    let left = rate * cluster.dice.range(0.05, 0.25);
    let consumers = cluster[id].replicas as f64;
    let waiting = falls_behind(cluster, &queue, (at, rate, left), (consumers, consumers));
    let topic = queue.name.clone();
    let text =
        format!("{topic}: message {{id}} took 6{{n}}ms, of which 6{{n}}ms waiting for {host}");
    cluster[id].say(at + 5, 14, Level::Warn, &text);
    let (alert, alerted) = shown(cluster, &queue, id);
    let name = cluster[id].name.clone();
    let cause = format!(
        "{host}, which {name} calls for every message, answers many times slower; {topic} grows because of it."
    );
    told(
        cluster,
        (alert, alerted),
        Ref::new("External", "", &host),
        (&format!("{waiting:.0} messages wait in {topic}."), &cause),
    )
    .rated("hard", "P2")
    .mention(&[&host, host.split('.').nth(1).unwrap_or(&host)])
    .mention(&[
        "slow",
        "timeout",
        "timed out",
        "latency",
        "degraded",
        "does not answer",
        "external",
        "third",
    ])
    .or_category(&["downstream_dependency_failure"])
}

/// A Job that publishes to the queue since `at`.
fn backfill(cluster: &mut Cluster, queue: &Queue, (home, name): (&str, &str), at: Sec) -> Id {
    let mut job = cluster.draft_job(home, name, at - 12);
    job.routine = vec![
        format!("published {{n}}0 records to {}, {{n}} ms", queue.name),
        "page {n} of 9{n} read".to_owned(),
    ];
    let broker = queue.broker;
    let job = cluster.running_job(job);
    cluster.written_in(job, &[Runtime::Python, Runtime::Go, Runtime::Node]);
    cluster.use_store(job, broker, true);
    cluster[job].say(
        at - 8,
        0,
        Level::Info,
        &format!("replaying everything since 2023-01-01 to {}, no rate limit", queue.name),
    );
    job
}

/// Somebody runs a backfill that floods the queue; the consumer works as fast as ever.
fn flood_of_a_backfill(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2);
    let app = cluster.app(hops);
    cluster.forgo(&["events"], 0.2);
    let kind = cluster.dice.pick(&[Store::Kafka, Store::Rabbit]);
    let (queue, id) = cluster.queue(app.last(), kind);
    let at = cluster.minutes_ago(10, 45);
    let usual = cluster.dice.range(8.0, 40.0);
    let flood = usual * cluster.dice.range(8.0, 25.0);
    let most = usual * 1.6;
    let waiting = (flood - most) * (NOW - at) as f64;
    let consumers = cluster[id].replicas as f64;
    cluster.queue_metrics(
        &queue,
        Flow {
            depth: &[(at, 9.0), (NOW, waiting), (NOW + 900, waiting * 1.3)],
            arriving: &[(at, usual), (at + 40, flood)],
            leaving: &[(at, usual), (at + 40, most)],
            consumers: &[(BEGIN, consumers)],
            stuck: None,
        },
    );
    let home = cluster.home();
    let name = format!(
        "{}-{}",
        queue.name.split(['.', '-', '_']).next().unwrap_or("data"),
        cluster.dice.pick(&["backfill", "replay", "reimport", "resync"])
    );
    let job = backfill(cluster, &queue, (&home, &name), at);
    let (alert, alerted) = shown(cluster, &queue, id);
    let consumer = cluster[id].name.clone();
    let cause = format!(
        "Job {name} publishes about {:.0} messages a second to {}, {:.0} times the usual; {consumer} works at its usual pace.",
        flood,
        queue.name,
        flood / usual
    );
    let accept: Vec<Ref> = cluster
        .parts(job)
        .into_iter()
        .chain([cluster.reference(id)])
        .chain(cluster.parts(id))
        .collect();
    told(
        cluster,
        (alert, alerted),
        cluster.reference(job),
        (&format!("{waiting:.0} messages wait in {}.", queue.name), &cause),
    )
    .accept(accept)
    .rated("medium", "P3")
    .mention(&[&name, "producer", "publish", "producing", "incoming", "arriv", "inflow", "flood"])
    .or_category(&["traffic_spike"])
}
