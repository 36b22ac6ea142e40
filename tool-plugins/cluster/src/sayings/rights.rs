//! A right that the API server refused, by its own sentence: `pods is forbidden: User
//! "system:serviceaccount:a:b" cannot list resource "pods" in API group "" in the namespace "a"`.
//! Every client of the cluster passes it on, in whatever log format.

use super::between;

/// What a service account was not allowed to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Forbidden {
    /// Namespace of the service account.
    pub home: String,
    /// Name of the service account.
    pub account: String,
    /// Such as `list`.
    pub verb: String,
    /// Such as `pods` or `deployments/scale`; a path such as `/metrics` for what is no resource.
    pub resource: String,
    /// API group; empty for the core group.
    pub group: String,
    /// Name of the object asked for; empty when not told.
    pub name: String,
    /// Namespace it was asked for; none at the scope of the cluster.
    pub namespace: Option<String>,
    /// A role that a binding names and that does not exist, with its kind, when told.
    pub role_missing: Option<(&'static str, String)>,
}

/// Reads a refusal out of a line. Only service accounts are told of: people and nodes have no
/// workload.
#[must_use]
pub fn forbidden(line: &str) -> Option<Forbidden> {
    const USER: &str = "system:serviceaccount:";
    let at = line.find(USER)?;
    // JSON logs escape the quotes, some of them twice.
    let plain = line.get(at..)?.replace('\\', "");
    let before = line.get(..at)?.replace('\\', "");
    let (user, rest) = plain.strip_prefix(USER)?.split_once(" cannot ")?;
    let (home, account) = user.trim_end_matches(['"', '\'']).split_once(':')?;
    let said = rest.trim_start();
    let (verb, after) = said.split_once(' ')?;
    let namespace = between(after, "in the namespace \"", "\"").map(str::to_owned);
    let word = after.trim_start_matches("resource ").trim_start_matches("path ");
    let resource = word.split([' ', ',', ';']).next().unwrap_or_default();
    let resource = resource.trim_matches(['"', '\'', ':', '.']);
    // Old servers say `pods.apps`, and no group.
    let (resource, old_group) = match resource.split_once('.') {
        Some((plural, group)) if !after.contains("API group") && !resource.starts_with('/') => {
            (plural, group)
        }
        _ => (resource, ""),
    };
    let named = before.rsplit_once(" is forbidden").map(|(head, _)| head);
    let name = named
        .filter(|head| head.ends_with('"'))
        .and_then(|head| head.trim_end_matches('"').rsplit_once('"'))
        .map_or("", |(_, name)| name);
    let shaped = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
    (shaped(home) && shaped(account) && shaped(verb) && shaped(resource)).then(|| Forbidden {
        home: home.to_owned(),
        account: account.to_owned(),
        verb: verb.to_owned(),
        resource: resource.to_owned(),
        group: between(after, "API group \"", "\"").unwrap_or(old_group).to_owned(),
        name: name.to_owned(),
        namespace,
        role_missing: role_missing(after),
    })
}

/// `RBAC: clusterrole.rbac.authorization.k8s.io "x" not found`.
fn role_missing(text: &str) -> Option<(&'static str, String)> {
    let (_, told) = text.split_once("RBAC: ")?;
    let name = between(told, "\"", "\"").filter(|_| told.contains("not found"))?;
    let kind =
        if told.trim_start_matches('[').starts_with("cluster") { "ClusterRole" } else { "Role" };
    Some((kind, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<(String, String, String, Option<String>)> {
        forbidden(line).map(|f| {
            (
                format!("{}/{}", f.home, f.account),
                format!("{} {}.{}", f.verb, f.resource, f.group),
                f.name,
                f.namespace,
            )
        })
    }

    #[test]
    fn a_refusal_is_read_out_of_the_logs_of_any_client() {
        let told = |who: &str, what: &str, name: &str, place: Option<&str>| {
            Some((who.to_owned(), what.to_owned(), name.to_owned(), place.map(str::to_owned)))
        };
        for (line, want) in [
            (
                r#"E0501 11:02:03.4 1 reflector.go:150] failed to list *v1.Pod: pods is forbidden: User "system:serviceaccount:a:b" cannot list resource "pods" in API group "" in the namespace "a""#,
                told("a/b", "list pods.", "", Some("a")),
            ),
            (
                r#"{"level":"error","error":"deployments.apps \"web\" is forbidden: User \"system:serviceaccount:a:b\" cannot patch resource \"deployments/scale\" in API group \"apps\" in the namespace \"c\""}"#,
                told("a/b", "patch deployments/scale.apps", "web", Some("c")),
            ),
            (
                r#"HTTP response body: {"message":"nodes is forbidden: User \"system:serviceaccount:a:b\" cannot watch resource \"nodes\" in API group \"\" at the cluster scope","reason":"Forbidden"}"#,
                told("a/b", "watch nodes.", "", None),
            ),
            (
                r#"User "system:serviceaccount:a:b" cannot get path "/metrics""#,
                told("a/b", "get /metrics.", "", None),
            ),
            (
                r#"jobs.batch is forbidden: User "system:serviceaccount:a:b" cannot create jobs.batch in the namespace "a""#,
                told("a/b", "create jobs.batch", "", Some("a")),
            ),
            ("User \"alice\" cannot list resource \"pods\"", None),
            ("system:serviceaccount:a:b did well", None),
        ] {
            assert_eq!(read(line), want, "{line}");
        }
    }

    #[test]
    fn a_binding_to_a_role_that_is_gone_is_told() {
        let line = r#"configmaps "x" is forbidden: User "system:serviceaccount:a:b" cannot get resource "configmaps" in API group "" in the namespace "a": RBAC: role.rbac.authorization.k8s.io "reader" not found"#;
        let told = forbidden(line).and_then(|f| f.role_missing);
        assert_eq!(told, Some(("Role", "reader".to_owned())));
    }
}
