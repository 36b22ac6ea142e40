//! From a caller's complaint to the Secret of whom it calls: of the Secrets that the server uses,
//! the one that holds its certificate. Told only where exactly one can be meant.

use std::collections::{BTreeMap, BTreeSet};

use agent_sdk::{Entity, Observation, Relation, RelationKind};
use jiff::Timestamp;
use plugin_cluster::{Answer, Kind, Object, Peers, sayings::TlsFailure, selector};

use super::{Scene, Users};
use crate::{
    pods::calls,
    policies::heard::{Heard, Times},
    rollouts::edits,
    within,
};

/// An edit within this time may be what callers complain of.
const RECENT_HOURS: i64 = 48;

type Told<'a> = (&'a BTreeMap<Entity, &'static str>, &'a mut Answer);

pub(super) async fn judge(
    scene: &Scene<'_>,
    heard: &Heard,
    (holders, users): (&[Object], &Users),
    (told, answer): Told<'_>,
) {
    if heard.certificates.is_empty() {
        return;
    }
    let peers = Peers::read(scene.cluster).await;
    let services = scene.cluster.list(Kind::Service, None).await.unwrap_or_default();
    let mut done = BTreeSet::new();
    for ((speaker, failure, whom), times) in &heard.certificates {
        let server = match (failure.own, whom) {
            (true, _) => vec![speaker.clone()],
            (false, Some(host)) => {
                let Some(to) = peers.host(host, &speaker.namespace) else { continue };
                answer.relate(Relation::new(speaker.clone(), RelationKind::Calls, to.clone()));
                servers(scene, &services, &to)
            }
            (false, None) => {
                if let Some(host) = only_outside(scene, &services, speaker, users).await {
                    let edge = Relation::new(speaker.clone(), RelationKind::Calls, host.clone());
                    answer.relate(edge);
                    let about = About { holder: &host, workload: &host, failure, times };
                    if done.insert((host.clone(), failure.why)) && is_dead(failure) {
                        answer.harm(about.expired(scene.cluster.now()).attr("source", "inferred"));
                    }
                }
                continue;
            }
        };
        let mut meant: Vec<&Entity> = users
            .iter()
            .filter(|(holder, by)| {
                server.iter().any(|s| by.contains(s)) && holds(holder, holders, scene)
            })
            .map(|(holder, _)| holder)
            .collect();
        if failure.why == "untrusted" {
            // The caller's own bundle of authorities may be what changed.
            meant.extend(users.iter().filter(|(_, by)| by.contains(speaker)).map(|(h, _)| h));
            meant.retain(|h| edited(h, holders, scene.cluster.now()).is_some());
        }
        meant.sort();
        meant.dedup();
        let [holder] = meant.as_slice() else { continue };
        let workload = server.first().cloned().unwrap_or_default();
        if !done.insert(((*holder).clone(), failure.why)) {
            continue;
        }
        let about = About { holder, workload: &workload, failure, times };
        for user in users.get(*holder).into_iter().flatten() {
            answer.relate(Relation::new(user.clone(), RelationKind::Uses, (*holder).clone()));
        }
        about.tell(speaker, (scene, holders), (told, answer));
    }
}

fn is_dead(failure: &TlsFailure) -> bool {
    matches!(failure.why, "expired" | "not_yet_valid")
}

/// The only host outside that a workload is told to call by TLS, when it calls nobody inside that
/// may serve a certificate.
async fn only_outside(
    scene: &Scene<'_>,
    services: &[Object],
    speaker: &Entity,
    users: &Users,
) -> Option<Entity> {
    let configs = scene.cluster.list(Kind::ConfigMap, Some(&speaker.namespace)).await;
    let configs = configs.unwrap_or_default();
    let known: calls::Known<'_> = services.iter().map(|s| ((s.namespace(), s.name()), s)).collect();
    let pod = scene.pods.iter().find(|p| scene.owners.top(p) == *speaker)?;
    let mut outside = Vec::new();
    for (to, port) in calls::callees(pod, &configs, &known) {
        if to.kind == "External" && port != Some(80) {
            outside.push(to);
        } else if to.kind == "Service" && matches!(port, Some(443 | 8443)) {
            return None;
        }
    }
    let own = users.iter().any(|(holder, by)| holder.name.contains("tls") && by.contains(speaker));
    let [only] = outside.as_slice() else { return None };
    (!own).then(|| only.clone())
}

/// One complaint and what it is about.
struct About<'a> {
    holder: &'a Entity,
    workload: &'a Entity,
    failure: &'a TlsFailure,
    times: &'a Times,
}

/// The workloads behind whom a caller names.
fn servers(scene: &Scene<'_>, services: &[Object], to: &Entity) -> Vec<Entity> {
    let mut found: Vec<Entity> = match to.kind.as_str() {
        "Service" => {
            let service =
                services.iter().find(|s| s.namespace() == to.namespace && s.name() == to.name);
            let wanted = service.map(|s| s.map("/spec/selector")).unwrap_or_default();
            let behind = scene.pods.iter().filter(|p| {
                p.namespace() == to.namespace && selector::pairs_match(&wanted, &p.labels())
            });
            behind.map(|p| scene.owners.top(p)).collect()
        }
        "Pod" => {
            scene.pods.iter().filter(|p| p.entity() == *to).map(|p| scene.owners.top(p)).collect()
        }
        _ => vec![to.clone()],
    };
    found.sort();
    found.dedup();
    found
}

/// Whether a Secret is one of a certificate: by its type, else by its name.
fn holds(holder: &Entity, holders: &[Object], scene: &Scene<'_>) -> bool {
    if holder.kind != "Secret" {
        return false;
    }
    let known = holders.iter().find(|h| h.entity() == *holder);
    let typed = known.is_some_and(|h| h.text("/type") == "kubernetes.io/tls");
    let keyed = known.is_some_and(|h| h.at("/data/tls.crt").is_some());
    let unread = known.is_none() && !scene.cluster.records(Kind::Secret);
    let named = ["tls", "cert", "ssl", "pki"].iter().any(|w| holder.name.contains(w));
    typed || keyed || ((unread || known.is_some()) && named)
}

fn edited(holder: &Entity, holders: &[Object], now: Timestamp) -> Option<Timestamp> {
    let object = holders.iter().find(|h| h.entity() == *holder)?;
    let edit = edits::last_edit(object, now).map(|e| e.time).or_else(|| object.created());
    edit.filter(|at| within(*at, now, RECENT_HOURS))
}

// === impl About ===

impl About<'_> {
    fn tell(
        &self,
        caller: &Entity,
        (scene, holders): (&Scene<'_>, &[Object]),
        (told, answer): Told<'_>,
    ) {
        let now = scene.cluster.now();
        let known = told.get(self.holder).copied();
        let edit = edited(self.holder, holders, now);
        match self.failure.why {
            "expired" | "not_yet_valid" => {
                if let (Some(renewed), Some(started)) = (edit, self.started(scene))
                    && known != Some("certificate.expired")
                    && renewed > started
                {
                    answer.harm(self.not_reloaded(renewed, started));
                } else if known.is_none() {
                    answer.harm(self.expired(now));
                }
            }
            why => {
                let Some(edit) = edit else { return };
                // What was refused before the edit is not of it.
                if self.times.first.is_some_and(|first| first < edit) {
                    return;
                }
                answer.harm(self.untrusted(caller, why, edit));
            }
        }
    }

    /// When the oldest pod of the server that runs now was started.
    fn started(&self, scene: &Scene<'_>) -> Option<Timestamp> {
        let own = scene.pods.iter().filter(|p| scene.owners.top(p) == *self.workload);
        own.filter_map(|p| p.time("/status/startTime").or_else(|| p.created())).min()
    }

    fn observe(&self, signal: &str, subject: Entity, says: String) -> Observation {
        Observation::new(signal, subject, says)
            .maybe_until(self.times.last)
            .count(self.times.count.max(1))
            .attr("is_new", if self.times.always { "false" } else { "true" })
            .quote(&self.times.quote)
    }

    fn expired(&self, now: Timestamp) -> Observation {
        let ended =
            self.failure.not_after.map(|t| format!(", it ended at {t}")).unwrap_or_default();
        let why = self.failure.why.replace('_', " ");
        let says = if self.holder.kind == "External" {
            format!(
                "{} serves a certificate that its callers refuse as {why}{ended}",
                self.holder.name
            )
        } else {
            format!(
                "{} {} holds the certificate of {} {} that callers refuse as {why}{ended}",
                self.holder.kind, self.holder.name, self.workload.kind, self.workload.name
            )
        };
        let since = self.failure.not_after.or(self.times.first).filter(|t| *t <= now);
        self.observe("certificate.expired", self.holder.clone(), says)
            .maybe_since(since)
            .attr("why", self.failure.why)
            .attr("not_after", self.failure.not_after.map(|t| t.to_string()).unwrap_or_default())
            .attr("source", "logs")
            .peer(self.workload.clone())
    }

    fn untrusted(&self, caller: &Entity, why: &str, edit: Timestamp) -> Observation {
        let says = format!(
            "{} {} was changed at {edit}, since then {} {} does not trust the certificate of {} {} ({})",
            self.holder.kind,
            self.holder.name,
            caller.kind,
            caller.name,
            self.workload.kind,
            self.workload.name,
            why.replace('_', " ")
        );
        self.observe("certificate.untrusted", self.holder.clone(), says)
            .since(edit)
            .attr("why", why)
            .attr("server", format!("{}/{}", self.workload.namespace, self.workload.name))
            .peer(caller.clone())
    }

    fn not_reloaded(&self, renewed: Timestamp, started: Timestamp) -> Observation {
        let says = format!(
            "{} {} runs since {started} and serves an old certificate, although Secret {} was renewed at {renewed}",
            self.workload.kind, self.workload.name, self.holder.name
        );
        self.observe("certificate.not_reloaded", self.workload.clone(), says)
            .maybe_since(self.failure.not_after.or(self.times.first))
            .attr("renewed", renewed.to_string())
            .attr("started", started.to_string())
            .peer(self.holder.clone())
    }
}
