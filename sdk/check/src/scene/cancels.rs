//! CAN: a call that is withdrawn stops working.

use std::time::Duration;

use agent_proto::tool::v1::FailureClass;
use tokio::time::Instant;

use super::catalog::any_tool;
use crate::{
    exchange::{End, Exchange},
    later::CallRequest,
    stage::{CALL, Stage},
    verdict::{Found, Stop, demand, fail, passed, skip},
};

/// How long work may go on after a cancel.
const GRACE: Duration = Duration::from_secs(2);
const BEGINS: Duration = Duration::from_secs(3);
const ROUNDS: usize = 100;
/// More than ±10 % of the memory of a small program is noise of its allocator.
const NOISE: u64 = 1024 * 1024;

/// CAN-01: cancelled after `accepted`.
pub(super) async fn stops(stage: &Stage) -> Found {
    let mut call = stage.begin(stage.slow()?).await;
    if !call.read_until(BEGINS, Exchange::is_accepted).await {
        let seen = call.cancel(GRACE).await;
        return crate::verdict::fail_with(
            format!("the slow call was not accepted within {BEGINS:?}"),
            &seen,
        );
    }
    let cancelled = Instant::now();
    let seen = call.cancel(GRACE).await;
    told(&seen, stage)?;
    idle(stage, cancelled).await
}

/// Down a slot the plugin answers `cancelled`; a reset stream is silent.
fn told(seen: &Exchange, stage: &Stage) -> Result<(), Stop> {
    if !stage.line.is_relay() {
        return Ok(());
    }
    let ended = seen.is_class(FailureClass::Cancelled) && matches!(seen.end, Some(End::Ok));
    demand(ended, seen, || {
        format!(
            "cancelled must be answered within {GRACE:?} by a failure of class CANCELLED, then the end"
        )
    })
}

async fn idle(stage: &Stage, cancelled: Instant) -> Found {
    let Some(agentd) = &stage.agentd else {
        return Ok("with --target calls_in_flight is not told".to_owned());
    };
    // The work has 2 s, the next sign of life comes one interval later.
    let limit = GRACE + agentd.pace().renewal + Duration::from_millis(500);
    if agentd.is_idle(cancelled, limit).await {
        passed()
    } else {
        fail(format!("calls_in_flight was not back at 0 within {limit:?} of the cancel"))
    }
}

/// CAN-02: cancelled at once.
pub(super) async fn early(stage: &Stage) -> Found {
    let (tool, arguments) = any_tool(stage)?;
    let request = stage.slow().unwrap_or_else(|_| stage.ask(tool, &arguments));
    for _ in 0..5 {
        let call_id = uuid::Uuid::new_v4().to_string();
        let call = stage.begin(CallRequest { call_id, ..request.clone() }).await;
        let seen = call.cancel(GRACE).await;
        if seen.failure().is_some() && !seen.is_accepted() {
            demand(seen.is_without_effects(), &seen, || {
                "cancelled before accepted it must say effects NONE".to_owned()
            })?;
        } else if stage.line.is_relay() {
            demand(seen.result().is_some() || seen.failure().is_some(), &seen, || {
                "cancelled was not answered with a last update".to_owned()
            })?;
        }
    }
    let changing = stage.changing().find_map(|t| Some((t, stage.good(t).into_iter().next()?)));
    if let (Some((tool, arguments)), true) = (changing, stage.means.options.allow_mutations) {
        unchanged(stage, &stage.ask(tool, &arguments)).await?;
    }
    let next = stage.call(stage.ask(tool, &arguments)).await;
    demand(next.result().is_some() || next.failure().is_some(), &next, || {
        "the call after five cancelled ones has no last update".to_owned()
    })?;
    match &stage.agentd {
        Some(_) => idle(stage, Instant::now()).await,
        None => passed(),
    }
}

/// A call that said nothing before it was withdrawn must have changed nothing.
async fn unchanged(stage: &Stage, request: &CallRequest) -> Result<(), Stop> {
    let Ok(before) = stage.state().await else { return Ok(()) };
    // Sent with no time left, it is refused before it begins: nothing may have happened.
    let mut late = request.clone();
    if let Some(limits) = &mut late.limits {
        limits.timeout = Some(prost_types::Duration::default());
    }
    let seen = stage.begin(late).await.finish(CALL).await;
    let after = stage.state().await?;
    demand(seen.is_accepted() || before == after, &seen, || {
        "a call that was never accepted changed the state".to_owned()
    })
}

/// CAN-03: nothing is left behind.
pub(super) async fn hundred(stage: &Stage) -> Found {
    let program = stage.program()?;
    let Some(_) = program.memory() else {
        return skip("this system does not tell a process's memory");
    };
    let request = match stage.slow() {
        Ok(request) => request,
        Err(_) => {
            let (tool, arguments) = any_tool(stage)?;
            stage.ask(tool, &arguments)
        }
    };
    // A first hundred fills what a runtime keeps for good; the second must add nothing.
    rounds(stage, &request).await?;
    let before = (program.memory().unwrap_or(0), program.descriptors().unwrap_or(0));
    rounds(stage, &request).await?;
    let after = (program.memory().unwrap_or(0), program.descriptors().unwrap_or(0));
    let told = format!(
        "memory {} to {} KiB, {} to {} open files",
        before.0 / 1024,
        after.0 / 1024,
        before.1,
        after.1
    );
    if after.0 > before.0 + before.0 / 10 + NOISE {
        return fail(format!("100 cancels left memory behind: {told}"));
    }
    if after.1 > before.1 + before.1 / 10 + 1 {
        return fail(format!("100 cancels left connections or files behind: {told}"));
    }
    Ok(told)
}

async fn rounds(stage: &Stage, request: &CallRequest) -> Result<(), Stop> {
    for _ in 0..ROUNDS {
        let call_id = uuid::Uuid::new_v4().to_string();
        let mut call = stage.begin(CallRequest { call_id, ..request.clone() }).await;
        call.read_until(GRACE, |seen| !seen.updates.is_empty()).await;
        call.cancel(GRACE).await;
    }
    if let Some(agentd) = &stage.agentd {
        let now = Instant::now();
        agentd.is_idle(now, GRACE + agentd.pace().renewal).await;
    }
    Ok(())
}
