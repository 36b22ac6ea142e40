//! A connection that does not come about, as programs and servers word it: who should have been
//! reached, on which port. Only for waiting in vain and for being refused; an answer that is an
//! error was a connection.

/// The end that was not reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unreached {
    /// Host or address as written.
    pub host: String,
    /// Port, when told or plain from the scheme.
    pub port: Option<u16>,
}

const WORDS: [&str; 21] = [
    "timed out",
    "timeout",
    "time-out",
    "etimedout",
    "deadline exceeded",
    "refused",
    "no route to host",
    "unreachable",
    "ehostunreach",
    "enetunreach",
    "can't connect",
    "cannot connect",
    "could not connect",
    "couldn't connect",
    "unable to connect",
    "failed to connect",
    "connect failed",
    "connection failed",
    "upstream connect error",
    "host is down",
    "operation not permitted",
];

/// Every end named in a line that speaks of a connection in vain; none for other lines.
#[must_use]
pub fn unreached(line: &str) -> Vec<Unreached> {
    let lower = line.to_ascii_lowercase();
    if !WORDS.iter().any(|word| lower.contains(word)) {
        return Vec::new();
    }
    ends(line)
}

/// Every end named in a line, whatever it says of it.
#[must_use]
pub fn ends(line: &str) -> Vec<Unreached> {
    let apart = |c: char| {
        c.is_whitespace()
            || matches!(
                c,
                '"' | '\''
                    | '('
                    | ')'
                    | '['
                    | ']'
                    | '{'
                    | '}'
                    | ','
                    | ';'
                    | '<'
                    | '>'
                    | '`'
                    | '\\'
                    | '|'
            )
    };
    let mut found: Vec<Unreached> = Vec::new();
    // What stands before a word and tells what it is: `port 5432`, `host='db'`, `client: 10.0.0.1`.
    let mut before = String::new();
    for word in line.split(apart).filter(|w| !w.is_empty()) {
        let (key, value) = match word.trim_matches(['.', ',', ':']).split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), value),
            None => (std::mem::take(&mut before), word.trim_matches(['.', ',', ':'])),
        };
        if value.is_empty() {
            before = key;
            continue;
        }
        // The near end of `read tcp 10.0.0.1:40000->10.0.0.2:5432` is the speaker's own.
        let value = value.rsplit_once("->").map_or(value, |(_, far)| far);
        match (key.as_str(), found.last_mut(), value.parse()) {
            ("port", Some(last), Ok(port)) => last.port = last.port.or(Some(port)),
            ("client", ..) => {}
            _ => found.extend(end(value, &key)),
        }
        before = value.to_ascii_lowercase();
    }
    found.dedup();
    found
}

fn end(word: &str, key: &str) -> Option<Unreached> {
    let told = |host: &str, port| {
        let host = host.trim_end_matches('.');
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let starts = host.starts_with(|c: char| c.is_ascii_alphanumeric());
        (starts && host.chars().all(fits))
            .then(|| Unreached { host: host.to_ascii_lowercase(), port })
    };
    if let Some((scheme, rest)) = word.split_once("://") {
        let authority = rest.split(['/', '?', '#']).next()?;
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        return match authority.rsplit_once(':') {
            Some((host, port)) => told(host, port.parse().ok()),
            None => told(authority, default_port(scheme)),
        };
    }
    let word = word.split('/').next().unwrap_or_default();
    if let Some((host, port)) = word.rsplit_once(':')
        && let Ok(port) = port.parse::<u16>()
    {
        let lettered = host.contains(|c: char| c.is_ascii_alphabetic());
        let address = host.parse::<std::net::Ipv4Addr>().is_ok();
        return told(host, Some(port)).filter(|_| (lettered && !is_file(host)) || address);
    }
    let named = ["host", "hostname", "addr", "address", "peer"].contains(&key);
    let named = named && !word.contains('_') && word.len() > 1;
    let domain = word.contains(".svc") || word.parse::<std::net::Ipv4Addr>().is_ok();
    if named || domain { told(word, None) } else { None }
}

fn is_file(name: &str) -> bool {
    let ends =
        [".go", ".py", ".java", ".js", ".ts", ".rs", ".rb", ".cs", ".kt", ".c", ".php", ".cc"];
    ends.iter().any(|e| name.ends_with(e))
}

/// The port of a scheme that a URL without one means.
#[must_use]
pub fn default_port(scheme: &str) -> Option<u16> {
    let scheme = scheme.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '+').next()?;
    Some(match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => 80,
        "https" | "wss" => 443,
        "postgres" | "postgresql" => 5432,
        "mysql" | "mariadb" => 3306,
        "redis" | "rediss" => 6379,
        "amqp" => 5672,
        "amqps" => 5671,
        "mongodb" => 27017,
        "nats" => 4222,
        "ldap" => 389,
        "ldaps" => 636,
        "smtp" => 25,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_far_end_of_a_connection_in_vain_is_read_from_many_languages() {
        for (line, want) in [
            ("dial tcp 10.96.4.5:5432: i/o timeout", vec![("10.96.4.5", Some(5432))]),
            ("Error: connect ETIMEDOUT 10.96.4.5:6379", vec![("10.96.4.5", Some(6379))]),
            (
                "connection to server at \"db\" (10.96.1.2), port 5432 failed: Connection timed out",
                vec![("10.96.1.2", Some(5432))],
            ),
            (
                "HTTPConnectionPool(host='tax', port=8080): Max retries exceeded (Caused by ConnectTimeoutError)",
                vec![("tax", Some(8080))],
            ),
            (
                "upstream timed out (110: Operation timed out) while connecting to upstream, client: 10.1.1.1, upstream: \"http://10.2.2.2:8080/x\"",
                vec![("10.2.2.2", Some(8080))],
            ),
            (
                "Can't connect to MySQL server on 'orders-db:3306' (110)",
                vec![("orders-db", Some(3306))],
            ),
            (
                "java.net.SocketTimeoutException: Connect timed out: https://api.example.com/v1",
                vec![("api.example.com", Some(443))],
            ),
            ("read tcp 10.0.0.9:51234->10.0.0.2:9092: i/o timeout", vec![("10.0.0.2", Some(9092))]),
            ("worker.go:112: slow, timeout=30s", vec![]),
            ("GET http://cart:8080/ answered 500", vec![]),
        ] {
            let read: Vec<(String, Option<u16>)> =
                unreached(line).into_iter().map(|u| (u.host, u.port)).collect();
            let want: Vec<(String, Option<u16>)> =
                want.into_iter().map(|(h, p)| (h.to_owned(), p)).collect();
            assert_eq!(read, want, "{line}");
        }
    }
}
