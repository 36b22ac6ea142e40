//! REG: a plugin announces itself, and keeps at it without haste.

use std::{sync::Arc, time::Duration};

use prost::Message as _;
use tokio::time::Instant;
use tonic::Code;

use crate::{
    agentd::{Agentd, Deed, Pace, Registering, Renewing, registry::status},
    means::Means,
    stage::Stage,
    verdict::{Found, Stop, fail, passed, skip},
};

/// Refusals in a row: enough to tell growing pauses from lucky ones.
const REFUSALS: usize = 6;
/// How much longer the later pauses must be together.
const GROWTH: f64 = 1.3;
/// Pauses that grow by the same factor within this are not jittered.
const SAMENESS: f64 = 0.04;

/// REG-01, first half: in time, with a UUID.
pub(super) async fn registers(stage: &Stage) -> Found {
    let request = stage.registered.as_ref();
    let Some(request) = request else { return skip("with --target no plugin registers") };
    if uuid::Uuid::parse_str(&request.instance_id).is_err() {
        return fail(format!("instance_id {:?} is no UUID", request.instance_id));
    }
    Ok(format!("registered after {:.1} s", stage.took.as_secs_f64()))
}

/// REG-01, second half: another process is another instance.
pub(super) async fn restarts(means: &Arc<Means>) -> Found {
    means.needs_exec()?;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let stage = Stage::open(means, Pace::SHORT).await?;
        ids.push(stage.registered.map(|request| request.instance_id.clone()).unwrap_or_default());
    }
    if ids.first() == ids.last() {
        return fail(format!("two processes in a row have the instance_id {:?}", ids.first()));
    }
    passed()
}

/// REG-02: pauses between refused tries grow and are jittered.
pub(super) async fn unavailable(stage: &Stage) -> Found {
    let agentd = stage.agentd()?;
    let mut told = String::new();
    // Jitter may play a trick once; twice is no accident.
    for _ in 0..2 {
        let pauses = refused(agentd).await?;
        match fault_of(&pauses) {
            None => return Ok(format!("pauses {}", spans(&pauses))),
            Some(fault) => told = format!("{fault}: pauses {}", spans(&pauses)),
        }
    }
    fail(told)
}

async fn refused(agentd: &Agentd) -> Result<Vec<Duration>, Stop> {
    let since = Instant::now();
    {
        let mut state = agentd.state();
        let away = || Registering::Refuse(status(Code::Unavailable, "STARTING", "not ready yet"));
        state.registering = (0..REFUSALS).map(|_| away()).collect();
        state.renewing.push_back(Renewing::Forget);
    }
    let limit = Duration::from_secs(40);
    let came = agentd.registration(since, limit).await;
    agentd.state().registering.clear();
    let tries: Vec<Instant> = {
        let state = agentd.state();
        let later = state.events.iter().filter(|event| event.at >= since);
        later.filter(|e| matches!(e.deed, Deed::Registered { .. })).map(|e| e.at).collect()
    };
    if came.is_none() {
        let tried = tries.len();
        return fail(format!(
            "{tried} tries within {limit:?} of UNAVAILABLE, then none that holds"
        ));
    }
    Ok(tries.windows(2).filter_map(|pair| Some(*pair.last()? - *pair.first()?)).collect())
}

fn fault_of(pauses: &[Duration]) -> Option<&'static str> {
    let seconds: Vec<f64> = pauses.iter().map(Duration::as_secs_f64).collect();
    let (early, late) = seconds.split_at(seconds.len() / 2);
    let ratios: Vec<f64> =
        seconds.windows(2).filter_map(|pair| Some(pair.last()? / pair.first()?)).collect();
    let most = ratios.iter().copied().fold(f64::MIN, f64::max);
    let least = ratios.iter().copied().fold(f64::MAX, f64::min);
    if late.iter().sum::<f64>() < early.iter().sum::<f64>() * GROWTH {
        return Some("the pauses do not grow");
    }
    (most - least < SAMENESS * most).then_some("the pauses have no jitter")
}

fn spans(pauses: &[Duration]) -> String {
    let spans: Vec<_> = pauses.iter().map(|p| format!("{:.2} s", p.as_secs_f64())).collect();
    spans.join(", ")
}

/// REG-04: one rejected tool does not sink the others.
pub(super) async fn rejected(stage: &Stage) -> Found {
    let agentd = stage.agentd()?;
    let names: Vec<_> = stage.catalog.tools.iter().map(|tool| tool.name.clone()).collect();
    let [first, .., last] = names.as_slice() else {
        return skip("has one tool; without it nothing would be left to go on with");
    };
    let harmless = stage.harmless();
    let kept = harmless.iter().find(|call| call.tool.as_ref().is_some_and(|t| t.tool == *first));
    let rejected = if kept.is_some() { last } else { first };
    let since = Instant::now();
    {
        let mut state = agentd.state();
        state.registering.push_back(Registering::Reject(rejected.clone()));
        state.renewing.push_back(Renewing::Forget);
    }
    let pace = agentd.pace();
    let Some((at, _)) = agentd.registration(since, pace.renewal * 2 + Duration::from_secs(3)).await
    else {
        return fail("did not register again after LEASE_UNKNOWN");
    };
    let renews = agentd.event(at, pace.ttl + Duration::from_secs(1), |deed| {
        matches!(deed, Deed::Renewed { known: true, .. }).then_some(())
    });
    if renews.await.is_none() {
        return fail(format!("stopped renewing after the tool {rejected} was rejected"));
    }
    let other = |call: &&crate::later::CallRequest| {
        call.tool.as_ref().is_some_and(|tool| tool.tool != *rejected)
    };
    if let Some(call) = harmless.iter().find(other) {
        let seen = stage.call(call.clone()).await;
        if seen.result().is_none() && seen.failure().is_none() {
            return crate::verdict::fail_with(
                format!("another tool does not answer after {rejected} was rejected"),
                &seen,
            );
        }
        let mismatch = seen.failure().is_some_and(|f| f.reason == "DESCRIPTOR_MISMATCH");
        crate::verdict::demand(!mismatch, &seen, || "an accepted tool was refused".to_owned())?;
    }
    // Back to a full catalog, for the checks that follow.
    ask_again(agentd).await?;
    passed()
}

/// REG-05: three registrations say the same.
pub(super) async fn repeats(stage: &Stage) -> Found {
    let agentd = stage.agentd()?;
    let mut seen: Vec<Vec<u8>> = Vec::new();
    let mut shown = Vec::new();
    for _ in 0..3 {
        let request = ask_again(agentd).await?;
        let catalog = request.catalog.unwrap_or_default();
        shown.push(catalog.tools.iter().map(|t| t.name.clone()).collect::<Vec<_>>().join(", "));
        seen.push(catalog.encode_to_vec());
    }
    if seen.windows(2).any(|pair| pair.first() != pair.last()) {
        return fail(format!("the catalog differs: {}", shown.join(" | then ")));
    }
    passed()
}

/// Has the plugin register once more.
pub(super) async fn ask_again(
    agentd: &Agentd,
) -> Result<agent_proto::tool::v1::RegisterRequest, Stop> {
    let since = Instant::now();
    agentd.state().renewing.push_back(Renewing::Forget);
    let limit = agentd.pace().renewal * 2 + Duration::from_secs(3);
    match agentd.registration(since, limit).await {
        Some((_, request)) => Ok(*request),
        None => fail(format!("did not register again within {limit:?} of LEASE_UNKNOWN")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_that_are_fixed_or_not_jittered_are_told() {
        let millis =
            |spans: &[u64]| spans.iter().map(|ms| Duration::from_millis(*ms)).collect::<Vec<_>>();
        for (pauses, fault) in [
            (vec![500, 501, 500, 502, 500, 500], Some("the pauses do not grow")),
            (vec![200, 400, 800, 1600, 3200, 6400], Some("the pauses have no jitter")),
            (vec![900, 100, 700, 300, 500, 200], Some("the pauses do not grow")),
            (vec![20, 350, 410, 1200, 400, 3100], None),
        ] {
            assert_eq!(fault_of(&millis(&pauses)), fault, "{pauses:?}");
        }
    }
}
