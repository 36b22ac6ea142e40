//! One call: what is checked before it is accepted, its work, its last update. The same for a call
//! that is dialled and one that comes down a slot.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use agent_proto::tool::v1::{
    CallAccepted, CallMode, CallRequest, CallResponse, EffectState, Failure, FailureClass,
    SideEffect, ToolDescriptor, call_response::Update,
};
use futures_util::FutureExt as _;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    arguments,
    plugin::{Plugin, failure, locked},
    tools,
};

/// Where updates go, counted.
#[derive(Clone)]
pub(crate) struct Out {
    sender: mpsc::Sender<CallResponse>,
    sequence: Arc<std::sync::atomic::AtomicI32>,
}

impl Out {
    /// Few wait for a reader; with LIM-03 broken, all do.
    pub(crate) fn new(plugin: &Plugin) -> (Self, mpsc::Receiver<CallResponse>) {
        let waiting = if plugin.breaks("LIM-03") { 1_000_000 } else { 2 };
        let (sender, updates) = mpsc::channel(waiting);
        (Self { sender, sequence: Arc::default() }, updates)
    }

    pub(crate) async fn send(&self, update: Update) {
        let sequence = self.sequence.fetch_add(1, Ordering::SeqCst) + 1;
        let _ = self.sender.send(CallResponse { sequence, update: Some(update) }).await;
    }

    async fn skip_number(&self) {
        self.sequence.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) async fn closed(&self) {
        self.sender.closed().await;
    }
}

/// What a tool is asked.
pub(crate) struct Asked {
    pub(crate) arguments: Map<String, Value>,
    pub(crate) request: CallRequest,
    pub(crate) dry: bool,
    pub(crate) result_bytes: usize,
    pub(crate) progress: Duration,
}

struct Gauge(Arc<Plugin>);

impl Drop for Gauge {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Runs a call; `cancelled` is how a caller withdraws it.
pub(crate) async fn run(
    plugin: Arc<Plugin>,
    request: CallRequest,
    out: Out,
    cancelled: CancellationToken,
) {
    let timeout = time_left(&plugin, &request);
    let asked = match checked(&plugin, request, timeout) {
        Ok(asked) => asked,
        Err(failure) => return out.send(Update::Failure(*failure)).await,
    };
    let (tool, asked) = asked;
    let Ok(_permit) = Arc::clone(&plugin.places).try_acquire_owned() else {
        let busy = failure(FailureClass::RateLimited, 8, "AT_CAPACITY", "no more calls are taken");
        return out.send(Update::Failure(busy)).await;
    };
    while plugin.breaks("CALL-04") && plugin.in_flight() >= 6 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    plugin.running.fetch_add(1, Ordering::SeqCst);
    let gauge = Gauge(Arc::clone(&plugin));
    out.send(Update::Accepted(CallAccepted { instance_id: plugin.instance_id.clone() })).await;
    let is_find = tool.name == "find";
    if is_find && plugin.breaks("CALL-01") {
        out.skip_number().await;
    }
    if is_find && plugin.breaks("CALL-01:twice") {
        out.send(Update::Accepted(CallAccepted::default())).await;
    }
    let work = AssertUnwindSafe(tools::run(&plugin, &tool, &asked, &out)).catch_unwind();
    let ended = tokio::select! {
        biased;
        () = cancelled.cancelled() => {
            withdrawn(&plugin, gauge);
            Err(Box::new(failure(FailureClass::Cancelled, 1, "CANCELLED", "the call was withdrawn")))
        }
        ended = tokio::time::timeout(timeout, work) => match ended {
            Ok(Ok(ended)) => ended,
            // A stream without a last update.
            Ok(Err(_)) if plugin.breaks("ERR-02") => return,
            Ok(Err(_)) => Err(Box::new(failure(FailureClass::Bug, 13, "PANIC", "the tool panicked"))),
            Err(_) => Err(Box::new(failure(FailureClass::Timeout, 4, "TIMEOUT", "the work took too long"))),
        }
    };
    match ended {
        Ok(result) => out.send(Update::Result(result)).await,
        Err(mut failure) => {
            if tool.side_effect() != SideEffect::ReadOnly && failure.reason == "TIMEOUT" {
                failure.effects = EffectState::Maybe.into();
            }
            out.send(Update::Failure(*failure)).await;
        }
    }
    if is_find && plugin.breaks("CALL-01:after") {
        out.send(Update::Accepted(CallAccepted::default())).await;
    }
}

/// The call is over; with a fault, what it held is not.
fn withdrawn(plugin: &Arc<Plugin>, gauge: Gauge) {
    if plugin.breaks("CAN-03") {
        std::mem::forget(vec![1_u8; 200_000]);
    }
    if plugin.breaks_once("CAN-01") {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            drop(gauge);
        });
    }
}

fn time_left(plugin: &Plugin, request: &CallRequest) -> Duration {
    let stated = request.limits.and_then(|limits| limits.timeout);
    let left =
        stated.map_or(Duration::from_secs(30), |d| Duration::try_from(d).unwrap_or_default());
    if plugin.breaks("TIME-02") && left.is_zero() {
        return Duration::from_secs(30);
    }
    if plugin.breaks("TIME-01") && left < Duration::from_secs(1) && !left.is_zero() {
        return left + Duration::from_millis(1500);
    }
    left
}

fn checked(
    plugin: &Arc<Plugin>,
    request: CallRequest,
    timeout: Duration,
) -> Result<(ToolDescriptor, Asked), Box<Failure>> {
    if plugin.draining.is_cancelled() && !plugin.breaks("RELAY-01:crossing") {
        return Err(Box::new(failure(
            FailureClass::Transient,
            14,
            "DRAINING",
            "the plugin is stopping",
        )));
    }
    let tool = known(plugin, &request)?;
    let is_unset = request.mode() == CallMode::Unspecified;
    let acts = tool.side_effect() != SideEffect::ReadOnly;
    let dry = request.mode() == CallMode::DryRun || (is_unset && acts && !plugin.breaks("CALL-07"));
    if dry && !tool.supports_dry_run {
        return Err(Box::new(failure(
            FailureClass::InvalidArgument,
            3,
            "INVALID_ARGUMENT",
            "mode: no dry run",
        )));
    }
    let arguments = arguments::read(plugin, &tool, &request.arguments_json)?;
    if timeout.is_zero() {
        if plugin.breaks("CAN-02") && tool.name == "add" {
            locked(&plugin.world).counter += 1;
        }
        return Err(Box::new(failure(FailureClass::Timeout, 4, "TIMEOUT", "no time was left")));
    }
    let limits = request.limits.unwrap_or_default();
    let result_bytes = match usize::try_from(limits.max_result_bytes) {
        Ok(0) | Err(_) => 256 * 1024,
        Ok(bytes) => bytes,
    };
    let progress = limits.min_progress_interval.and_then(|d| Duration::try_from(d).ok());
    let progress = progress.unwrap_or(Duration::from_millis(200));
    Ok((tool, Asked { arguments, request, dry, result_bytes, progress }))
}

fn known(plugin: &Plugin, request: &CallRequest) -> Result<ToolDescriptor, Box<Failure>> {
    let wanted = request.tool.clone().unwrap_or_default();
    let Some(tool) = plugin.catalog.tools.iter().find(|tool| tool.name == wanted.tool) else {
        return Err(Box::new(failure(
            FailureClass::Config,
            5,
            "UNKNOWN_TOOL",
            "there is no such tool",
        )));
    };
    let digests = locked(&plugin.digests);
    let is_known = wanted.digest.is_empty() || digests.get(&tool.name) == Some(&wanted.digest);
    if !is_known && !plugin.breaks("CALL-03") {
        return Err(Box::new(failure(
            FailureClass::Config,
            9,
            "DESCRIPTOR_MISMATCH",
            "another contract is offered",
        )));
    }
    Ok(tool.clone())
}
