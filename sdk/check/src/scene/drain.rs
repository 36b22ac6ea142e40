//! DRAIN-01 and HLTH-01: SIGTERM, with calls that run.

use std::time::Duration;

use agent_proto::tool::v1::InstanceState;
use futures_util::future::join_all;
use rustix::process::Signal;
use tokio::time::Instant;
use tonic::Code;

use super::relay;
use crate::{
    agentd::Deed,
    exchange::Exchange,
    later::CallRequest,
    line::Call,
    stage::Stage,
    verdict::{Board, Found, Stop, demand, fail, passed, skip},
};

const CALLS: usize = 5;
/// The whole farewell.
const ENDS: Duration = Duration::from_secs(30);
/// How long the calls that run are told to take: long enough to be met, short enough to wait for.
const TAKES: Duration = Duration::from_secs(4);
const SERVICES: [&str; 2] = ["", "agentd.tool.v1.ToolService"];

/// HLTH-01, first half.
pub(super) async fn serving(stage: &Stage) -> Found {
    if stage.line.is_relay() {
        return skip("a relay plugin has no port to ask");
    }
    for service in SERVICES {
        match stage.health(service).await {
            Ok(true) => {}
            Ok(false) => return fail(format!("health of {service:?} is not SERVING")),
            Err(status) => {
                return fail(format!(
                    "health of {service:?}: {:?} {}",
                    status.code(),
                    status.message()
                ));
            }
        }
    }
    passed()
}

/// SIGTERM during calls, watched from three sides.
pub(super) async fn play(stage: &Stage, board: &Board) {
    let program = match stage.program() {
        Ok(program) => program,
        Err(stop) => {
            for id in ["DRAIN-01", "HLTH-01", "RELAY-01"] {
                board.run(id, async { Err(stop.clone()) }).await;
            }
            return;
        }
    };
    let calls = running(stage).await;
    if let (Some(agentd), Some(request)) = (&stage.agentd, stage.harmless().into_iter().next()) {
        agentd.state().crossing = stage.line.is_relay().then_some(request);
    }
    let since = Instant::now();
    program.signal(Signal::TERM);
    tokio::join!(
        board.run("HLTH-01", not_serving(stage, calls.is_empty())),
        board.run("RELAY-01", async {
            if !stage.line.is_relay() {
                return skip("is about relay; run with --mode relay");
            }
            relay::gives_back(stage, stage.agentd()?, since).await
        }),
        board.run("DRAIN-01", farewell(stage, calls, since)),
    );
}

/// Calls that run when the signal comes: with what time is left they end by themselves.
async fn running(stage: &Stage) -> Vec<Call> {
    let Ok(slow) = stage.slow() else { return Vec::new() };
    let mut limits = slow.limits.unwrap_or_default();
    limits.timeout = TAKES.try_into().ok();
    let wanted = CALLS.min(stage.capacity().saturating_sub(1).max(1));
    let mut calls = join_all((0..wanted).map(|_| {
        let call_id = uuid::Uuid::new_v4().to_string();
        stage.begin(CallRequest { call_id, limits: Some(limits), ..slow.clone() })
    }))
    .await;
    join_all(calls.iter_mut().map(|call| call.read_until(TAKES / 2, Exchange::is_accepted))).await;
    calls
}

/// HLTH-01, second half. An instance that takes no connection any more serves as little.
async fn not_serving(stage: &Stage, nothing_runs: bool) -> Found {
    if stage.line.is_relay() {
        return skip("a relay plugin has no port to ask");
    }
    if nothing_runs {
        return Ok("without fixtures.tools.NAME.slow health while draining was not seen".to_owned());
    }
    let until = Instant::now() + Duration::from_secs(2);
    loop {
        let mut open = Vec::new();
        for service in SERVICES {
            match stage.health(service).await {
                Ok(false) => {}
                Err(status) if status.code() == Code::Unavailable => {}
                Ok(true) | Err(_) => open.push(service),
            }
        }
        if open.is_empty() {
            return passed();
        }
        if Instant::now() >= until {
            return fail(format!("health of {open:?} is not NOT_SERVING 2 s after SIGTERM"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// DRAIN-01: said first, calls ended, exit 0.
async fn farewell(stage: &Stage, calls: Vec<Call>, since: Instant) -> Found {
    let agentd = stage.agentd()?;
    let program = stage.program()?;
    let said = agentd.event(since, ENDS, |deed| {
        let is_farewell = matches!(deed, Deed::Deregistered)
            || matches!(deed, Deed::Renewed { request, .. } if request.state() == InstanceState::Draining);
        is_farewell.then_some(())
    });
    let count = calls.len();
    let ends = join_all(calls.into_iter().map(|call| async move {
        let seen = call.finish(ENDS).await;
        (Instant::now(), seen)
    }));
    let (said, ends, exit) = tokio::join!(said, ends, program.ended(ENDS));
    let words = |why: String| Err(Stop::Failed { why, exchange: program.last_words() });
    for (_, seen) in &ends {
        demand(seen.result().is_some() || seen.failure().is_some(), seen, || {
            "a call that ran when SIGTERM came has no last update".to_owned()
        })?;
    }
    let Some((said, ())) = said else {
        return words("said neither DRAINING nor Deregister after SIGTERM".to_owned());
    };
    if let Some((at, seen)) = ends.iter().find(|(at, _)| *at < said) {
        let early = said - *at;
        demand(early < Duration::from_millis(100), seen, || {
            format!("DRAINING or Deregister came {early:?} after a call had ended")
        })?;
    }
    let took = since.elapsed().as_secs_f64();
    match exit {
        None => words(format!("still runs {ENDS:?} after SIGTERM")),
        Some(status) if !status.success() => words(format!("ended with {status} after SIGTERM")),
        Some(_) if count == 0 => {
            Ok("without fixtures.tools.NAME.slow no call ran meanwhile".to_owned())
        }
        Some(_) => Ok(format!("{count} calls ended, exit after {took:.1} s")),
    }
}
