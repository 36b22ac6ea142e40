//! Between the daemon and a plugin that the SDK serves: takes each call over gRPC, hands it on, and
//! can let it fail, or give its facts in another order and later. It also keeps what passed, as the
//! daemon's events hold facts only in part. It changes nothing else: what a plugin says is what the
//! daemon hears.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agent_proto::tool::v1::{
    self as wire, CallRequest, CallResponse, EffectState, FailureClass, GetCatalogRequest,
    GetCatalogResponse, call_response::Update, tool_service_server::ToolService,
};
use agent_sdk::kit::{End, Harness};
use futures_util::{Stream, stream};
use tonic::{Request, Response, Status};

use crate::seed::Seed;

/// What is done to the calls of one investigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Disturbance {
    /// Nothing.
    #[default]
    None,
    /// Half of all questions fail, each with all of its attempts; drawn from the seed.
    FailHalf(u64),
    /// Facts come in another order within each answer, and answers in another order.
    Shuffle(u64),
}

/// One call that passed with a result.
#[derive(Debug, Clone)]
pub struct Passed {
    /// Id of the attempt, as the daemon drew it.
    pub call_id: String,
    /// The tool, as the daemon named it.
    pub tool: wire::ToolRef,
    /// What came back, pieces joined.
    pub result: wire::CallResult,
}

/// Everything that passed, in order. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Passage(Arc<Mutex<Vec<Passed>>>);

/// The relay before one plugin.
#[derive(Debug)]
pub struct Relay {
    harness: Harness,
    disturbance: Disturbance,
    passage: Passage,
}

/// The longest that a shuffled answer is kept back.
const LATEST: usize = 25;

// === impl Disturbance ===

impl Disturbance {
    /// Whether the question fails, and how. The same question fails again.
    fn failure(self, tool: &str, arguments: &str) -> Option<wire::Failure> {
        let Self::FailHalf(seed) = self else { return None };
        let mut drawn = of_question(seed, tool, arguments);
        if drawn.below(2) == 0 {
            return None;
        }
        // None of a class that is tried again: the question would only cost time.
        let (class, code, reason, message) = match drawn.below(3) {
            0 => (FailureClass::Permission, 7, "FORBIDDEN", "not permitted (403)"),
            1 => (FailureClass::Config, 9, "NOT_CONFIGURED", "the source is not configured"),
            _ => (FailureClass::Bug, 13, "CRASHED", "the tool failed unexpectedly"),
        };
        Some(wire::Failure {
            failure_class: class.into(),
            code,
            reason: reason.to_owned(),
            message: format!("{tool}: {message}"),
            effects: EffectState::None.into(),
            ..wire::Failure::default()
        })
    }

    /// Gives the facts in another order and tells how long the answer is kept back.
    fn shuffle(self, tool: &str, arguments: &str, updates: &mut [CallResponse]) -> Duration {
        let Self::Shuffle(seed) = self else { return Duration::ZERO };
        let mut drawn = of_question(seed, tool, arguments);
        for response in updates {
            let (observations, relations) = match &mut response.update {
                Some(Update::Facts(facts)) => (&mut facts.observations, &mut facts.relations),
                Some(Update::Result(result)) => (&mut result.observations, &mut result.relations),
                _ => continue,
            };
            drawn.shuffle(observations);
            drawn.shuffle(relations);
        }
        Duration::from_millis(u64::try_from(drawn.below(LATEST)).unwrap_or_default())
    }
}

/// Numbers that are the same for the same question.
fn of_question(seed: u64, tool: &str, arguments: &str) -> Seed {
    let mut hash = seed ^ 0xcbf2_9ce4_8422_2325;
    for byte in tool.bytes().chain([0]).chain(arguments.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    Seed::new(hash)
}

// === impl Passage ===

impl Passage {
    /// What passed so far.
    #[must_use]
    pub fn so_far(&self) -> Vec<Passed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, passed: Passed) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(passed);
    }
}

// === impl Relay ===

impl Relay {
    /// A relay before the plugin that `harness` serves.
    #[must_use]
    pub fn new(harness: Harness, disturbance: Disturbance, passage: Passage) -> Self {
        Self { harness, disturbance, passage }
    }

    async fn answer(&self, mut request: CallRequest) -> Result<Vec<CallResponse>, Status> {
        let asked = request.tool.clone().unwrap_or_default();
        let (tool, arguments) = (asked.tool.clone(), request.arguments_json.clone());
        if let Some(mut failure) = self.disturbance.failure(&tool, &arguments) {
            failure.domain.clone_from(&asked.plugin);
            let update = Some(Update::Failure(failure));
            return Ok(vec![CallResponse { sequence: 1, update }]);
        }
        if let Some(tool) = &mut request.tool {
            // The plugin behind was not told what the daemon calls its tools.
            tool.digest.clear();
        }
        let call_id = request.call_id.clone();
        let mut outcome = self.harness.call_raw(request, false).await;
        if let End::Broken(status) = outcome.end {
            return Err(status);
        }
        let late = self.disturbance.shuffle(&tool, &arguments, &mut outcome.updates);
        if !late.is_zero() {
            tokio::time::sleep(late).await;
        }
        if let Some(result) = joined(&outcome.updates) {
            self.passage.note(Passed { call_id, tool: asked, result });
        }
        Ok(outcome.updates)
    }
}

/// The result with the facts that came before it; `None` when the call failed.
fn joined(updates: &[CallResponse]) -> Option<wire::CallResult> {
    let mut whole = wire::CallResult::default();
    for response in updates {
        match &response.update {
            Some(Update::Facts(facts)) => {
                whole.observations.extend(facts.observations.iter().cloned());
                whole.relations.extend(facts.relations.iter().cloned());
            }
            Some(Update::Result(result)) => {
                let mut last = result.clone();
                whole.observations.append(&mut last.observations);
                whole.relations.append(&mut last.relations);
                last.observations = std::mem::take(&mut whole.observations);
                last.relations = std::mem::take(&mut whole.relations);
                return Some(last);
            }
            _ => {}
        }
    }
    None
}

#[tonic::async_trait]
impl ToolService for Relay {
    type CallStream = Pin<Box<dyn Stream<Item = Result<CallResponse, Status>> + Send>>;

    async fn get_catalog(
        &self,
        _: Request<GetCatalogRequest>,
    ) -> Result<Response<GetCatalogResponse>, Status> {
        let catalog = Some(self.harness.catalog().await?);
        Ok(Response::new(GetCatalogResponse { catalog }))
    }

    async fn call(
        &self,
        request: Request<CallRequest>,
    ) -> Result<Response<Self::CallStream>, Status> {
        let updates = self.answer(request.into_inner()).await?;
        Ok(Response::new(Box::pin(stream::iter(updates.into_iter().map(Ok)))))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    fn observation(signal: &str) -> wire::Observation {
        wire::Observation { signal: signal.to_owned(), ..wire::Observation::default() }
    }

    fn updates() -> Vec<CallResponse> {
        let facts = wire::ResultFacts {
            observations: ["a", "b", "c", "d", "e"].map(observation).to_vec(),
            relations: Vec::new(),
        };
        let result = wire::CallResult {
            observations: vec![observation("f")],
            summary: "said".to_owned(),
            ..wire::CallResult::default()
        };
        [Update::Facts(facts), Update::Result(result)]
            .into_iter()
            .map(|update| CallResponse { sequence: 0, update: Some(update) })
            .collect()
    }

    fn signals(updates: &[CallResponse]) -> Vec<String> {
        joined(updates).unwrap().observations.into_iter().map(|o| o.signal).collect()
    }

    #[test]
    fn about_half_of_the_questions_fail_and_always_the_same_ones() {
        let fails = |seed, n: u32| {
            Disturbance::FailHalf(seed).failure("look", &format!("{{\"n\":{n}}}")).is_some()
        };
        for seed in 0..8 {
            let failed = (0..400).filter(|n| fails(seed, *n)).count();
            assert!((150..250).contains(&failed), "{failed} of 400 for seed {seed}");
            assert!((0..50).all(|n| fails(seed, n) == fails(seed, n)));
        }
        assert!((0..50).any(|n| fails(1, n) != fails(2, n)));
        assert_eq!(Disturbance::None.failure("look", "{}"), None);
    }

    #[test]
    fn shuffled_facts_are_the_same_facts_in_another_order() {
        let mut shuffled = updates();
        let orders: Vec<Vec<String>> = (0..6)
            .map(|seed| {
                let mut these = updates();
                Disturbance::Shuffle(seed).shuffle("look", "{}", &mut these);
                signals(&these)
            })
            .collect();
        assert!(orders.iter().any(|order| *order != signals(&shuffled)));
        Disturbance::Shuffle(3).shuffle("look", "{}", &mut shuffled);
        let mut sorted = signals(&shuffled);
        sorted.sort();
        assert_eq!(sorted, ["a", "b", "c", "d", "e", "f"]);
    }

    #[test]
    fn what_passed_has_the_facts_of_all_pieces() {
        assert_eq!(signals(&updates()), ["a", "b", "c", "d", "e", "f"]);
        assert_eq!(joined(&updates()).unwrap().summary, "said");
        assert_eq!(joined(&updates()[..1]), None);
    }
}
