//! Queues and topics as exporters and brokers measure them, and what falls behind.

use super::{
    clock::Sec,
    cluster::Cluster,
    series::along,
    storage::Store,
    traffic::Id,
    voice::{Runtime, Voice},
};

/// A queue or topic with its consumer.
#[derive(Debug, Clone)]
pub struct Queue {
    /// The broker.
    pub broker: Id,
    /// Name of the queue or topic.
    pub name: String,
    /// Consumer group, where there are groups.
    pub group: String,
}

/// What lies in the queue, what comes in and what goes out per second, and how many consume.
#[derive(Debug, Clone, Copy)]
pub struct Flow<'a> {
    /// Waiting messages over time.
    pub depth: &'a [(Sec, f64)],
    /// Messages in per second.
    pub arriving: &'a [(Sec, f64)],
    /// Messages out per second.
    pub leaving: &'a [(Sec, f64)],
    /// Consumers.
    pub consumers: &'a [(Sec, f64)],
    /// The only partition that falls behind, where not all do.
    pub stuck: Option<&'a str>,
}

impl Cluster {
    /// A broker with a queue between `producer` and a new worker: the broker's kind is drawn
    /// unless given.
    pub fn queue(&mut self, producer: Id, store: Store) -> (Queue, Id) {
        self.written_in(producer, &super::clients::POOLED);
        let home = self.home();
        let name = self.names.worker();
        let consumer = self.worker(&home, &name);
        self.written_in(
            consumer,
            &[
                Runtime::Java,
                Runtime::Go,
                Runtime::Python,
                Runtime::Node,
                Runtime::DotNet,
                Runtime::Ruby,
            ],
        );
        self[consumer].instrumented = false;
        let broker = self.store_for(producer, store);
        self.use_store(consumer, broker, true);
        let stem = name.rsplit_once('-').map_or(name.as_str(), |(stem, _)| stem).to_owned();
        let topic = match store {
            Store::Kafka => {
                format!("{stem}.{}", self.dice.pick(&["events", "v1", "commands", "changed"]))
            }
            Store::Postgres | Store::Mysql | Store::Redis | Store::Rabbit | Store::Mongo => {
                format!("{stem}{}", self.dice.pick(&[".work", "-queue", ".incoming", "_jobs"]))
            }
        };
        self[consumer].routine = vec![
            format!("{topic}: message {{id}} processed in {{ms}}ms"),
            format!("{topic}: batch of {{n}} done in {{ms}}ms"),
            "heartbeat ok".to_owned(),
        ];
        let group = format!("{name}-group");
        let key = if store == Store::Kafka { "KAFKA_TOPIC" } else { "QUEUE_NAME" };
        let value = topic.clone();
        self[consumer].always(|template| template.set_env(key, &value));
        (Queue { broker, name: topic, group }, consumer)
    }

    /// Writes what the broker's exporter measures of a queue.
    pub fn queue_metrics(&mut self, queue: &Queue, flow: Flow<'_>) {
        let (space, broker) =
            (self[queue.broker].namespace.clone(), self[queue.broker].called().to_owned());
        let start = 900_000.0;
        let home = [("namespace", space.as_str()), ("service", broker.as_str())];
        if self[queue.broker].voice == Voice::Kafka {
            let strimzi = self.dice.chance(0.5);
            for partition in ["0", "1", "2"] {
                let third = |points: &[(Sec, f64)]| -> Vec<f64> {
                    along(points).iter().map(|value| (value / 3.0).floor()).collect()
                };
                let mut all = home.to_vec();
                all.extend([("topic", queue.name.as_str()), ("partition", partition)]);
                let rates: Vec<f64> = along(flow.arriving).iter().map(|rate| rate / 3.0).collect();
                let offsets = "kafka_topic_partition_current_offset";
                self.metrics.growing(
                    (offsets, super::series::Type::Gauge, offsets),
                    &all,
                    start,
                    &rates,
                );
                let (lag, group) = if strimzi {
                    ("kafka_consumergroup_lag", "consumergroup")
                } else {
                    ("kafka_consumergroup_group_lag", "group")
                };
                all.push((group, &queue.group));
                let depth = match flow.stuck {
                    Some(stuck) if stuck == partition => along(flow.depth),
                    Some(_) => third(&[(0, 13.0)]),
                    None => third(flow.depth),
                };
                self.metrics.gauge(lag, &all, depth);
            }
            let mut all = home.to_vec();
            all.push(("consumergroup", &queue.group));
            self.metrics.gauge("kafka_consumergroup_members", &all, along(flow.consumers));
            return;
        }
        let mut all = home.to_vec();
        all.extend([("queue", queue.name.as_str()), ("vhost", "/")]);
        let depth: Vec<f64> = along(flow.depth).iter().map(|value| value.floor()).collect();
        if self[queue.broker].voice == Voice::Redis {
            // Lists of a store, as task libraries use them.
            let pairs = [("namespace", space.as_str()), ("queue", queue.name.as_str())];
            let name = self.dice.pick(&[
                "celery_queue_length",
                "sidekiq_queue_size",
                "bull_queue_waiting",
                "rq_jobs_queued",
            ]);
            self.metrics.gauge(name, &pairs, depth);
            return;
        }
        self.metrics.gauge("rabbitmq_queue_messages_ready", &all, depth);
        let unacked = along(flow.consumers).iter().map(|count| count * 10.0).collect();
        self.metrics.gauge("rabbitmq_queue_messages_unacked", &all, unacked);
        self.metrics.gauge("rabbitmq_queue_consumers", &all, along(flow.consumers));
        let (published, delivered) =
            ("rabbitmq_queue_messages_published", "rabbitmq_queue_messages_delivered");
        self.metrics.counter(published, &all, start, &along(flow.arriving));
        self.metrics.counter(delivered, &all, start, &along(flow.leaving));
    }
}
