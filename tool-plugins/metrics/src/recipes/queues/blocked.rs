//! Brokers that say of themselves that they are short of memory or disk.

use agent_sdk::Observation;

use crate::{
    judge::{since, timed},
    view::{Course, Read, View},
};

/// Brokers that hold back whoever publishes, for want of memory or disk.
pub(super) fn judge(view: View<'_>) -> Vec<Observation> {
    const ALARMS: &[(&str, &str)] = &[
        ("rabbitmq_alarms_memory_used_watermark", "memory"),
        ("rabbitmq_alarms_free_disk_space_watermark", "disk"),
        ("rabbitmq_node_mem_alarm", "memory"),
        ("rabbitmq_node_disk_free_alarm", "disk"),
    ];
    let mut facts = Vec::new();
    for (metric, resource) in ALARMS.iter().filter(|(metric, _)| view.store.has(metric)) {
        let sums = view.summed(metric, Read::Level, |labels| Some(view.object(labels)));
        for (broker, values) in sums {
            let Some(course) = Course::of(&values).filter(|c| c.now > 0.0) else { continue };
            let rise = course.rise();
            let says = format!(
                "broker {} blocks whoever publishes: its {resource} alarm is set {}",
                broker.name,
                since(rise, view.frame)
            );
            let fact = Observation::new("queue.broker_blocked", broker, says);
            facts.push(timed(fact.attr("resource", *resource), rise, view.frame));
        }
    }
    facts
}
