//! From a tally to facts in the words of the signal catalogue, bounded and the telling ones first.

mod lines;
mod mechanisms;
mod names;

use std::collections::BTreeMap;

use agent_sdk::{Entity, Observation, Relation, RelationKind};
use jiff::Timestamp;
use plugin_cluster::{Clients, credential::Credential};

use crate::{
    database::Place,
    rate::{Change, Counts},
    refused,
    tally::Tally,
};

/// What a log told.
#[derive(Debug, Default)]
pub struct Told {
    /// Facts, the telling ones first.
    pub facts: Vec<Observation>,
    /// Edges that the log itself tells.
    pub relations: Vec<Relation>,
    /// How many lines of harm are new; orders containers of one workload.
    pub new_harm: u64,
}

/// Whose log it is.
#[derive(Clone, Copy)]
pub struct Whose<'a> {
    /// The container.
    pub subject: &'a Entity,
    /// What a person deployed to get it; the pod itself when nobody did.
    pub workload: &'a Entity,
    /// Which Secrets it proves itself with.
    pub credentials: &'a [Credential],
    /// Top owners of pods.
    pub tops: &'a BTreeMap<Entity, Entity>,
    /// Names by which workloads go at servers.
    pub clients: &'a Clients,
}

static NO_TOPS: BTreeMap<Entity, Entity> = BTreeMap::new();
static NOBODY: Clients = Clients::new();

impl<'a> Whose<'a> {
    /// A container of which nothing but its log is known.
    #[must_use]
    pub fn alone(subject: &'a Entity, pod: &'a Entity) -> Self {
        Self { subject, workload: pod, credentials: &[], tops: &NO_TOPS, clients: &NOBODY }
    }
}

/// The facts of one container's log.
#[must_use]
pub fn of(whose: Whose<'_>, tally: &Tally<'_>) -> Told {
    let subject = whose.subject;
    let mut told = Told::default();
    told.facts.extend(mechanisms::of(whose, tally, &mut told.new_harm));
    let refused: Vec<(Entity, Observation)> =
        told.facts.iter().filter_map(|fact| refused_credential(whose, fact)).collect();
    let mut uses = Vec::new();
    for (secret, fact) in refused {
        uses.push(Relation::new(whose.workload.clone(), RelationKind::Uses, secret));
        told.facts.push(fact);
    }
    let place = Place {
        database: whose.workload.clone(),
        namespace: &subject.namespace,
        peers: tally.peers(),
        tops: whose.tops,
        clients: whose.clients,
    };
    let (facts, relations) = tally.sessions().tell(&place, tally.window());
    told.facts.extend(facts);
    // Only where it matters who else depends on something: a statement that holds others up.
    if tally.heavy().next().is_some() {
        let calls =
            |to: &Entity| Relation::new(whose.workload.clone(), RelationKind::Calls, to.clone());
        uses.extend(tally.met().iter().map(calls));
    }
    // Who cannot understand an answer depends on its form, also where the call itself works; who
    // asks for names depends on the resolver with all it calls.
    let reads = told
        .facts
        .iter()
        .filter(|fact| matches!(fact.signal(), "log.protocol_error" | "log.dns_failure"));
    let peers = reads.filter_map(|fact| fact.as_wire().peer.as_ref());
    uses.extend(peers.map(|peer| {
        let peer = Entity::new(&*peer.kind, &*peer.namespace, &*peer.name);
        Relation::new(whose.workload.clone(), RelationKind::Uses, peer)
    }));
    told.relations = relations.into_iter().chain(uses).collect();
    told.facts.extend(lines::reloads(subject, tally));
    told.facts.extend(lines::heavy(subject, tally));
    told.facts.extend(lines::dropped(subject, tally));
    told.facts.extend(lines::backlogs(subject, tally));
    told.facts.extend(lines::errors(subject, tally, &mut told.new_harm));
    told.facts.extend(orders(subject, tally));
    if told.new_harm == 0 && tally.lines() > 0 {
        let says = format!(
            "container {} logs no errors beyond the usual in {} lines",
            subject.container,
            tally.lines()
        );
        let quiet = Observation::new("log.quiet", subject.clone(), says);
        told.facts.push(quiet.attr("lines", tally.lines().to_string()));
    }
    told.facts.extend(lines::shifts(subject, tally));
    told
}

/// The Secret behind a refusal, when the program is the one refused.
fn refused_credential(whose: Whose<'_>, fact: &Observation) -> Option<(Entity, Observation)> {
    let wire = fact.as_wire();
    let side = wire.attributes.get("side");
    if wire.signal != "log.auth_failure" || side.is_some_and(|side| side == "server") {
        return None;
    }
    let peer = wire.peer.as_ref().map(|p| Entity::new(&*p.kind, &*p.namespace, &*p.name));
    let about = (peer.as_ref(), whose.subject.container.as_str());
    let used = refused::credential(&wire.quote, about, whose.credentials)?;
    let secret = Entity::new("Secret", whose.subject.namespace.as_str(), used.secret.as_str());
    let seen = refused::fact(secret.clone(), used, fact, whose.workload.clone());
    Some((secret, seen))
}

/// Lines that give orders to whoever reads them: told, and nothing else made of them.
fn orders(subject: &Entity, tally: &Tally<'_>) -> Option<Observation> {
    let seen = tally.orders();
    let first = seen.counts.first;
    let says = format!(
        "container {} logs text that reads like an order to its reader, {} times; it is not followed",
        subject.container, seen.counts.total
    );
    (seen.counts.total > 0).then(|| {
        Observation::new("text.instruction", subject.clone(), says)
            .count(seen.counts.total)
            .maybe_since(first)
            .maybe_until(seen.counts.last)
            .attr("where", "log")
            .quote(&seen.quote)
    })
}

/// Whether something is new, and since when it counts.
struct News {
    is_new: bool,
    since: Option<Timestamp>,
    /// Whether its beginning was seen, or it may be older than the log.
    begins_in_log: bool,
    /// The clearest change of its rate, with the lead.
    change: Option<Change>,
}

/// Lines of one kind that make it weighty in a log without an earlier part.
const WEIGHTY: u64 = 10;

/// New by its rate. In a log too short to have an earlier part, what is weighty counts as new, as
/// it may well be. What ends a program is new unless it was there from early on.
fn news(counts: &Counts, grave: bool, tally: &Tally<'_>) -> News {
    let window = tally.window();
    let change = counts.change(window, true);
    let by_rate = change.filter(Change::is_new);
    let (early, _) = counts.around(crate::rate::BUCKETS / 4);
    let weighty = counts.total >= WEIGHTY || counts.total * 20 >= tally.all().total;
    let is_new = match (by_rate, window.has_past()) {
        (Some(_), _) => true,
        (None, false) => weighty || grave,
        (None, true) => grave && (early < 1.0 || !window.lead.is_zero()),
    };
    let since = match by_rate {
        // The odd one before the change is not its beginning.
        Some(change) if change.seen_before >= 1.0 => Some(change.at),
        _ => counts.first,
    };
    let begins_in_log = window.has_past() && (is_new || early < 1.0);
    News { is_new, since, begins_in_log, change }
}

impl News {
    fn onset(&self) -> &'static str {
        if self.begins_in_log { "seen" } else { "before_data" }
    }
}

fn how_often(counts: &Counts, since: Option<Timestamp>) -> String {
    let times =
        if counts.total == 1 { "once".to_owned() } else { format!("{} times", counts.total) };
    match since {
        Some(since) if counts.total == 1 => format!("once, at {}", since.strftime("%H:%M")),
        Some(since) => format!("{times} since {}", since.strftime("%H:%M")),
        None => times,
    }
}
