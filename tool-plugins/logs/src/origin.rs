//! Where a container's settings come from: literal variables, keys of `ConfigMap`s and Secrets,
//! files. A program that complains of a setting or of a host names the setting; the object that
//! holds it is what a person would change. No value of a Secret is known here.

use std::collections::BTreeSet;

use agent_sdk::Entity;
use plugin_cluster::{
    Container, Object,
    peers::bare_host,
    pod::{self, list},
    server,
};
use serde_json::Value;

/// How a setting is given to a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// `literal`, `configmap`, `secret`, or `file`.
    pub how: &'static str,
    /// The variable or key.
    pub name: String,
    /// The object that holds it; none for a literal of the pod's own.
    pub from: Option<Entity>,
    /// Its value, when it is no secret.
    pub value: String,
}

/// The settings of one container.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    given: Vec<Given>,
    /// Whether the container's spec was known at all.
    known: bool,
}

// === impl Origins ===

impl Origins {
    /// The settings that the spec of `container` and the `ConfigMap`s it uses tell.
    #[must_use]
    pub fn of(pod: &Object, container: &Container<'_>, configs: &[Object]) -> Self {
        let mut origins = Self { given: Vec::new(), known: container.spec.is_object() };
        for env in list(container.spec, "env") {
            origins.variable(pod, env, configs);
        }
        for from in list(container.spec, "envFrom") {
            let prefix = text(from, "/prefix");
            if let Some(config) = find(pod, text(from, "/configMapRef/name"), configs) {
                origins.keys(config, prefix);
            }
        }
        let words = list(container.spec, "args").iter().chain(list(container.spec, "command"));
        for word in words.filter_map(Value::as_str) {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            origins.push("literal", name, None, if value.is_empty() { word } else { value });
        }
        for volume in pod.list("/spec/volumes") {
            let sources = volume.get("projected").map_or(&[][..], |p| list(p, "sources"));
            let names = std::iter::once(text(volume, "/configMap/name"))
                .chain(sources.iter().map(|s| text(s, "/configMap/name")));
            for config in names.filter_map(|name| find(pod, name, configs)) {
                for (key, content) in config.map("/data") {
                    origins.push("file", &key, Some(config.entity()), &content);
                }
            }
        }
        origins
    }

    fn variable(&mut self, pod: &Object, env: &Value, configs: &[Object]) {
        let name = text(env, "/name");
        let (config, secret) =
            (env.pointer("/valueFrom/configMapKeyRef"), env.pointer("/valueFrom/secretKeyRef"));
        if let Some(from) = config {
            let (object, key) = (text(from, "/name"), text(from, "/key"));
            let held = find(pod, object, configs).map(|c| c.map("/data"));
            let value = held.and_then(|data| data.get(key).cloned()).unwrap_or_default();
            let entity = Entity::new("ConfigMap", pod.namespace(), object);
            self.push("configmap", name, Some(entity), &value);
        } else if let Some(from) = secret {
            let entity = Entity::new("Secret", pod.namespace(), text(from, "/name"));
            self.push("secret", name, Some(entity), "");
        } else {
            self.push("literal", name, None, text(env, "/value"));
        }
    }

    fn keys(&mut self, config: &Object, prefix: &str) {
        for (key, value) in config.map("/data") {
            self.push("configmap", &format!("{prefix}{key}"), Some(config.entity()), &value);
        }
    }

    fn push(&mut self, how: &'static str, name: &str, from: Option<Entity>, value: &str) {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.given.push(Given { how, name, from, value });
    }

    /// How a setting that a program names is given; `None` when nothing gives it.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&Given> {
        let plain = |text: &str| -> String {
            let lower = text.to_ascii_lowercase();
            lower.chars().filter(char::is_ascii_alphanumeric).collect()
        };
        let wanted = plain(name);
        if wanted.len() < 3 {
            return None;
        }
        let exact = self.given.iter().find(|given| given.name == name);
        let alike = || self.given.iter().find(|given| plain(&given.name) == wanted);
        let inside = || {
            let last = name.rsplit(['.', '/']).next().unwrap_or(name);
            let holds = |text: &str| text.contains(name) || last.len() > 4 && text.contains(last);
            let files = self.given.iter().filter(|given| given.how == "file");
            files.into_iter().find(|given| holds(&given.value) || name.ends_with(&given.name))
        };
        exact.or_else(alike).or_else(inside)
    }

    /// What gives the program the host `host`.
    #[must_use]
    pub fn host(&self, host: &str) -> Option<&Given> {
        let holds = |given: &&Given| {
            given.value.match_indices(host).any(|(at, _)| {
                let apart = |c: Option<char>| {
                    c.is_none_or(|c| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
                };
                let before = given.value.get(..at).and_then(|t| t.chars().next_back());
                let after = given.value.get(at + host.len()..).and_then(|t| t.chars().next());
                apart(before) && apart(after)
            })
        };
        let files_last = |given: &&Given| given.how == "file";
        let direct = self.given.iter().filter(|g| !files_last(g)).find(holds);
        direct.or_else(|| self.given.iter().filter(files_last).find(holds))
    }

    /// The hosts of servers of one kind that the settings give, as they are written there.
    #[must_use]
    pub fn servers(&self, kind: &Servers) -> BTreeSet<String> {
        let mut hosts = BTreeSet::new();
        for given in &self.given {
            let named = given.how != "file" && kind.named_by(&given.name);
            let apart = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';');
            for word in given.value.split(apart).filter(|word| !word.is_empty()) {
                if kind.is_address(word) || named && is_plain_host(word) {
                    hosts.extend(bare_host(word));
                }
            }
        }
        hosts
    }

    /// Whether a Secret, whose values are not known here, tells which server of one kind is meant.
    #[must_use]
    pub fn hides(&self, kind: &Servers) -> bool {
        self.given.iter().any(|given| given.how == "secret" && kind.named_by(&given.name))
    }

    /// Whether a setting is surely not given: the spec was known and nothing gives it.
    #[must_use]
    pub fn lacks(&self, name: &str) -> bool {
        self.known && self.setting(name).is_none()
    }
}

/// How settings give servers of one kind away.
#[derive(Debug)]
pub struct Servers {
    schemes: &'static [&'static str],
    ports: &'static [&'static str],
    /// Parts of names of variables.
    names: &'static [&'static str],
}

/// Servers that answer statements.
pub static DATABASES: Servers = Servers {
    schemes: &[
        "postgres",
        "postgresql",
        "mysql",
        "mariadb",
        "mongodb",
        "mongodb+srv",
        "sqlserver",
        "clickhouse",
        "neo4j",
        "bolt",
    ],
    ports: &[
        "5432", "6432", "3306", "27017", "1433", "9042", "9200", "8123", "7687", "8086", "5984",
    ],
    names: &[
        "DB",
        "DATABASE",
        "PG",
        "POSTGRES",
        "MYSQL",
        "MARIADB",
        "JDBC",
        "MONGO",
        "SQL",
        "ELASTIC",
        "OPENSEARCH",
        "CASSANDRA",
        "SCYLLA",
        "CLICKHOUSE",
        "NEO4J",
        "INFLUX",
        "COUCH",
    ],
};

/// Stores that keep what can be made again.
pub static CACHES: Servers = Servers {
    schemes: &["redis", "rediss", "redis-sentinel", "valkey", "valkeys", "memcached", "memcache"],
    ports: &["6379", "6380", "11211", "26379"],
    names: &["REDIS", "VALKEY", "MEMCACHE", "CACHE"],
};

/// Servers in which messages wait.
pub static BROKERS: Servers = Servers {
    schemes: &[
        "amqp",
        "amqps",
        "kafka",
        "nats",
        "tls+nats",
        "pulsar",
        "pulsar+ssl",
        "stomp",
        "mqtt",
    ],
    ports: &["5672", "5671", "9092", "9093", "9094", "4222", "6650", "6651", "61616", "1883"],
    names: &["KAFKA", "AMQP", "RABBIT", "NATS", "PULSAR", "BROKER", "ACTIVEMQ", "JMS"],
};

// === impl Servers ===

impl Servers {
    fn is_address(&self, word: &str) -> bool {
        if let Some((scheme, _)) = word.split_once("://") {
            // `SETTING=redis://...` within an argument or a file.
            let scheme = scheme.rsplit(['=', ':']).next().unwrap_or(scheme);
            return self.schemes.contains(&scheme);
        }
        word.rsplit_once(':').is_some_and(|(host, port)| {
            self.ports.contains(&port) && host.contains(|c: char| c.is_ascii_alphabetic())
        })
    }

    fn named_by(&self, name: &str) -> bool {
        const ENDS: &[&str] = &[
            "HOST",
            "HOSTS",
            "URL",
            "URLS",
            "URI",
            "ADDR",
            "ADDRS",
            "ADDRESS",
            "SERVER",
            "SERVERS",
            "ENDPOINT",
            "ENDPOINTS",
            "NODES",
            "BROKERS",
            "DSN",
            "LIST",
        ];
        let name = name.to_ascii_uppercase();
        self.names.iter().any(|part| name.contains(part))
            && ENDS.iter().any(|end| name.ends_with(end))
    }
}

fn is_plain_host(word: &str) -> bool {
    word.contains(|c: char| c.is_ascii_alphabetic())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':'))
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn find<'a>(pod: &Object, name: &str, configs: &'a [Object]) -> Option<&'a Object> {
    let mut own = configs.iter().filter(|c| c.namespace() == pod.namespace());
    own.find(|c| !name.is_empty() && c.name() == name)
}

/// Origins and system of the container called `name` of a pod.
#[must_use]
pub fn of(pod: &Object, name: &str, configs: &[Object]) -> (Origins, Option<&'static str>) {
    let all = pod::containers(pod);
    all.iter()
        .find(|c| c.name == name)
        .map_or_else(Default::default, |c| (Origins::of(pod, c, configs), server::of(c)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_traced_to_what_gives_them() {
        let pod = Object::new(json!({"kind": "Pod", "metadata": {"name": "p", "namespace": "n"},
            "spec": {"volumes": [{"name": "c", "configMap": {"name": "files"}}],
            "containers": [{"name": "app", "image": "r/shop:1", "args": ["--mode=fast"],
                "env": [{"name": "DB_HOST", "value": "orders-db:5432"},
                    {"name": "LIMIT", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "limit"}}},
                    {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "p"}}}]}]}}));
        let config = |name: &str, data: Value| {
            Object::new(
                json!({"kind": "ConfigMap", "metadata": {"name": name, "namespace": "n"}, "data": data}),
            )
        };
        let configs = [
            config("conf", json!({"limit": "many"})),
            config("files", json!({"app.yaml": "cache:\n  ttl_seconds: x\n"})),
        ];
        let (origins, _) = of(&pod, "app", &configs);
        let how = |name: &str| origins.setting(name).map(|g| g.how);
        assert_eq!(how("DB_HOST"), Some("literal"));
        assert_eq!(how("LIMIT"), Some("configmap"));
        assert_eq!(how("DB_PASSWORD"), Some("secret"));
        assert_eq!(how("cache.ttl_seconds"), Some("file"));
        assert_eq!(how("--mode"), Some("literal"));
        assert!(origins.lacks("API_KEY"));
        assert!(!origins.hides(&DATABASES), "a password tells of no host");
        assert_eq!(origins.host("orders-db").unwrap().name, "DB_HOST");
        assert_eq!(origins.host("orders"), None);
    }

    #[test]
    fn a_secret_that_holds_a_servers_address_hides_which_one_is_meant() {
        let pod = Object::new(json!({"kind": "Pod", "metadata": {"name": "p", "namespace": "n"},
            "spec": {"containers": [{"name": "app", "image": "r/shop:1", "env": [
                {"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": "db", "key": "u"}}}]}]}}));
        let (origins, _) = of(&pod, "app", &[]);
        assert!(origins.hides(&DATABASES) && !origins.hides(&CACHES));
    }

    #[test]
    fn the_settings_tell_which_cache_and_which_broker_a_program_has() {
        let pod = Object::new(json!({"kind": "Pod", "metadata": {"name": "p", "namespace": "n"},
            "spec": {"containers": [{"name": "app", "image": "r/shop:1",
                "args": ["--broker=amqp://u:p@jobs-mq:5672/"],
                "env": [{"name": "SESSION_REDIS_HOST", "value": "basket-store"},
                    {"name": "CACHE_URL", "value": "rediss://:x@basket-store.n.svc:6379/0"},
                    {"name": "CACHE_TTL", "value": "300s"},
                    {"name": "KAFKA_BROKERS", "value": "log-0.log:9092,log-1.log:9092"},
                    {"name": "DB", "value": "postgres://u@orders-db:5432/x"}]}]}}));
        let (origins, _) = of(&pod, "app", &[]);
        let told = |kind: &Servers| origins.servers(kind).into_iter().collect::<Vec<_>>();
        assert_eq!(told(&CACHES), ["basket-store", "basket-store.n.svc"]);
        assert_eq!(told(&BROKERS), ["jobs-mq", "log-0.log", "log-1.log"]);
    }
}
