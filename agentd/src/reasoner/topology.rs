//! How the objects met hang together. Objects that stand for one running thing (a workload, its
//! replica sets and pods, the services in front of it) form one unit; units call, use and run on
//! one another. Causes travel along those edges: errors and latency from callee to caller.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

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
    /// Unit → what it needs: callees, configuration, nodes; with the edge it rests on.
    needs: BTreeMap<Unit, Vec<(Unit, Relation)>>,
}

const WORKLOADS: [&str; 6] =
    ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicaSet"];

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
            match relation.kind {
                RelationKind::OwnedBy => {
                    topology.owner.insert(relation.from.whole(), relation.to.whole());
                    topology.join(from, to);
                }
                // Only a service stands in front of what it selects; a policy does not.
                RelationKind::Selects if relation.from.kind == "Service" => topology.join(from, to),
                RelationKind::Selects
                | RelationKind::Calls
                | RelationKind::Uses
                | RelationKind::RunsOn
                | RelationKind::Governs => {}
            }
        }
        topology.join_namesakes();
        for relation in relations {
            let (from, to) = (topology.unit(&relation.from), topology.unit(&relation.to));
            let (Some(from), Some(to)) = (from, to) else { continue };
            if from == to {
                continue;
            }
            match relation.kind {
                RelationKind::Calls | RelationKind::Uses | RelationKind::RunsOn => {
                    topology.needs.entry(from).or_default().push((to, relation.clone()));
                }
                // What governs acts on the governed: the governed needs its governor to be right.
                RelationKind::Governs => {
                    topology.needs.entry(to).or_default().push((from, relation.clone()));
                }
                RelationKind::OwnedBy | RelationKind::Selects => {}
            }
        }
        topology
    }

    /// The unit an object belongs to, if it was met.
    #[must_use]
    pub fn unit(&self, entity: &Entity) -> Option<Unit> {
        self.ids.get(&entity.whole()).map(|id| self.root(*id))
    }

    /// Every object of a unit.
    pub fn members(&self, unit: Unit) -> impl Iterator<Item = &Entity> {
        self.entities
            .iter()
            .enumerate()
            .filter_map(move |(id, entity)| (self.root(id) == unit).then_some(entity))
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
        {
            let mut tops: Vec<&Entity> = self
                .members(unit)
                .filter(|e| WORKLOADS.contains(&e.kind.as_str()) && !self.owner.contains_key(e))
                .collect();
            tops.dedup();
            if let [only] = tops.as_slice() {
                return (*only).clone();
            }
        }
        at
    }

    /// Units that `from` depends on, itself included, each with the edges that lead there.
    #[must_use]
    pub fn reach(&self, from: &BTreeSet<Unit>) -> BTreeMap<Unit, Vec<Relation>> {
        const FAR: usize = 6;
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
            for (next, edge) in self.needs.get(&unit).into_iter().flatten() {
                if !paths.contains_key(next) {
                    let mut longer = path.clone();
                    longer.push(edge.clone());
                    paths.insert(*next, longer);
                    queue.push_back(*next);
                }
            }
        }
        paths
    }

    /// Units that depend on `unit` along edges of `kinds`, directly or through others.
    #[must_use]
    pub fn dependents(&self, unit: Unit, kinds: &[RelationKind]) -> BTreeSet<Unit> {
        let mut found = BTreeSet::new();
        let mut queue = VecDeque::from([unit]);
        while let Some(at) = queue.pop_front() {
            for (from, edges) in &self.needs {
                let leads = edges.iter().any(|(to, edge)| *to == at && kinds.contains(&edge.kind));
                if leads && *from != unit && found.insert(*from) {
                    queue.push_back(*from);
                }
            }
        }
        found
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

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        if let Some(parent) = self.parent.get_mut(a.max(b)) {
            *parent = a.min(b);
        }
    }

    /// A service that selects nothing known stands for the workload of its name: metrics and logs
    /// speak of services by names that no object may carry.
    fn join_namesakes(&mut self) {
        let selecting: BTreeSet<usize> = self
            .entities
            .iter()
            .enumerate()
            .filter(|(_, e)| WORKLOADS.contains(&e.kind.as_str()))
            .map(|(id, _)| self.root(id))
            .collect();
        let lone: Vec<(usize, Entity)> = self
            .entities
            .iter()
            .enumerate()
            .filter(|(id, e)| e.kind == "Service" && !selecting.contains(&self.root(*id)))
            .map(|(id, e)| (id, e.clone()))
            .collect();
        for (id, service) in lone {
            let namesake = self.entities.iter().position(|e| {
                WORKLOADS.contains(&e.kind.as_str())
                    && e.name == service.name
                    && e.namespace == service.namespace
            });
            if let Some(namesake) = namesake {
                self.join(id, namesake);
            }
        }
    }
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
        let dependents = shop.dependents(unit("c"), &[RelationKind::Calls]);
        assert_eq!(dependents, BTreeSet::from([unit("front"), unit("b")]));
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
