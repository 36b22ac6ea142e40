//! How queues fare: how much waits, whether it is taken out as fast as it comes in, and who takes
//! it out. Seen: consumer lag of Kafka by several exporters and clients, RabbitMQ, SQS, NATS,
//! Redis lists and streams, Celery, Sidekiq and their like, and gauges of backlog that programs
//! name themselves.

mod blocked;
mod consumer;
mod rates;

use std::collections::BTreeMap;

use agent_sdk::{Entity, Observation, Relation, RelationKind};

use crate::{
    flow::add,
    judge::{since, timed},
    labels::Labels,
    recipes::is_machinery,
    thresholds as t,
    view::{Course, Found, Read, View, number},
    words,
};

/// Labels that name a queue, topic or stream.
pub(crate) const QUEUE: &[&str] = &[
    "queue",
    "queue_name",
    "topic",
    "topic_name",
    "stream_name",
    "stream",
    "subscription",
    "subscription_id",
    "subject",
    "destination",
    "key",
    "list",
    "channel",
];
/// Labels that name who reads it.
pub(crate) const GROUP: &[&str] = &[
    "consumergroup",
    "consumer_group",
    "group",
    "group_id",
    "consumer_group_id",
    "groupId",
    "consumer_name",
    "consumer",
    "durable_name",
];

/// Parts of names of what waits.
const WAITS: &[&str] = &[
    "lag",
    "backlog",
    "depth",
    "unacked",
    "unacknowledged",
    "undelivered",
    "waiting",
    "pending",
    "outstanding",
    "enqueued",
    "stuck",
];
/// Parts that make a plain "size", "length", "messages" or "ready" mean what waits.
const OF_QUEUE: &[&str] = &["queue", "queues", "queued", "stream", "list", "outbox", "inbox"];
const AMOUNT: &[&str] = &[
    "size", "length", "len", "messages", "message", "jobs", "tasks", "items", "ready", "visible",
    "count", "current", "total",
];
/// Parts that make it mean something else.
const NOT: &[&str] = &[
    "seconds",
    "milliseconds",
    "ms",
    "bytes",
    "capacity",
    "max",
    "limit",
    "latency",
    "duration",
    "age",
    "connections",
    "connection",
    "requests",
    "request",
    "threads",
    "thread",
    "replication",
    "replica",
    "pool",
    "executor",
    "db",
    "pg",
    "mysql",
    "hikaricp",
    "cpu",
    "memory",
    "published",
    "processed",
    "consumed",
    "delivered",
    "errors",
    "failed",
    "consumers",
    "workers",
    "bucket",
    "created",
    "sum",
    "time",
    "scrape",
    "http",
    "grpc",
    "offset",
    "clients",
    "client",
    "acknowledged",
    "redelivered",
    "oldest",
];

/// One queue as one reader sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Queue {
    /// Who measured it: the broker, or the program that reads.
    pub(crate) measured: Entity,
    /// Its name; may be empty.
    pub(crate) name: String,
    /// Who reads it, by the broker's word; may be empty.
    pub(crate) group: String,
}

/// All facts about queues.
#[must_use]
pub fn judge(view: View<'_>) -> Found {
    let mut found = Found::default();
    for (queue, waiting) in waiting(view) {
        let consumer = consumer::of(view, &queue);
        let flow = rates::of(view, &queue, consumer.as_ref());
        let subject = consumer.clone().unwrap_or_else(|| queue.measured.clone());
        // A queue that is only known to lie in a namespace has no broker to name.
        let placed = !matches!(queue.measured.kind.as_str(), "Namespace" | "Cluster");
        let broker = (queue.measured != subject && placed).then(|| queue.measured.clone());
        if let (Some(consumer), Some(broker)) = (&consumer, &broker) {
            found.relations.push(Relation::new(
                consumer.clone(),
                RelationKind::Calls,
                broker.clone(),
            ));
        }
        let Some(course) = Course::of(&waiting) else { continue };
        let known = consumer.is_some();
        let told = Told { view, queue: &queue, known, subject, broker, course, flow: &flow };
        let facts = told.facts(&waiting, &mut found.relations);
        found.facts.extend(facts);
    }
    found.facts.extend(blocked::judge(view));
    found
}

/// What waits in each queue; of a queue that several metrics tell of the first is taken.
fn waiting(view: View<'_>) -> BTreeMap<Queue, Vec<f64>> {
    let mut queues: BTreeMap<Queue, Vec<f64>> = BTreeMap::new();
    let mut taken: BTreeMap<(String, String), String> = BTreeMap::new();
    let metrics = view.store.names();
    let mut metrics: Vec<&str> =
        metrics.iter().map(|m| &**m).filter(|m| means_waiting(view, m)).collect();
    // Sums that an exporter makes itself come last: parts tell more.
    metrics.sort_by_key(|m| {
        delivered(m) || words::has_part(m, &["total", "unacked", "unacknowledged", "max"])
    });
    for metric in metrics {
        let family = words::parts(metric).first().copied().unwrap_or_default().to_owned();
        let sums = view.summed(metric, Read::Level, |labels| queue(view, labels));
        for (queue, values) in sums {
            let place = (queue.name.clone(), queue.group.clone());
            let named = !(place.0.is_empty() && place.1.is_empty());
            let by = taken.entry(place).or_insert_with(|| metric.to_owned()).clone();
            let unacked = delivered(metric);
            if named && by != metric && !(unacked && by.starts_with(&family)) {
                continue;
            }
            // Delivered and not confirmed waits as well.
            match queues.get_mut(&queue) {
                Some(known) if unacked => add(known, &values),
                Some(_) => {}
                None => _ = queues.insert(queue, values),
            }
        }
    }
    queues
}

/// Whether a metric counts what was delivered and is not confirmed yet, as RabbitMQ and NATS name it.
fn delivered(metric: &str) -> bool {
    metric.contains("unack") || metric.contains("ack_pending")
}

fn queue(view: View<'_>, labels: &Labels) -> Option<Queue> {
    let name = labels.first_of(QUEUE).to_owned();
    let group = labels.first_of(GROUP).to_owned();
    let measured = view.object(labels);
    (measured.kind != "Cluster").then_some(Queue { measured, name, group })
}

/// Whether a gauge tells how much waits in a queue.
fn means_waiting(view: View<'_>, metric: &str) -> bool {
    if is_machinery(metric) || view.natural(metric) == Read::Rate && !metric.ends_with("_total") {
        return false;
    }
    if metric.starts_with("aws_sqs_") || metric.contains("sqs_approximate") {
        return metric.contains("visible") && !metric.contains("not_visible");
    }
    if metric == "redis_key_size" || metric == "redis_list_length" {
        return true;
    }
    if words::has_part(metric, NOT) || view.natural(metric) == Read::Rate {
        return false;
    }
    words::has_part(metric, WAITS)
        || words::has_part(metric, OF_QUEUE) && words::has_part(metric, AMOUNT)
}

/// What is known of one queue.
struct Told<'a> {
    view: View<'a>,
    queue: &'a Queue,
    /// Whether the subject is who reads it.
    known: bool,
    subject: Entity,
    broker: Option<Entity>,
    course: Course,
    flow: &'a rates::Flow,
}

// === impl Told ===

impl Told<'_> {
    fn facts(&self, waiting: &[f64], relations: &mut Vec<Relation>) -> Vec<Observation> {
        let Course { now, before, .. } = self.course;
        let backlog = now >= t::BACKLOG_TIMES * before && now - before >= t::BACKLOG_LEAST;
        let all_along = self.course.shift.is_none() && now >= t::BACKLOG_LEAST;
        let mut facts = Vec::new();
        if backlog {
            facts.push(self.growing(waiting));
        }
        if (backlog || all_along) && self.stands_still() {
            facts.push(self.stalled());
        }
        if backlog && let Some(inflow) = self.inflow(relations) {
            facts.push(inflow);
        }
        if facts.is_empty() && now <= t::BACKLOG_USUAL * before + t::BACKLOG_LEAST && !all_along {
            facts.push(self.keeping_up());
        }
        facts
    }

    fn name(&self) -> String {
        match (self.queue.name.as_str(), self.queue.group.as_str()) {
            ("", "") => format!("queue of {}", self.queue.measured.name),
            (name, "") => format!("queue {name}"),
            ("", group) => format!("queue of group {group}"),
            (name, group) => format!("queue {name} (group {group})"),
        }
    }

    fn stands_still(&self) -> bool {
        let none_read = self.flow.consumers.is_some_and(|c| c.now < 0.5);
        let out = self.flow.out.is_some_and(|out| {
            let was = out.before.max(out.peak);
            was > 0.0 && out.now < t::STALLED * was
                || self.flow.into.is_some_and(|i| i.now > 0.0 && out.now < t::STALLED * i.now)
        });
        none_read || out
    }

    /// Why it grows, as far as its rates tell.
    fn why(&self) -> &'static str {
        let flooded = self.flow.into.is_some_and(|i| i.now >= t::INFLOW_TIMES * i.before);
        // What grows while no more comes in than before is taken out more slowly.
        let slower = match (self.flow.out, self.flow.into) {
            (Some(out), _) => out.now < t::SLOWER * out.before,
            (None, Some(into)) => into.before > 0.0 && into.now <= t::BACKLOG_USUAL * into.before,
            (None, None) => false,
        };
        match (self.stands_still(), slower, flooded) {
            (true, ..) => "stalled",
            (false, true, false) => "slower",
            (false, false, true) => "inflow",
            _ => "unknown",
        }
    }

    fn observation(&self, signal: &str, says: String) -> Observation {
        let fact = Observation::new(signal, self.subject.clone(), says)
            .attr("queue", self.queue.name.as_str())
            .attr("group", self.queue.group.as_str())
            .attr("consumer", if self.known { "known" } else { "unknown" })
            .attr("why", self.why());
        match &self.broker {
            Some(broker) => fact.peer(broker.clone()),
            None => fact,
        }
    }

    fn growing(&self, waiting: &[f64]) -> Observation {
        let Course { now, before, .. } = self.course;
        let rise = self.course.rise();
        let from = rise.map_or(0, |s| s.start);
        let minutes = {
            let points = waiting.len().saturating_sub(from).max(1);
            let points = f64::from(u32::try_from(points).unwrap_or(u32::MAX));
            points * self.view.frame.step_seconds() / 60.0
        };
        let per_minute = (now - before) / minutes;
        let says = format!(
            "{} holds {} messages {}, usually {}: it grows by {} a minute{}",
            self.name(),
            number(now),
            since(rise, self.view.frame),
            number(before),
            number(per_minute),
            self.flow.words()
        );
        let fact = self
            .observation("queue.backlog_growing", says)
            .value(now, "1")
            .baseline(before)
            .attr("per_minute", number(per_minute));
        timed(fact, rise, self.view.frame)
    }

    fn stalled(&self) -> Observation {
        let fall = self.flow.out.and_then(|o| o.fall());
        let fall = fall.or_else(|| self.flow.consumers.and_then(|c| c.fall()));
        let says = format!(
            "nothing is taken out of {} {}, {} messages wait{}",
            self.name(),
            since(fall, self.view.frame),
            number(self.course.now),
            self.flow.words()
        );
        let fact = self.observation("queue.consumer_stalled", says).value(self.course.now, "1");
        let consumers = self.flow.consumers.map(|c| number(c.now)).unwrap_or_default();
        timed(fact.attr("consumers", consumers), fall, self.view.frame)
    }

    fn inflow(&self, relations: &mut Vec<Relation>) -> Option<Observation> {
        let into = self.flow.into.filter(|i| i.now >= t::INFLOW_TIMES * i.before)?;
        let rise = into.rise();
        let producer = consumer::producer(self.view, self.queue, &self.subject);
        let subject = producer.clone().unwrap_or_else(|| self.queue.measured.clone());
        let says = format!(
            "{} gets {} messages/s {}, usually {}{}",
            self.name(),
            number(into.now),
            since(rise, self.view.frame),
            number(into.before),
            producer.as_ref().map(|p| format!(", from {}", p.name)).unwrap_or_default()
        );
        if let Some(producer) = &producer {
            relations.push(Relation::new(
                producer.clone(),
                RelationKind::Calls,
                self.queue.measured.clone(),
            ));
        }
        let known = if producer.is_some() { "known" } else { "unknown" };
        let fact = Observation::new("queue.inflow_up", subject, says)
            .attr("producer", known)
            .value(into.now, "1/s")
            .baseline(into.before)
            .attr("queue", self.queue.name.as_str())
            .attr("group", self.queue.group.as_str())
            .peer(self.subject.clone());
        Some(timed(fact, rise, self.view.frame))
    }

    fn keeping_up(&self) -> Observation {
        let says = format!(
            "{} keeps up: {} messages wait, usually {}",
            self.name(),
            number(self.course.now),
            number(self.course.before)
        );
        self.observation("queue.keeping_up", says)
            .value(self.course.now, "1")
            .baseline(self.course.before)
    }
}
