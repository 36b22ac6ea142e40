//! TIME and CALL-06: the clock of a call.

use std::time::Duration;

use agent_proto::tool::v1::{CallLimits, FailureClass, call_response::Update};

use super::{calls::well_formed, catalog::any_tool};
use crate::{
    exchange::Exchange,
    later::CallRequest,
    stage::Stage,
    verdict::{Found, Stop, demand, passed, skip},
};

const TIMEOUT: Duration = Duration::from_millis(300);
const ENDS: Duration = Duration::from_millis(800);
const INTERVAL: Duration = Duration::from_millis(300);
/// The first and the last of several updates may arrive closer together than they were sent, by this
/// much.
const BUNCHED: Duration = Duration::from_millis(450);

/// TIME-01: a slow call is ended by the plugin itself.
pub(super) async fn timeout(stage: &Stage) -> Found {
    let first = timed(stage).await;
    match first {
        // A busy machine may have been late once.
        Err(Stop::Failed { .. }) => timed(stage).await,
        other => other,
    }
}

async fn timed(stage: &Stage) -> Found {
    let request = with_timeout(stage.slow()?, TIMEOUT.try_into().unwrap_or_default());
    let mut call = stage.begin(request).await;
    call.read_until(ENDS + Duration::from_secs(2), |_| false).await;
    let over = call.is_over();
    let seen = if over { call.seen } else { call.cancel(Duration::from_millis(200)).await };
    let last = seen.updates.last().map_or(seen.took, |(at, _)| *at);
    demand(over && last <= ENDS, &seen, || {
        format!(
            "ended after {:.0} ms, must be within {} ms",
            last.as_secs_f64() * 1000.0,
            ENDS.as_millis()
        )
    })?;
    demand(seen.is_class(FailureClass::Timeout), &seen, || {
        "the last update must be a failure of class TIMEOUT".to_owned()
    })?;
    Ok(format!("after {:.0} ms", last.as_secs_f64() * 1000.0))
}

fn with_timeout(request: CallRequest, timeout: prost_types::Duration) -> CallRequest {
    let limits = CallLimits { timeout: Some(timeout), ..request.limits.unwrap_or_default() };
    CallRequest { limits: Some(limits), ..request }
}

/// TIME-02: what came too late is not begun.
pub(super) async fn over(stage: &Stage) -> Found {
    let (tool, arguments) = any_tool(stage)?;
    for seconds in [0, -1] {
        let none = prost_types::Duration { seconds, nanos: 0 };
        let seen = stage.call(with_timeout(stage.ask(tool, &arguments), none)).await;
        let refused = seen.failure().is_some() && !seen.is_accepted();
        demand(refused && seen.is_without_effects(), &seen, || {
            format!(
                "a call with a timeout of {seconds} s must be refused before accepted, effects NONE"
            )
        })?;
    }
    passed()
}

/// CALL-06: progress grows and is not too fast.
pub(super) async fn progress(stage: &Stage) -> Found {
    let request = with_timeout(stage.slow()?, prost_types::Duration { seconds: 2, nanos: 0 });
    let mut limits = request.limits.unwrap_or_default();
    limits.min_progress_interval = INTERVAL.try_into().ok();
    let seen = stage.begin(CallRequest { limits: Some(limits), ..request }).await;
    let seen = seen.finish(Duration::from_secs(4)).await;
    stage.listen(&seen);
    let reports = reports(&seen);
    if reports.len() < 2 {
        return skip("the slow call reports no progress within 2 s");
    }
    for pair in reports.windows(2) {
        let [(_, less), (_, more)] = pair else { continue };
        demand(more > less, &seen, || format!("progress went from {less} to {more}, must grow"))?;
    }
    // Over all of them, as a busy machine delivers two that were sent apart in one moment.
    let span = reports.last().map(|last| last.0).zip(reports.first().map(|first| first.0));
    let span = span.map_or(Duration::ZERO, |(last, first)| last.saturating_sub(first));
    let intervals = u32::try_from(reports.len() - 1).unwrap_or(u32::MAX);
    demand(span + BUNCHED >= INTERVAL.saturating_mul(intervals), &seen, || {
        format!(
            "{} reports of progress came within {} ms, min_progress_interval is {} ms",
            reports.len(),
            span.as_millis(),
            INTERVAL.as_millis()
        )
    })?;
    well_formed(&seen, stage.means.is_basic())?;
    Ok(format!("{} reports", reports.len()))
}

fn reports(seen: &Exchange) -> Vec<(Duration, f64)> {
    let each = seen.updates.iter().filter_map(|(at, update)| {
        if let Some(Update::Progress(progress)) = &update.update {
            Some((*at, progress.done))
        } else {
            None
        }
    });
    each.collect()
}
