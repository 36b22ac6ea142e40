//! How fast messages come into a queue and are taken out, and how many readers there are, as far
//! as counters with the queue's or the group's name tell.

use agent_sdk::Entity;

use super::{GROUP, QUEUE, Queue};
use crate::{
    flow::add,
    labels::Labels,
    recipes::is_machinery,
    view::{Course, Read, View, number},
    words,
};

/// Rates of one queue; `None` where nothing tells.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flow {
    /// Messages coming in, per second.
    pub(super) into: Option<Course>,
    /// Messages taken out, per second.
    pub(super) out: Option<Course>,
    /// Readers.
    pub(super) consumers: Option<Course>,
}

const IN: &[&str] = &["published", "produced", "enqueued", "incoming", "sent", "publish", "pushed"];
const OUT: &[&str] = &[
    "consumed",
    "acked",
    "acknowledged",
    "delivered",
    "processed",
    "handled",
    "dequeued",
    "completed",
    "deleted",
    "popped",
    "ack",
];
const READERS: &[&str] = &["consumers", "subscribers"];
/// Offsets only grow: what is written is the topic's, what is read the group's.
const OFFSETS: &[(&str, bool)] = &[
    ("kafka_topic_partition_current_offset", true),
    ("kafka_partition_latest_offset", true),
    ("kafka_consumergroup_current_offset", false),
    ("kafka_consumergroup_group_offset", false),
    ("kminion_kafka_consumer_group_topic_offset_sum", false),
];

// === impl Flow ===

impl Flow {
    /// What is known, for people.
    pub(super) fn words(&self) -> String {
        let mut said = Vec::new();
        if let Some(into) = self.into {
            said.push(format!("{}/s come in (before {})", number(into.now), number(into.before)));
        }
        if let Some(out) = self.out {
            said.push(format!(
                "{}/s are taken out (before {})",
                number(out.now),
                number(out.before)
            ));
        }
        if let Some(readers) = self.consumers {
            said.push(format!("{} consumers", number(readers.now)));
        }
        if said.is_empty() { String::new() } else { format!("; {}", said.join(", ")) }
    }
}

/// The rates of `queue`, read by `consumer`.
pub(super) fn of(view: View<'_>, queue: &Queue, consumer: Option<&Entity>) -> Flow {
    let (mut into, mut out, mut readers) = (Vec::new(), Vec::new(), Vec::new());
    for metric in view.store.names() {
        let offset = OFFSETS.iter().find(|(name, _)| *name == &*metric);
        if let Some((_, written)) = offset {
            let sum = if *written { &mut into } else { &mut out };
            gather(view, &metric, Read::Rate, sum, |l| is_of(l, queue, !*written));
        } else if is_machinery(&metric) {
            continue;
        } else if words::has_part(&metric, READERS) && view.natural(&metric) == Read::Level {
            gather(view, &metric, Read::Level, &mut readers, |l| is_of(l, queue, false));
        } else if view.natural(&metric) == Read::Rate && speaks_of_messages(&metric) {
            let own = |l: &Labels| is_of(l, queue, false);
            let by = |l: &Labels| consumer.is_some_and(|c| view.object(l) == *c) && names_none(l);
            if words::has_part(&metric, OUT) && out.is_empty() {
                gather(view, &metric, Read::Rate, &mut out, |l| own(l) || by(l));
            } else if words::has_part(&metric, IN) && into.is_empty() {
                gather(view, &metric, Read::Rate, &mut into, own);
            }
        }
    }
    Flow { into: Course::of(&into), out: Course::of(&out), consumers: Course::of(&readers) }
}

fn speaks_of_messages(metric: &str) -> bool {
    const OF: &[&str] = &[
        "messages", "message", "jobs", "job", "tasks", "task", "events", "records", "items",
        "queue", "msgs", "orders",
    ];
    const NOT: &[&str] = &["failed", "errors", "bytes", "bucket", "sum", "created", "redelivered"];
    words::has_part(metric, OF) && !words::has_part(metric, NOT)
}

fn gather(
    view: View<'_>,
    metric: &str,
    read: Read,
    sum: &mut Vec<f64>,
    own: impl Fn(&Labels) -> bool,
) {
    let found = view.summed(metric, read, |labels| own(labels).then_some(()));
    if let Some(values) = found.get(&()) {
        add(sum, values);
    }
}

/// Whether labels name the queue, and the group where it matters.
fn is_of(labels: &Labels, queue: &Queue, by_group: bool) -> bool {
    let (name, group) = (labels.first_of(QUEUE), labels.first_of(GROUP));
    let same_name = !queue.name.is_empty() && name == queue.name;
    let same_group = !queue.group.is_empty() && group == queue.group;
    if by_group {
        same_group && (same_name || name.is_empty())
    } else {
        same_name || same_group && name.is_empty()
    }
}

fn names_none(labels: &Labels) -> bool {
    labels.first_of(QUEUE).is_empty() && labels.first_of(GROUP).is_empty()
}
