//! What a call gives back: a result for people and models, and the typed facts beside it.

use std::time::Duration;

use agent_proto::tool::v1 as wire;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::{
    failure::Failure,
    observation::{Observation, Relation},
};

/// The outcome of a call that succeeded, perhaps with holes.
#[derive(Debug, Clone, Default)]
pub struct Output {
    pub(crate) result_json: String,
    pub(crate) summary: String,
    pub(crate) observations: Vec<Observation>,
    pub(crate) relations: Vec<Relation>,
    pub(crate) gaps: Vec<(String, Failure)>,
    pub(crate) links: Vec<(String, String)>,
    pub(crate) observed_at: Option<Timestamp>,
    pub(crate) truncated: bool,
    pub(crate) next_page: String,
    pub(crate) undos: Vec<Undo>,
    pub(crate) planned: Vec<String>,
    pub(crate) usage: Option<Usage>,
}

/// A call that takes the effect back.
#[derive(Debug, Clone)]
pub(crate) struct Undo {
    pub(crate) tool: String,
    pub(crate) arguments: Value,
    pub(crate) summary: String,
    pub(crate) expires: Option<Timestamp>,
}

/// What a call cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Requests made to the backend.
    pub backend_requests: u32,
    /// Money spent, in US dollars.
    pub cost_usd: f64,
    /// Time spent waiting for the backend.
    pub backend_time: Duration,
}

impl Output {
    /// An outcome with `result` as its structured part.
    ///
    /// # Errors
    /// A failure of class BUG when `result` cannot be written as JSON.
    pub fn new(result: &impl Serialize) -> Result<Self, Failure> {
        let result_json = serde_json::to_string(result)
            .map_err(|e| Failure::bug("RESULT_NOT_JSON", format!("result is not JSON: {e}")))?;
        Ok(Self { result_json, ..Self::default() })
    }

    /// A few lines for a model or a person.
    #[must_use]
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.summary = summary.into();
        self
    }

    /// Adds a typed fact.
    #[must_use]
    pub fn observe(mut self, observation: Observation) -> Self {
        self.observations.push(observation);
        self
    }

    /// Adds typed facts.
    #[must_use]
    pub fn observe_all(mut self, observations: impl IntoIterator<Item = Observation>) -> Self {
        self.observations.extend(observations);
        self
    }

    /// Adds edges of the topology.
    #[must_use]
    pub fn relate_all(mut self, relations: impl IntoIterator<Item = Relation>) -> Self {
        self.relations.extend(relations);
        self
    }

    /// Names a hole in an otherwise usable outcome, such as `logs of pod b-2`, and why it is there.
    #[must_use]
    pub fn gap(mut self, subject: impl Into<String>, why: Failure) -> Self {
        self.gaps.push((subject.into(), why));
        self
    }

    /// A reference for people: a dashboard, a log query.
    #[must_use]
    pub fn link(mut self, title: impl Into<String>, uri: impl Into<String>) -> Self {
        self.links.push((title.into(), uri.into()));
        self
    }

    /// The time the data describes. Unset means the time of the call.
    #[must_use]
    pub fn observed_at(mut self, time: Timestamp) -> Self {
        self.observed_at = Some(time);
        self
    }

    /// Says that something was left out; `next_page` continues there when it is not empty.
    #[must_use]
    pub fn truncated(mut self, next_page: impl Into<String>) -> Self {
        self.truncated = true;
        self.next_page = next_page.into();
        self
    }

    /// A call of a tool of the same plugin that takes the effect back, and one line for the person
    /// who approves that; after `expires` it may no longer work. Undos are run in reverse order. At
    /// most 64; one whose arguments hold what looks like a secret is left out and told as a gap.
    #[must_use]
    pub fn compensation(
        mut self,
        tool: &str,
        arguments: Value,
        summary: impl Into<String>,
        expires: Option<Timestamp>,
    ) -> Self {
        let (tool, summary) = (tool.to_owned(), summary.into());
        self.undos.push(Undo { tool, arguments, summary, expires });
        self
    }

    /// One line on what a dry run would have changed. At most 64.
    #[must_use]
    pub fn planned_effect(mut self, effect: impl Into<String>) -> Self {
        self.planned.push(effect.into());
        self
    }

    /// What it cost.
    #[must_use]
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = Some(usage);
        self
    }

    /// About how many bytes it takes up.
    pub(crate) fn size(&self) -> usize {
        const FACT: usize = 512;
        let facts = self.observations.len() + self.relations.len() + self.undos.len();
        self.result_json.len() + self.summary.len() + facts * FACT
    }

    /// The facts added so far, for tests of a plugin.
    #[must_use]
    pub fn observations(&self) -> &[Observation] {
        &self.observations
    }

    /// The edges added so far, for tests of a plugin.
    #[must_use]
    pub fn relations(&self) -> &[Relation] {
        &self.relations
    }

    /// The gaps added so far, for tests of a plugin.
    #[must_use]
    pub fn gaps(&self) -> &[(String, Failure)] {
        &self.gaps
    }

    /// The structured part, for tests of a plugin.
    #[must_use]
    pub fn result_json(&self) -> &str {
        &self.result_json
    }
}

impl From<&Failure> for wire::Failure {
    fn from(failure: &Failure) -> Self {
        failure.clone().into_wire()
    }
}
