//! Who is behind a name that a server's log or figures give for a client: a workload of that name,
//! the one whose settings log in as that user or give that application name, or the one whose name
//! says the same. A name that several share names nobody.

use std::collections::{BTreeMap, BTreeSet};

use agent_sdk::Entity;
use serde_json::Value;

use crate::{object::Object, pod::list};

/// Workloads by the names they go by at servers.
#[derive(Debug, Clone, Default)]
pub struct Clients {
    all: BTreeSet<Entity>,
    given: BTreeMap<String, BTreeSet<Entity>>,
}

/// A setting: its name, empty for an argument, and its value.
pub type Setting = (String, String);

/// What only decorates the name of a program in that of its user: `orders_app_rw` is `orders`.
const DECORATION: &[&str] = &[
    "app", "user", "usr", "svc", "service", "api", "role", "rw", "ro", "readonly", "read", "write",
    "login", "account", "sa",
];

// === impl Clients ===

impl Clients {
    /// Nobody.
    #[must_use]
    pub const fn new() -> Self {
        Self { all: BTreeSet::new(), given: BTreeMap::new() }
    }

    /// The workloads with what each is told.
    #[must_use]
    pub fn of<'a>(told: impl IntoIterator<Item = (&'a Entity, &'a [Setting])>) -> Self {
        let mut clients = Self::new();
        for (workload, settings) in told {
            clients.learn(workload, settings);
        }
        clients
    }

    /// Adds a workload with what it is told.
    pub fn learn(&mut self, workload: &Entity, settings: &[Setting]) {
        self.all.insert(workload.clone());
        for name in settings.iter().flat_map(|(key, value)| names(key, value)) {
            self.given.entry(name).or_default().insert(workload.clone());
        }
    }

    /// The one workload that goes by `name` at a server of `namespace`.
    #[must_use]
    pub fn named(&self, name: &str, namespace: &str) -> Option<Entity> {
        if name.len() < 2 {
            return None;
        }
        let dashed = name.replace(['_', '.'], "-").to_ascii_lowercase();
        let here = |w: &&Entity| w.namespace == namespace;
        let own = self.all.iter().filter(here).filter(|w| w.name == name || w.name == dashed);
        let given = || self.given.get(name).and_then(|all| only(all.iter()));
        let alike = || {
            let wanted = telling(name);
            let fits = |w: &&Entity| !wanted.is_empty() && telling(&w.name) == wanted;
            only(self.all.iter().filter(here).filter(fits))
                .or_else(|| only(self.all.iter().filter(fits)))
        };
        only(own).or_else(given).or_else(alike).cloned()
    }
}

/// The only one; of a `CronJob` and its runs the one run, or the `CronJob` when there are several.
fn only<'a>(all: impl Iterator<Item = &'a Entity>) -> Option<&'a Entity> {
    let all: Vec<&Entity> = all.collect();
    if let [one] = all.as_slice() {
        return Some(one);
    }
    let cron = all.iter().find(|e| e.kind == "CronJob")?;
    let is_run = |e: &&&Entity| e.kind == "Job" && e.name.starts_with(&format!("{}-", cron.name));
    let runs: Vec<&&Entity> = all.iter().filter(is_run).collect();
    match runs.as_slice() {
        [run] if all.len() == 2 => Some(run),
        _ if runs.len() + 1 == all.len() => Some(cron),
        _ => None,
    }
}

fn telling(name: &str) -> BTreeSet<String> {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_ascii_lowercase);
    words.filter(|w| w.len() > 1 && !DECORATION.contains(&w.as_str())).collect()
}

/// The names under which a setting makes a program log in to a server.
fn names(key: &str, value: &str) -> Vec<String> {
    const SERVERS: &[&str] = &[
        "PG",
        "DB",
        "DATABASE",
        "POSTGRES",
        "MYSQL",
        "MARIA",
        "MONGO",
        "SQL",
        "JDBC",
        "DATASOURCE",
    ];
    let upper = key.to_ascii_uppercase();
    let is_of_server = SERVERS.iter().any(|word| upper.contains(word));
    let is_user = upper.contains("USER") || upper.contains("LOGIN") || upper.ends_with("APPNAME");
    let mut found = Vec::new();
    if is_of_server && is_user && !upper.contains("PASS") {
        found.push(value.to_owned());
    }
    for mark in ["application_name=", "ApplicationName=", "appName=", "appname=", "program_name="] {
        found.extend(after(value, mark));
    }
    if let Some((scheme, rest)) = value.split_once("://") {
        let is_database = ["postgres", "mysql", "mariadb", "mongodb", "sqlserver"]
            .iter()
            .any(|name| scheme.contains(name));
        let user = rest.split(['/', '?']).next().and_then(|r| r.rsplit_once('@'));
        let user = user.and_then(|(user, _)| user.split(':').next());
        found.extend(user.filter(|_| is_database).map(str::to_owned));
        found.extend(after(value, "user=").filter(|_| is_database || scheme.starts_with("jdbc")));
    } else if value.contains("host=") && value.contains("dbname=") {
        found.extend(after(value, "user="));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    found.retain(|name| (2..=80).contains(&name.len()) && name.chars().all(fits));
    found
}

fn after(text: &str, mark: &str) -> Option<String> {
    let rest = text.split_once(mark)?.1;
    let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '&' | ';' | '"' | '\''));
    Some(rest.get(..end.unwrap_or(rest.len()))?.to_owned())
}

/// What the containers of a pod's `spec` are told: environment, arguments, and the contents of the
/// `ConfigMap`s of `namespace` that it uses.
#[must_use]
pub fn settings(spec: &Value, namespace: &str, configs: &[Object]) -> Vec<Setting> {
    let mut told = Vec::new();
    let mut used = Vec::new();
    for container in list(spec, "containers").iter().chain(list(spec, "initContainers")) {
        for env in list(container, "env") {
            let text = |key| env.get(key).and_then(Value::as_str).unwrap_or_default();
            told.push((text("name").to_owned(), text("value").to_owned()));
            used.extend(env.pointer("/valueFrom/configMapKeyRef/name").and_then(Value::as_str));
        }
        let words = list(container, "args").iter().chain(list(container, "command"));
        told.extend(words.filter_map(Value::as_str).map(|w| (String::new(), w.to_owned())));
        let from = list(container, "envFrom").iter();
        used.extend(from.filter_map(|f| f.pointer("/configMapRef/name").and_then(Value::as_str)));
    }
    let volumes = list(spec, "volumes").iter();
    used.extend(volumes.filter_map(|v| v.pointer("/configMap/name").and_then(Value::as_str)));
    for config in configs {
        if config.namespace() == namespace && used.contains(&config.name()) {
            told.extend(config.map("/data"));
        }
    }
    told.retain(|(_, value)| !value.is_empty());
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn clients() -> Clients {
        let told = |pairs: &[(&str, &str)]| -> Vec<Setting> {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let workloads = [
            ("Deployment", "orders", told(&[("DB_USER", "shop")])),
            ("Deployment", "mail-sender", told(&[("DB_USER", "shop")])),
            ("Deployment", "ledger-core", told(&[("PGUSER", "booker")])),
            (
                "Deployment",
                "reports",
                told(&[("JDBC_URL", "jdbc:postgresql://db:5432/x?user=bi&ApplicationName=yearly")]),
            ),
            ("Job", "cleanup-2901", told(&[("", "postgresql://janitor:x@db:5432/shop")])),
            ("CronJob", "cleanup", told(&[("", "postgresql://janitor:x@db:5432/shop")])),
        ];
        let told: Vec<(Entity, Vec<Setting>)> =
            workloads.map(|(kind, name, told)| (Entity::new(kind, "n", name), told)).into();
        Clients::of(told.iter().map(|(workload, told)| (workload, told.as_slice())))
    }

    #[test]
    fn a_name_at_a_server_stands_for_the_workload_that_goes_by_it() {
        for (name, expected) in [
            ("orders", Some("orders")),
            ("mail_sender", Some("mail-sender")),
            ("mail_sender_rw", Some("mail-sender")),
            ("booker", Some("ledger-core")),
            ("bi", Some("reports")),
            ("yearly", Some("reports")),
            ("janitor", Some("cleanup-2901")),
            ("shop", None),
            ("app", None),
            ("psql", None),
            ("", None),
        ] {
            let found = clients().named(name, "n").map(|e| e.name);
            assert_eq!(found.as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn what_a_program_is_told_has_its_environment_arguments_and_configmaps() {
        let spec = json!({"containers": [{"name": "c", "args": ["--x=1"],
            "env": [{"name": "A", "value": "b"}, {"name": "EMPTY"}],
            "envFrom": [{"configMapRef": {"name": "conf"}}]}]});
        let config = Object::new(json!({"kind": "ConfigMap",
            "metadata": {"name": "conf", "namespace": "n"}, "data": {"K": "v"}}));
        let told = settings(&spec, "n", &[config]);
        let told: Vec<(&str, &str)> = told.iter().map(|(k, v)| (&**k, &**v)).collect();
        assert_eq!(told, [("A", "b"), ("", "--x=1"), ("K", "v")]);
    }
}
