//! What caches, queues, disks and servers under load say.

use super::signals;

const LOAD: &[(&str, &str)] = &[
    ("WARN hit ratio of the last minute: 0.02", "log.cache_bypassed"),
    ("WARN price:77 not in cache, loading (760ms)", "log.cache_bypassed"),
    ("WARN cache unavailable, serving without cache", "log.cache_bypassed"),
    ("ERROR LOADING Redis is loading the dataset in memory", "log.cache_refused"),
    (
        "ERROR redis.clients.jedis.exceptions.JedisClusterException: CLUSTERDOWN The cluster is down",
        "log.cache_refused",
    ),
    ("ERROR READONLY You can't write against a read only replica.", "log.cache_refused"),
    ("ERROR redis: all sentinels are unreachable", "log.cache_refused"),
    (
        "WARN worker thread 502 did not return from task 64c3, waiting for lock held by thread 502",
        "log.hung",
    ),
    (
        "WARN Thread[vert.x-worker-3,5,main] has been blocked for 65000 ms, time limit is 60000 ms",
        "log.hung",
    ),
    ("[CRITICAL] WORKER TIMEOUT (pid:17)", "log.hung"),
    ("ERROR job stalled more than allowable limit", "log.hung"),
    ("INFO missed heartbeat from celery@worker-2", "log.hung"),
    (
        "ERROR could not decode message hits.v1[1]@99: JSONDecodeError: Expecting value; will retry",
        "log.poison_message",
    ),
    (
        "ERROR handler failed for hits.v1 partition=1 offset=9: unexpected end of JSON input; retrying same offset",
        "log.poison_message",
    ),
    (
        "ERROR RecordDeserializationException: Error deserializing VALUE for partition hits-1 at offset 9",
        "log.poison_message",
    ),
    ("ERROR [Connection] KafkaJSNumberOfRetriesExceeded: retried 5 times", "log.poison_message"),
    ("ERROR Failed to deserialize record from topic hits", "log.poison_message"),
    ("ERROR publish to jobs-mq:5672 was not confirmed within 3000 ms", "log.broker_blocked"),
    (
        "ERROR Expiring 5 record(s) for hits-0:30004 ms has passed since batch creation",
        "log.broker_blocked",
    ),
    ("ERROR ReplyError: OOM command not allowed when used memory > 'maxmemory'.", "log.cache_full"),
    ("[ERROR] memcached: SERVER_ERROR out of memory storing object", "log.cache_full"),
    ("WARN redis timeout, falling back to database for key price:1", "log.cache_bypassed"),
    ("level=warn msg=\"cache hit ratio below 40%\" ratio=0.31", "log.cache_bypassed"),
    (
        "2025-06-30 20:45:32,123 WARN [Consumer clientId=c, groupId=g] consumer poll timeout has expired. This means the time between subsequent calls to poll() was longer than the configured max.poll.interval.ms",
        "log.consumer_stuck",
    ),
    (
        "INFO [Consumer clientId=c, groupId=g] Attempt to heartbeat failed since group is rebalancing",
        "log.consumer_stuck",
    ),
    (
        "ERROR org.apache.kafka.clients.consumer.CommitFailedException: Offset commit cannot be completed",
        "log.consumer_stuck",
    ),
    (
        "%4|1719780332.1|MAXPOLL|app| Application maximum poll interval (300000ms) exceeded by 88ms",
        "log.consumer_stuck",
    ),
    (
        "ERROR amqp: PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out",
        "log.consumer_stuck",
    ),
    (
        "ERROR RecordDeserializationException: Error deserializing key/value for partition orders-3 at offset 88121",
        "log.poison_message",
    ),
    ("level=error msg=\"failed to process message\" offset=4411 attempt=97", "log.poison_message"),
    (
        "[warning] <0.310.0> memory resource limit alarm set on node rabbit@mq-0.",
        "log.broker_blocked",
    ),
    (
        "2025-06-30 20:45:32 [info] <0.3.0> disk resource limit alarm set on node rabbit@mq-0",
        "log.broker_blocked",
    ),
    (
        "PANIC:  could not write to file \"pg_wal/xlogtemp.44\": No space left on device",
        "log.no_space",
    ),
    ("ERROR OSError: [Errno 28] No space left on device: '/data/x'", "log.no_space"),
    (
        "ERROR 3 (HY000): Error writing file '/tmp/MY' (Errcode: 28 - No space left on device)",
        "log.no_space",
    ),
    (
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk",
        "log.no_space",
    ),
    ("EXT4-fs error (device sdb): Remounting filesystem read-only", "log.no_space"),
    (
        "[2.1s][info][gc] GC(41) Pause Full (G1 Compaction Pause) 511M->509M(512M) 812.4ms",
        "log.gc_pressure",
    ),
    ("WARN heap usage at 97% after GC", "log.gc_pressure"),
    ("[error] 12#12: 1024 worker_connections are not enough", "log.overloaded"),
    (
        "WARNING: [pool www] server reached pm.max_children setting (50), consider raising it",
        "log.overloaded",
    ),
    ("ERROR java.util.concurrent.RejectedExecutionException: Task rejected", "log.overloaded"),
];

#[test]
fn caches_queues_disks_and_load_are_recognised_in_the_words_of_many_programs() {
    for (text, expected) in LOAD {
        let found = signals(text);
        assert!(found.contains(expected), "{text}: {found:?}");
    }
}
