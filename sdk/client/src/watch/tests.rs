//! A watch against an agentd that cuts, ends early, falls silent, repeats and leaves out, on a
//! clock that stands still while anything can be done.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex},
};

use agent_proto::v1::{
    self, GetInvestigationResponse, Investigation, KeepAlive, StepStarted,
    agent_service_server::{AgentService, AgentServiceServer},
    stream_events_response::Item,
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use prost::Message as _;
use tonic::{
    Request, Response,
    transport::{Endpoint, Server, server::TcpIncoming},
};

use super::*;

/// What a stream does behind the events it was told to send.
#[derive(Clone)]
enum Then {
    /// Ends with OK.
    End,
    /// Ends with a status.
    Fail(Status),
    /// Sends what is no event.
    Garbage,
    /// Says nothing any more.
    Hang,
    /// Sends what is given here instead of going on.
    Send(Vec<i32>, Box<Then>),
    /// Says that it lives, so often, every 15 s, and then goes on with the rest.
    Live(u32),
}

/// What one stream is to do: so many events, and then.
type Turn = (usize, Then);

#[derive(Default)]
struct Memory {
    turns: VecDeque<Turn>,
    asked: Vec<(Instant, StreamEventsRequest)>,
    dials: usize,
}

/// An agentd with one investigation of so many events.
#[derive(Clone)]
struct Agentd {
    events: i32,
    /// Bytes of the summary of each.
    padding: usize,
    memory: Arc<Mutex<Memory>>,
}

type Sent = Pin<Box<dyn Stream<Item = Result<StreamEventsResponse, Status>> + Send>>;

impl Agentd {
    fn with(events: i32, turns: impl IntoIterator<Item = Turn>) -> Self {
        let memory = Memory { turns: turns.into_iter().collect(), ..Memory::default() };
        Self { events, padding: 0, memory: Arc::new(Mutex::new(memory)) }
    }

    fn client(&self) -> Client {
        let agentd = self.clone();
        let dial = move || {
            agentd.memory.lock().unwrap().dials += 1;
            let agentd = agentd.clone();
            let connector = tower::service_fn(move |_: http::Uri| {
                let (ours, theirs) = tokio::io::duplex(64 * 1024);
                let connections = stream::iter([Ok::<_, std::io::Error>(theirs)]);
                let connections = connections.chain(stream::pending());
                let server = Server::builder().add_service(AgentServiceServer::new(agentd.clone()));
                tokio::spawn(server.serve_with_incoming(connections));
                std::future::ready(Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(ours)))
            });
            Endpoint::from_static("http://agentd.test").connect_with_connector_lazy(connector)
        };
        Client::over(dial, Client::anonymous())
    }

    fn watch(&self) -> Watch {
        self.client().watch("investigations/1")
    }

    fn asked(&self) -> Vec<(Instant, StreamEventsRequest)> {
        self.memory.lock().unwrap().asked.clone()
    }

    fn event(&self, sequence: i32) -> Event {
        let payload = if sequence == self.events {
            Payload::Finished(Box::default())
        } else {
            Payload::StepStarted(StepStarted {})
        };
        let summary = format!("event {sequence}{}", "x".repeat(self.padding));
        Event { sequence, summary, payload: Some(payload), ..Event::default() }
    }

    fn item(&self, sequence: i32) -> Result<StreamEventsResponse, Status> {
        Ok(StreamEventsResponse::event(self.event(sequence).encode_to_vec().into()))
    }

    fn play(&self, after: i32, (count, then): Turn) -> Sent {
        let sent: Vec<_> =
            (after + 1..=self.events).take(count).map(|sequence| self.item(sequence)).collect();
        let next = after + i32::try_from(sent.len()).unwrap();
        let rest: Sent = match then {
            Then::End => Box::pin(stream::empty()),
            Then::Fail(status) => Box::pin(stream::iter([Err(status)])),
            Then::Garbage => {
                Box::pin(stream::iter([Ok(StreamEventsResponse::event(vec![0xff, 0xff].into()))]))
            }
            Then::Hang => Box::pin(stream::pending()),
            Then::Send(sequences, then) => {
                let others: Vec<_> = sequences.into_iter().map(|n| self.item(n)).collect();
                Box::pin(stream::iter(others).chain(self.play(self.events, (0, *then))))
            }
            Then::Live(times) => {
                let lives = stream::iter(0..times).then(|_| async {
                    tokio::time::sleep(Duration::from_secs(15)).await;
                    let item = Some(Item::KeepAlive(KeepAlive::default()));
                    Ok(StreamEventsResponse { item })
                });
                Box::pin(lives.chain(self.play(next, (usize::MAX, Then::End))))
            }
        };
        Box::pin(stream::iter(sent).chain(rest))
    }
}

fn none<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not here"))
}

#[tonic::async_trait]
impl AgentService for Agentd {
    type StreamEventsStream = Sent;

    async fn stream_events(
        &self,
        request: Request<StreamEventsRequest>,
    ) -> Result<Response<Sent>, Status> {
        let request = request.into_inner();
        let after = request.after_sequence;
        let turn = {
            let mut memory = self.memory.lock().unwrap();
            memory.asked.push((Instant::now(), request));
            memory.turns.pop_front().unwrap_or((usize::MAX, Then::End))
        };
        match turn {
            (0, Then::Fail(status)) => Err(status),
            turn => Ok(Response::new(self.play(after, turn))),
        }
    }

    async fn get_investigation(
        &self,
        _: Request<GetInvestigationRequest>,
    ) -> Result<Response<GetInvestigationResponse>, Status> {
        let mut investigation =
            Investigation { last_sequence: self.events, ..Investigation::default() };
        investigation.set_state(InvestigationState::Succeeded);
        Ok(Response::new(GetInvestigationResponse { investigation: Some(investigation) }))
    }

    async fn investigate(
        &self,
        _: Request<v1::InvestigateRequest>,
    ) -> Result<Response<v1::InvestigateResponse>, Status> {
        none()
    }

    async fn explain_investigation(
        &self,
        _: Request<v1::ExplainInvestigationRequest>,
    ) -> Result<Response<v1::ExplainInvestigationResponse>, Status> {
        none()
    }

    async fn list_investigations(
        &self,
        _: Request<v1::ListInvestigationsRequest>,
    ) -> Result<Response<v1::ListInvestigationsResponse>, Status> {
        none()
    }

    async fn cancel_investigation(
        &self,
        _: Request<v1::CancelInvestigationRequest>,
    ) -> Result<Response<v1::CancelInvestigationResponse>, Status> {
        none()
    }

    async fn ask_question(
        &self,
        _: Request<v1::AskQuestionRequest>,
    ) -> Result<Response<v1::AskQuestionResponse>, Status> {
        none()
    }

    async fn submit_feedback(
        &self,
        _: Request<v1::SubmitFeedbackRequest>,
    ) -> Result<Response<v1::SubmitFeedbackResponse>, Status> {
        none()
    }

    async fn search_episodes(
        &self,
        _: Request<v1::SearchEpisodesRequest>,
    ) -> Result<Response<v1::SearchEpisodesResponse>, Status> {
        none()
    }
}

/// The sequences of a watch that ends well.
async fn all(watch: Watch) -> Vec<i32> {
    let events: Vec<Event> = watch.try_collect().await.unwrap();
    events.iter().map(|event| event.sequence).collect()
}

fn up_to(last: i32) -> Vec<i32> {
    (1..=last).collect()
}

#[tokio::test(start_paused = true)]
async fn a_stream_cut_behind_any_event_is_joined_without_a_repeat_or_a_hole() {
    const EVENTS: i32 = 7;
    let broken = || Status::unavailable("the connection was cut");
    let slow = || Status::resource_exhausted("SLOW_READER");
    for k in 0..usize::try_from(EVENTS).unwrap() {
        for then in [Then::End, Then::Fail(broken()), Then::Fail(slow()), Then::Hang] {
            let agentd = Agentd::with(EVENTS, [(k, then)]);
            assert_eq!(all(agentd.watch()).await, up_to(EVENTS), "cut behind {k}");
            let asked = agentd.asked();
            let after: Vec<_> = asked.iter().map(|(_, request)| request.after_sequence).collect();
            assert_eq!(after, [0, i32::try_from(k).unwrap()]);
        }
    }
}

#[tokio::test]
async fn eight_watches_that_nobody_reads_hold_up_nothing_else_on_their_connection() {
    let agentd = Agentd { padding: 256 * 1024, ..Agentd::with(20, []) };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::connect(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let server = Server::builder().add_service(AgentServiceServer::new(agentd.clone()));
    let serving = tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut watch = client.watch("investigations/1");
        let first = tokio::time::timeout(Duration::from_secs(8), watch.next()).await;
        let first = first.expect("the unread ones hold it up").unwrap().unwrap();
        assert_eq!(first.sequence, 1);
        held.push(watch);
    }
    for _ in 0..20 {
        let mut agent = client.agent();
        let asked = agent.get_investigation(GetInvestigationRequest::default());
        let answer = tokio::time::timeout(Duration::from_secs(8), asked).await;
        assert!(answer.is_ok(), "the unread ones hold it up");
    }
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_cut_behind_every_event_comes_to_its_end() {
    let agentd = Agentd::with(20, (0..19).map(|_| (1, Then::End)));
    assert_eq!(all(agentd.watch()).await, up_to(20));
    assert_eq!(agentd.asked().len(), 20);
}

#[tokio::test(start_paused = true)]
async fn what_was_seen_before_is_not_repeated_and_what_is_missing_is_asked_for_again() {
    let repeats = Then::Send(vec![2, 3, 1, 4, 5, 6], Box::new(Then::End));
    assert_eq!(all(Agentd::with(6, [(3, repeats)]).watch()).await, up_to(6));
    let skips = || Then::Send(vec![5, 6], Box::new(Then::End));
    assert_eq!(all(Agentd::with(6, [(3, skips())]).watch()).await, up_to(6));
    let agentd = Agentd::with(6, [(3, skips()), (0, skips()), (0, skips())]);
    let mut watch = agentd.watch();
    for sequence in 1..=3 {
        assert_eq!(watch.next().await.unwrap().unwrap().sequence, sequence);
    }
    let error = watch.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Hole { after: 3, got: 5 }), "{error}");
    assert!(watch.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn with_kinds_holes_are_as_they_should_be() {
    let some = Then::Send(vec![2, 5], Box::new(Then::End));
    let rest = Then::Send(vec![9], Box::new(Then::Hang));
    let agentd = Agentd::with(9, [(0, some), (0, rest)]);
    let watch = agentd.watch().kinds(&["step_started"]);
    assert_eq!(all(watch).await, [2, 5, 9]);
    let asked = agentd.asked();
    assert_eq!((asked[1].1.after_sequence, &*asked[1].1.kinds[0]), (5, "step_started"));
}

#[tokio::test(start_paused = true)]
async fn refusals_end_it_at_once_and_say_why() {
    for status in [
        Status::not_found("no such investigation"),
        Status::out_of_range("beyond the newest"),
        Status::permission_denied("not yours"),
        Status::unauthenticated("who are you"),
        Status::invalid_argument("kinds"),
    ] {
        for sent in [0, 2] {
            let agentd = Agentd::with(5, [(sent, Then::Fail(status.clone()))]);
            let mut watch = agentd.watch();
            for _ in 0..sent {
                watch.next().await.unwrap().unwrap();
            }
            let error = watch.next().await.unwrap().unwrap_err();
            assert!(error.to_string().contains(status.message()), "{error}");
            assert!(watch.next().await.is_none());
            assert_eq!(agentd.asked().len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_investigation_is_waited_for_and_a_dead_connection_is_not() {
    let began = Instant::now();
    let agentd = Agentd::with(3, [(1, Then::Live(40))]);
    assert_eq!(all(agentd.watch()).await, up_to(3));
    assert_eq!((began.elapsed().as_secs(), agentd.asked().len()), (600, 1));
    let began = Instant::now();
    let agentd = Agentd::with(3, [(1, Then::Hang)]);
    assert_eq!(all(agentd.watch()).await, up_to(3));
    let took = began.elapsed();
    assert!(took >= SILENCE && took < SILENCE + Duration::from_secs(1), "{took:?}");
    // The dead connection was left for another.
    assert_eq!(agentd.memory.lock().unwrap().dials, 2);
}

#[tokio::test(start_paused = true)]
async fn an_agentd_that_is_away_is_asked_with_growing_pauses_as_long_as_it_takes() {
    let away = || (0, Then::Fail(Status::unavailable("restarting")));
    let agentd = Agentd::with(3, (0..40).map(|_| away()));
    assert_eq!(all(agentd.watch()).await, up_to(3));
    let asked = agentd.asked();
    let mut ceiling = FIRST_PAUSE;
    for pair in asked.windows(2) {
        let pause = pair[1].0 - pair[0].0;
        assert!(pause >= SHORTEST_PAUSE, "{pause:?}");
        assert!(pause <= ceiling + Duration::from_millis(10), "{pause:?} > {ceiling:?}");
        ceiling = (ceiling * 2).min(LONGEST_PAUSE);
    }
    let agentd = Agentd::with(3, (0..400).map(|_| away()));
    let began = Instant::now();
    let watch = agentd.watch().patience(Duration::from_secs(60));
    let error = watch.try_collect::<Vec<_>>().await.unwrap_err();
    assert!(matches!(&error, Error::Lost { after: 0, why } if why.contains("restarting")));
    assert!((60..=66).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_begins_behind_the_last_event_ends_and_one_before_it_does_not() {
    let agentd = Agentd::with(5, []);
    assert!(all(agentd.watch().after(5)).await.is_empty());
    assert_eq!(agentd.asked().len(), 1);
    let agentd = Agentd::with(5, [(0, Then::End), (0, Then::End)]);
    assert_eq!(all(agentd.watch().after(3)).await, [4, 5]);
    assert_eq!(agentd.asked().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_read_ends_it() {
    let agentd = Agentd::with(3, [(1, Then::Garbage)]);
    let mut watch = agentd.watch();
    watch.next().await.unwrap().unwrap();
    let error = watch.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Unreadable { after: 1 }), "{error}");
    assert!(watch.next().await.is_none());
}
