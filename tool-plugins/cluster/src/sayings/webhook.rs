//! An admission webhook that refused or did not answer, by the API server's sentences.

use agent_sdk::Entity;

use super::between;
use crate::{Object, pod::list};

/// A webhook that stood in the way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WebhookFailure {
    /// Name of the webhook within its configuration, or of the admission policy.
    pub name: String,
    /// `refused`, `unreachable`, `no_endpoints` or `certificate`.
    pub why: &'static str,
    /// Namespace and name of the Service that was called, when told.
    pub service: Option<(String, String)>,
    /// Whether it is a `ValidatingAdmissionPolicy`, which needs no server.
    pub is_policy: bool,
}

/// Reads `admission webhook "x" denied the request: …`, `failed calling webhook "x": …` and
/// `ValidatingAdmissionPolicy 'x' with binding 'y' denied request: …`.
#[must_use]
pub fn webhook(message: &str) -> Option<WebhookFailure> {
    let plain = message.replace('\\', "");
    if let Some(name) = between(&plain, "ValidatingAdmissionPolicy '", "'") {
        let name = name.to_owned();
        return Some(WebhookFailure { name, why: "refused", service: None, is_policy: true });
    }
    let (_, rest) = plain.split_once("webhook \"")?;
    let (name, said) = rest.split_once('"')?;
    let host = between(said, "://", "/").map(|h| h.split([':', '"', '?']).next().unwrap_or(h));
    let service = host.and_then(|host| {
        let mut parts = host.split('.');
        let (name, home) = (parts.next()?, parts.next()?);
        (parts.next() == Some("svc")).then(|| (home.to_owned(), name.to_owned()))
    });
    let named = between(said, "service \"", "\"").map(str::to_owned);
    let service = service.or_else(|| named.map(|name| (String::new(), name)));
    let lower = said.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|w| lower.contains(w));
    let why = if says(&["denied the request"]) {
        "refused"
    } else if says(&["no endpoints available"]) {
        "no_endpoints"
    } else if says(&["x509", "certificate", "tls:"]) {
        "certificate"
    } else if plain.contains("calling webhook") || plain.contains("call webhook") {
        "unreachable"
    } else {
        "refused"
    };
    Some(WebhookFailure { name: name.to_owned(), why, service, is_policy: false })
}

// === impl WebhookFailure ===

impl WebhookFailure {
    /// The object to change: the configuration that holds the webhook, the admission policy; none
    /// when no configuration known holds it.
    #[must_use]
    pub fn culprit(&self, configurations: &[Object]) -> Option<Entity> {
        if self.is_policy {
            return Some(Entity::cluster_wide("ValidatingAdmissionPolicy", self.name.as_str()));
        }
        let holds = |c: &&Object| entries(c).any(|w| w.0 == self.name);
        configurations.iter().find(holds).map(Object::entity)
    }
}

/// The webhooks of a configuration: name, and namespace and name of the Service it calls.
pub fn entries(configuration: &Object) -> impl Iterator<Item = (&str, Option<(&str, &str)>)> {
    list(configuration.value(), "webhooks").iter().map(|hook| {
        let text = |at: &str| hook.pointer(at).and_then(serde_json::Value::as_str);
        let service =
            text("/clientConfig/service/namespace").zip(text("/clientConfig/service/name"));
        (text("/name").unwrap_or_default(), service)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_reason_and_the_server_are_read_from_the_api_servers_words() {
        for (said, name, why, service) in [
            (
                r#"Error creating: admission webhook "validate.example.io" denied the request: image not signed"#,
                "validate.example.io",
                "refused",
                None,
            ),
            (
                r#"Internal error occurred: failed calling webhook "x.y": failed to call webhook: Post "https://guard.sec.svc:443/v?timeout=10s": dial tcp 10.96.1.1:443: connect: connection refused"#,
                "x.y",
                "unreachable",
                Some(("sec", "guard")),
            ),
            (
                r#"failed calling webhook "x.y": failed to call webhook: Post "https://guard.sec.svc:443/v?timeout=10s": context deadline exceeded"#,
                "x.y",
                "unreachable",
                Some(("sec", "guard")),
            ),
            (
                r#"failed calling webhook "x.y": failed to call webhook: Post "https://guard.sec.svc:443/v": no endpoints available for service "guard""#,
                "x.y",
                "no_endpoints",
                Some(("sec", "guard")),
            ),
            (
                r#"failed calling webhook "x.y": Post "https://guard.sec.svc:443/v": tls: failed to verify certificate: x509: certificate has expired or is not yet valid"#,
                "x.y",
                "certificate",
                Some(("sec", "guard")),
            ),
            (
                r#"failed calling webhook "x.y": failed to call webhook: Post "https://guard.sec.svc:443/v": service "guard" not found"#,
                "x.y",
                "unreachable",
                Some(("sec", "guard")),
            ),
        ] {
            let read = webhook(said).unwrap();
            let told = read.service.as_ref().map(|(a, b)| (a.as_str(), b.as_str()));
            assert_eq!((read.name.as_str(), read.why, told), (name, why, service), "{said}");
        }
        assert!(
            webhook("ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no")
                .unwrap()
                .is_policy
        );
        assert_eq!(webhook("all is well"), None);
    }
}
