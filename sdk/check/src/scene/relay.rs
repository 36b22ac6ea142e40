//! RELAY-01: slots are kept parked, used and opened anew. How they are given back is seen in the
//! scene of the drain.

use std::time::Duration;

use agent_proto::tool::v1::FailureClass;
use tokio::time::Instant;

use super::catalog::any_tool;
use crate::{
    agentd::{Agentd, Deed},
    exchange::{End, Exchange},
    stage::Stage,
    verdict::{Found, demand, fail, fail_with, skip},
};

/// How soon after a call its slot is replaced.
const REPLACED: Duration = Duration::from_secs(1);
const PARKS: Duration = Duration::from_secs(3);
const GRACE: Duration = Duration::from_secs(2);

/// RELAY-01, first half.
pub(super) async fn slots(stage: &Stage) -> Found {
    if !stage.line.is_relay() {
        return skip("is about relay; run with --mode relay");
    }
    let agentd = stage.agentd()?;
    let stated = stage.capacity();
    let parked = |limit| agentd.wait_for(limit, move |s| (s.idle.len() == stated).then_some(()));
    if parked(PARKS).await.is_none() {
        return fail(format!(
            "{} slots are parked, {stated} were stated",
            agentd.state().idle.len()
        ));
    }
    let (tool, arguments) = any_tool(stage)?;
    for _ in 0..3 {
        let seen = stage.call(stage.ask(tool, &arguments)).await;
        if parked(REPLACED).await.is_none() {
            let why = format!(
                "{} of {stated} slots are parked {REPLACED:?} after a call",
                agentd.state().idle.len()
            );
            return fail_with(why, &seen);
        }
    }
    let Ok(slow) = stage.slow() else {
        return Ok("without fixtures.tools.NAME.slow it was not seen that cancelled is answered"
            .to_owned());
    };
    let mut call = stage.begin(slow).await;
    call.read_until(PARKS, Exchange::is_accepted).await;
    let seen = call.cancel(GRACE).await;
    let answered = seen.is_class(FailureClass::Cancelled) && matches!(seen.end, Some(End::Ok));
    demand(answered, &seen, || {
        "cancelled must be answered by a failure of class CANCELLED and the end of the slot"
            .to_owned()
    })?;
    Ok(String::new())
}

/// RELAY-01, second half: after SIGTERM idle slots are given back, and a call that crosses that is
/// refused without effects.
pub(super) async fn gives_back(stage: &Stage, agentd: &Agentd, since: Instant) -> Found {
    let limit = Duration::from_secs(3);
    let stray = stage.program()?;
    let released = agentd.event(since, limit, |deed| matches!(deed, Deed::Released).then_some(()));
    if released.await.is_none() {
        return fail("no idle slot was given back by released after SIGTERM");
    }
    let crossed = agentd.event(since, limit, |deed| {
        if let Deed::Crossed(seen) = deed { Some(seen.clone()) } else { None }
    });
    if let Some((_, seen)) = crossed.await {
        let refused = seen.is_class(FailureClass::Transient) && seen.is_without_effects();
        demand(refused && !seen.is_accepted(), &seen, || {
            "a call that crosses released must be refused: class TRANSIENT, effects NONE".to_owned()
        })?;
    }
    stray.ended(Duration::from_secs(30)).await;
    let state = agentd.state();
    let later = || state.events.iter().filter(|event| event.at >= since);
    let dropped = later().filter(|event| matches!(event.deed, Deed::Dropped)).count();
    if dropped > 0 {
        return fail(format!("{dropped} idle slots were dropped instead of given back"));
    }
    Ok(String::new())
}
