//! REG-03: an agentd that says no. Each no has a process of its own.

use std::{sync::Arc, time::Duration};

use tonic::{Code, Status};

use crate::{
    agentd::{Deed, Pace, Registering, registry::status},
    means::Means,
    verdict::{Board, Found, Stop, fail, passed},
};

/// How long a plugin may take to give up.
const GIVES_UP: Duration = Duration::from_secs(8);
/// Refusals ready: more than a plugin should ever need.
const READY: usize = 1000;

pub(super) async fn play(means: &Arc<Means>, board: &Board) {
    board
        .run("REG-03", async {
            means.needs_exec()?;
            let denied = status(
                Code::PermissionDenied,
                "NAMESPACE_NOT_ALLOWED",
                "this token may not register under this name",
            );
            let mismatch = status(
                Code::FailedPrecondition,
                "PROTOCOL_MISMATCH",
                "the plugin speaks agentd.tool.v1 revisions 1-1, agentd 7-9: upgrade the plugin",
            );
            let both = tokio::join!(
                refused(means, "PERMISSION_DENIED", denied),
                refused(means, "a protocol mismatch", mismatch)
            );
            both.0.and(both.1)
        })
        .await;
}

async fn refused(means: &Arc<Means>, what: &str, answer: Status) -> Found {
    let agentd = means.agentd(Pace::SHORT).await.or_else(|fault| fail(format!("{fault:#}")))?;
    let said = answer.message().to_owned();
    agentd.state().registering = (0..READY).map(|_| Registering::Refuse(answer.clone())).collect();
    let program = means.start(&agentd.url())?;
    let first = agentd.event(agentd.began, Duration::from_secs(10), |deed| {
        matches!(deed, Deed::Registered { .. }).then_some(())
    });
    let Some((first, ())) = first.await else {
        return Err(Stop::Failed {
            why: "no Register came within 10 s".to_owned(),
            exchange: program.last_words(),
        });
    };
    let ended = program.ended(GIVES_UP).await;
    let seconds = first.elapsed().as_secs_f64();
    let tries = agentd
        .state()
        .events
        .iter()
        .filter(|event| matches!(event.deed, Deed::Registered { .. }))
        .count();
    // Counts are small; the first try is free.
    let rate =
        f64::from(u32::try_from(tries.saturating_sub(1)).unwrap_or(u32::MAX)) / seconds.max(1.0);
    let told = |why: String| {
        let exchange = format!(
            "sent  {what}: {said}\ncame  {tries} Register in {seconds:.1} s\n{}",
            program.last_words()
        );
        Err(Stop::Failed { why, exchange })
    };
    if rate > 1.0 {
        return told(format!("tried {rate:.1} times a second after {what}"));
    }
    match ended {
        None => told(format!("still runs {GIVES_UP:?} after {what}")),
        Some(status) if status.success() => told(format!("ended with 0 after {what}")),
        Some(_) if program.said().trim().is_empty() => {
            told(format!("ended after {what} without a word"))
        }
        Some(_) => passed(),
    }
}
