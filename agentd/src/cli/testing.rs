//! A daemon for tests that plays a script over a real socket: what each stream sends and how it
//! ends.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex},
};

use agent_proto::v1::{
    self, Event, Investigation, InvestigationFinished, StreamEventsRequest, StreamEventsResponse,
    agent_service_server::{AgentService, AgentServiceServer},
    event::Payload,
};
use prost::Message as _;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

/// One opening of a stream.
#[derive(Debug, Clone)]
pub(super) enum Part {
    /// Refuses to open.
    Refuse(Status),
    /// Sends events and ends with a status, or without one.
    Send(Vec<Event>, Option<Status>),
}

/// What was asked, and what is played next.
#[derive(Debug, Clone, Default)]
pub(super) struct Script {
    parts: Arc<Mutex<VecDeque<Part>>>,
    asked: Arc<Mutex<Vec<i32>>>,
}

/// A daemon that plays a script.
pub(super) struct Played {
    pub(super) url: String,
    pub(super) script: Script,
    _server: JoinHandle<()>,
}

/// An event with its number alone; the last one of an investigation when so said.
pub(super) fn event(sequence: i32, last: bool) -> Event {
    let finished = InvestigationFinished { investigation: Some(Investigation::default()) };
    Event {
        sequence,
        summary: format!("news {sequence}"),
        payload: last.then(|| Payload::Finished(Box::new(finished))),
        ..Event::default()
    }
}

/// Starts a daemon that plays the parts in order.
pub(super) async fn play(parts: Vec<Part>) -> Played {
    let script = Script { parts: Arc::new(Mutex::new(parts.into())), ..Script::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = AgentServiceServer::new(script.clone());
    let server = tonic::transport::Server::builder()
        .add_service(service)
        .serve_with_incoming(TcpIncoming::from(listener));
    let _server = tokio::spawn(async move { server.await.unwrap() });
    Played { url, script, _server }
}

// === impl Script ===

impl Script {
    /// After which event each stream was asked for.
    pub(super) fn asked(&self) -> Vec<i32> {
        self.asked.lock().unwrap().clone()
    }
}

type Events = Pin<Box<dyn Stream<Item = Result<StreamEventsResponse, Status>> + Send>>;

#[tonic::async_trait]
impl AgentService for Script {
    type StreamEventsStream = Events;

    async fn stream_events(
        &self,
        request: Request<StreamEventsRequest>,
    ) -> Result<Response<Events>, Status> {
        self.asked.lock().unwrap().push(request.get_ref().after_sequence);
        let part = self.parts.lock().unwrap().pop_front();
        match part {
            None => Err(Status::not_found("the script is over")),
            Some(Part::Refuse(status)) => Err(status),
            Some(Part::Send(events, end)) => {
                let sent = events
                    .into_iter()
                    .map(|event| Ok(StreamEventsResponse::event(event.encode_to_vec().into())));
                let all: Vec<_> = sent.chain(end.map(Err)).collect();
                Ok(Response::new(Box::pin(tokio_stream::iter(all))))
            }
        }
    }

    async fn investigate(
        &self,
        _: Request<v1::InvestigateRequest>,
    ) -> Result<Response<v1::InvestigateResponse>, Status> {
        let investigation =
            Investigation { name: "investigations/1".to_owned(), ..Investigation::default() };
        Ok(Response::new(v1::InvestigateResponse { investigation: Some(investigation) }))
    }

    async fn get_investigation(
        &self,
        _: Request<v1::GetInvestigationRequest>,
    ) -> Result<Response<v1::GetInvestigationResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn explain_investigation(
        &self,
        _: Request<v1::ExplainInvestigationRequest>,
    ) -> Result<Response<v1::ExplainInvestigationResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn list_investigations(
        &self,
        _: Request<v1::ListInvestigationsRequest>,
    ) -> Result<Response<v1::ListInvestigationsResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn cancel_investigation(
        &self,
        _: Request<v1::CancelInvestigationRequest>,
    ) -> Result<Response<v1::CancelInvestigationResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn ask_question(
        &self,
        _: Request<v1::AskQuestionRequest>,
    ) -> Result<Response<v1::AskQuestionResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn submit_feedback(
        &self,
        _: Request<v1::SubmitFeedbackRequest>,
    ) -> Result<Response<v1::SubmitFeedbackResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }

    async fn search_episodes(
        &self,
        _: Request<v1::SearchEpisodesRequest>,
    ) -> Result<Response<v1::SearchEpisodesResponse>, Status> {
        Err(Status::unimplemented("not played"))
    }
}
