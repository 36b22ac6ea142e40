//! Typed facts: what reasoning works on. A tool says what it saw about one object; it never names
//! causes across objects. Builders here produce the messages of `agentd.tool.v1`.

use agent_proto::tool::v1 as wire;
use jiff::Timestamp;

/// Largest quote of a source's words, in bytes.
pub const MAX_QUOTE: usize = 1024;

/// One object of the world: what an observation is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Entity {
    /// Kubernetes kind, or `External` for what lives outside the cluster.
    pub kind: String,
    /// Namespace; empty for cluster-wide and outside objects.
    pub namespace: String,
    /// Name; for `External` the host that callers use.
    pub name: String,
    /// Container inside it; empty for the whole object.
    pub container: String,
}

impl Entity {
    /// An object in a namespace.
    #[must_use]
    pub fn new(
        kind: impl Into<String>,
        namespace: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        Self {
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
            container: String::new(),
        }
    }

    /// A cluster-wide object, such as a node.
    #[must_use]
    pub fn cluster_wide(kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self::new(kind, "", name)
    }

    /// Something outside the cluster, by the host that callers use.
    #[must_use]
    pub fn external(host: impl Into<String>) -> Self {
        Self::new("External", "", host)
    }

    /// The same object narrowed to one of its containers.
    #[must_use]
    pub fn container(mut self, container: impl Into<String>) -> Self {
        self.container = container.into();
        self
    }

    pub(crate) fn into_wire(self) -> wire::EntityRef {
        wire::EntityRef {
            kind: self.kind,
            namespace: self.namespace,
            name: self.name,
            cluster: String::new(),
            container: self.container,
        }
    }
}

/// How two objects hang together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RelationKind {
    /// The first is owned by the second: Pod by `ReplicaSet`, `ReplicaSet` by Deployment.
    OwnedBy,
    /// The first runs on the second: Pod on Node.
    RunsOn,
    /// The first calls the second.
    Calls,
    /// The first needs the second to start or run: Pod to `ConfigMap`, Secret, claim.
    Uses,
    /// The first selects the second: Service to Pod.
    Selects,
    /// The first governs the second: autoscaler, quota.
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

impl Relation {
    /// An edge `from` → `to`.
    #[must_use]
    pub fn new(from: Entity, kind: RelationKind, to: Entity) -> Self {
        Self { from, to, kind }
    }

    pub(crate) fn into_wire(self) -> wire::Relation {
        let kind = match self.kind {
            RelationKind::OwnedBy => wire::RelationKind::OwnedBy,
            RelationKind::RunsOn => wire::RelationKind::RunsOn,
            RelationKind::Calls => wire::RelationKind::Calls,
            RelationKind::Uses => wire::RelationKind::Uses,
            RelationKind::Selects => wire::RelationKind::Selects,
            RelationKind::Governs => wire::RelationKind::Governs,
        };
        wire::Relation {
            from: Some(self.from.into_wire()),
            to: Some(self.to.into_wire()),
            kind: kind.into(),
        }
    }
}

/// One typed fact. Build it with the setters; only signal, subject and statement are required.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    wire: wire::Observation,
}

impl Observation {
    /// `signal` is a word of the catalogue such as `container.oom_killed`, or one below the
    /// plugin's own name; `statement` is one line for people.
    #[must_use]
    pub fn new(signal: impl Into<String>, subject: Entity, statement: impl Into<String>) -> Self {
        Self {
            wire: wire::Observation {
                signal: signal.into(),
                subject: Some(subject.into_wire()),
                statement: statement.into(),
                ..wire::Observation::default()
            },
        }
    }

    /// When it began, as far as the source tells.
    #[must_use]
    pub fn since(mut self, time: Timestamp) -> Self {
        self.wire.start_time = Some(to_wire_time(time));
        self
    }

    /// [`Self::since`] when the source tells, unchanged when it does not.
    #[must_use]
    pub fn maybe_since(self, time: Option<Timestamp>) -> Self {
        match time {
            Some(time) => self.since(time),
            None => self,
        }
    }

    /// When it was last seen.
    #[must_use]
    pub fn until(mut self, time: Timestamp) -> Self {
        self.wire.end_time = Some(to_wire_time(time));
        self
    }

    /// [`Self::until`] when the source tells, unchanged when it does not.
    #[must_use]
    pub fn maybe_until(self, time: Option<Timestamp>) -> Self {
        match time {
            Some(time) => self.until(time),
            None => self,
        }
    }

    /// How often it was seen.
    #[must_use]
    pub fn count(mut self, count: u64) -> Self {
        self.wire.count = i32::try_from(count).unwrap_or(i32::MAX);
        self
    }

    /// A measured value with its unit in UCUM style: `By`, `s`, `1`, `1/s`, `%`.
    #[must_use]
    pub fn value(mut self, value: f64, unit: &str) -> Self {
        self.wire.value = Some(value);
        unit.clone_into(&mut self.wire.unit);
        self
    }

    /// What is usual for the value, in the same unit.
    #[must_use]
    pub fn baseline(mut self, baseline: f64) -> Self {
        self.wire.baseline = Some(baseline);
        self
    }

    /// A detail that rules and people need, such as `exit_code` = `137`.
    #[must_use]
    pub fn attr(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.wire.attributes.insert(key.into(), value.into());
        self
    }

    /// Words of the source. Secrets are masked first, then longer ones are cut in the middle.
    #[must_use]
    pub fn quote(mut self, quote: &str) -> Self {
        self.wire.quote = crate::limits::cut_middle(&crate::redact::redact(quote), MAX_QUOTE);
        self
    }

    /// The other side, for what lies between two objects.
    #[must_use]
    pub fn peer(mut self, peer: Entity) -> Self {
        self.wire.peer = Some(peer.into_wire());
        self
    }

    /// The signal.
    #[must_use]
    pub fn signal(&self) -> &str {
        &self.wire.signal
    }

    /// The message as it goes over the wire, for tests of a plugin.
    #[must_use]
    pub fn as_wire(&self) -> &wire::Observation {
        &self.wire
    }

    pub(crate) fn into_wire(self) -> wire::Observation {
        self.wire
    }
}

pub(crate) fn to_wire_time(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }
}
