//! Which kind of server a container is: database, cache, broker or directory, by its image, and by
//! its ports where the image says nothing. Kinds are products and their kin, never names of a
//! cluster. What only watches or operates a server is none.

use serde_json::Value;

use crate::{Container, pod::list};

/// Words in the names of images.
const IMAGES: &[(&str, &str)] = &[
    ("pgbouncer", "postgres"),
    ("pgpool", "postgres"),
    ("postgres", "postgres"),
    ("timescale", "postgres"),
    ("postgis", "postgres"),
    ("patroni", "postgres"),
    ("spilo", "postgres"),
    ("mysql", "mysql"),
    ("mariadb", "mysql"),
    ("percona", "mysql"),
    ("mongo", "mongo"),
    ("redis", "redis"),
    ("valkey", "redis"),
    ("keydb", "redis"),
    ("dragonfly", "redis"),
    ("memcached", "memcached"),
    ("rabbitmq", "rabbitmq"),
    ("kafka", "kafka"),
    ("redpanda", "kafka"),
    ("activemq", "activemq"),
    ("artemis", "activemq"),
    ("pulsar", "pulsar"),
    ("nats", "nats"),
    ("jetstream", "nats"),
    ("openldap", "ldap"),
    ("mssql", "sqlserver"),
    ("cockroach", "postgres"),
    ("cassandra", "cassandra"),
    ("scylla", "cassandra"),
    ("elasticsearch", "elasticsearch"),
    ("opensearch", "elasticsearch"),
    ("clickhouse", "clickhouse"),
    ("couchdb", "couchdb"),
    ("neo4j", "neo4j"),
    ("influxdb", "influxdb"),
];
const PORTS: &[(i64, &str)] = &[
    (5432, "postgres"),
    (6432, "postgres"),
    (3306, "mysql"),
    (27017, "mongo"),
    (6379, "redis"),
    (11211, "memcached"),
    (9092, "kafka"),
    (5672, "rabbitmq"),
    (61616, "activemq"),
    (6650, "pulsar"),
    (4222, "nats"),
    (1433, "sqlserver"),
    (389, "ldap"),
    (9042, "cassandra"),
    (9200, "elasticsearch"),
];
/// Words of clients' libraries and of what servers answer, by the kind of server they belong to.
const SPOKEN: &[(&str, &str)] = &[
    ("psycopg", "postgres"),
    ("asyncpg", "postgres"),
    ("npgsql", "postgres"),
    ("psqlexception", "postgres"),
    ("postgres", "postgres"),
    ("pgconn", "postgres"),
    ("postgrex", "postgres"),
    ("pq: ", "postgres"),
    ("mysql", "mysql"),
    ("mariadb", "mysql"),
    ("mongo", "mongo"),
    ("redis", "redis"),
    ("jedis", "redis"),
    ("lettuce", "redis"),
    ("memcache", "memcached"),
    ("rabbitmq", "rabbitmq"),
    ("amqp", "rabbitmq"),
    ("kafka", "kafka"),
    ("cassandra", "cassandra"),
    ("xandra", "cassandra"),
    ("gocql", "cassandra"),
    ("consistency level", "cassandra"),
    ("elasticsearch", "elasticsearch"),
    ("opensearch", "elasticsearch"),
    ("flood-stage", "elasticsearch"),
    ("cluster_block_exception", "elasticsearch"),
    ("clickhouse", "clickhouse"),
    ("neo4j", "neo4j"),
    ("influxdb", "influxdb"),
];
/// Programs that only watch or operate a server carry its name, too.
const WATCHES: &[&str] = &[
    "exporter",
    "backup",
    "client",
    "migrat",
    "operator",
    "insight",
    "commander",
    "sentinel",
    "reloader",
    "box",
    "consumer",
    "producer",
    "worker",
    "connector",
];

/// Kinds of server that answer statements and keep what may not be lost.
pub const DATABASES: &[&str] = &[
    "postgres",
    "mysql",
    "mongo",
    "sqlserver",
    "cassandra",
    "elasticsearch",
    "clickhouse",
    "couchdb",
    "neo4j",
    "influxdb",
];

/// The kind of server that a message of a client speaks of, by its library's words or the answer's.
#[must_use]
pub fn spoken_of(message: &str) -> Option<&'static str> {
    let lower = message.to_ascii_lowercase();
    SPOKEN.iter().find(|(words, _)| lower.contains(words)).map(|(_, kind)| *kind)
}

/// The kind of server a container is, such as `postgres` or `redis`.
#[must_use]
pub fn of(container: &Container<'_>) -> Option<&'static str> {
    let ports: Vec<i64> = container.ports().into_iter().map(|(_, port)| port).collect();
    told(container.image(), &ports)
}

/// The kind of server that the containers of a pod's spec make it.
#[must_use]
pub fn of_spec(spec: &Value) -> Option<&'static str> {
    list(spec, "containers").iter().find_map(|container| {
        let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
        let ports = list(container, "ports").iter();
        let ports: Vec<i64> =
            ports.filter_map(|p| p.get("containerPort").and_then(Value::as_i64)).collect();
        told(image, &ports)
    })
}

fn told(image: &str, ports: &[i64]) -> Option<&'static str> {
    let name = image.rsplit('/').next().unwrap_or(image).to_ascii_lowercase();
    let name = name.split(['@', ':']).next().unwrap_or(&name);
    if WATCHES.iter().any(|word| name.contains(word)) {
        return None;
    }
    let by_image = IMAGES.iter().find(|(word, _)| name.contains(word)).map(|(_, system)| *system);
    let by_port = || PORTS.iter().find(|(port, _)| ports.contains(port)).map(|(_, s)| *s);
    by_image.or_else(by_port)
}

/// Whether a kind of server keeps what can be made again: its loss is felt by what stands behind.
#[must_use]
pub fn is_cache(system: &str) -> bool {
    matches!(system, "redis" | "memcached")
}

/// Whether messages wait in a kind of server for somebody to take them.
#[must_use]
pub fn is_broker(system: &str) -> bool {
    matches!(system, "rabbitmq" | "kafka" | "activemq" | "pulsar" | "nats" | "redis")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn servers_are_told_by_image_and_port_and_their_watchers_are_none() {
        let system = |image: &str, port: i64| {
            let spec = json!({"name": "c", "image": image, "ports": [{"containerPort": port}]});
            of(&Container { name: "c", init: false, spec: &spec, status: &Value::Null })
        };
        for (image, port, expected) in [
            ("docker.io/library/postgres:15", 5432, Some("postgres")),
            ("r/core-db:2", 3306, Some("mysql")),
            ("quay.io/x/memcached:1.6-alpine", 11211, Some("memcached")),
            ("docker.dragonflydb.io/dragonflydb/dragonfly:v1", 6379, Some("redis")),
            ("apache/activemq-artemis:2", 61616, Some("activemq")),
            ("r/core-mq:2", 5672, Some("rabbitmq")),
            ("r/redis-exporter:1", 6379, None),
            ("r/kafka-consumer:1", 8080, None),
            ("natsio/nats-box:0.14", 4222, None),
            ("r/web:1", 8080, None),
        ] {
            assert_eq!(system(image, port), expected, "{image}");
        }
    }

    #[test]
    fn a_pods_spec_tells_its_server_beside_its_helpers() {
        let spec = json!({"containers": [{"name": "m", "image": "r/redis-exporter:1"},
            {"name": "c", "image": "r/valkey:8@sha256:abc"}]});
        assert_eq!(of_spec(&spec), Some("redis"));
        assert!(is_cache("redis") && is_broker("redis") && !is_cache("kafka"));
    }

    #[test]
    fn a_clients_words_tell_which_kind_of_server_it_speaks_of() {
        for (said, kind) in [
            ("Xandra.Error unavailable: Cannot achieve consistency level ALL", Some("cassandra")),
            ("pq: sorry, too many clients already", Some("postgres")),
            (
                "ClientResponseException: disk usage exceeded flood-stage watermark",
                Some("elasticsearch"),
            ),
            ("connection refused by ledger:8080", None),
        ] {
            assert_eq!(spoken_of(said), kind, "{said}");
        }
    }
}
