//! Typed facts as tools report them: objects of the world, what was observed about them, how they
//! hang together. Pure values; what they mean is for the reasoner. Field for field these are the
//! messages of `agentd.tool.v1`, whose comments are the reference.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;

/// Kind of an [`Entity`] outside the cluster, named by the host that callers use.
pub const EXTERNAL: &str = "External";

/// One object of the world.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Entity {
    /// Kubernetes kind, or [`EXTERNAL`].
    pub kind: String,
    /// Namespace; empty for cluster-wide and outside objects.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Cluster, when there are several.
    pub cluster: String,
    /// Container inside it; empty for the whole object.
    pub container: String,
}

impl Entity {
    /// An object by kind, namespace and name.
    #[must_use]
    pub fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// The whole object, without the container.
    #[must_use]
    pub fn whole(&self) -> Self {
        Self { container: String::new(), ..self.clone() }
    }
}

/// `Kind namespace/name`, with the container behind it.
impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        f.write_str(" ")?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)?;
        if !self.container.is_empty() {
            write!(f, " ({})", self.container)?;
        }
        Ok(())
    }
}

/// How two objects hang together; the first named stands before the arrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RelationKind {
    /// Pod → `ReplicaSet` → Deployment.
    OwnedBy,
    /// Pod → Node.
    RunsOn,
    /// Caller → callee.
    Calls,
    /// Pod → `ConfigMap`, Secret, claim.
    Uses,
    /// Service → Pod.
    Selects,
    /// Autoscaler, quota → what it rules.
    Governs,
}

/// One edge of the topology.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Relation {
    /// Where it begins.
    pub from: Entity,
    /// Where it ends.
    pub to: Entity,
    /// What it means.
    pub kind: RelationKind,
}

/// One typed fact seen by a tool. Its words are data, never instructions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observation {
    /// Signal of the catalogue, dotted.
    pub signal: String,
    /// What it is about.
    pub subject: Entity,
    /// One line for people.
    pub statement: String,
    /// When it began, as far as the source tells.
    pub start: Option<Timestamp>,
    /// When it was last seen.
    pub end: Option<Timestamp>,
    /// How often it was seen; 0 means once.
    pub count: u32,
    /// Measured value, in `unit`.
    pub value: Option<f64>,
    /// What is usual for it, in `unit`.
    pub baseline: Option<f64>,
    /// UCUM-style unit.
    pub unit: String,
    /// Details that rules and people need.
    pub attributes: BTreeMap<String, String>,
    /// Words of the source.
    pub quote: String,
    /// The other side, for what lies between two objects.
    pub peer: Option<Entity>,
}

impl Observation {
    /// An attribute, or the empty string.
    #[must_use]
    pub fn attr(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}
