//! Mechanisms are recognised in the wording of many languages, and only there.
#![allow(clippy::unwrap_used, reason = "tests")]

use jiff::Timestamp;

use super::*;
use crate::record::Joiner;

fn record(text: &str) -> Record {
    let mut joiner = Joiner::new(Timestamp::UNIX_EPOCH);
    for line in text.lines() {
        assert_eq!(joiner.line(None, line), None, "one record: {text}");
    }
    joiner.finish().unwrap()
}

fn signals(text: &str) -> Vec<&'static str> {
    of(&record(text)).into_iter().map(|m| m.signal).collect()
}

const WORDINGS: &[(&str, &str)] = &[
    ("ERROR dial tcp 10.0.0.1:5432: connect: connection refused", "log.connection_refused"),
    ("ERROR Error: connect ECONNREFUSED 10.0.0.1:6379", "log.connection_refused"),
    ("ERROR ConnectionRefusedError: [Errno 111] Connection refused", "log.connection_refused"),
    ("ERROR java.net.ConnectException: Connection refused", "log.connection_refused"),
    (
        "2025/06/30 20:45:32 [error] 12#12: *3 connect() failed (111: Connection refused) while connecting to upstream",
        "log.connection_refused",
    ),
    ("ERROR no healthy upstream", "log.connection_refused"),
    ("WARN no answer yet, transaction stays open", "log.transaction_open"),
    ("INFO transaction 81 open since 45s, waiting for a partner", "log.transaction_open"),
    (
        "ERROR psycopg2.errors.IdleInTransactionSessionTimeout: terminating connection",
        "log.transaction_open",
    ),
    (
        "2025-06-30 20:45:32.123 UTC [7] FATAL:  terminating connection due to idle-in-transaction timeout",
        "log.transaction_open",
    ),
    ("WARN could not commit, transaction is still open after 60s", "log.transaction_open"),
    ("WARN long wait, keeping the transaction open", "log.transaction_open"),
    ("ERROR Read timed out calling price", "log.timeout"),
    ("ERROR context deadline exceeded", "log.timeout"),
    ("WARN upstream timed out (110: Connection timed out)", "log.timeout"),
    ("ERROR requests.exceptions.ReadTimeout: x", "log.timeout"),
    ("ERROR socket.gaierror: [Errno -2] Name or service not known: geo", "log.dns_failure"),
    ("ERROR dial tcp: lookup geo.n.svc on 10.96.0.10:53: no such host", "log.dns_failure"),
    ("ERROR getaddrinfo ENOTFOUND api.example.com", "log.dns_failure"),
    ("ERROR java.net.UnknownHostException: db", "log.dns_failure"),
    (
        "[ERROR] plugin/errors: 2 a.b. A: read udp 1.2.3.4:5->6.7.8.9:53: i/o timeout",
        "log.dns_failure",
    ),
    ("ERROR x509: certificate has expired or is not yet valid", "log.tls_failure"),
    ("ERROR javax.net.ssl.SSLHandshakeException: PKIX path building failed", "log.tls_failure"),
    ("ERROR Error: CERT_HAS_EXPIRED", "log.tls_failure"),
    (
        "2025-06-30 20:45:32.123 UTC [7] FATAL:  password authentication failed for user \"x\"",
        "log.auth_failure",
    ),
    ("ERROR WRONGPASS invalid username-password pair", "log.auth_failure"),
    ("ERROR Access denied for user 'x'@'10.0.0.1' (using password: YES)", "log.auth_failure"),
    ("ERROR call answered 401 Unauthorized", "log.auth_failure"),
    ("ERROR open /data/x: permission denied", "log.permission_denied"),
    (
        "ERROR pods is forbidden: User \"system:serviceaccount:a:b\" cannot list resource \"pods\"",
        "log.permission_denied",
    ),
    (
        "ERROR HikariPool-1 - Connection is not available, request timed out after 30000ms.",
        "log.pool_exhausted",
    ),
    (
        "2025-06-30 20:45:32.123 UTC [7] FATAL:  sorry, too many clients already",
        "log.pool_exhausted",
    ),
    (
        "ERROR sqlalchemy.exc.TimeoutError: QueuePool limit of size 5 overflow 10 reached, connection timed out",
        "log.pool_exhausted",
    ),
    ("ERROR deadlock detected", "log.lock_wait"),
    (
        "2025-06-30 20:45:32.123 UTC [7] LOG:  process 9 still waiting for ShareLock on transaction 5 after 1000.1 ms",
        "log.lock_wait",
    ),
    ("ERROR Lock wait timeout exceeded; try restarting transaction", "log.lock_wait"),
    ("ERROR write /data/wal: no space left on device", "log.no_space"),
    ("java.lang.OutOfMemoryError: Java heap space", "log.oom"),
    (
        "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
        "log.oom",
    ),
    ("exec /usr/local/bin/tool: exec format error", "log.exec_format"),
    ("ERROR missing required environment variable DATABASE_URL", "log.config_error"),
    ("ERROR Could not resolve placeholder 'db.url' in value", "log.config_error"),
    ("ERROR quoting call failed with HTTP 500 rid=1", "log.upstream_error"),
    (
        "GET https://api.example.com/v1/query: unexpected status 503 Service Unavailable",
        "log.upstream_error",
    ),
    ("WARN upstream parcel answered 502 (from upstream, not proxy)", "log.upstream_error"),
    ("ERROR upstream failed: 502 bad gateway after 30ms", "log.upstream_error"),
    (
        "1.2.3.4 - - [30/Jun/2025:20:46:40 +0000] \"GET / HTTP/1.1\" 504 1 \"-\"",
        "log.upstream_error",
    ),
    ("WARN slow query 500ms on report endpoint", "log.slow_statement"),
    (
        "2025-06-30 20:45:32.123 UTC [7] LOG:  duration: 5012.3 ms  statement: SELECT * FROM t",
        "log.slow_statement",
    ),
    ("ERROR canceling statement due to statement timeout", "log.slow_statement"),
    (
        "{\"t\":{\"$date\":\"2025-06-30T20:45:32.123Z\"},\"s\":\"I\",\"c\":\"COMMAND\",\"msg\":\"Slow query\",\"attr\":{\"ns\":\"a.b\",\"planSummary\":\"COLLSCAN\",\"durationMillis\":5012}}",
        "log.slow_statement",
    ),
    (
        "WARN HikariPool-1 - Connection leak detection triggered for conn7 on thread x",
        "log.connection_leak",
    ),
    (
        "ERROR WaitQueueTimeoutError: Timed out while checking out a connection from connection pool",
        "log.pool_exhausted",
    ),
    ("ERROR redis: ERR max number of clients reached", "log.pool_exhausted"),
    (
        "ERROR psycopg.OperationalError: connection failed: FATAL:  remaining connection slots are reserved",
        "log.pool_exhausted",
    ),
    ("ERROR pgbouncer: no more connections allowed (max_client_conn)", "log.pool_exhausted"),
    ("ERROR failed to get conn from pool: context deadline exceeded", "log.pool_exhausted"),
    ("ERROR 429 Too Many Requests from api.example.com", "log.rate_limited"),
    (
        "ERROR json: cannot unmarshal string into Go struct field Quote.amount of type int",
        "log.protocol_error",
    ),
    ("ERROR pq: column \"x\" does not exist", "log.schema_mismatch"),
    (
        "ERROR SignatureDoesNotMatch: The request signature we calculated does not match",
        "log.auth_failure",
    ),
    ("ERROR oauth2: \"invalid_client\" \"Client secret expired\"", "log.auth_failure"),
    ("ERROR [LDAP: error code 49 - 80090308: LdapErr: DSID-0C09, data 52e]", "log.auth_failure"),
    (
        "ERROR org.apache.kafka.common.errors.SaslAuthenticationException: Authentication failed",
        "log.auth_failure",
    ),
    (
        "ERROR ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN",
        "log.auth_failure",
    ),
    ("ERROR listen tcp :8080: bind: address already in use", "log.config_error"),
    ("Error: listen EADDRINUSE: address already in use :::8080", "log.config_error"),
    ("flag provided but not defined: -max-rat", "log.config_error"),
    ("ValueError: invalid literal for int() with base 10: '10s'", "log.config_error"),
    ("ERROR open /etc/app/rules.yaml: no such file or directory", "log.config_error"),
    ("KeyError: 'PAYMENT_URL'", "log.config_error"),
    (
        "\u{1b}[31mERROR\u{1b}[0m dial tcp 10.0.0.1:80: connect: connection refused",
        "log.connection_refused",
    ),
    (
        "production.ERROR: SQLSTATE[HY000] [1045] Access denied for user 'x'@'10.0.0.1'",
        "log.auth_failure",
    ),
    (
        "[2025-06-30 20:45:32.123][1][warning][config] gRPC config: upstream connect error",
        "log.upstream_error",
    ),
    ("panic: runtime error: index out of range [3]", "log.panic"),
    ("thread 'main' panicked at src/main.rs:1:2:", "log.panic"),
];

#[test]
fn mechanisms_are_recognised_in_many_wordings() {
    for (text, expected) in WORDINGS {
        assert_eq!(signals(text), [*expected], "{text}");
    }
}

#[test]
fn a_crash_is_told_beside_what_failed() {
    let text =
        "panic: dial tcp 10.0.0.1:5432: connect: connection refused\n\ngoroutine 1 [running]:";
    assert_eq!(signals(text), ["log.connection_refused", "log.panic"]);
}

#[test]
fn lines_that_only_sound_like_trouble_are_no_mechanism() {
    let table = [
        "INFO 0 errors, timeout=30s",
        "INFO connection refused by guest list",
        "WARN oom-safe mode is enabled: heap dumps will be skipped",
        "WARN certificate for peer replica will expire in 21 days",
        "WARN Password policy check: 7 accounts use an expired password",
        "ERROR OutOfMemory guard triggered in sandboxed plugin, plugin unloaded",
        "ERROR timeout while asking spell checker, ignored",
        "ERROR Optional supplier feed unreachable, using bundled table (by design)",
        "ERROR User 105 lacks permission to see hold 7 (expected)",
        "WARN HikariPool-1 - Thread starvation or clock leap detected",
        "WARN pool size hint: 8 of 10 connections in use",
        "WARN upstream answered 503 once, second attempt fine",
        "WARN disk usage of scratch volume at 82%",
        "ERROR page 'recovery' mentions fatal crash; indexed fine",
        "{\"level\":\"info\",\"msg\":\"done\",\"error\":null}",
        "session timeout set to 30m",
        "errors: none",
        "unit-of-work FATAL_ON_ERROR=false",
        "INFO cache hit ratio 0.976",
        "WARN served 503 rows",
        "1.2.3.4 - - [30/Jun/2025:20:46:40 +0000] \"GET /deadlock detected HTTP/1.1\" 500 1 \"-\"",
        "1.2.3.4 - - [30/Jun/2025:20:46:40 +0000] \"GET /error.log HTTP/1.1\" 404 1 \"-\"",
    ];
    for text in table {
        assert_eq!(signals(text), Vec::<&str>::new(), "{text}");
    }
}

#[test]
fn details_are_told() {
    let table = [
        ("ERROR missing required environment variable DATABASE_URL", "setting", "DATABASE_URL"),
        ("ERROR Could not resolve placeholder 'db.url' in value", "setting", "db.url"),
        ("ERROR unknown flag: --max-rate", "setting", "--max-rate"),
        ("ERROR x509: certificate has expired", "why", "expired"),
        ("ERROR x509: certificate signed by unknown authority", "why", "untrusted"),
        ("ERROR cURL error 6: Could not resolve host: geo-web [] []", "host", "geo-web"),
        ("ERROR lookup geo.n.svc on 10.96.0.10:53: no such host", "host", "geo.n.svc"),
        ("ERROR price call failed with HTTP 500", "status", "500"),
        ("ERROR 503 Service Unavailable", "status", "503"),
    ];
    for (text, key, value) in table {
        let found = of(&record(text));
        assert_eq!(found[0].detail, Some((key, value.to_owned())), "{text}");
    }
}

#[test]
fn settings_taken_over_are_read_with_old_and_new() {
    let reload = |setting: &str, old: &str, new: &str| {
        Some(Reload { setting: setting.into(), old: old.into(), new: new.into() })
    };
    let table = [
        ("config reloaded: batch_size 100 -> 5000", reload("batch_size", "100", "5000")),
        ("configuration changed: retry.limit: 3 → 50", reload("retry.limit", "3", "50")),
        ("flag new-parser changed from false to true", reload("new-parser", "false", "true")),
        ("setting updated key=pool.max old=50 new=5", reload("pool.max", "50", "5")),
        ("configuration reloaded", reload("", "", "")),
        ("applied new config max_workers=2", reload("max_workers", "", "2")),
        ("tariff table reloaded", None),
        ("Promotion table version 287 applied", None),
        ("certificate bundle refreshed", None),
        ("order moved from till to queue", None),
        ("traffic feed updated", None),
    ];
    for (text, expected) in table {
        assert_eq!(super::reload(text), expected, "{text}");
    }
}

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

const STALE: &[(&str, bool)] = &[
    ("ERROR data set of tariffs-import is older than its limit of 26h, refusing request 1", true),
    ("ERROR stale snapshot: last successful run is too long ago, answering 503 for 7", true),
    ("ERROR snapshot of prices-sync expired, request 9 rejected until a new one arrives", true),
    ("level=error msg=\"exchange rates are stale\" age=31h max=24h", true),
    ("WARN search index is out of date: last refresh 2025-06-29T02:00:00Z", true),
    ("ERROR StaleDataException: price list is too old (27h)", true),
    (
        "{\"level\":\"error\",\"msg\":\"feature freshness check failed: model has not been refreshed since yesterday\"}",
        true,
    ),
    ("ERROR partition dt=2025-06-30 not found for today", true),
    ("ERROR: snapshot too old", false),
    ("ERROR refresh token expired for user 7", false),
    ("WARN certificate is out of date", false),
    ("ERROR stale NFS file handle on /data/import", false),
    ("INFO snapshot expired, taking a new one", false),
];

#[test]
fn data_that_has_grown_too_old_is_told_from_tokens_and_versions_that_have() {
    for (text, expected) in STALE {
        let found = signals(text);
        assert_eq!(found.contains(&"log.stale_data"), *expected, "{text}: {found:?}");
    }
}

#[test]
fn a_file_of_settings_that_cannot_be_read_is_a_wrong_setting_and_no_wrong_answer() {
    for (text, expected) in [
        (
            "FATAL load /etc/app/rules.yaml: yaml: unmarshal errors: line 4: cannot unmarshal !!str `fourty` into int",
            "log.config_error",
        ),
        ("ERROR decoding config/app.toml: expected newline, unexpected token", "log.config_error"),
        (
            "ERROR com.fasterxml.jackson.core.JsonParseException: Unexpected token in /config/limits.json:3",
            "log.config_error",
        ),
        (
            "ERROR System.Text.Json.JsonException: could not deserialize appsettings.Production.json",
            "log.config_error",
        ),
        ("ERROR failed to decode service.conf: missing field `port`", "log.config_error"),
        (
            "ERROR json: cannot unmarshal string into Go struct field Quote.amount of type int",
            "log.protocol_error",
        ),
        (
            "ERROR failed to decode http://shop/v1/prices.json: unexpected token",
            "log.protocol_error",
        ),
    ] {
        let found = signals(text);
        assert!(found.contains(&expected), "{text}: {found:?}");
    }
}

#[test]
fn statements_that_are_only_logged_with_their_time_are_not_slow() {
    let line = |ms: &str| {
        format!("2025-06-30 20:45:32.123 UTC [7] LOG:  duration: {ms} ms  statement: SELECT 1")
    };
    assert_eq!(signals(&line("2.118")), Vec::<&str>::new());
    assert_eq!(signals(&line("5021.5")), ["log.slow_statement"]);
}

#[test]
fn what_a_client_sent_malformed_is_no_wrong_setting() {
    for text in [
        "ERROR could not parse user agent of request e302d456",
        "ERROR invalid literal for int() in query string: page=abc",
        "ERROR upload 7: content-type is not a valid media type",
        "ERROR java.lang.IllegalArgumentException: bad cookie in request /a",
    ] {
        assert!(!signals(text).contains(&"log.config_error"), "{text}");
    }
    assert_eq!(signals("ERROR could not parse LISTEN_PORT"), ["log.config_error"]);
    let setting = "ERROR could not parse MAX_REQUEST_SIZE of request config: is not a number";
    assert!(signals(setting).contains(&"log.config_error"));
}

#[test]
fn a_key_that_code_misses_is_no_setting_and_a_variable_is_one() {
    for (text, is_setting) in [
        ("KeyError: 'DATABASE_URL'", true),
        ("ERROR key not found: \"SMTP_HOST\" (KeyError)", true),
        ("ERROR Exception on /v1/quote [POST]\nKeyError: 'rate'", false),
        ("ERROR key not found: :rate (KeyError)", false),
        ("ERROR Exception on /v1/quote [POST]\nKeyError: 'SKU_1044'", false),
        (
            "ERROR [http-nio-8080-exec-3] o.a.c.c.C.[dispatcherServlet] : java.lang.NumberFormatException: null",
            false,
        ),
        ("ERROR [main] java.lang.NumberFormatException: For input string: \"4G\"", true),
    ] {
        let found = signals(text);
        assert_eq!(found.contains(&"log.config_error"), is_setting, "{text}: {found:?}");
    }
}

#[test]
fn a_process_killed_inside_its_container_is_told_by_its_supervisor() {
    for text in [
        "ERROR Worker (pid:31) was sent SIGKILL! Perhaps out of memory?",
        "puma worker 3 terminated by SIGKILL, starting a new one",
        "[pool www] child 42 exited on signal 9 (SIGKILL) after 41.5 seconds from start",
        "LOG:  server process (PID 812) was terminated by signal 9: Killed",
        "ERROR Process 'ForkPoolWorker-2' pid:77 exited with 'signal 9 (SIGKILL)'",
        "ERROR billiard.exceptions.WorkerLostError: Worker exited prematurely: signal 9 (SIGKILL)",
        "ERROR ffmpeg failed: signal: killed",
    ] {
        assert!(signals(text).contains(&"log.child_killed"), "{text}: {:?}", signals(text));
    }
    assert!(signals("INFO worker 3 exited with code 0").is_empty());
}
