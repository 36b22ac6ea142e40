//! Events about the same thing are one fact: counted together, from the first seen to the last.

use std::collections::BTreeMap;

use agent_sdk::{Entity, Observation, Relation, RelationKind};
use jiff::Timestamp;
use plugin_cluster::{Answer, Event};

/// How a fact is to be ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rank {
    Harm,
    Change,
    Neutral,
}

/// What one event says, in the words of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) signal: &'static str,
    pub(crate) rank: Rank,
    pub(crate) subject: Entity,
    /// What happened, as the end of a sentence that begins with the object.
    pub(crate) says: String,
    pub(crate) attributes: Vec<(&'static str, String)>,
    pub(crate) peer: Option<Entity>,
    /// Attributes that tell facts of one signal and subject apart; others may vary.
    pub(crate) distinct: &'static [&'static str],
}

// === impl Finding ===

impl Finding {
    pub(crate) fn new(
        signal: &'static str,
        rank: Rank,
        subject: Entity,
        says: impl Into<String>,
    ) -> Self {
        let says = says.into();
        Self { signal, rank, subject, says, attributes: Vec::new(), peer: None, distinct: &[] }
    }

    pub(crate) fn attr(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((key, value.into()));
        self
    }

    pub(crate) fn peer(mut self, peer: Entity) -> Self {
        self.peer = Some(peer);
        self
    }

    pub(crate) fn distinct(mut self, keys: &'static [&'static str]) -> Self {
        self.distinct = keys;
        self
    }

    fn key(&self) -> Key {
        let told = self
            .attributes
            .iter()
            .filter(|(key, _)| self.distinct.contains(key))
            .map(|(_, value)| value.clone());
        (self.signal, self.subject.clone(), told.collect(), self.peer.clone())
    }
}

type Key = (&'static str, Entity, Vec<String>, Option<Entity>);

#[derive(Debug)]
struct Fact {
    finding: Finding,
    count: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    quote: String,
}

/// Facts about health checks, of which the odd one says little.
const PROBES: [&str; 3] =
    ["container.liveness_failed", "container.readiness_failed", "container.startup_failed"];
/// So often a health check may fail without being said to fail.
const FLAPS: u64 = 2;

/// All facts so far.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    facts: BTreeMap<Key, Fact>,
}

// === impl Gathered ===

impl Gathered {
    /// Adds what `event` says. Events come oldest first; the last one's words stay, but a value
    /// that is told is never lost to one that is not.
    pub(crate) fn add(&mut self, event: &Event, finding: Finding) {
        let fact = self.facts.entry(finding.key()).or_insert_with(|| Fact {
            finding: finding.clone(),
            count: 0,
            first: event.first,
            last: event.last,
            quote: String::new(),
        });
        fact.count += event.count;
        fact.first = [fact.first, event.first].into_iter().flatten().min();
        fact.last = [fact.last, event.last].into_iter().flatten().max();
        let told = |f: &Finding| {
            f.attributes.iter().filter(|(_, v)| !v.is_empty() && v != "other").count()
        };
        if told(&finding) >= told(&fact.finding) {
            fact.finding = finding;
            fact.quote.clone_from(&event.message);
        }
    }

    /// Rules act on whom they refuse.
    pub(crate) fn governed(&self) -> impl Iterator<Item = Relation> {
        self.facts.values().filter_map(|fact| {
            let (subject, peer) = (&fact.finding.subject, fact.finding.peer.as_ref()?);
            let rule = matches!(subject.kind.as_str(), "ResourceQuota" | "LimitRange");
            rule.then(|| Relation::new(subject.clone(), RelationKind::Governs, peer.clone()))
        })
    }

    pub(crate) fn tell(self, answer: &mut Answer) {
        for fact in self.facts.into_values() {
            let rank = fact.finding.rank;
            let observation = fact.observation();
            match rank {
                Rank::Harm => answer.harm(observation),
                Rank::Change => answer.change(observation),
                Rank::Neutral => answer.neutral(observation),
            }
        }
    }
}

impl Fact {
    fn observation(self) -> Observation {
        let Finding { signal, subject, says, attributes, peer, .. } = self.finding;
        let name = match subject.container.as_str() {
            "" => format!("{} {}", subject.kind, subject.name),
            container => format!("container {container} of pod {}", subject.name),
        };
        let when = match (self.first, self.count) {
            (Some(first), 1) => format!(" at {first}"),
            (Some(first), times) => format!(", {times} times since {first}"),
            (None, _) => String::new(),
        };
        let mut observation = Observation::new(signal, subject, format!("{name} {says}{when}"))
            .maybe_since(self.first)
            .maybe_until(self.last)
            .count(self.count)
            .quote(&self.quote);
        for (key, value) in attributes {
            observation = observation.attr(key, value);
        }
        if PROBES.contains(&signal) {
            let flap = if self.count <= FLAPS { "once" } else { "often" };
            observation = observation.attr("flap", flap);
        }
        match peer {
            Some(peer) => observation.peer(peer),
            None => observation,
        }
    }
}
