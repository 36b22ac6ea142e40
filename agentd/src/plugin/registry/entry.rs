//! What stands in the registry: instances by id with their lease, and tools by reference with the
//! stack that calls go through. The invariant: an instance is in the pool of each tool it offers
//! exactly as long as it is placed, and a tool is here as long as its pool is not empty.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use agent_proto::tool::v1 as pb;
use prost::Message as _;
use tokio::time::Instant;

use super::{
    Error,
    offer::{Buckets, Offer, shared_bucket},
    placed::{Placed, Told},
    ration::Ration,
    refusals::Refusals,
};
use crate::{
    guard::{rate::Bucket, tokens::Who},
    plugin::{
        admission::descriptor::Checked,
        bell::Bell,
        contracts::{Contracts, Held, Record},
        fault::MISMATCH,
        instance::{Before, Instance, Readiness},
        news::{Kind, Subject},
        semver::Version,
        wire::spec::tool_spec,
    },
    reasoner::catalogue::Catalogue,
    tool::{Failure, FailureClass, ToolRef, ToolSpec},
};

/// Room for the tools of one plugin that were refused, in bytes: 50 plugins, a page of them, fit into
/// one message.
const ROOM_REFUSED: usize = 64 * 1024;

/// All that is registered.
#[derive(Debug)]
pub(super) struct State {
    /// Which contracts were let in.
    pub(super) contracts: Contracts,
    /// What of that is not written yet.
    unwritten: BTreeMap<String, Option<Vec<u8>>>,
    /// How often each plugin may register.
    pub(super) doors: BTreeMap<String, Bucket>,
    buckets: Buckets,
    bell: Arc<Bell>,
    pub(super) instances: BTreeMap<String, Placed>,
    tools: BTreeMap<ToolRef, Arc<Offer>>,
    /// Signals and causes in force, until somebody comes or goes.
    in_force: Option<Arc<Catalogue>>,
    /// Leases that ran out since the start.
    pub(super) expired: u64,
    /// Plugins that were not let in.
    pub(super) refusals: Refusals,
    /// How much is told of tools that cannot be called.
    pub(super) tool_lines: Ration,
}

// === impl State ===

impl State {
    /// Nobody is here; `contracts` were let in before.
    pub(super) fn new(contracts: Contracts, bell: Arc<Bell>) -> Self {
        Self {
            contracts,
            bell,
            unwritten: BTreeMap::new(),
            doors: BTreeMap::new(),
            buckets: Buckets::new(),
            instances: BTreeMap::new(),
            tools: BTreeMap::new(),
            in_force: None,
            expired: 0,
            refusals: Refusals::default(),
            tool_lines: Ration::new(100, 30),
        }
    }

    /// Whether a tool of this instance was refused because of others that are gone by now: it should
    /// announce itself again.
    pub(super) fn may_return(&self, lease: &str, now: Instant) -> bool {
        let Some(placed) = self.instances.values().find(|placed| placed.lease == lease) else {
            return false;
        };
        let mismatched = placed.refused.iter().filter(|verdict| {
            verdict.rejection.as_ref().is_some_and(|failure| failure.reason == MISMATCH)
        });
        mismatched.filter_map(|verdict| verdict.tool.as_ref()).any(|tool| {
            let others = self.instances().filter(|other| other.lease_until() > now);
            let held = others.flat_map(|other| &other.offers).any(|held| {
                (&held.plugin, &held.tool, &held.version)
                    == (&tool.plugin, &tool.tool, &tool.version)
            });
            !held
        })
    }

    /// Looks at tools that register, and tells what stands in the way of each.
    pub(super) fn judge(&mut self, tools: &mut [Checked], trusted: bool) -> Vec<Held> {
        let mut held = Vec::with_capacity(tools.len());
        for tool in tools {
            if tool.rejection.is_none() {
                let records = self.contracts.admit(tool, trusted);
                self.unwritten.extend(records);
            }
            // What was refused waits for nobody.
            let is_refused = tool.rejection.is_some();
            held.push(if is_refused { Held::Free } else { self.contracts.held(&tool.id) });
        }
        held
    }

    /// What is to be written.
    pub(super) fn unwritten(&self) -> Vec<Record> {
        self.unwritten.iter().map(|(key, bytes)| (key.clone(), bytes.clone())).collect()
    }

    /// Adds to what is to be written.
    pub(super) fn keep(&mut self, records: Vec<Record>) {
        self.unwritten.extend(records);
    }

    /// It was written, as it was then.
    pub(super) fn written(&mut self, records: &[Record]) {
        for (key, bytes) in records {
            if self.unwritten.get(key) == Some(bytes) {
                self.unwritten.remove(key);
            }
        }
    }

    /// Tools of a plugin that were refused, of all its instances that are here: as many as one answer
    /// has room for.
    pub(super) fn refused(&self, plugin: &str, now: Instant) -> Vec<pb::ToolVerdict> {
        let is_own =
            |instance: &Instance| instance.plugin == plugin && instance.lease_until() > now;
        let own = self.instances.values().filter(|placed| is_own(&placed.instance));
        let mut all: BTreeMap<(String, String), pb::ToolVerdict> = BTreeMap::new();
        for verdict in own.flat_map(|placed| &placed.refused) {
            let tool = verdict.tool.clone().unwrap_or_default();
            all.insert((tool.tool, tool.version), verdict.clone());
        }
        let mut room = ROOM_REFUSED;
        let fits = |verdict: &pb::ToolVerdict| {
            let left = room.checked_sub(verdict.encoded_len());
            room = left.unwrap_or(0);
            left.is_some()
        };
        all.into_values().take_while(fits).collect()
    }

    /// The best version of each tool that can be called.
    pub(super) fn callable(&self, now: Instant) -> Vec<Arc<ToolSpec>> {
        self.newest(|offer| self.is_callable(offer, now))
    }

    /// Whether an instance takes calls to it, and nobody holds it up.
    pub(super) fn is_callable(&self, offer: &Offer, now: Instant) -> bool {
        offer.pool().ready(now) > 0 && self.contracts.held(&offer.spec().id) == Held::Free
    }

    /// An id is its process's own: neither another plugin nor who shows another token takes it over.
    pub(super) fn check_owner(
        &self,
        id: &str,
        (plugin, by): (&str, &Who),
        now: Instant,
    ) -> Result<(), Error> {
        let Some(held) = self.instances.get(id) else { return Ok(()) };
        let is_theirs =
            held.instance.plugin == plugin && (held.by == Who::Anybody || held.by.is_holder(by));
        if is_theirs || held.instance.lease_until() <= now {
            return Ok(());
        }
        Err(Error::InstanceTaken { instance_id: id.to_owned() })
    }

    /// Refuses tools whose name and version a live instance, other than `id`, holds with another
    /// digest.
    pub(super) fn refuse_mismatches(&self, tools: &mut [Checked], id: &str, now: Instant) {
        let held: Vec<(&ToolRef, &Arc<Instance>)> = self
            .instances
            .iter()
            .filter(|(other, placed)| *other != id && placed.instance.lease_until() > now)
            .flat_map(|(_, Placed { instance, .. })| {
                instance.offers.iter().map(move |offered| (offered, instance))
            })
            .collect();
        for tool in tools.iter_mut().filter(|tool| tool.rejection.is_none()) {
            let alike = held.iter().find(|(held, _)| {
                (&held.plugin, &held.tool, &held.version)
                    == (&tool.id.plugin, &tool.id.tool, &tool.id.version)
                    && held.digest != tool.id.digest
            });
            if let Some((_, holder)) = alike {
                let place = match holder.endpoint.as_str() {
                    "" => "relay",
                    endpoint => endpoint,
                };
                let said = format!(
                    "{} {} is registered with another descriptor by instance {} ({}); raise the \
                     tool's version, or stop that one: what is gone holds it until its lease runs \
                     out, see agentd plugins {}",
                    tool.id, tool.id.version, holder.id, place, holder.plugin
                );
                let mut failure = Failure::ours(FailureClass::Config, MISMATCH, said);
                failure.code = i32::from(tonic::Code::AlreadyExists);
                tool.rejection = Some(failure);
            }
        }
    }

    /// `instance` offers `tool`.
    pub(super) fn offer(&mut self, tool: &Checked, instance: &Arc<Instance>, bell: &Arc<Bell>) {
        // What cannot be checked was refused before.
        let Some(contract) = &tool.contract else { return };
        let buckets = &mut self.buckets;
        self.tools
            .entry(tool.id.clone())
            .or_insert_with(|| {
                let spec = tool_spec(tool.id.clone(), &tool.descriptor);
                let bucket = shared_bucket(buckets, &spec);
                Arc::new(Offer::new(spec, (tool, contract), bucket, bell))
            })
            .pool()
            .join(Arc::clone(instance));
    }

    /// Places an instance whose tools are offered already; one of the same id gives way.
    pub(super) fn place(&mut self, id: String, placed: Placed) {
        self.in_force = None;
        if let Some(old) = self.instances.insert(id, placed) {
            self.withdraw(&old.instance);
        }
    }

    /// What the instance of this id, if it is here, was told of its tools when it registered last.
    pub(super) fn told(&self, id: &str) -> Option<Vec<Told>> {
        let held = self.instances.get(id).filter(|placed| !placed.has_lapsed);
        held.map(|placed| placed.told.clone())
    }

    /// What was told of the instance of this id, if it is here, for one that comes in its place at
    /// `endpoint`.
    pub(super) fn before(&self, id: &str, endpoint: &str) -> Before {
        let held = self.instances.get(id).filter(|placed| !placed.has_lapsed);
        held.map(|placed| placed.instance.told(endpoint)).unwrap_or_default()
    }

    /// Takes out the instance with this lease.
    pub(super) fn leave(&mut self, lease: &str) -> Option<Arc<Instance>> {
        let held = self.instances.iter().find(|(_, placed)| placed.lease == lease);
        let id = held.map(|(id, _)| id.clone())?;
        let left = self.instances.remove(&id)?;
        self.withdraw(&left.instance);
        Some(left.instance)
    }

    /// The instance with this lease, while it lasts.
    pub(super) fn by_lease(&self, lease: &str, now: Instant) -> Option<&Arc<Instance>> {
        self.instances
            .values()
            .find(|placed| placed.lease == lease && placed.instance.lease_until() > now)
            .map(|placed| &placed.instance)
    }

    /// Tells of leases that ran out, and takes out what has been expired for as long as a lease lasts.
    pub(super) fn sweep(&mut self, now: Instant, ttl: Duration) {
        for placed in self.instances.values_mut() {
            let instance = &placed.instance;
            if placed.has_lapsed || now < instance.lease_until() {
                continue;
            }
            placed.has_lapsed = true;
            self.expired = self.expired.saturating_add(1);
            tracing::warn!(plugin = instance.plugin, instance = instance.id, "lease ran out");
            let subject = Subject::instance(&instance.plugin, &instance.id);
            self.bell.news.tell(Kind::Expired, subject, "its lease ran out".to_owned());
        }
        let gone = |placed: &Placed| now >= placed.instance.lease_until() + ttl;
        if !self.instances.values().any(gone) {
            return;
        }
        let ids: Vec<String> = self
            .instances
            .iter()
            .filter(|(_, placed)| gone(placed))
            .map(|(id, _)| id.clone())
            .collect();
        for placed in ids.iter().filter_map(|id| self.instances.remove(id)).collect::<Vec<_>>() {
            self.withdraw(&placed.instance);
        }
    }

    /// When the next lease runs out, unless it is renewed.
    pub(super) fn next_lapse(&self) -> Option<Instant> {
        let held = self.instances.values().filter(|placed| !placed.has_lapsed);
        held.map(|placed| placed.instance.lease_until()).min()
    }

    fn withdraw(&mut self, instance: &Arc<Instance>) {
        instance.depart();
        self.in_force = None;
        for tool in &instance.offers {
            if self.tools.get(tool).is_some_and(|offer| !offer.pool().leave(instance)) {
                self.tools.remove(tool);
                let name = |id: &ToolRef| (id.plugin.clone(), id.tool.clone());
                if !self.tools.keys().any(|left| name(left) == name(tool)) {
                    self.buckets.remove(&name(tool));
                }
            }
        }
    }

    /// `base` and what the plugins that are placed bring, but for the plugin `without`. Of several
    /// versions of one plugin the newest speaks.
    pub(super) fn words(&self, base: &Catalogue, without: Option<&str>) -> Catalogue {
        let mut newest: BTreeMap<&str, &Placed> = BTreeMap::new();
        let version = |placed: &Placed| placed.instance.version.parse::<Version>().ok();
        for placed in self.instances.values() {
            let held = newest.entry(&placed.instance.plugin).or_insert(placed);
            if version(placed) > version(held) {
                *held = placed;
            }
        }
        let mut words = base.clone();
        for (plugin, placed) in newest {
            if without != Some(plugin) {
                words.host(&placed.guest);
            }
        }
        words
    }

    /// All signals and causes in force.
    pub(super) fn in_force(&mut self, base: &Catalogue) -> Arc<Catalogue> {
        if let Some(known) = &self.in_force {
            return Arc::clone(known);
        }
        let words = Arc::new(self.words(base, None));
        self.in_force = Some(Arc::clone(&words));
        words
    }

    /// What the authors of a plugin that is placed should mend in its words.
    pub(super) fn warnings(&self, plugin: &str) -> BTreeSet<String> {
        let placed = self.instances.values().filter(|placed| placed.instance.plugin == plugin);
        placed.flat_map(|placed| placed.guest.warnings.iter().cloned()).collect()
    }

    /// The tool at exactly this version and digest.
    pub(super) fn find(&self, tool: &ToolRef) -> Option<Arc<Offer>> {
        self.tools.get(tool).map(Arc::clone)
    }

    /// All tools, by name and version.
    pub(super) fn tools(&self) -> impl Iterator<Item = &Arc<Offer>> {
        self.tools.values()
    }

    /// All instances, by id.
    pub(super) fn instances(&self) -> impl Iterator<Item = &Arc<Instance>> {
        self.instances.values().map(|placed| &placed.instance)
    }

    /// The best version of each tool among those that are `wanted`.
    pub(super) fn newest(&self, wanted: impl Fn(&Offer) -> bool) -> Vec<Arc<ToolSpec>> {
        let mut best: BTreeMap<(&str, &str), &Arc<Offer>> = BTreeMap::new();
        for (id, offer) in self.tools.iter().filter(|(_, offer)| wanted(offer)) {
            let held = best.entry((&id.plugin, &id.tool)).or_insert(offer);
            if offer.rank() > held.rank() {
                *held = offer;
            }
        }
        best.into_values().map(|offer| Arc::clone(offer.spec())).collect()
    }

    /// Whether an instance of `plugin` takes calls.
    pub(super) fn is_ready(&self, plugin: &str, now: Instant) -> bool {
        self.instances().any(|instance| {
            instance.plugin == plugin && instance.readiness(now) == Readiness::Ready
        })
    }
}
