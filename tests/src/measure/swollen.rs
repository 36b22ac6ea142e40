//! A case made large: what was gathered of an incident, many times over, each copy about objects of
//! its own. The first copy is the incident itself. For timing, not for judging.

use agentd::{
    fact::{Entity, Observation, Relation},
    tool::CallOutput,
};

use super::thinking::{Answered, Gathered};

/// Where the copies lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Lie {
    /// Each in namespaces of its own: a large cluster.
    Spread,
    /// All in the namespaces of the incident: everything is near the alert.
    Heaped,
}

// === impl Lie ===

impl Lie {
    /// As the command line has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spread => "spread",
            Self::Heaped => "heaped",
        }
    }
}

/// `base` with copies until there are `observations` of them, all in one round.
#[must_use]
pub fn swollen(base: &Gathered, observations: usize, lie: Lie) -> Gathered {
    let answers: Vec<&Answered> = base.rounds.iter().flatten().collect();
    let mut round = Vec::new();
    let mut left = observations;
    let mut copy = 0;
    while left > 0 && base.observations() > 0 {
        for answered in &answers {
            let Some(output) = &answered.output else { continue };
            let mut output = copied(output, copy, lie);
            output.observations.truncate(left);
            left -= output.observations.len();
            round.push(Answered { output: Some(output), ..(*answered).clone() });
        }
        copy += 1;
    }
    Gathered { rounds: vec![round], ..base.clone() }
}

fn copied(output: &CallOutput, copy: usize, lie: Lie) -> CallOutput {
    let entity = |entity: &Entity| moved(entity, copy, lie);
    let observation = |seen: &Observation| Observation {
        subject: entity(&seen.subject),
        peer: seen.peer.as_ref().map(entity),
        ..seen.clone()
    };
    let relation = |edge: &Relation| Relation {
        from: entity(&edge.from),
        to: entity(&edge.to),
        kind: edge.kind,
    };
    CallOutput {
        observations: output.observations.iter().map(observation).collect(),
        relations: output.relations.iter().map(relation).collect(),
        ..output.clone()
    }
}

fn moved(entity: &Entity, copy: usize, lie: Lie) -> Entity {
    let mut moved = entity.clone();
    if copy > 0 {
        if lie == Lie::Spread && !moved.namespace.is_empty() {
            moved.namespace.push_str(&format!("-{copy}"));
        } else {
            moved.name.push_str(&format!("-{copy}"));
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]

    use std::collections::BTreeSet;

    use agentd::{alert::Alert, tool::ToolRef};

    use super::*;

    fn base() -> Gathered {
        let seen = |name: &str| Observation {
            signal: "container.exited".to_owned(),
            subject: Entity::new("Pod", "shop", name),
            ..Observation::default()
        };
        let output = CallOutput {
            observations: ["a", "b", "c"].map(seen).to_vec(),
            ..CallOutput::default()
        };
        let answered = Answered {
            tool: ToolRef::default(),
            arguments: "{}".to_owned(),
            seq: 3,
            output: Some(output),
        };
        Gathered { alert: Alert::default(), tools: Vec::new(), rounds: vec![vec![answered]] }
    }

    #[test]
    fn copies_are_about_objects_of_their_own_and_as_many_as_wanted() {
        for (lie, namespaces) in [(Lie::Spread, 4), (Lie::Heaped, 1)] {
            let large = swollen(&base(), 10, lie);
            assert_eq!(large.observations(), 10);
            let subjects: BTreeSet<Entity> = large.rounds[0]
                .iter()
                .filter_map(|answered| answered.output.as_ref())
                .flat_map(|output| output.observations.iter().map(|seen| seen.subject.clone()))
                .collect();
            let spread: BTreeSet<&str> =
                subjects.iter().map(|subject| subject.namespace.as_str()).collect();
            assert_eq!((subjects.len(), spread.len()), (10, namespaces), "{lie:?}");
        }
    }
}
