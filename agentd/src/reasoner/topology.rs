//! How the objects met hang together. Objects that stand for one running thing (a workload, its
//! replica sets and pods, the services in front of it) form one unit; units call, use, run on and
//! govern one another. Trouble travels along those edges: errors and latency from callee to caller,
//! load from caller to callee.

use std::collections::{BTreeMap, BTreeSet, VecDeque, btree_map::Entry};

use super::catalogue::Place;
use crate::fact::{Entity, Relation, RelationKind};

/// Number of a unit within one topology.
pub type Unit = usize;

/// The topology of one investigation, rebuilt from the facts whenever they grew.
#[derive(Debug, Clone, Default)]
pub struct Topology {
    ids: BTreeMap<Entity, usize>,
    entities: Vec<Entity>,
    parent: Vec<usize>,
    owner: BTreeMap<Entity, Entity>,
    /// Unit → workloads in it that nothing owns.
    tops: BTreeMap<Unit, Vec<Entity>>,
    /// Unit → what it needs: callees, configuration, nodes, governors; with the edge it rests on.
    needs: BTreeMap<Unit, Vec<Need>>,
    /// The same edges from the other end.
    needed_by: BTreeMap<Unit, Vec<Need>>,
}

/// One edge between units: who needs whom is told by the list it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Need {
    other: Unit,
    kind: RelationKind,
    edge: Relation,
}

const WORKLOADS: [&str; 6] =
    ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicaSet"];

/// Longest way from the alerted object that is followed.
const FAR: usize = 6;

impl Topology {
    /// Builds it from edges and from every object that was observed.
    pub fn of<'a>(
        relations: impl IntoIterator<Item = &'a Relation> + Clone,
        observed: impl IntoIterator<Item = &'a Entity>,
    ) -> Self {
        let mut topology = Self::default();
        for entity in observed {
            topology.id(entity);
        }
        for relation in relations.clone() {
            let (from, to) = (topology.id(&relation.from), topology.id(&relation.to));
            if relation.kind == RelationKind::OwnedBy {
                topology.owner.insert(relation.from.whole(), relation.to.whole());
                topology.join(from, to);
            } else if stands_before(relation) {
                topology.join(from, to);
            }
        }
        topology.join_namesakes();
        topology.gather_tops();
        for relation in relations {
            topology.connect(relation);
        }
        topology
    }

    fn connect(&mut self, relation: &Relation) {
        let (from, to) = (self.unit(&relation.from), self.unit(&relation.to));
        let (Some(from), Some(to)) = (from, to) else { return };
        if from == to || relation.kind == RelationKind::OwnedBy || stands_before(relation) {
            return;
        }
        let (needy, needed, kind) = match relation.kind {
            // What governs acts on the governed: the governed needs its governor to be right.
            RelationKind::Governs | RelationKind::Selects => (to, from, RelationKind::Governs),
            RelationKind::Calls
            | RelationKind::Uses
            | RelationKind::RunsOn
            | RelationKind::OwnedBy => (from, to, relation.kind),
        };
        let need = |other| Need { other, kind, edge: relation.clone() };
        self.needs.entry(needy).or_default().push(need(needed));
        self.needed_by.entry(needed).or_default().push(need(needy));
    }

    /// The unit an object belongs to, if it was met.
    #[must_use]
    pub fn unit(&self, entity: &Entity) -> Option<Unit> {
        if entity.container.is_empty() {
            return self.ids.get(entity).map(|id| self.root(*id));
        }
        self.ids.get(&entity.whole()).map(|id| self.root(*id))
    }

    /// Every object met.
    #[must_use]
    pub fn entities(&self) -> &[Entity] {
        &self.entities
    }

    /// The object a person would change for `entity`: its top controller, when it has one; for a
    /// service the one workload behind it.
    #[must_use]
    pub fn controller(&self, entity: &Entity) -> Entity {
        let mut at = entity.whole();
        // A bound instead of trust: edges come from plugins and may run in a circle.
        for _ in 0..8 {
            match self.owner.get(&at) {
                Some(owner) if owner.kind != "Node" => at = owner.clone(),
                _ => break,
            }
        }
        if at.kind == "Service"
            && let Some(unit) = self.unit(&at)
            && let Some([only]) = self.tops.get(&unit).map(Vec::as_slice)
        {
            return only.clone();
        }
        at
    }

    /// The units at a place, seen from `unit`; not those that only facts can tell (`own`, `peer`).
    #[must_use]
    pub fn at(&self, unit: Unit, place: Place) -> BTreeSet<Unit> {
        let needs = |kind| Self::ends(&self.needs, unit, kind).collect();
        let needed_by = |kind| Self::ends(&self.needed_by, unit, kind).collect();
        match place {
            Place::Own | Place::Unit | Place::Peer | Place::Anywhere => BTreeSet::from([unit]),
            Place::Users => needed_by(RelationKind::Uses),
            Place::Used => needs(RelationKind::Uses),
            Place::Callers => needed_by(RelationKind::Calls),
            Place::Callees => needs(RelationKind::Calls),
            Place::Tenants => needed_by(RelationKind::RunsOn),
            Place::Host => needs(RelationKind::RunsOn),
            Place::Governed => needed_by(RelationKind::Governs),
            Place::Governors => needs(RelationKind::Governs),
            Place::Siblings => {
                let callers = Self::ends(&self.needed_by, unit, RelationKind::Calls);
                callers
                    .flat_map(|caller| Self::ends(&self.needs, caller, RelationKind::Calls))
                    .filter(|other| *other != unit)
                    .collect()
            }
        }
    }

    fn ends(
        edges: &BTreeMap<Unit, Vec<Need>>,
        unit: Unit,
        kind: RelationKind,
    ) -> impl Iterator<Item = Unit> {
        edges.get(&unit).into_iter().flatten().filter(move |n| n.kind == kind).map(|n| n.other)
    }

    /// Every unit from which a unit of `from` can be come to by going to callers again and again,
    /// stopping at each unit that `stops` names; `from` itself included.
    pub fn with_callers(
        &self,
        from: BTreeSet<Unit>,
        stops: impl Fn(Unit) -> bool,
    ) -> BTreeSet<Unit> {
        self.closure(from, Place::Callers, stops)
    }

    /// `from` with whatever it calls, directly or through others.
    #[must_use]
    pub fn with_callees(&self, from: BTreeSet<Unit>) -> BTreeSet<Unit> {
        self.closure(from, Place::Callees, |_| false)
    }

    fn closure(
        &self,
        from: BTreeSet<Unit>,
        step: Place,
        stops: impl Fn(Unit) -> bool,
    ) -> BTreeSet<Unit> {
        let mut queue: VecDeque<Unit> = from.iter().copied().collect();
        let mut found = from;
        while let Some(unit) = queue.pop_front() {
            if stops(unit) {
                continue;
            }
            for next in self.at(unit, step) {
                if found.insert(next) {
                    queue.push_back(next);
                }
            }
        }
        found
    }

    /// Units that `from` depends on, itself included, each with the edges that lead there.
    #[must_use]
    pub fn reach(&self, from: &BTreeSet<Unit>) -> BTreeMap<Unit, Vec<Relation>> {
        self.ways(from, |unit| self.needs.get(&unit).into_iter().flatten().collect())
    }

    /// Units linked with `from` in any direction, each with the edges that lead there.
    #[must_use]
    pub fn linked(&self, from: &BTreeSet<Unit>) -> BTreeMap<Unit, Vec<Relation>> {
        self.ways(from, |unit| {
            let needs = self.needs.get(&unit).into_iter().flatten();
            needs.chain(self.needed_by.get(&unit).into_iter().flatten()).collect()
        })
    }

    fn ways<'a>(
        &'a self,
        from: &BTreeSet<Unit>,
        next: impl Fn(Unit) -> Vec<&'a Need>,
    ) -> BTreeMap<Unit, Vec<Relation>> {
        let mut paths: BTreeMap<Unit, Vec<Relation>> = BTreeMap::new();
        let mut queue = VecDeque::new();
        for unit in from {
            paths.insert(*unit, Vec::new());
            queue.push_back(*unit);
        }
        while let Some(unit) = queue.pop_front() {
            let path = paths.get(&unit).cloned().unwrap_or_default();
            if path.len() >= FAR {
                continue;
            }
            for need in next(unit) {
                if let Entry::Vacant(free) = paths.entry(need.other) {
                    let mut longer = path.clone();
                    longer.push(need.edge.clone());
                    free.insert(longer);
                    queue.push_back(need.other);
                }
            }
        }
        paths
    }

    /// Whether an edge joins two units, or they are one.
    #[must_use]
    pub fn adjoin(&self, a: Unit, b: Unit) -> bool {
        let joined = |edges: &BTreeMap<Unit, Vec<Need>>| {
            edges.get(&a).into_iter().flatten().any(|need| need.other == b)
        };
        a == b || joined(&self.needs) || joined(&self.needed_by)
    }

    fn id(&mut self, entity: &Entity) -> usize {
        let whole = entity.whole();
        if let Some(id) = self.ids.get(&whole) {
            return *id;
        }
        let id = self.entities.len();
        self.ids.insert(whole.clone(), id);
        self.entities.push(whole);
        self.parent.push(id);
        id
    }

    fn root(&self, mut id: usize) -> usize {
        while let Some(parent) = self.parent.get(id).copied()
            && parent != id
        {
            id = parent;
        }
        id
    }

    /// Joins two sets; what was walked over is hung below the root, so that later walks are short.
    fn join(&mut self, a: usize, b: usize) {
        let (a_root, b_root) = (self.root(a), self.root(b));
        let root = a_root.min(b_root);
        for id in [a, b, a_root.max(b_root)] {
            if let Some(parent) = self.parent.get_mut(id) {
                *parent = root;
            }
        }
    }

    fn gather_tops(&mut self) {
        let workloads = self.entities.iter().enumerate().filter(|(_, e)| is_workload(e));
        for (id, entity) in workloads.filter(|(_, e)| !self.owner.contains_key(e)) {
            self.tops.entry(self.root(id)).or_default().push(entity.clone());
        }
    }

    /// A service that selects nothing known stands for the workload of its name: metrics and logs
    /// speak of services by names that no object may carry.
    fn join_namesakes(&mut self) {
        let mut by_name: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let mut selecting = BTreeSet::new();
        for (id, entity) in self.entities.iter().enumerate().filter(|(_, e)| is_workload(e)) {
            by_name.entry((&entity.namespace, &entity.name)).or_insert(id);
            selecting.insert(self.root(id));
        }
        let lone = self
            .entities
            .iter()
            .enumerate()
            .filter(|(id, e)| e.kind == "Service" && !selecting.contains(&self.root(*id)));
        let pairs: Vec<(usize, usize)> = lone
            .filter_map(|(id, service)| {
                let namesake = by_name.get(&(service.namespace.as_str(), service.name.as_str()))?;
                Some((id, *namesake))
            })
            .collect();
        for (service, workload) in pairs {
            self.join(service, workload);
        }
    }
}

fn is_workload(entity: &Entity) -> bool {
    WORKLOADS.contains(&entity.kind.as_str())
}

/// Only a service stands in front of what it selects; a policy does not.
fn stands_before(relation: &Relation) -> bool {
    relation.kind == RelationKind::Selects && relation.from.kind == "Service"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rel(from: (&str, &str), kind: RelationKind, to: (&str, &str)) -> Relation {
        let entity = |(kind, name): (&str, &str)| Entity::new(kind, "n", name);
        Relation { from: entity(from), to: entity(to), kind }
    }

    fn shop() -> Topology {
        let relations = [
            rel(("Pod", "a-1-x"), RelationKind::OwnedBy, ("ReplicaSet", "a-1")),
            rel(("ReplicaSet", "a-1"), RelationKind::OwnedBy, ("Deployment", "a")),
            rel(("Service", "front"), RelationKind::Selects, ("Pod", "a-1-x")),
            rel(("Service", "front"), RelationKind::Calls, ("Service", "b")),
            rel(("Service", "b"), RelationKind::Calls, ("Service", "c")),
            rel(("Pod", "b-1-x"), RelationKind::OwnedBy, ("Deployment", "b")),
        ];
        Topology::of(&relations, [])
    }

    #[test]
    fn pods_replica_sets_and_services_are_one_unit_with_their_controller() {
        let shop = shop();
        let unit = |kind: &str, name: &str| shop.unit(&Entity::new(kind, "n", name));
        assert_eq!(unit("Pod", "a-1-x"), unit("Service", "front"));
        assert_eq!(unit("Service", "b"), unit("Deployment", "b"), "namesakes join");
        assert_ne!(unit("Service", "b"), unit("Service", "front"));
        let pod = Entity { container: "main".to_owned(), ..Entity::new("Pod", "n", "a-1-x") };
        assert_eq!(shop.controller(&pod), Entity::new("Deployment", "n", "a"));
        let service = Entity::new("Service", "n", "front");
        assert_eq!(shop.controller(&service), Entity::new("Deployment", "n", "a"));
    }

    #[test]
    fn reach_follows_calls_outward_and_dependents_come_back() {
        let shop = shop();
        let unit = |name: &str| shop.unit(&Entity::new("Service", "n", name)).unwrap();
        let reach = shop.reach(&BTreeSet::from([unit("front")]));
        assert_eq!(reach.get(&unit("c")).map(Vec::len), Some(2));
        assert!(!shop.reach(&BTreeSet::from([unit("c")])).contains_key(&unit("front")));
        let with_callers = shop.with_callers(BTreeSet::from([unit("c")]), |_| false);
        assert_eq!(with_callers, BTreeSet::from([unit("front"), unit("b"), unit("c")]));
        assert_eq!(shop.with_callers(BTreeSet::from([unit("c")]), |u| u == unit("b")).len(), 2);
        assert_eq!(shop.at(unit("c"), Place::Callers), BTreeSet::from([unit("b")]));
        assert!(shop.adjoin(unit("c"), unit("b")) && !shop.adjoin(unit("c"), unit("front")));
        let linked = shop.linked(&BTreeSet::from([unit("c")]));
        assert_eq!(linked.get(&unit("front")).map(Vec::len), Some(2));
    }

    #[test]
    fn owners_in_a_circle_end() {
        let circle = [
            rel(("Pod", "x"), RelationKind::OwnedBy, ("Pod", "y")),
            rel(("Pod", "y"), RelationKind::OwnedBy, ("Pod", "x")),
        ];
        let topology = Topology::of(&circle, []);
        let _ = topology.controller(&Entity::new("Pod", "n", "x"));
    }
}
