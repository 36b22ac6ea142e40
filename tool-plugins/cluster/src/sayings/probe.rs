//! Health checks: how the kubelet words a failed one, how programs log that they answered one, and
//! on which port they say they listen. Whether the check or the program is at fault is said only
//! where the words themselves decide.

use super::between;

/// A failed health check, as the kubelet words it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeFailure {
    /// `liveness`, `readiness` or `startup`.
    pub probe: &'static str,
    /// Port that was asked; empty when not told.
    pub port: String,
    /// Path that was asked; empty when not told.
    pub path: String,
    /// `refused`, `timeout`, `status`, `scheme`, `host`, `command`, `reset` or `other`.
    pub why: &'static str,
    /// HTTP status that came back; empty when none did.
    pub status: String,
    /// Whose fault the words tell: `probe` (it asks what is not there), `program` (it says itself
    /// that it is not well) or `either`.
    pub fault: &'static str,
}

/// Reads `Liveness probe failed: Get "http://10.0.0.1:8081/livez": … connection refused`.
#[must_use]
pub fn probe_failure(message: &str) -> Option<ProbeFailure> {
    let (head, said) = message.split_once(" probe ")?;
    let probe = match head.to_ascii_lowercase().as_str() {
        "liveness" => "liveness",
        "readiness" => "readiness",
        "startup" => "startup",
        _ => return None,
    };
    let address = between(said, "://", "\"")
        .or_else(|| between(said, "dial tcp ", ": "))
        .or_else(|| between(said, "connect service \"", "\""));
    let (authority, path) = match address.and_then(|a| a.split_once('/')) {
        Some((authority, path)) => (authority, format!("/{path}")),
        None => (address.unwrap_or_default(), String::new()),
    };
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    let status = said.split_once("statuscode: ").map_or("", |(_, rest)| {
        rest.trim().split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default()
    });
    let (why, fault) = judged(said, status);
    Some(ProbeFailure { probe, port: port.to_owned(), path, why, status: status.to_owned(), fault })
}

fn judged(said: &str, status: &str) -> (&'static str, &'static str) {
    let lower = said.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|w| lower.contains(w));
    if let Ok(status) = status.parse() {
        return ("status", fault_of_status(status));
    }
    if says(&[
        "http response to https client",
        "malformed http",
        "first record does not look like a tls",
        "http2: server sent goaway",
        "tls: handshake failure",
        "remote error: tls",
    ]) {
        ("scheme", "probe")
    } else if says(&["no such host", "server misbehaving"]) {
        ("host", "probe")
    } else if says(&["not_serving", "service unhealthy"]) {
        ("status", "program")
    } else if says(&["unimplemented", "unknown service", "code = notfound"]) {
        ("status", "probe")
    } else if says(&[
        "executable file not found",
        "exec failed",
        "oci runtime exec",
        "command not found",
        "applet not found",
        "permission denied",
    ]) || lower.trim_end().ends_with(": not found")
    {
        ("command", "probe")
    } else if says(&["refused"]) {
        ("refused", "either")
    } else if says(&["timeout", "deadline exceeded", "timed out"]) {
        ("timeout", "either")
    } else if says(&["reset by peer", "eof", "broken pipe"]) {
        ("reset", "either")
    } else {
        ("other", "either")
    }
}

/// Whose fault the status of an answer to a health check tells.
#[must_use]
pub fn fault_of_status(status: u16) -> &'static str {
    match status {
        // Nothing is there, or the question is not allowed, or it is put to the wrong protocol.
        400 | 401 | 403 | 404 | 405 | 406 | 410 | 415 | 421 | 426 => "probe",
        500..=599 | 429 => "program",
        _ => "either",
    }
}

/// Path and status of a health check that a program's access log shows: the kubelet calls itself
/// `kube-probe/1.31`.
#[must_use]
pub fn probe_answer(line: &str) -> Option<(String, u16)> {
    if !line.contains("kube-probe/") {
        return None;
    }
    let words =
        line.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '{' | '}'));
    let mut path = None;
    let mut status = None;
    for word in words.filter(|w| !w.is_empty()) {
        let value = word.rsplit_once('=').map_or(word, |(_, v)| v).trim_start_matches(':');
        if path.is_none() && value.starts_with('/') && !value.starts_with("//") {
            path = Some(value.split('?').next().unwrap_or_default().to_owned());
        }
        // The first number behind the path that can be a status.
        if path.is_some() && status.is_none() && value.len() == 3 {
            status = value.parse::<u16>().ok().filter(|s| (100..600).contains(s));
        }
    }
    Some((path?, status?))
}

/// The port a program says it listens on.
#[must_use]
pub fn listening(line: &str) -> Option<u16> {
    const SAID: [&str; 12] = [
        "listening on",
        "listening at",
        "listening for",
        "listening port",
        "listen on",
        "listening",
        "started on port",
        "running on",
        "running at",
        "serving on",
        "bound to",
        "server started",
    ];
    if line.len() > 2000 {
        return None;
    }
    let lower = line.to_ascii_lowercase();
    let (at, said) = SAID.iter().find_map(|s| Some((lower.find(s)?, s)))?;
    let failed =
        ["fail", "error", "cannot", "could not", "stop", "not listening", "already in use"];
    if failed.iter().any(|w| lower.contains(w)) {
        return None;
    }
    let rest = lower.get(at + said.len()..)?;
    let words =
        rest.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '(' | ')' | '}'));
    words.filter(|w| !w.is_empty()).take(8).find_map(|word| {
        let word = word.trim_end_matches(['.', '/', ';', '!']);
        let last = word.rsplit([':', '=']).next().unwrap_or(word);
        let digits = last.split('/').next().unwrap_or_default();
        let whole = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        // An address has dots, a port has none.
        (whole && digits.len() >= 2).then(|| digits.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_probe_tells_whose_fault_it_is_where_its_words_decide() {
        for (said, why, fault) in [
            ("Readiness probe failed: HTTP probe failed with statuscode: 404", "status", "probe"),
            ("Readiness probe failed: HTTP probe failed with statuscode: 503", "status", "program"),
            (
                "Readiness probe failed: Get \"https://10.1.1.1:8080/r\": http: server gave HTTP response to HTTPS client",
                "scheme",
                "probe",
            ),
            (
                "Liveness probe failed: Get \"http://10.1.1.1:8080/l\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
                "timeout",
                "either",
            ),
            (
                "Readiness probe failed: Get \"http://10.1.1.1:8080/r\": read tcp 10.0.0.1:4->10.1.1.1:8080: read: connection reset by peer",
                "reset",
                "either",
            ),
            (
                "Readiness probe failed: OCI runtime exec failed: exec failed: unable to start container process: exec: \"/bin/check\": stat /bin/check: no such file or directory: unknown",
                "command",
                "probe",
            ),
            ("Readiness probe failed: sh: 1: pg_ready: not found", "command", "probe"),
            (
                "Readiness probe failed: cat: /tmp/ready: No such file or directory",
                "other",
                "either",
            ),
            (
                "Readiness probe failed: service unhealthy (responded with \"NOT_SERVING\")",
                "status",
                "program",
            ),
            (
                "Liveness probe failed: timeout: failed to connect service \"10.1.1.1:9090\" within 1s",
                "timeout",
                "either",
            ),
            (
                "Startup probe failed: error: health rpc failed: rpc error: code = Unimplemented desc = unknown service grpc.health.v1.Health",
                "status",
                "probe",
            ),
            (
                "Readiness probe failed: Get \"http://health.local:80/\": dial tcp: lookup health.local: no such host",
                "host",
                "probe",
            ),
        ] {
            let read = probe_failure(said).map(|f| (f.why, f.fault));
            assert_eq!(read, Some((why, fault)), "{said}");
        }
        let told = probe_failure(
            "Liveness probe failed: timeout: failed to connect service \"10.1.1.1:9090\" within 1s",
        );
        assert_eq!(told.map(|t| t.port).as_deref(), Some("9090"));
    }

    #[test]
    fn the_kubelets_requests_are_found_in_access_logs() {
        for (line, want) in [
            (
                r#"10.0.0.1 - - [01/May/2025:11:00:00 +0000] "GET /healthz HTTP/1.1" 404 19 "-" "kube-probe/1.31""#,
                Some(("/healthz", 404)),
            ),
            (
                r#"{"method":"GET","path":"/ready?x","status":503,"user_agent":"kube-probe/1.29"}"#,
                Some(("/ready", 503)),
            ),
            (
                r#"level=info method=GET path=/live status=200 ua=kube-probe/1.30"#,
                Some(("/live", 200)),
            ),
            (r#""GET /healthz HTTP/1.1" 404 "curl""#, None),
        ] {
            let read = probe_answer(line);
            assert_eq!(read.as_ref().map(|(p, s)| (p.as_str(), *s)), want, "{line}");
        }
    }

    #[test]
    fn programs_say_in_many_ways_where_they_listen() {
        for (line, port) in [
            ("Listening on :8080", Some(8080)),
            ("server listening at http://0.0.0.0:3000", Some(3000)),
            ("Tomcat started on port(s): 8081 (http) with context path ''", Some(8081)),
            ("Uvicorn running on http://0.0.0.0:8000 (Press CTRL+C to quit)", Some(8000)),
            ("Now listening on: http://[::]:5000", Some(5000)),
            (r#"{"level":"info","msg":"listening","addr":"0.0.0.0:9000"}"#, Some(9000)),
            ("* Listening on http://0.0.0.0:9292", Some(9292)),
            ("level=info msg=\"HTTP server listening\" port=7070", Some(7070)),
            ("failed to listen: listening on :8080: address already in use", None),
            ("ready to accept connections", None),
        ] {
            assert_eq!(listening(line), port, "{line}");
        }
    }
}
