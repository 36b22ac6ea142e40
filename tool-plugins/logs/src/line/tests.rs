//! Lines of many loggers are understood alike.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn near() -> Timestamp {
    "2025-07-01T00:00:00Z".parse().unwrap()
}

const FORMS: &[(&str, Level, &str)] = &[
    (
        "{\"level\":\"error\",\"ts\":\"2025-06-30T20:45:07.650Z\",\"msg\":\"boom\"}",
        Level::Error,
        "boom",
    ),
    ("{\"level\":50,\"time\":1751318549726,\"msg\":\"boom\"}", Level::Error, "boom"),
    ("{\"severity\":\"WARNING\",\"message\":\"hm\"}", Level::Warn, "hm"),
    ("{\"level\":\"error\",\"msg\":\"call\",\"error\":\"EOF\"}", Level::Error, "call: EOF"),
    ("{\"level\":\"info\",\"msg\":\"done\",\"error\":null}", Level::Info, "done"),
    (
        "time=2025-06-30T20:46:40Z level=warn component=x msg=\"a \\\"b\\\" c\"",
        Level::Warn,
        "a \"b\" c",
    ),
    ("level=error msg=call err=\"no route\"", Level::Error, "call: no route"),
    (
        "E0630 21:23:53.189614       1 a.go:504] \"Failed\" err=\"x\"",
        Level::Error,
        "\"Failed\" err=\"x\"",
    ),
    ("I, [2025-06-30T20:45:44.970449 #1]  INFO -- : Bounce", Level::Info, "Bounce"),
    ("[19:17:01 ERR] read timeout", Level::Error, "read timeout"),
    (
        "2025-08-27 12:00:00.481 ERROR 1 --- [nio-8080-exec-6] c.x.api   : Servlet threw",
        Level::Error,
        "Servlet threw",
    ),
    ("2025-07-08 10:20:15,889 INFO     [worker] resized", Level::Info, "resized"),
    ("2025-08-27T12:00:11.459898Z  WARN geo_tiles: slow", Level::Warn, "slow"),
    ("2025/06/30 20:45:32 frame grabbed", Level::Unknown, "frame grabbed"),
    ("2025/06/30 20:45:32 ERROR: skipping", Level::Error, "skipping"),
    ("2025/06/30 20:45:32 [error] 12#12: *3 connect() failed", Level::Error, "connect() failed"),
    ("2025-11-04T19:18:40.123456Z 8 [Note] [MY-010051] hit rate", Level::Info, "hit rate"),
    ("2025-06-30 20:45:32.123 UTC [77] FATAL:  too many clients", Level::Fatal, "too many clients"),
    ("1:M 04 Nov 2025 19:50:01.123 # WARNING: x", Level::Warn, "WARNING: x"),
    ("1:M 04 Nov 2025 19:50:01.123 * ready", Level::Info, "ready"),
    (
        "[ERROR] plugin/errors: 2 a. A: i/o timeout",
        Level::Error,
        "plugin/errors: 2 a. A: i/o timeout",
    ),
    ("ERROR something", Level::Error, "something"),
    (
        "10.0.0.1 - - [04/Nov/2025:19:17:01 +0000] \"GET /a/1?x=2 HTTP/1.1\" 504 167 \"-\"",
        Level::Error,
        "GET /a/1 answered with status 504",
    ),
    (
        "10.0.0.1 - - [04/Nov/2025:19:17:01 +0000] \"GET /error.log HTTP/1.1\" 404 1 \"-\"",
        Level::Info,
        "GET refused with status 404",
    ),
    ("panic: runtime error", Level::Fatal, "panic: runtime error"),
    (
        "thread 'main' panicked at src/main.rs:1:2:",
        Level::Fatal,
        "thread 'main' panicked at src/main.rs:1:2:",
    ),
    ("0 errors found", Level::Unknown, "0 errors found"),
    ("errors: none", Level::Unknown, "errors: none"),
    ("checked, no error", Level::Unknown, "checked, no error"),
    ("error_count=0 done", Level::Unknown, "error_count=0 done"),
    ("{broken", Level::Unknown, "{broken"),
    ("", Level::Unknown, ""),
];

#[test]
fn level_and_message_are_found_in_every_form() {
    for (text, level, message) in FORMS {
        let line = understand(text, near());
        assert_eq!((line.level, line.message.as_str()), (*level, *message), "{text}");
    }
}

#[test]
fn times_inside_lines_are_found() {
    for text in [
        "{\"ts\":\"2025-06-30T20:46:40Z\",\"msg\":\"x\"}",
        "{\"time\":1751316400000,\"msg\":\"x\"}",
        "time=2025-06-30T20:46:40Z level=info msg=x",
        "2025-06-30 20:46:40,000 INFO x",
        "I0630 20:46:40.000000 1 a.go:1] x",
        "1.2.3.4 - - [30/Jun/2025:20:46:40 +0000] \"GET / HTTP/1.1\" 200 1",
    ] {
        let expected: Timestamp = "2025-06-30T20:46:40Z".parse().unwrap();
        assert_eq!(understand(text, near()).time, Some(expected), "{text}");
    }
}

#[test]
fn a_stack_in_a_field_is_kept() {
    let text =
        "{\"level\":\"error\",\"msg\":\"x\",\"stack\":\"Error: x\\n    at f (/app/a.js:1:2)\"}";
    assert!(understand(text, near()).stack.unwrap().contains("/app/a.js"));
}
