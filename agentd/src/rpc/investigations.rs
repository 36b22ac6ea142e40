//! `AgentService`: convert, call the engine, convert. A request is checked whole before anything
//! is done, and every fault is told at once. What later steps bring answers UNIMPLEMENTED.

mod check;
mod explain;
mod joined;
mod memory;
mod page;
mod stream;

use std::pin::Pin;

use futures_util::Stream;
use jiff::Timestamp;
use tonic::{Request, Response, Status};

use agent_proto::v1::{self, agent_service_server::AgentService};

use super::{gate, status::Problem};
use crate::{
    engine::{self, Engine},
    investigation::Investigation,
    journal::{self, Journal},
    memory::episode,
};

/// Serves `agentd.v1.AgentService`.
#[derive(Clone)]
pub struct Investigations {
    engine: Engine,
    journal: Journal,
    clock: fn() -> Timestamp,
}

impl Investigations {
    /// A service over the engine and its journal; `clock` is wall time.
    #[must_use]
    pub fn new(engine: Engine, journal: Journal, clock: fn() -> Timestamp) -> Self {
        Self { engine, journal, clock }
    }

    fn read(&self, name: &str) -> Result<Investigation, Status> {
        let id = check::name(name)?;
        self.engine.get(id).map_err(|error| Status::from(Problem::from(&error)))
    }

    /// An investigation with the alerts that joined it, which stand beside its log.
    fn whole(&self, investigation: &Investigation) -> Result<v1::Investigation, Status> {
        joined::write(&self.journal, investigation)
            .map_err(|error| Status::from(Problem::from(&error)))
    }
}

/// Events of one stream.
type Events = Pin<Box<dyn Stream<Item = Result<v1::StreamEventsResponse, Status>> + Send>>;

#[tonic::async_trait]
impl AgentService for Investigations {
    async fn investigate(
        &self,
        request: Request<v1::InvestigateRequest>,
    ) -> Result<Response<v1::InvestigateResponse>, Status> {
        let principal = gate::principal(&request);
        let asked = check::investigate(request.into_inner(), principal)?;
        let id = self
            .engine
            .investigate(asked.alert, asked.wishes)
            .await
            .map_err(|error| Status::from(Problem::from(&error)))?;
        let now =
            self.engine.wait(id, asked.wait).await.map_err(|e| Status::from(Problem::from(&e)))?;
        let investigation = Some(self.whole(&now)?);
        Ok(Response::new(v1::InvestigateResponse { investigation }))
    }

    type StreamEventsStream = Events;

    async fn stream_events(
        &self,
        request: Request<v1::StreamEventsRequest>,
    ) -> Result<Response<Events>, Status> {
        let asked = check::stream(&request.into_inner())?;
        let events = stream::events(&self.journal, asked, self.clock)?;
        Ok(Response::new(Box::pin(events)))
    }

    async fn get_investigation(
        &self,
        request: Request<v1::GetInvestigationRequest>,
    ) -> Result<Response<v1::GetInvestigationResponse>, Status> {
        let investigation = self.read(&request.get_ref().name)?;
        let investigation = Some(self.whole(&investigation)?);
        Ok(Response::new(v1::GetInvestigationResponse { investigation }))
    }

    async fn explain_investigation(
        &self,
        request: Request<v1::ExplainInvestigationRequest>,
    ) -> Result<Response<v1::ExplainInvestigationResponse>, Status> {
        let id = check::name(&request.get_ref().name)?;
        let lost = |error| Status::from(Problem::from(&engine::Error::Journal(error)));
        let state = self.journal.state(id).map_err(lost)?;
        let state = state.ok_or_else(|| lost(journal::Error::NotFound { id }))?;
        let explanation = Some(explain::explain(&state));
        Ok(Response::new(v1::ExplainInvestigationResponse { explanation }))
    }

    async fn list_investigations(
        &self,
        request: Request<v1::ListInvestigationsRequest>,
    ) -> Result<Response<v1::ListInvestigationsResponse>, Status> {
        page::list(&self.journal, &request.into_inner()).map(Response::new)
    }

    async fn cancel_investigation(
        &self,
        request: Request<v1::CancelInvestigationRequest>,
    ) -> Result<Response<v1::CancelInvestigationResponse>, Status> {
        let request = request.into_inner();
        let id = check::name(&request.name)?;
        let now = self
            .engine
            .cancel(id, &request.reason)
            .map_err(|error| Status::from(Problem::from(&error)))?;
        let investigation = Some(self.whole(&now)?);
        Ok(Response::new(v1::CancelInvestigationResponse { investigation }))
    }

    async fn ask_question(
        &self,
        _: Request<v1::AskQuestionRequest>,
    ) -> Result<Response<v1::AskQuestionResponse>, Status> {
        Err(Problem::later("questions about an investigation come with the language model").into())
    }

    async fn submit_feedback(
        &self,
        request: Request<v1::SubmitFeedbackRequest>,
    ) -> Result<Response<v1::SubmitFeedbackResponse>, Status> {
        let principal = gate::principal(&request);
        let judged = memory::judged(request.into_inner(), principal)?;
        let feedback =
            self.engine.judge(judged).await.map_err(|e| Status::from(Problem::from(&e)))?;
        Ok(Response::new(v1::SubmitFeedbackResponse {
            episode: episode::resource(feedback.of()),
            understood: self.engine.understood(&feedback),
        }))
    }

    async fn search_episodes(
        &self,
        request: Request<v1::SearchEpisodesRequest>,
    ) -> Result<Response<v1::SearchEpisodesResponse>, Status> {
        let request = request.into_inner();
        let search = memory::search(&request)?;
        let hits = self.engine.search(search).await.map_err(|e| Status::from(Problem::from(&e)))?;
        memory::page(&self.engine, hits, &request).map(Response::new)
    }
}
