//! What people may see of the registry: tools and instances as they stand now. Copies, taken under
//! the lock and shown without it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use agent_proto::tool::v1 as pb;
use tokio::time::Instant;

use super::{Readiness, Registry, entry::Offer};
use crate::{
    guard::breaker,
    plugin::{digest, instance::Instance},
    tool::{Failure, ToolSpec},
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
        self.swept(now).tools().map(|offer| tool(offer, now)).collect()
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
        let mut found = state.newest(|offer| named(offer) && offer.pool().ready(now) > 0);
        if found.is_empty() {
            found = state.newest(named);
        }
        let spec = found.pop()?;
        state.find(&spec.id).map(|offer| tool(&offer, now))
    }

    /// Digest over all tools, to notice changes.
    #[must_use]
    pub fn catalog_digest(&self) -> String {
        let state = self.swept(Instant::now());
        digest::catalog(state.tools().map(|offer| offer.spec().id.digest.as_str()))
    }

    /// All plugins with their instances, those included whose lease ran out lately.
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
        by_name
            .into_iter()
            .map(|(name, instances)| {
                let mut warnings: Vec<String> = state.warnings(name).into_iter().collect();
                warnings.extend(self.shared.heard.advice(name, &words));
                let own = troubles.iter().filter(|(plugin, _)| *plugin == name);
                warnings.extend(own.map(|(_, why)| why.clone()));
                PluginView { name: name.to_owned(), instances, warnings }
            })
            .collect()
    }
}

fn tool(offer: &Arc<Offer>, now: Instant) -> ToolView {
    let ready_instances = offer.pool().ready(now);
    let standing = match offer.breaker().standing() {
        breaker::Standing::Open(_) => Standing::Tripped,
        _ if ready_instances == 0 => Standing::Unavailable,
        breaker::Standing::Closed | breaker::Standing::HalfOpen => Standing::Active,
    };
    ToolView {
        spec: Arc::clone(offer.spec()),
        descriptor: Arc::clone(offer.descriptor()),
        standing,
        ready_instances,
        last_failure: offer.pool().last_failure(),
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
