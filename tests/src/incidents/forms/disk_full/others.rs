//! Brokers, uploads and search indices whose volume is full.

use serde_json::json;

use super::{claim, filling, told};
use crate::incidents::{
    clock::{BEGIN, MIN, NOW, Sec},
    cluster::Cluster,
    object::Ref,
    pressure::{ends, lives},
    series::along,
    storage::Store,
    traffic::{Harm, Why},
    truth::Truth,
    voice::{Level, Runtime, Voice},
};

/// A Kafka broker whose only log directory fails: it shuts itself down, again and again.
pub(super) fn broker_gives_up(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let (app, id) = cluster.app_on(hops, Store::Kafka);
    cluster.forgo(&["events", "metrics"], 0.3);
    let at = cluster.minutes_ago(7, 40);
    let (claim, size) = claim(cluster, id);
    let course = filling(cluster, at);
    cluster.volume_stats(&claim, size, &course);
    if let Some(pod) = cluster[id].pods.first_mut() {
        let runs = lives(pod.created + 3, at, || 11);
        ends(pod, runs, None, (1, "Error", ""));
    }
    cluster.end_events(id);
    let dir = "/bitnami/kafka/data";
    cluster[id].crash = vec![
        (Level::Info, "starting (kafka.server.KafkaServer)".to_owned(), Vec::new()),
        (
            Level::Error,
            format!(
                "Error while writing to checkpoint file {dir}/recovery-point-offset-checkpoint"
            ),
            vec![
                "java.io.IOException: No space left on device".to_owned(),
                "\tat java.base/java.io.FileOutputStream.writeBytes(Native Method)".to_owned(),
            ],
        ),
        (
            Level::Error,
            format!("Shutdown broker because all log dirs in {dir} have failed"),
            Vec::new(),
        ),
    ];
    let gate = app.gate();
    let alert = cluster.dice.pick(&["high_error_rate", "KafkaBrokerDown", "HighErrorRatio"]);
    let alerted = if alert == "KafkaBrokerDown" { id } else { gate };
    let name = cluster[id].name.clone();
    let severity = cluster.lasting_effect(gate);
    let cause = format!(
        "The volume {} of broker {name} is full; all its log directories failed and it shuts itself down.",
        claim.name
    );
    told(
        cluster,
        (alert, alerted, id),
        &claim,
        (&format!("{} fails since {} minutes.", cluster[alerted].called(), -at / MIN), &cause),
    )
    .rated("medium", severity)
}

/// What the kubelet counts of the inodes of a volume that has none left since `at`.
fn inodes(cluster: &mut Cluster, claim: &Ref, size: i64, at: Sec) {
    let pairs =
        [("namespace", claim.namespace.as_str()), ("persistentvolumeclaim", claim.name.as_str())];
    let inodes = size as f64 * 65_536.0;
    cluster.metrics.constant("kubelet_volume_stats_inodes", &pairs, inodes);
    let free = along(&[(BEGIN, inodes * 0.004), (at, 0.0), (NOW + 900, 0.0)]);
    cluster.metrics.gauge("kubelet_volume_stats_inodes_free", &pairs, free);
}

/// Half of the bytes are free, but not one inode: millions of small files.
pub(super) fn no_more_inodes(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let app = cluster.app(hops + 1);
    let id = app.last();
    cluster.written_in(
        id,
        &[Runtime::Python, Runtime::Php, Runtime::Ruby, Runtime::Node, Runtime::Java],
    );
    let home = cluster.home();
    let end = cluster.dice.pick(&["uploads", "files", "spool"]);
    let name = format!("{}-{end}", cluster[id].name);
    let claim = Ref::new("PersistentVolumeClaim", &home, &name);
    let class = format!("{}-files", cluster.names.tree());
    cluster.storage_class(&class, "Immediate", false);
    let size = cluster.dice.pick(&[20, 50, 100]);
    let made = cluster[id].created;
    cluster.bound_claim(claim.clone(), (&class, size), made);
    let claimed = name.clone();
    cluster[id].always(|t| {
        t.mount("files", "/srv/files", json!({"persistentVolumeClaim": {"claimName": claimed}}))
    });
    let at = cluster.minutes_ago(8, 40);
    let used = cluster.dice.range(0.4, 0.6);
    cluster.volume_stats(&claim, size, &[(BEGIN, used - 0.01), (NOW, used)]);
    inodes(cluster, &claim, size, at);
    let said = match cluster[id].runtime {
        Runtime::Python => "OSError: [Errno 28] No space left on device: '/srv/files/in/{id}.part'",
        Runtime::Node => "ENOSPC: no space left on device, open '/srv/files/in/{id}.part'",
        Runtime::Java => "java.io.IOException: No space left on device: /srv/files/in/{id}.part",
        Runtime::Ruby => {
            "Errno::ENOSPC: No space left on device @ rb_sysopen - /srv/files/in/{id}.part"
        }
        Runtime::Go
        | Runtime::DotNet
        | Runtime::Php
        | Runtime::Rust
        | Runtime::Proxy
        | Runtime::Store => {
            "file_put_contents(/srv/files/in/{id}.part): Failed to open stream: No space left on device"
        }
    };
    cluster[id].say(at, 9, Level::Error, said);
    let share = cluster.dice.range(0.2, 0.6);
    cluster.traffic.harm(id, Harm::errors(at, share, Why::Status(500)));
    let gate = if hops == 0 { id } else { app.gate() };
    let alert = cluster.dice.pick(&["high_error_rate", "UploadsFailing", "HighErrorRatio"]);
    let (workload, shown) = (cluster[id].name.clone(), cluster[gate].called().to_owned());
    let severity = cluster.lasting_effect(app.gate());
    let cause = format!(
        "The volume {name} of {workload} has no free inode left although half of its bytes are free; no file can be made."
    );
    told(
        cluster,
        (alert, gate, id),
        &claim,
        (&format!("{shown}: uploads fail since {} minutes.", -at / MIN), &cause),
    )
    .mention(&["inode", "no space", "space left"])
    .rated("hard", severity)
}

/// A search store that made its indices read-only before its volume is quite full.
pub(super) fn index_made_read_only(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let (app, id) = cluster.app_on(hops, Store::Mongo);
    cluster[id].always(|t| {
        "elasticsearch".clone_into(&mut t.image);
        "8.15.1".clone_into(&mut t.tag);
    });
    (cluster[id].voice, cluster[id].port) = (Voice::Log4j, 9200);
    if let Some(front) = &mut cluster[id].front {
        (front.port, front.target) = (9200, json!(9200));
    }
    let host = cluster[id].called().to_owned();
    cluster[app.last()].always(|t| {
        t.env.retain(|e| e.get("name").and_then(serde_json::Value::as_str) != Some("MONGO_URI"));
        t.set_env("SEARCH_URL", &format!("http://{host}:9200"));
    });
    cluster[id].routine = vec![
        "[gc][{n}] overhead, spent [{ms}ms] collecting in the last [1s]".to_owned(),
        "[items-v3] refreshed, took [{ms}ms]".to_owned(),
    ];
    let at = cluster.minutes_ago(9, 45);
    let (claim, size) = claim(cluster, id);
    let last = cluster.dice.range(0.952, 0.968);
    cluster.volume_stats(&claim, size, &[(BEGIN.min(at - 10), 0.90), (at, 0.951), (NOW, last)]);
    let node = format!("{}-0", cluster[id].name);
    let free = 100.0 - last * 100.0;
    let flood = format!(
        "flood stage disk watermark [95%] exceeded on [{node}][/var/lib/data] free: {:.1}gb[{free:.1}%], all indices on this node will be marked read-only",
        size as f64 * (1.0 - last)
    );
    cluster[id].say(at, 60, Level::Warn, &flood);
    cluster[id].say(at - 900, 0, Level::Info, &format!("high disk watermark [90%] exceeded on [{node}][/var/lib/data] free: {:.1}gb[9.8%], shards will be relocated away from this node; the node is expected to continue to exceed the high disk watermark when these relocations are complete", size as f64 * 0.098));
    let said = "index [items-v3] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];";
    let share = cluster.dice.range(0.2, 0.6);
    cluster.traffic.harm_call(
        app.last(),
        crate::incidents::traffic::Peer::In(id),
        &Harm::errors(
            at + 4,
            share,
            Why::Said(format!("[429 Too Many Requests] cluster_block_exception: {said}")),
        ),
    );
    let gate = app.gate();
    let alert = cluster.dice.pick(&["high_error_rate", "IndexingFailures", "HighErrorRatio"]);
    let (name, shown) = (cluster[id].name.clone(), cluster[gate].called().to_owned());
    let severity = cluster.lasting_effect(gate);
    let cause = format!(
        "The volume {} of {name} is above the flood-stage watermark (95%); its indices are read-only and writes are refused.",
        claim.name
    );
    told(
        cluster,
        (alert, gate, id),
        &claim,
        (&format!("{shown}: changes are not saved since {} minutes.", -at / MIN), &cause),
    )
    .mention(&["watermark", "95%", "read-only", "flood", "full"])
    .rated("medium", severity)
}
