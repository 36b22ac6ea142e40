//! LEASE: signs of life, and what happens when a lease is lost.

use std::{sync::Arc, time::Duration};

use agent_proto::tool::v1::{InstanceDirective, InstanceState};
use rustix::process::Signal;
use tokio::time::Instant;

use crate::{
    agentd::{Agentd, Deed, Pace, Renewing},
    means::Means,
    program::Program,
    stage::Stage,
    verdict::{Found, Stop, fail, passed, skip},
};

/// Calls that run while renewals are watched.
const CALLS: usize = 10;
/// Room for a busy machine.
const ROOM: Duration = Duration::from_secs(1);

/// LEASE-01: at the pace given, while calls run.
pub(super) async fn renews(stage: &Stage) -> Found {
    match watched(stage).await {
        // A busy machine may have been late once.
        Err(Stop::Failed { .. }) => watched(stage).await,
        other => other,
    }
}

async fn watched(stage: &Stage) -> Found {
    let agentd = stage.agentd()?;
    let pace = agentd.pace();
    let since = Instant::now();
    let watched = pace.renewal * 4 + pace.renewal / 2;
    let slow = stage.slow().ok();
    let harmless = stage.harmless();
    let busy = futures_util::future::join_all((0..CALLS).map(|number| {
        let (slow, harmless) = (slow.clone(), harmless.clone());
        async move {
            while since.elapsed() < watched {
                let left = watched.saturating_sub(since.elapsed());
                if let Some(request) = &slow {
                    stage.begin(fresh(request)).await.finish(left).await;
                } else if let Some(request) = harmless.get(number % harmless.len().max(1)) {
                    stage.begin(fresh(request)).await.finish(left).await;
                }
                // A plugin at capacity refuses at once; so do plugins without any harmless call.
                tokio::time::sleep(Duration::from_millis(50).min(left)).await;
            }
        }
    }));
    busy.await;
    let times: Vec<Instant> = {
        let state = agentd.state();
        let renewals = state.events.iter().filter(|event| event.at >= since);
        renewals.filter(|e| matches!(e.deed, Deed::Renewed { .. })).map(|e| e.at).collect()
    };
    let mut last = since;
    let mut gaps = Vec::new();
    for at in times.iter().copied().chain([Instant::now()]) {
        gaps.push(at - last);
        last = at;
    }
    let longest = gaps.iter().max().copied().unwrap_or_default();
    if longest > pace.renewal + ROOM {
        return fail(format!(
            "{longest:.1?} without a Renew; renew_interval was {:?}, lease_ttl {:?}",
            pace.renewal, pace.ttl
        ));
    }
    // Twice as many as asked for would be a load without a use.
    if times.len() > 9 {
        return fail(format!(
            "{} renewals in {watched:?} at an interval of {:?}",
            times.len(),
            pace.renewal
        ));
    }
    passed()
}

fn fresh(request: &crate::later::CallRequest) -> crate::later::CallRequest {
    crate::later::CallRequest { call_id: uuid::Uuid::new_v4().to_string(), ..request.clone() }
}

/// LEASE-02: a forgotten lease is replaced.
pub(super) async fn forgotten(stage: &Stage) -> Found {
    let agentd = stage.agentd()?;
    let since = Instant::now();
    agentd.state().renewing.push_back(Renewing::Forget);
    let pace = agentd.pace();
    let lost = agentd.event(since, pace.renewal + ROOM + Duration::from_secs(1), |deed| {
        matches!(deed, Deed::Renewed { known: false, .. }).then_some(())
    });
    let Some((at, ())) = lost.await else { return fail("no Renew came to be answered") };
    let limit = pace.renewal + Duration::from_secs(2);
    match agentd.registration(at, limit).await {
        Some((back, _)) => Ok(format!("after {:.1} s", (back - at).as_secs_f64())),
        None => fail(format!("no Register within {limit:?} of LEASE_UNKNOWN")),
    }
}

/// LEASE-03: agentd is killed and comes back empty on the same port.
pub(super) async fn comes_back(means: &Arc<Means>) -> Found {
    means.needs_exec()?;
    let mut agentd = means.agentd(Pace::ROOMY).await.or_else(|fault| fail(format!("{fault:#}")))?;
    let address = agentd.address;
    let program = means.start(&agentd.url())?;
    let words = |why: String| Err(Stop::Failed { why, exchange: program.last_words() });
    if agentd.registration(agentd.began, Duration::from_secs(10)).await.is_none() {
        return words("no Register came within 10 s".to_owned());
    }
    agentd.kill();
    // Long enough for renewals that meet nobody.
    tokio::time::sleep(Pace::ROOMY.renewal * 5 / 2).await;
    let again = back_on(address).await?;
    let since = again.began;
    match again.registration(since, Pace::ROOMY.ttl).await {
        Some((at, _)) => Ok(format!("back after {:.1} s", (at - since).as_secs_f64())),
        None => {
            let ended = program.ended(Duration::ZERO).await;
            let how =
                ended.map_or("still runs".to_owned(), |status| format!("has ended: {status}"));
            words(format!("no Register within the ttl of {:?}; the plugin {how}", Pace::ROOMY.ttl))
        }
    }
}

async fn back_on(address: std::net::SocketAddr) -> Result<Agentd, Stop> {
    for _ in 0..100 {
        if let Ok(agentd) = Agentd::start(address, Pace::ROOMY).await {
            return Ok(agentd);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    skip(format!("the port of {address} could not be had again"))
}

/// LEASE-04: REREGISTER, then STOP.
pub(super) async fn directed(stage: &Stage) -> Found {
    let agentd = stage.agentd()?;
    let pace = agentd.pace();
    let since = Instant::now();
    let order = |what| agentd.state().renewing.push_back(Renewing::Direct(what));
    order(InstanceDirective::Reregister);
    let limit = pace.renewal * 2 + Duration::from_secs(2);
    let Some((_, request)) = agentd.registration(since, limit).await else {
        return fail(format!("no Register within {limit:?} of REREGISTER"));
    };
    if request.catalog.is_none_or(|catalog| catalog.tools.len() != stage.catalog.tools.len()) {
        return fail("the Register after REREGISTER has not the whole catalog");
    }
    let since = Instant::now();
    order(InstanceDirective::Stop);
    let gone = agentd.event(since, pace.renewal + ROOM + Duration::from_secs(10), |deed| {
        matches!(deed, Deed::Deregistered).then_some(())
    });
    match &stage.program {
        Some(program) => ends(program).await,
        None if gone.await.is_some() => {
            Ok("ended its lease; without --exec its exit is not seen".into())
        }
        None => fail("no Deregister within 10 s of STOP"),
    }
}

async fn ends(program: &Program) -> Found {
    match program.ended(Duration::from_secs(12)).await {
        Some(status) if status.success() => passed(),
        Some(status) => Err(Stop::Failed {
            why: format!("ended with {status} after STOP"),
            exchange: program.last_words(),
        }),
        None => fail("still runs 10 s after STOP"),
    }
}

/// LEASE-05: a process that was stopped for twice the ttl does not believe in its old lease.
pub(super) async fn frozen(stage: &Stage) -> Found {
    let agentd = stage.agentd()?;
    let program = stage.program()?;
    let pace = agentd.pace();
    program.signal(Signal::STOP);
    tokio::time::sleep(pace.ttl * 2).await;
    let woken = Instant::now();
    program.signal(Signal::CONT);
    let limit = pace.renewal * 2 + Duration::from_secs(3);
    let Some((back, _)) = agentd.registration(woken, limit).await else {
        return fail(format!("no Register within {limit:?} of SIGCONT"));
    };
    let ready = {
        let state = agentd.state();
        let between = state.events.iter().filter(|event| event.at >= woken && event.at < back);
        between
            .filter(|event| {
                matches!(&event.deed, Deed::Renewed { request, .. }
                    if matches!(request.state(), InstanceState::Ready | InstanceState::Unspecified))
            })
            .count()
    };
    if ready > 0 {
        return fail(format!(
            "said READY in {ready} Renew of a lease that had run out by its own clock"
        ));
    }
    Ok(format!("registered {:.1} s after SIGCONT", (back - woken).as_secs_f64()))
}
