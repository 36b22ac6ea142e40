//! Facts about mechanisms of failure: to whom, since when, how often, in whose words.

use agent_sdk::{Entity, Observation};

use super::{News, Whose, how_often, names, news};
use crate::{
    signals::Mechanism,
    tally::{Seen, Tally},
};

/// Facts about mechanisms of one container.
const MAX_MECHANISMS: usize = 16;

pub(super) fn of(whose: Whose<'_>, tally: &Tally<'_>, new_harm: &mut u64) -> Vec<Observation> {
    let mut found: Vec<(bool, u64, Observation)> = Vec::new();
    for (mechanism, peer, seen) in tally.mechanisms() {
        let news = news(&seen.counts, is_grave(mechanism.signal), tally);
        if news.is_new {
            *new_harm += seen.counts.total;
        }
        let fact = fact(whose.subject, mechanism, (peer, seen), &news);
        let basis = names::Basis { subject: whose.subject, seen, peer, news: &news, tally };
        let fact = names::placed(fact, mechanism, &basis);
        found.push((news.is_new, seen.counts.total, fact));
    }
    found.sort_by_key(|(is_new, count, _)| (!is_new, std::cmp::Reverse(*count)));
    found.into_iter().take(MAX_MECHANISMS).map(|(.., fact)| fact).collect()
}

/// Mechanisms of which one line is enough.
fn is_grave(signal: &str) -> bool {
    matches!(
        signal,
        "log.panic" | "log.oom" | "log.exec_format" | "log.config_error" | "log.no_space"
    )
}

fn fact(
    subject: &Entity,
    mechanism: &Mechanism,
    (peer, seen): (Option<&Entity>, &Seen),
    news: &News,
) -> Observation {
    let whom = peer.map(|p| p.name.clone());
    let mut verb = phrase(mechanism, whom.as_deref());
    if let (Some(exception), "log.panic") = (&seen.exception, mechanism.signal) {
        verb = format!("{verb} ({exception})");
    }
    let says =
        format!("container {} {verb} {}", subject.container, how_often(&seen.counts, news.since));
    let mut fact = Observation::new(mechanism.signal, subject.clone(), says)
        .count(seen.counts.total)
        .maybe_since(news.since)
        .maybe_until(seen.counts.last)
        .attr("is_new", news.is_new.to_string())
        .attr("onset", news.onset())
        .quote(&seen.quote);
    let beside = seen.beside.iter().map(|(name, value)| (*name, value));
    let detail = mechanism.detail.iter().map(|(name, value)| (*name, value));
    for (name, value) in beside.chain(detail) {
        fact = fact.attr(name, value.as_str());
    }
    if let Some(exception) = &seen.exception {
        fact = fact.attr("exception", exception.as_str());
    }
    match peer {
        Some(peer) => fact.peer(peer.clone()),
        None => fact,
    }
}

fn phrase(mechanism: &Mechanism, whom: Option<&str>) -> String {
    let detail = mechanism.detail.as_ref().map(|(_, value)| value.as_str());
    let to = |verb: &str| whom.map_or_else(|| verb.to_owned(), |whom| format!("{verb} {whom}"));
    let of = |verb: &str, other: &str| match whom {
        Some(whom) => format!("{verb} {whom}"),
        None => other.to_owned(),
    };
    match mechanism.signal {
        "log.connection_refused" => of("cannot connect to", "cannot connect"),
        "log.timeout" => of("waits in vain for", "runs into timeouts"),
        "log.upstream_error" => format!(
            "{}{}",
            of("gets errors from", "gets errors from what it calls"),
            detail.map(|s| format!(" (status {s})")).unwrap_or_default()
        ),
        "log.dns_failure" => format!("cannot resolve {}", detail.or(whom).unwrap_or("a name")),
        "log.tls_failure" => format!(
            "fails at TLS{}{}",
            whom.map(|w| format!(" with {w}")).unwrap_or_default(),
            detail.map(|d| format!(" ({d})")).unwrap_or_default()
        ),
        "log.auth_failure" => of("is refused for its credentials by", "sees credentials refused"),
        "log.permission_denied" => of("lacks a right at", "lacks a right"),
        "log.pool_exhausted" => of("finds no free connection to", "finds no free connection"),
        "log.lock_wait" => of("waits for locks in", "waits for locks"),
        "log.slow_statement" => of("waits for slow statements of", "tells of slow statements"),
        "log.schema_mismatch" => of("does not fit the schema of", "does not fit the schema"),
        "log.rate_limited" => of("is held off by rate limits of", "meets rate limits"),
        "log.protocol_error" => of("cannot understand", "cannot understand what it gets"),
        "log.transaction_open" => of("keeps a transaction open in", "keeps a transaction open"),
        "log.connection_leak" => of("leaks connections to", "leaks connections"),
        "log.stale_data" => of("finds data too old of", "finds data too old"),
        "log.no_space" => "finds the disk full".to_owned(),
        "log.panic" => "crashes on an unhandled error".to_owned(),
        "log.child_killed" => "loses processes that are killed by signal 9".to_owned(),
        "log.oom" => "runs out of memory by its own account".to_owned(),
        "log.exec_format" => "is a program for another CPU architecture".to_owned(),
        "log.config_error" => format!(
            "complains about a setting{}",
            detail.map(|d| format!(" ({d})")).unwrap_or_default()
        ),
        other => crate::signals::said_of_load(other, whom).unwrap_or_else(|| to(other)),
    }
}
