//! What people may see of the registry: tools and instances as they stand now. Copies, taken under
//! the lock and shown without it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use agent_proto::tool::v1 as pb;
use tokio::time::Instant;

use super::{Readiness, Registry, entry::State, obstacles, offer::Offer};
use crate::{
    guard::breaker,
    plugin::{contracts::Held, digest, instance::Instance},
    tool::{Failure, Flaw, ToolSpec, Violation},
};

/// Whether a tool can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It can.
    Active,
    /// No instance is ready.
    Unavailable,
    /// Its breaker is open.
    Tripped,
    /// It waits for a person.
    Quarantined,
    /// A person switched it off.
    Disabled,
}

/// One tool version.
#[derive(Debug, Clone)]
pub struct ToolView {
    /// As the daemon reads it.
    pub spec: Arc<ToolSpec>,
    /// As its plugin declared it.
    pub descriptor: Arc<pb::ToolDescriptor>,
    /// Whether it can be called.
    pub standing: Standing,
    /// Instances that take calls to it.
    pub ready_instances: usize,
    /// The most recent failure of a call.
    pub last_failure: Option<Failure>,
    /// What stands in its way.
    pub obstacles: Vec<Violation>,
    /// How attempts ended, newest first.
    pub recent: Vec<RecentCall>,
    /// Advice to its author.
    pub warnings: Vec<String>,
}

/// How one attempt ended.
#[derive(Debug, Clone)]
pub struct RecentCall {
    /// How long ago.
    pub ago: Duration,
    /// How long it took.
    pub took: Duration,
    /// Who was asked.
    pub instance_id: String,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// What was wrong with it although it succeeded.
    pub flaws: Vec<Flaw>,
}

/// One plugin with its instances.
#[derive(Debug, Clone)]
pub struct PluginView {
    /// Namespace.
    pub name: String,
    /// Instances, by id.
    pub instances: Vec<InstanceView>,
    /// What its author should mend in its words.
    pub warnings: Vec<String>,
    /// Its tools that were refused.
    pub refused: Vec<pb::ToolVerdict>,
}

/// One instance.
#[derive(Debug, Clone)]
pub struct InstanceView {
    /// Drawn by the process.
    pub instance_id: String,
    /// Version of the plugin software.
    pub version: String,
    /// Whether it takes calls.
    pub readiness: Readiness,
    /// Where it is dialled.
    pub endpoint: String,
    /// Time left of its lease, or since it ran out.
    pub lease: Lease,
    /// Calls running now.
    pub calls_in_flight: u32,
    /// Failures among the last hundred calls.
    pub recent_failures: usize,
}

/// How a lease stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// Ends in this long.
    Left(Duration),
    /// Ran out this long ago.
    Expired(Duration),
}

// === impl Registry ===

impl Registry {
    /// All tools, by name and version, callable or not.
    #[must_use]
    pub fn tools(&self) -> Vec<ToolView> {
        let now = Instant::now();
        let state = self.swept(now);
        state.tools().map(|offer| tool(&state, offer, now)).collect()
    }

    /// One tool by name: at `version`, or the newest when that is empty.
    #[must_use]
    pub fn tool(&self, plugin: &str, name: &str, version: &str) -> Option<ToolView> {
        let now = Instant::now();
        let state = self.swept(now);
        let named = |offer: &Offer| {
            let id = &offer.spec().id;
            id.plugin == plugin && id.tool == name && (version.is_empty() || id.version == version)
        };
        // One that can be called comes before a newer one that cannot.
        let mut found = state.newest(|offer| named(offer) && state.is_callable(offer, now));
        if found.is_empty() {
            found = state.newest(named);
        }
        let spec = found.pop()?;
        state.find(&spec.id).map(|offer| tool(&state, &offer, now))
    }

    /// Digest over all tools, to notice changes.
    #[must_use]
    pub fn catalog_digest(&self) -> String {
        let state = self.swept(Instant::now());
        digest::catalog(state.tools().map(|offer| offer.spec().id.digest.as_str()))
    }

    /// All plugins with their instances, those included whose lease ran out lately, and those that
    /// were not let in lately.
    #[must_use]
    pub fn plugins(&self) -> Vec<PluginView> {
        let now = Instant::now();
        let words = self.catalogue();
        let state = self.swept(now);
        let mut by_name: BTreeMap<&str, Vec<InstanceView>> = BTreeMap::new();
        let mut troubles: BTreeSet<(&str, String)> = BTreeSet::new();
        for held in state.instances() {
            by_name.entry(&held.plugin).or_default().push(instance(held, now));
            troubles.extend(held.trouble().map(|why| (held.plugin.as_str(), why)));
        }
        let turned_away: BTreeMap<&str, String> = state
            .refusals
            .lately(now)
            .map(|(plugin, ago, why)| (plugin, turned_away(ago, why)))
            .collect();
        for plugin in turned_away.keys() {
            by_name.entry(plugin).or_default();
        }
        by_name
            .into_iter()
            .map(|(name, instances)| {
                let mut warnings: Vec<String> = state.warnings(name).into_iter().collect();
                warnings.extend(self.shared.heard.advice(name, &words));
                warnings.extend(turned_away.get(name).cloned());
                let own = troubles.iter().filter(|(plugin, _)| *plugin == name);
                warnings.extend(own.map(|(_, why)| why.clone()));
                let refused = state.refused(name, now);
                PluginView { name: name.to_owned(), instances, warnings, refused }
            })
            .collect()
    }
}

/// What was wrong with calls of late that succeeded all the same, each with how often.
fn flaws(recent: &[RecentCall]) -> Vec<String> {
    let mut times: BTreeMap<&str, (usize, &Flaw)> = BTreeMap::new();
    for call in recent {
        let of_call: BTreeMap<&str, &Flaw> =
            call.flaws.iter().rev().map(|flaw| (flaw.reason.as_str(), flaw)).collect();
        for (reason, flaw) in of_call {
            times.entry(reason).or_insert((0, flaw)).0 += 1;
        }
    }
    let calls = recent.len();
    times.values().map(|(n, flaw)| format!("{flaw} ({n} of the last {calls} calls)")).collect()
}

fn turned_away(ago: Duration, why: &str) -> String {
    format!("a registration was refused {} s ago: {why}", ago.as_secs())
}

fn tool(state: &State, offer: &Arc<Offer>, now: Instant) -> ToolView {
    let ready_instances = offer.pool().ready(now);
    let spec = offer.spec();
    let held = state.contracts.held(&spec.id);
    let own = state.instances().filter(|instance| instance.plugin == spec.id.plugin);
    let obstacles = obstacles::of(offer, &held, own, now);
    let denied = offer.pool().denied() >= obstacles::DENIED;
    let standing = match (held, offer.breaker().standing()) {
        (Held::Disabled(_), _) => Standing::Disabled,
        (Held::Quarantined(_), _) => Standing::Quarantined,
        (Held::Free, breaker::Standing::Open(_)) => Standing::Tripped,
        _ if ready_instances == 0 || denied => Standing::Unavailable,
        (Held::Free, breaker::Standing::Closed | breaker::Standing::HalfOpen) => Standing::Active,
    };
    let recent = offer.pool().recent(now);
    let flaws = flaws(&recent);
    ToolView {
        spec: Arc::clone(spec),
        descriptor: Arc::clone(offer.descriptor()),
        standing,
        ready_instances,
        last_failure: offer.pool().last_failure(),
        obstacles,
        recent,
        warnings: offer.warnings().iter().cloned().chain(flaws).collect(),
    }
}

fn instance(held: &Arc<Instance>, now: Instant) -> InstanceView {
    let until = held.lease_until();
    InstanceView {
        instance_id: held.id.clone(),
        version: held.version.clone(),
        readiness: held.readiness(now),
        endpoint: held.endpoint.clone(),
        lease: if until > now { Lease::Left(until - now) } else { Lease::Expired(now - until) },
        calls_in_flight: held.in_flight(),
        recent_failures: held.recent_failures(),
    }
}
