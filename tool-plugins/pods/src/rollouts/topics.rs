//! What changed settings are about, as far as names and contents tell: names, pools, credentials,
//! caches and so on. Only a hint: it says where a change may be felt, not that it is.

/// Topics with the words that tell them.
const TOPICS: &[(&str, &[&str])] = &[
    ("dns", &["corefile", "stubdomains", "upstreamnameservers", "resolv.conf", "nameserver"]),
    (
        "pool",
        &[
            "max_connections",
            "maxconnections",
            "pool_size",
            "poolsize",
            "pool-size",
            "pool.size",
            "pool.max",
            "max_pool",
            "maxpool",
            "maximum-pool",
            "maximumpool",
            "max_client_conn",
            "default_pool_size",
            "maxclients",
            "max_conns",
            "max-conn",
            "max.conn",
            "maxconn",
            "pool_max",
            "pool-max",
            "poolmax",
            "pool_limit",
            "pool-limit",
            "pool.limit",
            "max-pool",
            "max-open",
            "maxopen",
            "maxactive",
            "max_active",
            "max-active",
            "connection_limit",
            "connectionlimit",
            "connection-limit",
            "db_connections",
            "database_connections",
            "db_pool",
            "database_pool",
            "user_connections",
            "reserve_pool",
            "max_open_conns",
            "hikari",
        ],
    ),
    (
        "credentials",
        &["pg_hba", "users.acl", "userlist", "htpasswd", "requirepass", "auth_", "sasl", "acl"],
    ),
    ("cache", &["maxmemory", "cache", "ttl", "evict"]),
    ("timeouts", &["timeout", "retries", "deadline", "backoff"]),
    ("flags", &["flag", "feature", "toggle", "experiment", "rollout"]),
    ("routing", &["upstream", "proxy_pass", "route", "cluster:", "listener", "endpoint"]),
    ("limits", &["limit", "max_", "max-", "batch", "worker", "thread", "concurren", "queue"]),
];

/// The topics that a text of changed settings speaks of.
#[must_use]
pub(super) fn of(text: &str) -> Vec<&'static str> {
    // Threads and workers have pools, too, of another kind.
    let lower =
        ["thread", "worker", "executor"].iter().fold(text.to_ascii_lowercase(), |text, other| {
            ["_pool", "-pool", "pool", ".pool"]
                .iter()
                .fold(text, |text, pool| text.replace(&format!("{other}{pool}"), other))
        });
    let fits = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    TOPICS.iter().filter(|(_, words)| fits(words)).map(|(topic, _)| *topic).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_told_by_the_words_of_settings() {
        assert_eq!(of("Corefile .:53 { forward . 10.0.0.2 }"), ["dns"]);
        assert_eq!(of("DB_POOL_SIZE: 5"), ["pool"]);
        assert_eq!(of("POOL_MAX: 2"), ["pool"]);
        assert_eq!(of("DATABASE_MAX_CONNECTIONS: 5"), ["pool", "limits"]);
        assert_eq!(of("spring.datasource.hikari.maximum-pool-size=4"), ["pool"]);
        assert_eq!(of("THREAD_POOL_SIZE: 5"), ["limits"]);
        assert_eq!(of("colour: blue"), Vec::<&str>::new());
    }
}
