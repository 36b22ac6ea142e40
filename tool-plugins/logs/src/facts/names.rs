//! Facts about names and settings, placed where they belong: a name that does not resolve concerns
//! the cluster's resolver, unless nothing has that name; then the setting that holds it is wrong.
//! A setting a program complains of lies in the object that gives it.

use agent_sdk::{Entity, Observation};

use super::News;
use crate::{
    signals::{Mechanism, words},
    tally::{Seen, Tally},
};

/// What a fact rests on.
pub(super) struct Basis<'a> {
    pub(super) subject: &'a Entity,
    pub(super) seen: &'a Seen,
    pub(super) peer: Option<&'a Entity>,
    pub(super) news: &'a News,
    pub(super) tally: &'a Tally<'a>,
}

/// The fact with what is known of the name or setting it is about.
pub(super) fn placed(fact: Observation, mechanism: &Mechanism, basis: &Basis<'_>) -> Observation {
    let tally = basis.tally;
    let speaker = tally.speaker();
    let fact = match (is_of_clients(mechanism.signal), speaker.server) {
        (true, Some(system)) => fact.attr("side", "server").attr("system", system),
        (true, None) => fact.attr("side", "client"),
        (false, None) if mechanism.signal == "log.no_space" && is_databases(basis) => {
            fact.attr("side", "client")
        }
        (false, _) if mechanism.signal == "log.dns_failure" => {
            fact.attr("side", if speaker.is_resolver { "resolver" } else { "client" })
        }
        (false, _) => fact,
    };
    let detail = mechanism.detail.as_ref().map(|(_, value)| value.as_str());
    match mechanism.signal {
        "log.dns_failure" => unresolved(fact, detail, basis),
        "log.config_error" => setting(fact, detail, basis),
        _ => fact,
    }
}

/// Whether a full disk is a database's, whichever it is.
fn is_databases(basis: &Basis<'_>) -> bool {
    basis.peer.is_some() || words::is_of_databases_disk(&basis.seen.quote)
}

fn is_of_clients(signal: &str) -> bool {
    matches!(
        signal,
        "log.auth_failure"
            | "log.pool_exhausted"
            | "log.lock_wait"
            | "log.slow_statement"
            | "log.transaction_open"
    )
}

/// What a name that does not resolve is.
enum Named {
    /// A name outside the cluster.
    Outside,
    /// A Service, pod or workload that exists.
    Inside,
    /// Nothing in the cluster has it, though its namespace was looked at.
    Nothing(Entity),
    /// It cannot be told.
    Unknown,
}

fn named(host: &str, tally: &Tally<'_>) -> Named {
    let (speaker, peers) = (tally.speaker(), tally.peers());
    let Some(entity) = peers.host(host, &speaker.namespace) else { return Named::Unknown };
    if entity.kind == "External" {
        let mut parts = host.split('.');
        let of_set = parts.nth(1).is_some_and(|set| peers.known(set, &speaker.namespace).is_some());
        return if of_set && parts.next().is_none() { Named::Inside } else { Named::Outside };
    }
    let exists = peers.known(&entity.name, &entity.namespace).is_some();
    match exists {
        true => Named::Inside,
        false if peers.has_services(&entity.namespace) => Named::Nothing(entity),
        false => Named::Unknown,
    }
}

fn unresolved(fact: Observation, host: Option<&str>, basis: &Basis<'_>) -> Observation {
    let tally = basis.tally;
    let with_resolver = |fact: Observation| match &tally.speaker().resolver {
        Some(resolver) => fact.peer(resolver.clone()),
        None => fact,
    };
    let Some(host) = host else { return with_resolver(fact) };
    match named(host, tally) {
        Named::Outside => with_resolver(fact.attr("scope", "external")),
        Named::Inside => with_resolver(fact.attr("scope", "internal").attr("exists", "true")),
        Named::Unknown => with_resolver(fact),
        Named::Nothing(entity) => unknown_host(host, &entity, basis),
    }
}

/// Nothing is called so: the one who asks is told a wrong name.
fn unknown_host(host: &str, entity: &Entity, basis: &Basis<'_>) -> Observation {
    let Basis { subject, seen, news, tally, .. } = basis;
    let given = tally.speaker().origins.host(host);
    let by = given.map(|given| match &given.from {
        Some(from) => format!(", as {} {} tells it ({})", from.kind, from.name, given.name),
        None => format!(", as its setting {} tells it", given.name),
    });
    let nearest = tally.peers().nearest(&entity.name, &entity.namespace).unwrap_or_default();
    let meant = if nearest.is_empty() { String::new() } else { format!("; there is a {nearest}") };
    let says = format!(
        "container {} asks for {host}{}, and no Service is called so in namespace {}{meant}",
        subject.container,
        by.unwrap_or_default(),
        entity.namespace
    );
    let told = Observation::new("log.unknown_host", (*subject).clone(), says)
        .count(seen.counts.total)
        .maybe_since(news.since)
        .maybe_until(seen.counts.last)
        .attr("is_new", news.is_new.to_string())
        .attr("onset", news.onset())
        .attr("host", host)
        .attr("nearest", nearest)
        .attr("setting", given.map(|g| g.name.clone()).unwrap_or_default())
        .attr("given", given.map_or("", |g| g.how))
        .quote(&seen.quote);
    match given.and_then(|given| given.from.clone()) {
        Some(from) => told.peer(from),
        None => told,
    }
}

/// Where a setting that a program complains of is given.
fn setting(fact: Observation, name: Option<&str>, basis: &Basis<'_>) -> Observation {
    let (seen, origins) = (basis.seen, &basis.tally.speaker().origins);
    let Some(name) = name else { return fact };
    let Some(given) = origins.setting(name) else {
        let is_variable =
            name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        let absent = is_variable && origins.lacks(name) && seen.quote.contains(name);
        return if absent { fact.attr("given", "absent") } else { fact };
    };
    let fact = fact.attr("given", given.how).attr("given_as", given.name.as_str());
    let fact = match given.value.as_str() {
        "" => fact,
        value if value.len() <= 120 => fact.attr("value", value),
        _ => fact,
    };
    match &given.from {
        Some(from) => fact.peer(from.clone()),
        None => fact,
    }
}
