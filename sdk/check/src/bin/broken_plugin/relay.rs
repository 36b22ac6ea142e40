//! Slots towards agentd: each parks, takes one call, ends, and is replaced.

use std::{sync::Arc, time::Duration};

use agent_proto::tool::v1::{
    CallRequest, ServeRequest, SlotOpened, SlotReleased, serve_request::Message as Up,
    serve_response::Message as Down, tool_relay_service_client::ToolRelayServiceClient,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Streaming, transport::Channel};

use crate::{
    call::{self, Out},
    lease::authorised,
    plugin::Plugin,
};

/// Keeps one slot of `lease` parked, until the lease is over or the plugin drains.
pub(crate) async fn keep(
    plugin: Arc<Plugin>,
    channel: Channel,
    lease: String,
    over: CancellationToken,
) {
    while !over.is_cancelled() && !plugin.draining.is_cancelled() {
        let served = slot(&plugin, &channel, &lease, &over).await;
        if served.is_none() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        if plugin.breaks("RELAY-01:late") && plugin.in_flight() == 0 {
            tokio::time::sleep(Duration::from_millis(1500)).await;
        }
    }
}

async fn slot(
    plugin: &Arc<Plugin>,
    channel: &Channel,
    lease: &str,
    over: &CancellationToken,
) -> Option<()> {
    let (up, sent) = mpsc::channel(2);
    let say = |message| ServeRequest { message: Some(message) };
    up.send(say(Up::Opened(SlotOpened { lease_id: lease.to_owned() }))).await.ok()?;
    let request = authorised(ReceiverStream::new(sent), &plugin.settings.token);
    let mut client = ToolRelayServiceClient::new(channel.clone());
    let mut down = client.serve(request).await.ok()?.into_inner();
    let mut released = false;
    loop {
        tokio::select! {
            // A reset slot is what RELAY-01 forbids.
            () = plugin.draining.cancelled(), if !released => {
                if plugin.breaks("RELAY-01") {
                    return None;
                }
                released = true;
                up.send(say(Up::Released(SlotReleased {}))).await.ok()?;
            }
            () = over.cancelled() => return None,
            message = down.message() => match message.ok()??.message {
                Some(Down::Call(request)) => {
                    serve(plugin, request, up, down).await;
                    return Some(());
                }
                Some(Down::Parked(_) | Down::Ping(_) | Down::Cancelled(_)) | None => {}
            }
        }
    }
}

async fn serve(
    plugin: &Arc<Plugin>,
    request: CallRequest,
    up: mpsc::Sender<ServeRequest>,
    mut down: Streaming<agent_proto::tool::v1::ServeResponse>,
) {
    let (out, mut updates) = Out::new(plugin);
    let cancelled = CancellationToken::new();
    let withdrawn = cancelled.clone();
    // Hears of a cancel while updates are sent, and of the end.
    let hears = async {
        while let Ok(Some(message)) = down.message().await {
            if matches!(message.message, Some(Down::Cancelled(_))) {
                withdrawn.cancel();
            }
        }
        withdrawn.cancel();
    };
    let works = call::run(Arc::clone(plugin), request, out, cancelled);
    let sends = async move {
        while let Some(update) = updates.recv().await {
            if up.send(ServeRequest { message: Some(Up::Update(update)) }).await.is_err() {
                return;
            }
        }
        // Dropping `up` closes our side.
    };
    tokio::join!(works, sends, hears);
}
