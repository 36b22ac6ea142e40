//! Which Secret a refused credential came from: a program says that it was refused, its pod says
//! which Secrets it proves itself with, and names tell which of them is meant. Where several fit
//! equally none is named.

use agent_sdk::{Entity, Observation};
use plugin_cluster::credential::Credential;

/// The kind of server that a complaint speaks of.
fn system(text: &str) -> &'static str {
    const SYSTEMS: &[(&str, &[&str])] = &[
        (
            "postgres",
            &[
                "password authentication failed for user",
                "28p01",
                "psycopg",
                "pq:",
                "pg::",
                "npgsql",
                "postgres",
                "fe_sendauth",
                "pgx",
            ],
        ),
        ("mysql", &["access denied for user", "mysql", "mariadb", "1045"]),
        ("mongo", &["mongo", "scram", "code 18", "authenticationfailed"]),
        ("redis", &["wrongpass", "noauth", "redis", "jedis", "lettuce", "noperm"]),
        ("kafka", &["sasl", "kafka", "broker"]),
        ("rabbitmq", &["access_refused", "amqp", "rabbit", "login was refused"]),
        ("sqlserver", &["login failed for user", "18456", "sqlexception"]),
        (
            "aws",
            &[
                "signaturedoesnotmatch",
                "invalidaccesskeyid",
                "expiredtoken",
                "aws",
                "s3",
                "security token",
                "invalidclienttokenid",
                "sqs",
                "dynamodb",
            ],
        ),
        ("ldap", &["ldap", "52e", "invalid dn"]),
        ("smtp", &["535", "smtp"]),
        (
            "oauth",
            &[
                "invalid_client",
                "invalid_grant",
                "oauth",
                "aadsts",
                "client secret",
                "oidc",
                "unauthorized_client",
            ],
        ),
    ];
    let lower = text.to_ascii_lowercase();
    let found = SYSTEMS.iter().find(|(_, words)| words.iter().any(|word| lower.contains(word)));
    found.map_or("http", |(system, _)| system)
}

/// The use of a Secret that a complaint is about, when the names leave no doubt.
#[must_use]
pub fn credential<'a>(
    text: &str,
    (peer, container): (Option<&Entity>, &str),
    all: &'a [Credential],
) -> Option<&'a Credential> {
    let own: Vec<&Credential> =
        all.iter().filter(|c| c.container.is_empty() || c.container == container).collect();
    let secrets = |of: &[&Credential]| -> usize {
        let mut names: Vec<&str> = of.iter().map(|c| c.secret.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names.len()
    };
    let system = system(text);
    let peer = peer.map_or("", |peer| peer.name.as_str());
    let score = |c: &Credential| {
        // The line itself may name the variable or the Secret.
        let named =
            [&c.env, &c.secret].into_iter().any(|n| n.len() > 3 && text.contains(n.as_str()));
        c.fits(system, peer) + if named { 6 } else { 0 }
    };
    let best = own.iter().map(|c| score(c)).max()?;
    let fitting: Vec<&Credential> = own.iter().filter(|c| score(c) == best).copied().collect();
    // A mere word for "secret" without a word for the server would be a guess.
    let sure = best >= 2 || secrets(&own) == 1;
    (sure && secrets(&fitting) == 1).then(|| fitting.into_iter().next()).flatten()
}

/// The fact that what comes from this Secret is refused.
#[must_use]
pub fn fact(
    secret: Entity,
    used: &Credential,
    seen: &Observation,
    workload: Entity,
) -> Observation {
    let wire = seen.as_wire();
    let by = wire.peer.as_ref().map(|peer| peer.name.clone()).unwrap_or_default();
    let whom = if by.is_empty() { String::new() } else { format!(" by {by}") };
    let key = if used.key.is_empty() { String::new() } else { format!(" key {}", used.key) };
    let via = if used.env.is_empty() { String::new() } else { format!(" (as {})", used.env) };
    let says = format!(
        "{} {} is refused{whom} with what it takes from Secret {}{key}{via}: {}",
        workload.kind, workload.name, secret.name, wire.statement
    );
    let mut fact = Observation::new("config.credential_refused", secret, says)
        .count(u64::try_from(wire.count).unwrap_or(1))
        .attr("env", used.env.as_str())
        .attr("key", used.key.as_str())
        .attr("by", by)
        .quote(&wire.quote)
        .peer(workload);
    for key in ["is_new", "onset", "user"] {
        if let Some(value) = wire.attributes.get(key) {
            fact = fact.attr(key, value.as_str());
        }
    }
    fact
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(secret: &str, env: &str) -> Credential {
        Credential {
            secret: secret.to_owned(),
            key: "password".to_owned(),
            env: env.to_owned(),
            container: "app".to_owned(),
        }
    }

    #[test]
    fn the_secret_is_named_only_when_names_leave_no_doubt() {
        let all = [used("orders-db", "PGPASSWORD"), used("mailer", "SMTP_PASSWORD")];
        let found = |text: &str, all: &[Credential]| {
            credential(text, (None, "app"), all).map(|c| c.secret.clone())
        };
        let postgres = "FATAL: password authentication failed for user \"orders\"";
        assert_eq!(found(postgres, &all).as_deref(), Some("orders-db"));
        assert_eq!(found("535 5.7.8 authentication failed", &all).as_deref(), Some("mailer"));
        let two = [used("a-db", "A_DB_PASSWORD"), used("b-db", "B_DB_PASSWORD")];
        assert_eq!(found(postgres, &two), None);
        let one = [used("only", "API_TOKEN")];
        assert_eq!(found("401 unauthorized", &one).as_deref(), Some("only"));
        assert_eq!(found("401 unauthorized", &[]), None);
    }
}
