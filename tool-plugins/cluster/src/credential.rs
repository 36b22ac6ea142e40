//! Which keys of which Secrets a pod uses to prove who it is, and to whom, as far as names tell.
//! Only names are looked at; no value of a Secret ever gets here.

use serde_json::Value;

use crate::{
    Object,
    pod::{self, list},
};

/// One use of a Secret as a credential.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Credential {
    /// Name of the Secret, in the pod's namespace.
    pub secret: String,
    /// Its key; empty when the whole Secret is taken.
    pub key: String,
    /// The variable or the path under which the program finds it.
    pub env: String,
    /// The container that uses it; empty for a volume of the pod.
    pub container: String,
}

/// Words in names of what proves who one is.
const WORDS: &[&str] = &[
    "pass", "pwd", "secret", "token", "key", "cred", "auth", "dsn", "uri", "url", "user", "login",
    "account", "conn", "jdbc", "sasl", "apikey", "license", "oauth", "client", "database", "dburl",
];

/// The words by which kinds of servers and services are known in names.
const SYSTEMS: &[(&str, &[&str])] = &[
    ("postgres", &["postgres", "postgresql", "pg", "psql", "pgbouncer", "jdbc", "db", "database"]),
    ("mysql", &["mysql", "mariadb", "maria", "jdbc", "db", "database"]),
    ("mongo", &["mongo", "mongodb", "db", "database"]),
    ("redis", &["redis", "cache", "valkey", "session"]),
    ("kafka", &["kafka", "sasl", "broker", "stream"]),
    ("rabbitmq", &["rabbit", "rabbitmq", "amqp", "mq", "broker", "queue"]),
    ("sqlserver", &["mssql", "sqlserver", "sql", "db", "database"]),
    ("aws", &["aws", "s3", "sqs", "sns", "dynamo", "bucket", "storage", "object", "minio"]),
    ("ldap", &["ldap", "bind", "directory", "ad"]),
    ("smtp", &["smtp", "mail", "email", "sendgrid", "ses"]),
    ("oauth", &["oauth", "oidc", "client", "sso", "idp", "token"]),
    ("http", &["api", "token", "key", "bearer"]),
];

/// Every use of a Secret in a pod that names tell to be a credential.
#[must_use]
pub fn of(pod: &Object) -> Vec<Credential> {
    let mut found = Vec::new();
    for container in pod::containers(pod) {
        for env in list(container.spec, "env") {
            let name = text(env, "name");
            let Some(from) = env.pointer("/valueFrom/secretKeyRef") else { continue };
            found.push(Credential {
                secret: text(from, "name"),
                key: text(from, "key"),
                env: name,
                container: container.name.to_owned(),
            });
        }
        for from in list(container.spec, "envFrom").iter().filter_map(|f| f.get("secretRef")) {
            found.push(Credential {
                secret: text(from, "name"),
                container: container.name.to_owned(),
                ..Credential::empty()
            });
        }
    }
    for volume in pod.list("/spec/volumes") {
        let projected = volume.get("projected").map_or(&[][..], |p| list(p, "sources"));
        let names = [volume.pointer("/secret/secretName")]
            .into_iter()
            .chain(projected.iter().map(|s| s.pointer("/secret/name")));
        for name in names.flatten().filter_map(Value::as_str) {
            found.push(Credential {
                secret: name.to_owned(),
                env: format!("volume {}", text(volume, "name")),
                ..Credential::empty()
            });
        }
    }
    found.retain(Credential::proves_something);
    found.sort();
    found.dedup();
    found
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

// === impl Credential ===

impl Credential {
    fn empty() -> Self {
        Self {
            secret: String::new(),
            key: String::new(),
            env: String::new(),
            container: String::new(),
        }
    }

    /// A variable or key that names a credential; a Secret taken whole nearly always is one, but
    /// certificates are another matter.
    fn proves_something(&self) -> bool {
        let lower = format!("{} {} {}", self.secret, self.key, self.env).to_ascii_lowercase();
        let certificate = ["tls", "cert", "ca-bundle", ".pem", ".crt"];
        let is_certificate = certificate.iter().any(|w| lower.contains(w));
        // A Secret whose keys all become variables holds what a program logs in with.
        let all_of_it = self.key.is_empty() && self.env.is_empty();
        let named = all_of_it || WORDS.iter().any(|word| lower.contains(word));
        !self.secret.is_empty() && named && !(is_certificate && self.key.is_empty())
    }

    /// How well the names fit a server of kind `system` called `peer`: 0 not at all.
    #[must_use]
    pub fn fits(&self, system: &str, peer: &str) -> u32 {
        let lower = format!("{} {} {}", self.secret, self.key, self.env).to_ascii_lowercase();
        let words: Vec<&str> =
            lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
        let known = SYSTEMS.iter().find(|(name, _)| *name == system).map_or(&[][..], |(_, w)| *w);
        let of_system = known
            .iter()
            .position(|known| {
                words.iter().any(|w| w == known || w.len() > 3 && w.starts_with(known))
            })
            .map_or(0, |at| if at < 3 { 3 } else { 2 });
        let plain = ["svc", "com", "net", "org", "api", "www", "example", "cluster", "local"];
        let of_peer = peer
            .split(|c: char| !c.is_ascii_alphanumeric())
            .map(str::to_ascii_lowercase)
            .filter(|part| part.len() > 2 && !plain.contains(&part.as_str()))
            .filter(|part| {
                words.contains(&part.as_str()) || part.len() > 4 && lower.contains(part.as_str())
            })
            .count();
        let secret_part = ["pass", "pwd", "secret", "token", "key", "dsn", "uri", "url"];
        let proves = u32::from(secret_part.iter().any(|w| lower.contains(w)));
        of_system + 3 * u32::try_from(of_peer).unwrap_or(0) + proves
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]
    use serde_json::json;

    use super::*;

    #[test]
    fn the_credential_for_a_server_is_found_by_its_names() {
        let pod = Object::new(json!({"kind": "Pod", "metadata": {"name": "p", "namespace": "n"},
            "spec": {"volumes": [{"name": "tls", "secret": {"secretName": "web-tls"}}],
                "containers": [{"name": "app", "env": [
                    {"name": "PGPASSWORD", "valueFrom": {"secretKeyRef": {"name": "orders-db", "key": "password"}}},
                    {"name": "MAIL_TOKEN", "valueFrom": {"secretKeyRef": {"name": "mailer", "key": "token"}}},
                    {"name": "MODE", "value": "x"}],
                "envFrom": [{"secretRef": {"name": "redis-auth"}}, {"secretRef": {"name": "stock"}}]}]}}));
        let all = of(&pod);
        let names: Vec<&str> = all.iter().map(|c| c.secret.as_str()).collect();
        assert_eq!(names, ["mailer", "orders-db", "redis-auth", "stock"]);
        let best = |system: &str, peer: &str| {
            all.iter().max_by_key(|c| c.fits(system, peer)).map(|c| c.secret.as_str())
        };
        assert_eq!(best("postgres", "orders-db"), Some("orders-db"));
        assert_eq!(best("redis", "store"), Some("redis-auth"));
        assert_eq!(best("smtp", "mailer.example.com"), Some("mailer"));
    }
}
