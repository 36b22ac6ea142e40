//! Whom a line is about: the host it could not reach, the service that answered wrongly. Hosts
//! come first, then names that stand where a sentence puts whom it calls, then any word that is
//! the name of something known. A name that belongs to the speaker itself is never its peer.

use std::collections::BTreeSet;

use agent_sdk::Entity;
use plugin_cluster::{Peers, peers::bare_host};

use crate::origin::Servers;

/// Who speaks: where it lives and by which names it goes.
#[derive(Debug, Clone, Default)]
pub struct Speaker {
    /// Its namespace.
    pub namespace: String,
    /// Names of its workload, container and Services.
    pub names: BTreeSet<String>,
    /// The kind of server it is, when it is one: then what it says of refused clients, full
    /// tables and locks is about others.
    pub server: Option<&'static str>,
    /// Where its settings come from.
    pub origins: crate::origin::Origins,
    /// The Service that answers for names; `None` for that Service's own pods.
    pub resolver: Option<Entity>,
    /// Whether it answers for names itself.
    pub is_resolver: bool,
}

/// The other side of a message, if it tells one.
#[must_use]
pub fn of(message: &str, speaker: &Speaker, peers: &Peers) -> Option<Entity> {
    let host = hosts(message).into_iter().find_map(|host| {
        peers.host(&host, &speaker.namespace).filter(|found| !is_self(found, speaker))
    });
    host.or_else(|| by_place(message, speaker, peers))
        .or_else(|| only_known_word(message, speaker, peers))
}

/// The server of one kind that a message is about: the only one that the speaker's settings give,
/// else that of them which the message names.
#[must_use]
pub fn server(message: &str, speaker: &Speaker, peers: &Peers, kind: &Servers) -> Option<Entity> {
    let hosts = speaker.origins.servers(kind);
    let given: BTreeSet<Entity> = hosts
        .iter()
        .filter_map(|host| member_of(host, speaker, peers))
        .filter(|found| !is_self(found, speaker))
        .collect();
    let named = || of(message, speaker, peers);
    match given.len() {
        0 => named(),
        1 => given.into_iter().next(),
        _ => named().filter(|found| given.contains(found)),
    }
}

/// The server a host names; for one member by its own name (`kv-0.kv.shop.svc`) all of them, so
/// that settings which name a member and settings which name all mean one server.
fn member_of(host: &str, speaker: &Speaker, peers: &Peers) -> Option<Entity> {
    let found = peers.host(host, &speaker.namespace)?;
    if found.kind != "Pod" {
        return Some(found);
    }
    let governing = host.split([':', '/']).next()?.split('.').nth(1).unwrap_or_default();
    Some(peers.known(governing, &found.namespace).unwrap_or(found))
}

/// Words of a run's name that say what it does and not what it brings.
const DOES: &[&str] = &[
    "import",
    "importer",
    "sync",
    "export",
    "exporter",
    "rollup",
    "refresh",
    "refresher",
    "loader",
    "load",
    "etl",
    "job",
    "cron",
    "cronjob",
    "nightly",
    "daily",
    "hourly",
    "weekly",
    "update",
    "updater",
    "build",
    "builder",
    "fetch",
    "fetcher",
    "ingest",
    "batch",
    "reconcile",
    "run",
    "snapshot",
    "rebuild",
    "generate",
    "generator",
    "publish",
    "publisher",
    "pull",
    "feed",
];

/// Who brings the data a line is about: the run it names, else the only one of its namespace that
/// is called after what the line speaks of.
#[must_use]
pub fn bringer(message: &str, speaker: &Speaker, peers: &Peers) -> Option<Entity> {
    let lower = message.to_ascii_lowercase();
    let named = lower
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter_map(|word| peers.known(word.trim_matches('-'), &speaker.namespace))
        .find(|found| matches!(found.kind.as_str(), "CronJob" | "Job"));
    named.or_else(|| {
        let after = |run: &&Entity| {
            let mut told = run.name.split('-').filter(|part| !DOES.contains(part)).peekable();
            told.peek().is_some()
                && told.all(|part| {
                    let one = part.strip_suffix('s').filter(|one| one.len() > 2).unwrap_or(part);
                    lower.contains(one)
                })
        };
        let mut meant = peers.scheduled(&speaker.namespace).filter(after);
        let first = meant.next();
        first.filter(|_| meant.next().is_none()).cloned()
    })
}

/// The host that did not resolve, as the message writes it.
#[must_use]
pub fn unresolved(message: &str) -> Option<String> {
    // "resolve host: web": a word that only leads to the host is not the host.
    let leads = |host: &str| ["host", "hostname", "name", "address", "the"].contains(&host);
    let named = |host: &String| host.parse::<std::net::IpAddr>().is_err() && !leads(host);
    hosts(message).into_iter().find(named)
}

fn is_self(entity: &Entity, speaker: &Speaker) -> bool {
    entity.namespace == speaker.namespace && speaker.names.contains(&entity.name)
}

/// Words before a host, in many languages' errors.
const BEFORE_HOST: &[&str] = &[
    "lookup",
    "enotfound",
    "eai_again",
    "host",
    "host:",
    "known:",
    "hostname",
    "unknownhostexception:",
    "resolve",
    "resolving",
    "address:",
    "econnrefused",
    "etimedout",
    "econnreset",
    "ehostunreach",
    "upstream:",
    "server:",
    "\"upstream:",
    "name:",
];

/// What looks like a host, the likeliest first: what stands where errors put it, URLs, names with
/// a port, cluster names and addresses.
fn hosts(message: &str) -> Vec<String> {
    let words: Vec<&str> = message
        .split(|c: char| {
            c.is_whitespace() || matches!(c, '"' | '\'' | '(' | ')' | ',' | ';' | '<' | '>' | '`')
        })
        .filter(|word| !word.is_empty())
        .collect();
    let mut placed = Vec::new();
    let mut shaped = Vec::new();
    let mut before = "";
    let mut after_on = false;
    for word in words {
        let bare = word
            .trim_start_matches("host=")
            .trim_start_matches("addr=")
            .trim_start_matches("dest=")
            .trim_matches(|c: char| matches!(c, '[' | ']' | '{' | '}' | ':' | '.' | '='));
        let lower = before.to_ascii_lowercase();
        // "lookup NAME on SERVER": the server only answers for the name.
        after_on = after_on || lower == "lookup";
        let answered_by = after_on && lower == "on";
        if !answered_by && let Some(host) = bare_host(bare) {
            let named = BEFORE_HOST.contains(&lower.as_str()) || word.starts_with("host=");
            if named && plausible(&host) && !is_sentence(word, &lower) {
                placed.push(host);
            } else if is_host_shaped(bare, &host) {
                shaped.push(host);
            }
        }
        before = word;
    }
    placed.extend(shaped);
    placed
}

/// `message from server: "Too many connections"`: a word that begins what a server said, not one
/// that names it.
fn is_sentence(word: &str, before: &str) -> bool {
    let capital = word.starts_with(|c: char| c.is_ascii_uppercase());
    let plain = word.bytes().all(|b| b.is_ascii_alphabetic());
    plain && (capital || before == "server:")
}

fn plausible(host: &str) -> bool {
    host.len() > 1
        && host.contains(|c: char| c.is_ascii_alphabetic() || c == '.')
        && !host.contains('_')
}

/// A URL, `name:port`, an IP address, a cluster name, or a name of three or more parts.
fn is_host_shaped(word: &str, host: &str) -> bool {
    if word.contains("://") {
        return true;
    }
    let with_port = word.rsplit_once(':').is_some_and(|(name, port)| {
        let port = port.split('/').next().unwrap_or_default();
        port.len() >= 2
            && port.len() <= 5
            && port.bytes().all(|b| b.is_ascii_digit())
            && name.contains(|c: char| c.is_ascii_alphabetic())
            && !name.contains('/')
            && !is_source_file(name)
    });
    let is_ip = host.parse::<std::net::IpAddr>().is_ok();
    let cluster_name = is_cluster_name(host);
    with_port || is_ip || cluster_name || is_public_name(host)
}

/// `name.namespace.svc`, alone or before the cluster's domain; `com.acme.svc.Orders` is a path of
/// code.
fn is_cluster_name(host: &str) -> bool {
    let parts: Vec<&str> = host.split('.').collect();
    let Some(at) = parts.iter().position(|part| *part == "svc") else { return false };
    let zone = parts.get(at + 1).copied().unwrap_or("cluster");
    let code = zone != "cluster"
        && matches!(parts.first(), Some(&("com" | "org" | "net" | "io" | "de" | "eu" | "dev")));
    at >= 2 && !parts.iter().any(|part| part.is_empty()) && !code
}

fn is_source_file(name: &str) -> bool {
    [
        ".go", ".py", ".java", ".js", ".ts", ".rs", ".rb", ".cs", ".kt", ".cpp", ".c", ".php",
        ".scala",
    ]
    .iter()
    .any(|ending| name.ends_with(ending))
}

/// `api.example.com`: three parts or more, ending in letters, not a dotted path of code.
fn is_public_name(host: &str) -> bool {
    const ENDINGS: &[&str] = &[
        "com", "net", "org", "io", "dev", "cloud", "eu", "de", "uk", "fr", "ch", "example", "test",
        "internal", "local", "corp", "lan", "invalid", "app", "ai", "co",
    ];
    let parts: Vec<&str> = host.split('.').collect();
    parts.len() >= 2
        && parts.iter().all(|p| !p.is_empty())
        && parts.last().is_some_and(|last| ENDINGS.contains(last))
        && (parts.len() >= 3
            || host.contains('-')
            || matches!(parts.last(), Some(&"com" | &"net" | &"org" | &"example")))
}

/// A known name where a sentence puts whom it calls: after "upstream", "calling", "to", "from";
/// before "answered", "replied", "timeout", "unavailable".
fn by_place(message: &str, speaker: &Speaker, peers: &Peers) -> Option<Entity> {
    const AFTER: &[&str] = &[
        "upstream",
        "calling",
        "call",
        "to",
        "from",
        "reach",
        "contact",
        "connecting",
        "contacting",
        "service",
        "dependency",
        "backend",
        "peer",
        "->",
        "for",
        "via",
        "at",
        "by",
        "asking",
    ];
    const BEFORE: &[&str] = &[
        "answered",
        "replied",
        "returned",
        "responded",
        "timeout",
        "timed",
        "unavailable",
        "refused",
        "unreachable",
        "failed",
        "call",
        "request",
        "slow",
        "query",
        "down",
        "is",
        "connection",
        "error",
        "not",
        "rejected",
        "said",
        "did",
        "has",
        "closed",
    ];
    let words: Vec<&str> = words(message).collect();
    let candidates = words.iter().enumerate().filter_map(|(index, word)| {
        let found = known(word, speaker, peers)?;
        let before = index.checked_sub(1).and_then(|i| words.get(i)).copied().unwrap_or_default();
        let after = words.get(index + 1).copied().unwrap_or_default();
        let placed = AFTER.contains(&before.to_ascii_lowercase().as_str())
            || BEFORE.contains(&after.to_ascii_lowercase().as_str());
        placed.then_some(found)
    });
    candidates.into_iter().next()
}

/// The only known name in the message.
fn only_known_word(message: &str, speaker: &Speaker, peers: &Peers) -> Option<Entity> {
    let all: BTreeSet<Entity> =
        words(message).filter_map(|word| known(word, speaker, peers)).collect();
    if all.len() == 1 { all.into_iter().next() } else { None }
}

fn words(message: &str) -> impl Iterator<Item = &str> {
    let apart = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '>'));
    message.split(apart).map(|w| w.trim_matches('.')).filter(|w| !w.is_empty())
}

fn known(word: &str, speaker: &Speaker, peers: &Peers) -> Option<Entity> {
    if word.len() < 2 || speaker.names.contains(word) {
        return None;
    }
    peers.known(word, &speaker.namespace).filter(|found| found.kind != "Node")
}

#[cfg(test)]
mod tests {
    use plugin_cluster::Object;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_other_side_is_found_in_many_wordings() {
        let names = ["api", "seat-store", "till", "price", "db"];
        let services = names.map(|name| {
            Object::new(json!({"kind": "Service", "metadata": {"name": name, "namespace": "n"},
                "spec": {"clusterIP": format!("10.96.0.{}", name.len())}}))
        });
        let peers = Peers::of(&services);
        let speaker = Speaker {
            namespace: "n".into(),
            names: ["till".to_owned()].into(),
            ..Speaker::default()
        };
        let service = |name: &str| Some(Entity::new("Service", "n", name));
        let outside = |host: &str| Some(Entity::external(host));
        let table = [
            (
                "Hold failed: Connection refused (seat-store.n.svc.cluster.local:8080) till 9f",
                service("seat-store"),
            ),
            (
                "dial tcp: lookup db.n.svc.cluster.local on 10.96.0.10:53: no such host",
                service("db"),
            ),
            ("dial tcp 10.96.0.3:80: connect: connection refused", service("api")),
            ("price timeout after 5000 ms, till f9", service("price")),
            ("upstream price answered 502", service("price")),
            ("order 3 failed: price replied 500", service("price")),
            ("POST /hold -> price 502", service("price")),
            ("getaddrinfo ENOTFOUND api.pay.example.com", outside("api.pay.example.com")),
            ("java.net.UnknownHostException: db", service("db")),
            (
                "HTTPSConnectionPool(host='api.pay.example.com', port=443): Max retries",
                outside("api.pay.example.com"),
            ),
            (
                "connect() failed (111: Connection refused) while connecting to upstream, client: 10.1.2.3, upstream: \"http://10.96.0.3:8080/x\"",
                service("api"),
            ),
            ("postgresql://u:p@db:5432/x: connection refused", service("db")),
            ("scrape of 127.0.0.1:8080/metrics failed: connection refused", None),
            ("c.x.PriceEngine.total(PriceEngine.java:141) failed", None),
            ("rejected connection, message from server: \"Too many connections\"", None),
            ("ERROR: server: too many clients", None),
            ("till is broken", None),
            ("server.go:24 timed out", None),
        ];
        for (message, expected) in table {
            assert_eq!(of(message, &speaker, &peers), expected, "{message}");
        }
    }
    #[test]
    fn a_path_of_code_is_no_cluster_name() {
        let told = |host: &str| is_cluster_name(host);
        assert!(told("db.shop.svc") && told("db.shop.svc.cluster.local"));
        assert!(told("db.shop.svc.corp.example") && told("p-0.db.shop.svc.cluster.local"));
        assert!(!told("com.acme.svc.orders") && !told("org.acme.shop.svc.web.orders"));
    }

    #[test]
    fn who_brings_old_data_is_named_or_called_after_it() {
        let run = |name: &str| {
            Object::new(json!({"kind": "CronJob", "metadata": {"name": name, "namespace": "shop"}}))
        };
        let peers =
            Peers::of(&[run("rates-import"), run("price-list-sync"), run("nightly-export")]);
        let speaker = Speaker { namespace: "shop".to_owned(), ..Speaker::default() };
        for (text, expected) in [
            ("data set of rates-import is older than its limit of 24h", Some("rates-import")),
            ("exchange rates are stale, last update 26h ago", Some("rates-import")),
            ("price list is too old (27h)", Some("price-list-sync")),
            ("snapshot expired, rejected until a new one arrives", None),
            ("rates and price list are out of date", None),
        ] {
            let found = bringer(text, &speaker, &peers).map(|found| found.name);
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
