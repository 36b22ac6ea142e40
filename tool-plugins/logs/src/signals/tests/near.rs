//! Wordings that lie near one another: settings and code, old data and old tokens, callers and
//! programs, children and containers.

use super::{is_of_another, signals, statements};

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

#[test]
fn an_index_that_a_server_drops_is_named_and_one_that_is_built_is_not() {
    for (text, name) in [
        (
            "LOG:  statement: DROP INDEX CONCURRENTLY IF EXISTS idx_orders_customer;",
            "idx_orders_customer",
        ),
        ("42 Query ALTER TABLE orders DROP KEY `by_state`", "by_state"),
        ("CMD: dropIndexes namespace app.orders indexes tenant_1_state_1", "tenant_1_state_1"),
        (r#"CMD: dropIndexes","attr":{"namespace":"app.orders","indexes":"tenant_1"}"#, "tenant_1"),
    ] {
        assert_eq!(statements::dropped_index(text).as_deref(), Some(name), "{text}");
    }
    for text in [
        "LOG:  statement: CREATE INDEX idx_orders_customer ON orders (customer)",
        "index build: done building index tenant_1 on ns app.orders",
        "DROP TABLE staging",
    ] {
        assert_eq!(statements::dropped_index(text), None, "{text}");
    }
}

#[test]
fn only_what_another_does_not_answer_is_of_another() {
    let of = |text: &str| signals(text).iter().any(|signal| is_of_another(signal));
    assert!(of("ERROR dial tcp 10.0.0.1:5432: connect: connection refused"));
    assert!(of("ERROR getaddrinfo ENOTFOUND api.example.com"));
    assert!(!of("ERROR NullPointerException in PriceRule"));
    assert!(!of("ERROR relation \"orders_v2\" does not exist"));
}

#[test]
fn lines_that_only_name_a_thing_that_can_fail_tell_of_no_failure() {
    for text in [
        "WARN column \"discount\" holds 3 empty values in relation \"orders\"",
        "WARN liquibase: running changeset db/changelog-7.xml",
        "notAfter=Jun  1 12:00:00 2031 GMT",
        "WARN client secret of app billing was rotated by its owner",
        "WARN dns query cache holds 512 names",
        "WARN calling getaddrinfo for db took 12 ms",
        "WARN time to resolve host db: 3 ms",
        "WARN 3 unauthorized requests were turned away by the gate",
        "WARN leaked coupon codes were found in a public paste",
        "WARN hit ratio of the last minute: 0.97",
        "WARN cache hit rate is 94 % (target 90 %)",
        "WARN miss rate 3%",
        "WARN no route for POST /v1/lookup (404), client 10.244.3.17:4711",
    ] {
        assert_eq!(signals(text), Vec::<&str>::new(), "{text}");
    }
    for (text, expected) in [
        ("ERROR relation \"orders_v2\" does not exist", "log.schema_mismatch"),
        ("ERROR column o.total does not exist at character 8", "log.schema_mismatch"),
        ("ERROR column \"total\" of relation \"orders\" does not exist", "log.schema_mismatch"),
        ("ERROR Table 'shop.orders_v2' doesn't exist", "log.schema_mismatch"),
        (
            "ERROR liquibase.exception.ValidationFailedException: 1 changesets",
            "log.schema_mismatch",
        ),
        ("ERROR java.security.cert.CertificateExpiredException: NotAfter: Mon", "log.tls_failure"),
        ("ERROR the client secret has expired", "log.auth_failure"),
        ("ERROR dns query timed out", "log.dns_failure"),
        ("ERROR (getaddrinfo: Name or service not known)", "log.dns_failure"),
        ("ERROR HTTPError: Unauthorized", "log.auth_failure"),
        ("WARN hit ratio of the last minute: 0.04", "log.cache_bypassed"),
        ("WARN cache hit rate dropped to 7%", "log.cache_bypassed"),
        ("ERROR in-flight limit reached, answering 503 to 7", "log.overloaded"),
    ] {
        assert_eq!(signals(text), [expected], "{text}");
    }
}
