//! Consumers that stand still without an error of their own making.

use super::{falls_behind, shown, told};
use crate::incidents::{
    clock::{BEGIN, HOUR, MIN, NOW, Sec},
    cluster::Cluster,
    dice::count,
    drawn::newer,
    object::{Edit, Ref},
    queues::Flow,
    storage::Store,
    traffic::{Harm, Id, Why},
    truth::Truth,
    voice::{Level, Runtime},
    workload::Saying,
};

/// The broker's memory is above its watermark since `blocked`.
fn alarm(cluster: &mut Cluster, broker: Id, blocked: Sec) {
    let limit = cluster[broker].template().memory_limit as f64;
    cluster[broker].memory_course =
        vec![(BEGIN, limit * 0.34), (blocked, limit * 0.41), (NOW, limit * 0.41)];
    let node = format!("rabbit@{}-0", cluster[broker].name);
    cluster[broker].sayings.push(
        Saying::new(
            blocked,
            0,
            Level::Warn,
            &format!("memory resource limit alarm set on node {node}."),
        )
        .trace(&[
            "**********************************************************",
            "*** Publishers will be blocked until this alarm clears ***",
            "**********************************************************",
        ]),
    );
    cluster[broker].say(
        blocked + 1,
        0,
        Level::Info,
        "vm_memory_high_watermark set. Memory used:{n}00000 allowed:858993459",
    );
}

/// The consumer was scaled to nothing hours ago and nobody scaled it up again; by now the broker's
/// memory is full, it blocks its publishers, and requests hang.
pub(super) fn forgotten_consumer_blocks_broker(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let app = cluster.app(hops);
    let (queue, id) = cluster.queue(app.last(), Store::Rabbit);
    let scaled = -cluster.dice.between(3 * HOUR, 14 * HOUR);
    let rate = cluster.dice.range(30.0, 90.0);
    cluster.scale(id, 0, scaled);
    let blocked = cluster.minutes_ago(7, 30);
    let per = rate;
    let at = |now: Sec| per * (now - scaled) as f64;
    let full = at(blocked);
    cluster.queue_metrics(
        &queue,
        Flow {
            depth: &[(BEGIN, at(BEGIN)), (blocked, full), (NOW, full)],
            arriving: &[(blocked, rate), (blocked + 30, 0.0)],
            leaving: &[(BEGIN, 0.0)],
            consumers: &[(BEGIN, 0.0)],
            stuck: None,
        },
    );
    let broker = queue.broker;
    alarm(cluster, broker, blocked);
    let harm = Harm { slow: 30.0, ..Harm::errors(blocked + 5, 0.75, Why::Timeout) };
    cluster.traffic.harm_call(app.last(), crate::incidents::traffic::Peer::In(broker), &harm);
    let gate = app.gate();
    let (name, shown) = (cluster[id].name.clone(), cluster[gate].called().to_owned());
    let alert = cluster.dice.pick(&["high_error_rate", "high_latency", "HighErrorRatio"]);
    let severity = cluster.lasting_effect(gate);
    let cause = format!(
        "{name} was scaled to 0 hours ago, so {} grew until the broker reached its memory watermark and blocked its publishers; requests that publish hang.",
        queue.name
    );
    let accept: Vec<Ref> = cluster.parts(id);
    let broker_name = cluster[broker].name.clone();
    told(
        cluster,
        (alert, gate),
        cluster.reference(id),
        (&format!("{shown}: requests hang and fail since {} minutes.", -blocked / MIN), &cause),
    )
    .accept(accept)
    .claimed("critical")
    .rated("hard", severity)
    .mention(&[&name])
    .mention(&["scaled", "0 replicas", "zero", "no consumer", "replicas", &broker_name])
}

/// The consumer takes longer for a batch than the group allows since its batches were made larger:
/// it is thrown out, comes back, and gets the same batch again.
pub(super) fn thrown_out_of_the_group(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2);
    let app = cluster.app(hops);
    let (queue, id) = cluster.queue(app.last(), Store::Kafka);
    cluster.written_in(id, &[Runtime::Java]);
    let (home, map) = (cluster.home(), format!("{}-config", cluster[id].name));
    let edited = cluster.minutes_ago(16, 50);
    let editor = cluster.habits.editor;
    let pairs =
        [("MAX_POLL_RECORDS", "5000".to_owned()), ("MAX_POLL_INTERVAL_MS", "60000".to_owned())];
    cluster.config_map(
        (&home, &map),
        &pairs,
        &[Edit::new(edited, editor, &["f:data.f:MAX_POLL_RECORDS"])],
    );
    cluster[id].always(|t| t.env_from_map(&map));
    let stamp = cluster.clock.rfc(edited + 40);
    let revision = cluster.roll(id, edited + 40, |t| {
        t.annotations.push(("kubectl.kubernetes.io/restartedAt".to_owned(), stamp))
    });
    let at = edited + 120;
    let rate = cluster.dice.range(60.0, 200.0);
    let waiting = falls_behind(cluster, &queue, (at, rate, rate * 0.08), (3.0, 1.0));
    let group = queue.group.clone();
    for (every, level, text) in [
        (75, Level::Warn, format!("[Consumer clientId=consumer-{group}-1, groupId={group}] consumer poll timeout has expired. This means the time between subsequent calls to poll() was longer than the configured max.poll.interval.ms, which typically implies that the poll loop is spending too much time processing messages.")),
        (80, Level::Info, format!("[Consumer clientId=consumer-{group}-1, groupId={group}] Member sending LeaveGroup request to coordinator due to consumer poll timeout has expired.")),
        (90, Level::Error, "Offset commit cannot be completed since the consumer is not part of an active group for auto partition assignment; it is likely that the consumer was kicked out of the group.".to_owned()),
    ] {
        let mut saying = Saying::new(at, every, level, &text);
        saying.revision = Some(revision);
        cluster[id].sayings.push(saying);
    }
    let broker = queue.broker;
    cluster[broker].say(at, 60, Level::Info, &format!("[GroupCoordinator 1]: Preparing to rebalance group {group} in state PreparingRebalance with old generation {{n}} (reason: Removing member consumer-{group}-1 on LeaveGroup)"));
    let (alert, alerted) = shown(cluster, &queue, id);
    let name = cluster[id].name.clone();
    let cause = format!(
        "Since MAX_POLL_RECORDS in {map} was raised, {name} takes longer for a batch than max.poll.interval.ms, is thrown out of its group again and again, and makes no progress on {}.",
        queue.name
    );
    let accept: Vec<Ref> =
        cluster.parts(id).into_iter().chain([Ref::new("ConfigMap", &home, &map)]).collect();
    told(
        cluster,
        (alert, alerted),
        cluster.reference(id),
        (&format!("{waiting:.0} messages wait in {}.", queue.name), &cause),
    )
    .accept(accept)
    .rated("hard", "P2")
    .mention(&[&name, &map])
    .mention(&["poll", "rebalanc", "group", "MAX_POLL_RECORDS", "max.poll"])
    .or_category(&["config_change_regression"])
}

/// The program tells how many tasks wait.
fn counts(cluster: &mut Cluster, id: Id, topic: &str, at: Sec) {
    let mut then = at + 60;
    while then < NOW {
        let waiting = (then - at) * 31 + then.rem_euclid(17);
        cluster[id].say(
            then,
            0,
            Level::Info,
            &format!("queue {topic}: {waiting} tasks waiting, 0 active"),
        );
        then += 120 + count(topic.len());
    }
}

/// No metrics, no error: the consumer simply says nothing any more. Its producers go on.
pub(super) fn silent_since(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2);
    let app = cluster.app(hops);
    let (queue, id) = cluster.queue(app.last(), Store::Redis);
    let at = cluster.minutes_ago(20, 50);
    let topic = queue.name.clone();
    cluster[id].routine = vec!["GET /healthz 200 {ms}ms".to_owned()];
    cluster[id].sayings.push(
        Saying::new(BEGIN, 8, Level::Info, &format!("{topic}: task {{id}} succeeded in 0.{{n}}s"))
            .until(at - 3),
    );
    cluster[id].say(
        at,
        0,
        Level::Warn,
        "worker thread {n} did not return from task {id}, waiting for lock held by thread {n}",
    );
    counts(cluster, id, &topic, at);
    let metrics = cluster.dice.chance(0.5);
    if metrics {
        falls_behind(cluster, &queue, (at, 31.0, 0.0), (2.0, 2.0));
    } else {
        cluster.lacks.metrics = true;
    }
    if let Some(&side) = app.sides.first() {
        let other = cluster.minutes_ago(1, 50);
        cluster.roll(side, other, |t| t.tag = newer(&t.tag));
    }
    let name = cluster[id].name.clone();
    let alert = cluster.dice.pick(&["queue_backlog", "tasks_not_processed", "worker_stalled"]);
    let cause = format!(
        "{name} is stuck since {} minutes: its workers wait for each other and take nothing from {topic} any more.",
        -at / MIN
    );
    let accept = cluster.parts(id);
    told(
        cluster,
        (alert, id),
        cluster.reference(id),
        (&format!("Tasks of {topic} are not done any more."), &cause),
    )
    .accept(accept)
    .rated("hard", "P2")
    .mention(&[&name])
    .mention(&[
        "stuck",
        "stall",
        "stopped",
        "no progress",
        "hang",
        "hung",
        "silent",
        "0 active",
        "waiting",
    ])
}
