//! CALL-04 and CALL-05: many calls at once.

use std::time::Duration;

use agent_proto::tool::v1::FailureClass;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    exchange::Exchange,
    later::CallRequest,
    stage::Stage,
    verdict::{Found, Stop, demand, fail, fail_with, passed, skip},
};

/// How long the calls of a crowd may take to begin.
const BEGINS: Duration = Duration::from_secs(3);
/// How long one call too many is watched.
const WATCHED: Duration = Duration::from_secs(1);
const ROUNDS: usize = 64;

/// CALL-04: as many at once as stated, and one more.
pub(super) async fn capacity(stage: &Stage) -> Found {
    let stated = stage.capacity();
    let Ok(slow) = stage.slow() else { return ordinary(stage, stated).await };
    let again = || CallRequest { call_id: uuid::Uuid::new_v4().to_string(), ..slow.clone() };
    let began = Instant::now();
    let mut calls = join_all((0..stated).map(|_| stage.begin(again()))).await;
    let begun =
        join_all(calls.iter_mut().map(|call| call.read_until(BEGINS, Exchange::is_accepted)));
    let begun = begun.await;
    let running = begun.iter().filter(|begun| **begun).count();
    let ended = calls.iter().position(crate::line::Call::is_over);
    // Down a slot one more cannot even be sent: agentd makes it wait.
    let more = if stage.line.is_relay() || stage.means.is_basic() {
        None
    } else {
        let mut call = stage.begin(again()).await;
        call.read_until(WATCHED, |seen| seen.failure().is_some()).await;
        Some(call)
    };
    let early = ended.and_then(|at| calls.get(at)).map(|call| call.seen.clone());
    let crowded = more.as_ref().map(|call| call.seen.clone());
    join_all(calls.into_iter().chain(more).map(|call| call.cancel(Duration::from_secs(2)))).await;
    if stage.means.is_basic() {
        // `accepted` is not asked of the smallest plugin: that none ended badly is all there is.
        return match early {
            Some(seen) => {
                demand(seen.status().is_none(), &seen, || "a call of a crowd failed".into())
                    .map(|()| String::new())
            }
            None => passed(),
        };
    }
    if let Some(seen) = early {
        return fail_with(format!("one of {stated} calls at once ended early"), &seen);
    }
    if running < stated {
        let took = began.elapsed();
        return fail(format!(
            "{running} of {stated} calls at once were accepted within {took:.1?}"
        ));
    }
    match crowded {
        Some(seen) => only_limited(&seen).map(|()| String::new()),
        None => passed(),
    }
}

fn only_limited(seen: &Exchange) -> Result<(), Stop> {
    let is_fine = seen.status().is_none()
        && (seen.failure().is_none() || seen.is_class(FailureClass::RateLimited));
    demand(is_fine, seen, || "one call too many must wait or be RATE_LIMITED".to_owned())
}

async fn ordinary(stage: &Stage, stated: usize) -> Found {
    let harmless = stage.harmless();
    if harmless.is_empty() {
        return skip(
            "no read-only tool has an example, and fixtures have no calls: tools.NAME.calls",
        );
    }
    // Slots are taken one by one in relay, so the crowd is no larger than what is parked.
    let crowd = if stage.line.is_relay() { stated } else { stated + 1 };
    let calls = harmless.iter().cycle().take(crowd).map(|request| {
        let call_id = uuid::Uuid::new_v4().to_string();
        stage.call(CallRequest { call_id, ..request.clone() })
    });
    for seen in join_all(calls).await {
        let is_limited = seen.is_class(FailureClass::RateLimited);
        let fine = seen.status().is_none() && (seen.result().is_some() || seen.failure().is_some());
        let broke = [FailureClass::Bug, FailureClass::Transient].iter().any(|c| seen.is_class(*c));
        demand(is_limited || (fine && !broke), &seen, || {
            format!("one of {crowd} calls at once failed otherwise than RATE_LIMITED")
        })?;
    }
    Ok("without fixtures.tools.NAME.slow it was not seen that they run in parallel".to_owned())
}

/// CALL-05: what belongs to one call stays with it.
pub(super) async fn apart(stage: &Stage) -> Found {
    let Some((name, argument)) = stage.fixtures().first(|tool| tool.echo.as_deref()) else {
        return by_comparison(stage).await;
    };
    let tool = stage.tool(name)?;
    let good = stage.good(tool).into_iter().next().unwrap_or_default();
    let seed = stage.means.options.seed.unwrap_or_default();
    for round in 0..ROUNDS {
        let words = ["left", "right"].map(|side| format!("{side}-{seed}-{round}"));
        let calls = words.each_ref().map(|word| {
            let mut arguments = good.clone();
            arguments.insert(argument.to_owned(), json!(word));
            stage.call(stage.ask(tool, &arguments))
        });
        let seen = join_all(calls).await;
        for (at, seen) in seen.iter().enumerate() {
            let text = seen.json();
            let (own, other) = (words.get(at), words.get(1 - at));
            let has = |word: Option<&String>| word.is_some_and(|word| text.contains(word.as_str()));
            demand(has(own) && !has(other), seen, || {
                format!("round {round}: the result must hold {own:?} and not {other:?}")
            })?;
        }
    }
    passed()
}

/// Two calls that answer the same each time when alone must do so side by side.
async fn by_comparison(stage: &Stage) -> Found {
    let mut steady: Vec<(CallRequest, Value)> = Vec::new();
    for request in stage.harmless() {
        let (one, two) = (stage.call(request.clone()).await, stage.call(request.clone()).await);
        let read =
            |seen: &Exchange| seen.result().and_then(|_| serde_json::from_str(&seen.json()).ok());
        if let (Some(one), Some(two)) = (read(&one), read(&two))
            && one == two
            && steady.iter().all(|(_, other)| *other != one)
        {
            steady.push((request, one));
        }
        if steady.len() == 2 {
            break;
        }
    }
    let [left, right] = steady.as_slice() else {
        return skip(
            "needs fixtures: tools.NAME.echo, or two calls with distinct and steady results",
        );
    };
    for round in 0..ROUNDS {
        let seen = join_all([left, right].map(|(request, _)| {
            let call_id = uuid::Uuid::new_v4().to_string();
            stage.call(CallRequest { call_id, ..request.clone() })
        }))
        .await;
        for (seen, (_, expected)) in seen.iter().zip([left, right]) {
            let came: Option<Value> = serde_json::from_str(&seen.json()).ok();
            demand(came.as_ref() == Some(expected), seen, || {
                format!("round {round}: the result is not what the call answers when alone")
            })?;
        }
    }
    passed()
}
