//! `StreamEvents`: a cursor over the journal. Replays, then follows; ends after the last event.
//! A reader that is slow only falls behind; nothing is queued for it.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use jiff::Timestamp;
use tonic::Status;

use agent_proto::v1::{self, event::Payload};

use super::check::Follow;
use crate::{
    investigation::event::Seq,
    journal::{Cursor, Journal},
    plugin::wire,
    rpc::status::Problem,
};

/// Proof of life at least this often, below the idle cut of usual proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

struct Reader {
    cursor: Cursor,
    ready: std::collections::VecDeque<(Seq, Bytes)>,
    asked: Follow,
    newest: Seq,
    /// With `replay_only`: the newest number when the stream was opened.
    until: Option<Seq>,
    over: bool,
    clock: fn() -> Timestamp,
}

/// The items of one stream.
pub(super) fn events(
    journal: &Journal,
    asked: Follow,
    clock: fn() -> Timestamp,
) -> Result<impl Stream<Item = Result<v1::StreamEventsResponse, Status>> + Send + use<>, Status> {
    let cursor =
        journal.follow(asked.id, asked.after).map_err(|e| Status::from(Problem::from(&e)))?;
    let newest = journal
        .last_seq(asked.id)
        .map_err(|error| Status::from(Problem::from(&error)))?
        .unwrap_or_default();
    let until = asked.replay_only.then_some(newest);
    let over = until.is_some_and(|until| until <= asked.after);
    let ready = std::collections::VecDeque::new();
    let reader = Reader { cursor, ready, asked, newest, until, over, clock };
    Ok(stream::unfold(reader, |mut reader| async move {
        let item = reader.next().await?;
        Some((item, reader))
    }))
}

impl Reader {
    async fn next(&mut self) -> Option<Result<v1::StreamEventsResponse, Status>> {
        loop {
            while let Some((seq, stored)) = self.ready.pop_front() {
                self.newest = self.newest.max(seq);
                if self.until.is_some_and(|until| seq > until) {
                    return None;
                }
                self.over = self.until == Some(seq);
                match self.wanted(&stored) {
                    Ok(true) => return Some(Ok(v1::StreamEventsResponse::event(stored))),
                    Ok(false) => {}
                    Err(status) => return Some(Err(status)),
                }
            }
            if self.over {
                return None;
            }
            match tokio::time::timeout(KEEP_ALIVE, self.cursor.next()).await {
                Err(_) => return Some(Ok(self.keep_alive())),
                Ok(Ok(None)) => return None,
                Ok(Ok(Some(events))) => self.ready.extend(events),
                Ok(Err(error)) => {
                    self.over = true;
                    return Some(Err(Status::from(Problem::from(&error))));
                }
            }
        }
    }

    fn wanted(&self, stored: &Bytes) -> Result<bool, Status> {
        if self.asked.kinds.is_empty() {
            return Ok(true);
        }
        let event = <v1::Event as prost::Message>::decode(stored.clone())
            .map_err(|_| Status::data_loss("a stored event cannot be read"))?;
        Ok(match &event.payload {
            Some(Payload::Finished(_)) => true,
            Some(payload) => self.asked.kinds.contains(kind_of(payload)),
            None => false,
        })
    }

    fn keep_alive(&self) -> v1::StreamEventsResponse {
        let alive = v1::KeepAlive {
            last_sequence: crate::rpc::convert::int(self.newest),
            time: Some(wire::timestamp_to((self.clock)())),
        };
        v1::StreamEventsResponse { item: Some(v1::stream_events_response::Item::KeepAlive(alive)) }
    }
}

fn kind_of(payload: &Payload) -> &'static str {
    match payload {
        Payload::Started(_) => "started",
        Payload::MemoryRecalled(_) => "memory_recalled",
        Payload::PlanUpdated(_) => "plan_updated",
        Payload::StepStarted(_) => "step_started",
        Payload::StepFinished(_) => "step_finished",
        Payload::ToolCallStarted(_) => "tool_call_started",
        Payload::ToolCallProgressed(_) => "tool_call_progressed",
        Payload::ToolCallFinished(_) => "tool_call_finished",
        Payload::ModelCalled(_) => "model_called",
        Payload::HypothesisUpdated(_) => "hypothesis_updated",
        Payload::EvidenceRecorded(_) => "evidence_recorded",
        Payload::GapRecorded(_) => "gap_recorded",
        Payload::ApprovalRequested(_) => "approval_requested",
        Payload::ApprovalResolved(_) => "approval_resolved",
        Payload::GuardTripped(_) => "guard_tripped",
        Payload::BudgetReported(_) => "budget_reported",
        Payload::RollbackUpdated(_) => "rollback_updated",
        Payload::Escalated(_) => "escalated",
        Payload::Finished(_) => "finished",
        Payload::AlertAttached(_) => "alert_attached",
        Payload::Resumed(_) => "resumed",
    }
}
