//! Until when certificates are valid, as controllers, exporters and probes measure it: by the
//! Secret their labels name, else by the Secret that an Ingress serves for the host they name,
//! else of the host itself. What Secrets hold often cannot be read; when it ends can.

use std::collections::BTreeMap;

use agent_sdk::{Entity, Observation, Relation, RelationKind};
use jiff::{SignedDuration, Timestamp};
use plugin_cluster::{Object, peers::bare_host};

use crate::{
    judge::time,
    labels::Labels,
    view::{Found, Read, View},
};

/// Gauges that hold the end as seconds since 1970.
const ENDS: &[&str] = &[
    "nginx_ingress_controller_ssl_expire_time_seconds",
    "x509_cert_not_after",
    "ssl_kubernetes_cert_not_after",
    "ssl_cert_not_after",
    "cert_exporter_secret_not_after_timestamp",
    "traefik_tls_certs_not_after",
    "probe_ssl_earliest_cert_expiry",
    "haproxy_ssl_certificate_expiry_timestamp_seconds",
];
/// Gauges that hold the seconds, or where told the days, that are left.
const LEFT: &[(&str, f64)] = &[
    ("x509_cert_expires_in_seconds", 1.0),
    ("cert_exporter_secret_expires_in_seconds", 1.0),
    ("envoy_server_days_until_first_cert_expiring", 86_400.0),
];
/// A certificate that ends within this time should have been renewed.
const SOON: SignedDuration = SignedDuration::from_hours(3 * 24);
/// Certificates told at most.
const MOST: usize = 40;

/// What is known of one certificate.
struct Known {
    ends: Timestamp,
    host: String,
    metric: &'static str,
}

/// All facts about ends of certificates.
#[must_use]
pub fn judge(view: View<'_>) -> Found {
    let mut all: BTreeMap<Entity, Known> = BTreeMap::new();
    let last = view.frame.grid.points.saturating_sub(1);
    let Some(now) = time(view.frame, last) else { return Found::default() };
    let metrics = ENDS.iter().map(|metric| (*metric, None));
    let metrics = metrics.chain(LEFT.iter().map(|(metric, unit)| (*metric, Some(*unit))));
    for (metric, left) in metrics.filter(|(metric, _)| view.store.has(metric)) {
        for track in view.tracks(metric, Read::Level) {
            let Some(value) = track.values.iter().rev().copied().find(|v| v.is_finite()) else {
                continue;
            };
            let ends = left.map_or(value, |unit| second(now) + value * unit);
            let Some(ends) = moment(ends) else { continue };
            let Some((holder, host)) = holder(view, &track.labels) else { continue };
            // Of several certificates under one name the first to end is the one that hurts.
            let known = all.entry(holder).or_insert(Known { ends, host, metric });
            known.ends = known.ends.min(ends);
        }
    }
    let mut found = Found::default();
    for (holder, known) in all.into_iter().take(MOST) {
        for ingress in view.world.ingresses.iter().filter(|i| serves(i, &holder)) {
            found.relations.extend(users(ingress, &holder));
        }
        found.facts.push(fact(holder, &known, now));
    }
    found
}

fn fact(holder: Entity, known: &Known, now: Timestamp) -> Observation {
    let ended = known.ends <= now;
    let (signal, verb) = match ended {
        true => ("certificate.expired", "ended at"),
        false if known.ends.duration_since(now) < SOON => ("certificate.expiring", "ends at"),
        false => ("certificate.valid", "is valid until"),
    };
    let of = if known.host.is_empty() { String::new() } else { format!(" for {}", known.host) };
    let where_ = match holder.kind.as_str() {
        "External" => String::new(),
        kind => format!(" in {kind} {}", holder.name),
    };
    let says = format!("the certificate{of}{where_} {verb} {} (by {})", known.ends, known.metric);
    let seen = Observation::new(signal, holder, says)
        .until(now)
        .attr("not_after", known.ends.to_string())
        .attr("names", known.host.as_str())
        .attr("source", "metrics");
    if ended { seen.since(known.ends).attr("why", "expired") } else { seen }
}

/// What holds the certificate that a series is about, and the host it is for when told.
fn holder(view: View<'_>, labels: &Labels) -> Option<(Entity, String)> {
    let named = ["host", "server_name", "cn", "subject_CN", "common_name", "domain"];
    let host = labels.first_of(&named);
    let instance = labels.first_of(&["target", "instance"]);
    let probed = bare_host(instance).filter(|_| instance.contains("://")).unwrap_or_default();
    let host = if host.is_empty() || host == "_" { probed } else { host.to_owned() };
    let secret = labels.first_of(&["secret_name", "secret"]);
    if !secret.is_empty() {
        let home = ["secret_namespace", "exported_namespace", "namespace"];
        let home = labels.first_of(&home);
        return (!home.is_empty()).then(|| (Entity::new("Secret", home, secret), host));
    }
    let san = |san: &&str| !san.is_empty();
    let sans: Vec<&str> =
        labels.first_of(&["sans", "dnsnames", "dns_names"]).split(',').filter(san).collect();
    let served = view.world.ingresses.iter().find_map(|ingress| {
        let secret = certificates(ingress).into_iter().find(|(_, hosts)| {
            hosts.iter().any(|own| fits(own, &host) || sans.iter().any(|san| fits(own, san)))
        })?;
        Some(Entity::new("Secret", ingress.namespace(), secret.0))
    });
    let outside = || {
        let probed = !host.is_empty() && host.contains('.') && instance.contains("://");
        probed.then(|| Entity::external(host.as_str()))
    };
    let holder = served.or_else(outside)?;
    Some((holder, host))
}

fn fits(own: &str, host: &str) -> bool {
    let within = |wide: &str, name: &str| {
        wide.strip_prefix("*.").is_some_and(|rest| {
            name.split_once('.').is_some_and(|(_, parent)| parent.eq_ignore_ascii_case(rest))
        })
    };
    !host.is_empty() && (own.eq_ignore_ascii_case(host) || within(own, host) || within(host, own))
}

/// The Secrets of the certificates an Ingress serves, each with its hosts.
fn certificates(ingress: &Object) -> Vec<(&str, Vec<&str>)> {
    let entries = ingress.list("/spec/tls").iter();
    entries
        .filter_map(|entry| {
            let hosts = entry.get("hosts").and_then(|h| h.as_array());
            let hosts = hosts.into_iter().flatten().filter_map(|h| h.as_str()).collect();
            Some((entry.get("secretName")?.as_str()?, hosts))
        })
        .collect()
}

fn serves(ingress: &Object, holder: &Entity) -> bool {
    holder.kind == "Secret"
        && ingress.namespace() == holder.namespace
        && certificates(ingress).iter().any(|(secret, _)| *secret == holder.name)
}

/// Whoever asks for what stands behind an Ingress from outside meets its certificate.
fn users(ingress: &Object, holder: &Entity) -> Vec<Relation> {
    let rules = ingress.list("/spec/rules").iter();
    let paths = rules.flat_map(|r| r.pointer("/http/paths").and_then(|p| p.as_array())).flatten();
    let backends = paths.filter_map(|path| path.pointer("/backend/service/name")?.as_str());
    let services = backends.map(|name| Entity::new("Service", ingress.namespace(), name));
    let all = services.chain([ingress.entity()]);
    all.map(|user| Relation::new(user, RelationKind::Uses, holder.clone())).collect()
}

fn second(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

/// A moment of this century; other numbers are no ends of certificates.
fn moment(seconds: f64) -> Option<Timestamp> {
    let plausible = (946_684_800.0..4_102_444_800.0).contains(&seconds);
    let whole = plausible.then(|| SignedDuration::try_from_secs_f64(seconds.round()).ok())?;
    Timestamp::from_duration(whole?).ok()
}
