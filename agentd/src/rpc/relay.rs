//! `ToolRelayService`, where plugins that cannot be dialled park slots. The stream and what runs on
//! it are `plugin::relay`'s; here is only the beginning: who opens a slot, and for which lease.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use agent_proto::tool::v1 as tool;
use futures_util::Stream;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status, Streaming};

use super::{gate, plugins::Plugins, status::Problem};
use crate::{plugin::relay, tool::Violation};

/// How long the first message of a slot may take.
const OPENING: Duration = Duration::from_secs(10);
/// Messages on their way to a plugin.
const TOLD: usize = 4;

/// What a plugin is told on a slot; dropping it ends the slot.
pub struct Told {
    messages: mpsc::Receiver<Result<tool::ServeResponse, Status>>,
    _life: AbortOnDropHandle<()>,
}

impl Stream for Told {
    type Item = Result<tool::ServeResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.messages.poll_recv(cx)
    }
}

#[tonic::async_trait]
impl tool::tool_relay_service_server::ToolRelayService for Plugins {
    type ServeStream = Told;

    async fn serve(
        &self,
        request: Request<Streaming<tool::ServeRequest>>,
    ) -> Result<Response<Told>, Status> {
        let who = gate::who(&request);
        let mut heard = request.into_inner();
        let first = timeout(OPENING, heard.message()).await;
        let first = first.map_err(|_| Status::from(unopened()))??;
        let lease = match first.and_then(|first| first.message) {
            Some(tool::serve_request::Message::Opened(opened)) => opened.lease_id,
            Some(_) | None => return Err(unopened().into()),
        };
        self.registry().check_holder(&lease, &who).map_err(Problem::from)?;
        let (slot, gone) = self.registry().open_slot(&lease).map_err(Problem::from)?;
        let (telling, messages) = mpsc::channel(TOLD);
        let life = AbortOnDropHandle::new(tokio::spawn(relay::serve(slot, heard, telling, gone)));
        Ok(Response::new(Told { messages, _life: life }))
    }
}

fn unopened() -> Problem {
    Problem::invalid(vec![Violation {
        field: "opened".to_owned(),
        description: "begin a slot with opened and the lease_id of Register".to_owned(),
        reason: "REQUIRED".to_owned(),
    }])
}
