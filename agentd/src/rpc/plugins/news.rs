//! `WatchPlugins`: what happens to plugins and tools, from any number on, as it happens.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use agent_proto::v1 as pb;
use futures_util::{Stream, StreamExt as _, stream};
use pb::watch_plugins_response::Item;
use tokio::time::{Instant, timeout_at};
use tonic::Status;

use crate::{
    plugin::{
        news::{Event, Kind},
        registry::Registry,
        wire,
    },
    rpc::status::{self, Problem},
};

/// How often a watcher hears something although nothing happens.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The stream.
pub struct Watched(Pin<Box<dyn Stream<Item = Result<pb::WatchPluginsResponse, Status>> + Send>>);

impl Stream for Watched {
    type Item = Result<pb::WatchPluginsResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

/// Begins to watch.
///
/// # Errors
/// When the number is not there yet, as after a restart.
pub(super) fn watch(
    registry: &Registry,
    request: &pb::WatchPluginsRequest,
) -> Result<Watched, Problem> {
    let after = u32::try_from(request.after_sequence).unwrap_or_default();
    let newest = registry.newest_news();
    let Some(kept) = registry.news(after) else {
        let said = format!("event {after} is not there yet; begin again with 0");
        let problem = Problem::new(status::Kind::OutOfRange, "SEQUENCE_OUT_OF_RANGE", said);
        return Err(problem.with("newest", *newest.borrow()));
    };
    let after = kept.last().map_or(after, |last| last.sequence);
    let replayed = stream::iter(kept.into_iter().map(|event| Ok(response(Item::Event(to(event))))));
    if request.once {
        return Ok(Watched(Box::pin(replayed)));
    }
    let registry = registry.clone();
    let followed =
        stream::unfold((registry, newest, after), |(registry, mut newest, after)| async move {
            let changed = async {
                tokio::select! {
                    changed = newest.wait_for(|newest| *newest > after) => changed.is_ok(),
                    () = registry.stopped() => false,
                }
            };
            // Leases that ran out are noticed by asking: that is when to ask.
            let soon = Instant::now() + KEEP_ALIVE;
            let until = registry.next_lapse().map_or(soon, |lapse| lapse.min(soon));
            let items = match timeout_at(until, changed).await {
                Ok(false) => return None,
                Ok(true) => registry.news(after).unwrap_or_default(),
                Err(_) => registry.news(after).unwrap_or_default(),
            };
            let last = items.last().map_or(after, |last| last.sequence);
            let mut said: Vec<Result<_, Status>> =
                items.into_iter().map(|event| Ok(response(Item::Event(to(event))))).collect();
            if said.is_empty() {
                let newest = i32::try_from(last).unwrap_or(i32::MAX);
                said.push(Ok(response(Item::KeepAlive(newest))));
            }
            Some((stream::iter(said), (registry, newest, last)))
        });
    Ok(Watched(Box::pin(replayed.chain(followed.flatten()))))
}

fn response(item: Item) -> pb::WatchPluginsResponse {
    pb::WatchPluginsResponse { item: Some(item) }
}

fn to(event: Event) -> pb::PluginEvent {
    use pb::PluginEventKind as K;
    let kind = match event.kind {
        Kind::Registered => K::Registered,
        Kind::Ready => K::Ready,
        Kind::Left => K::Left,
        Kind::Expired => K::Expired,
        Kind::Unreachable => K::Unreachable,
        Kind::Unready => K::Unready,
        Kind::PluginRefused => K::PluginRefused,
        Kind::ToolRefused => K::ToolRefused,
        Kind::ToolQuarantined => K::ToolQuarantined,
        Kind::ToolActivated => K::ToolActivated,
        Kind::ToolDisabled => K::ToolDisabled,
        Kind::ToolTripped => K::ToolTripped,
        Kind::ToolRecovered => K::ToolRecovered,
    };
    pb::PluginEvent {
        sequence: i32::try_from(event.sequence).unwrap_or(i32::MAX),
        time: Some(wire::timestamp_to(event.time)),
        kind: kind.into(),
        plugin: event.subject.plugin,
        instance_id: event.subject.instance_id,
        tool: event.subject.tool,
        summary: event.summary,
    }
}
