//! Mechanisms are recognised in the wording of many languages, and only there.
#![allow(clippy::unwrap_used, reason = "tests")]

mod load;
mod near;

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
        "fail: System.Net.Http.HttpRequestException: Resource temporarily unavailable (a.b.example:443)",
        "log.dns_failure",
    ),
    (
        "ERROR psycopg2.OperationalError: connection to server at \"db\" (10.0.0.1), port 5432 failed: FATAL:  the database system is in recovery mode",
        "log.upstream_error",
    ),
    ("ERROR FATAL: the database system is starting up (SQLSTATE 57P03)", "log.upstream_error"),
    ("ERROR Error: 1053: Server shutdown in progress", "log.upstream_error"),
    (
        "ERROR requests.exceptions.HTTPError: 404 Client Error: Not Found for url: http://web/v1",
        "log.protocol_error",
    ),
    ("ERROR AxiosError: Request failed with status code 404", "log.protocol_error"),
    (
        "fail: HttpRequestException: Response status code does not indicate success: 404 (Not Found).",
        "log.protocol_error",
    ),
    (
        "ERROR dial tcp: lookup rates.example on 10.96.0.10:53: read udp 10.1.1.9:4->10.96.0.10:53: read: connection refused",
        "log.dns_failure",
    ),
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
