//! A plan: steps that ask tools, with what must end before what. The check refuses cycles and
//! unknown steps; `ready` says what may run now. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::{fact::Entity, tool::ToolRef};

/// One intended question to a tool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// Id within the investigation, such as `s3`.
    pub id: String,
    /// Why it is done, one line.
    pub purpose: String,
    /// Tool to ask.
    pub tool: ToolRef,
    /// Arguments: a JSON object as text.
    pub arguments: String,
    /// Object it asks about; none where that is what the alert is about.
    pub about: Option<Entity>,
    /// Steps that must end first.
    pub needs: Vec<String>,
}

/// A question that an earlier verdict rested on, without the words it was put in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// Tool, as people read it.
    pub tool: String,
    /// Object asked about; none where that was what the alert was about.
    pub about: Option<Entity>,
}

/// Steps with their dependencies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// 1 for the first plan of an investigation.
    pub revision: u32,
    /// All steps, in the order they should be started.
    pub steps: Vec<Step>,
    /// Why these.
    pub reason: String,
}

/// Why a plan is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Two steps share an id.
    #[error("step {id} is there twice")]
    Duplicate {
        /// The id.
        id: String,
    },
    /// A step needs one that does not exist.
    #[error("step {id} needs {missing}, which is not in the plan")]
    UnknownNeed {
        /// The step.
        id: String,
        /// What it needs.
        missing: String,
    },
    /// Steps need each other in a circle.
    #[error("steps {ids:?} wait for each other")]
    Cycle {
        /// The steps that can never run.
        ids: Vec<String>,
    },
}

impl Plan {
    /// Checks ids and dependencies.
    ///
    /// # Errors
    /// The first fault found, as [`Error`] tells them.
    pub fn check(&self) -> Result<(), Error> {
        let mut ids = BTreeSet::new();
        for step in &self.steps {
            if !ids.insert(step.id.as_str()) {
                return Err(Error::Duplicate { id: step.id.clone() });
            }
        }
        for step in &self.steps {
            if let Some(missing) = step.needs.iter().find(|need| !ids.contains(need.as_str())) {
                return Err(Error::UnknownNeed { id: step.id.clone(), missing: missing.clone() });
            }
        }
        // Take away what can run until nothing is left; what stays is in a circle.
        let mut left: BTreeMap<&str, &Step> =
            self.steps.iter().map(|step| (step.id.as_str(), step)).collect();
        loop {
            let free: Vec<&str> = left
                .values()
                .filter(|step| !step.needs.iter().any(|need| left.contains_key(need.as_str())))
                .map(|step| step.id.as_str())
                .collect();
            if free.is_empty() {
                break;
            }
            for id in free {
                left.remove(id);
            }
        }
        if left.is_empty() {
            Ok(())
        } else {
            Err(Error::Cycle { ids: left.keys().map(|id| (*id).to_owned()).collect() })
        }
    }

    /// Steps not begun whose needs have all ended.
    #[must_use]
    pub fn ready<'a>(
        &'a self,
        begun: &BTreeSet<String>,
        ended: &BTreeSet<String>,
    ) -> Vec<&'a Step> {
        self.steps
            .iter()
            .filter(|step| !begun.contains(&step.id))
            .filter(|step| step.needs.iter().all(|need| ended.contains(need)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(id: &str, needs: &[&str]) -> Step {
        Step {
            id: id.to_owned(),
            purpose: String::new(),
            tool: ToolRef::default(),
            arguments: "{}".to_owned(),
            about: None,
            needs: needs.iter().map(|s| (*s).to_owned()).collect(),
        }
    }

    fn plan(steps: Vec<Step>) -> Plan {
        Plan { revision: 1, steps, reason: String::new() }
    }

    #[test]
    fn independent_steps_are_ready_together_and_dependent_ones_wait() {
        let plan = plan(vec![step("a", &[]), step("b", &[]), step("c", &["a", "b"])]);
        plan.check().unwrap();
        let ids = |begun: &[&str], ended: &[&str]| -> Vec<String> {
            let set = |of: &[&str]| of.iter().map(|s| (*s).to_owned()).collect();
            plan.ready(&set(begun), &set(ended)).into_iter().map(|s| s.id.clone()).collect()
        };
        assert_eq!(ids(&[], &[]), ["a", "b"]);
        assert_eq!(ids(&["a", "b"], &["a"]), Vec::<String>::new());
        assert_eq!(ids(&["a", "b"], &["a", "b"]), ["c"]);
    }

    #[test]
    fn faults_are_named() {
        let circle = plan(vec![step("a", &["b"]), step("b", &["a"]), step("c", &[])]);
        assert_eq!(circle.check(), Err(Error::Cycle { ids: vec!["a".to_owned(), "b".to_owned()] }));
        assert!(matches!(plan(vec![step("a", &["z"])]).check(), Err(Error::UnknownNeed { .. })));
        assert!(matches!(
            plan(vec![step("a", &[]), step("a", &[])]).check(),
            Err(Error::Duplicate { .. })
        ));
    }

    proptest::proptest! {
        #[test]
        fn a_plan_that_passes_the_check_runs_to_its_end(
            edges in proptest::collection::vec((0_usize..12, 0_usize..12), 0..30)
        ) {
            let mut steps: Vec<Step> = (0..12).map(|i| step(&format!("s{i}"), &[])).collect();
            for (from, to) in edges {
                steps[from].needs.push(format!("s{to}"));
            }
            let plan = plan(steps);
            let mut done = BTreeSet::new();
            if plan.check().is_ok() {
                for _ in 0..12 {
                    let ready: Vec<String> =
                        plan.ready(&done, &done).into_iter().map(|s| s.id.clone()).collect();
                    done.extend(ready);
                }
                proptest::prop_assert_eq!(done.len(), 12);
            }
        }
    }
}
