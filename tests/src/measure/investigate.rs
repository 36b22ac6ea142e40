//! Investigates cases under one variant, several at once: each on a daemon of its own, so that no
//! case knows another, but for those that repeat one. What goes wrong with one case is that case's
//! outcome; the others go on.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use anyhow::Result;
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    case::{Case, grouped},
    outcome::Outcome,
    stand::Stand,
    thinking::Gathered,
    variant::{Prepared, Variant},
};

/// How cases are gone through.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    /// Daemons at once; 0 for one a processor.
    pub at_once: usize,
    /// The case of which everything asked and answered is kept.
    pub keep: Option<String>,
}

/// Investigates all `cases`; the outcomes are in order of id.
///
/// # Errors
/// When a task of ours is lost.
pub async fn all(cases: &[Case], variant: Variant, pace: &Pace) -> Result<Vec<Outcome>> {
    let at_once = match pace.at_once {
        0 => std::thread::available_parallelism().map_or(2, usize::from),
        some => some,
    };
    let turns = Arc::new(Semaphore::new(at_once));
    let mut running = JoinSet::new();
    for group in grouped(cases.to_vec()) {
        let (turns, keep) = (Arc::clone(&turns), pace.keep.clone());
        running.spawn(async move {
            let _turn = turns.acquire_owned().await;
            together(group, variant, keep).await
        });
    }
    let mut outcomes = Vec::new();
    while let Some(done) = running.join_next().await {
        outcomes.extend(done?);
    }
    outcomes.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(outcomes)
}

/// Investigates cases that share a memory, one after the other.
async fn together(group: Vec<Case>, variant: Variant, keep: Option<String>) -> Vec<Outcome> {
    let missed = |case: &Case, error: &anyhow::Error| {
        Outcome::without_report(&case.truth, format!("{error:#}"))
    };
    let stand = match Stand::raise().await {
        Ok(stand) => stand,
        Err(error) => return group.iter().map(|case| missed(case, &error)).collect(),
    };
    let mut episodes = BTreeMap::new();
    let mut outcomes = Vec::new();
    for case in &group {
        let kept = keep.as_ref() == Some(&case.id);
        let outcome = one(&stand, case, variant, (&mut episodes, kept)).await;
        outcomes.push(outcome.unwrap_or_else(|error| missed(case, &error)));
    }
    if let (Err(error), Some(last)) = (stand.strike().await, outcomes.last_mut()) {
        last.trouble = format!("the daemon did not stop well: {error:#}");
    }
    outcomes
}

/// Investigates one case. `episodes` takes in what memory keeps of it.
async fn one(
    stand: &Stand,
    case: &Case,
    variant: Variant,
    (episodes, kept): (&mut BTreeMap<String, String>, bool),
) -> Result<Outcome> {
    let given = case.clone();
    let prepared = tokio::task::spawn_blocking(move || variant.prepare(&given)).await??;
    let Prepared { case, stage } = &prepared;
    let attached = stand.attach(stage.path(), variant.disturbance()).await?;
    let begun = Instant::now();
    let ended = stand.investigate(case.alert.clone()).await?;
    let took = begun.elapsed();
    let passed = attached.passage.so_far();
    let mut outcome = Outcome::of(case, &ended, &passed, episodes)?;
    outcome.took = took;
    if kept {
        let gathered = Gathered::of(&case.alert, stand.tools(), &ended.events, &passed);
        outcome.gathered = Some(Box::new(gathered));
    }
    let memory = ended.investigation.report.as_ref().and_then(|report| report.memory.as_ref());
    if let Some(memory) = memory {
        episodes.insert(memory.episode.clone(), case.id.clone());
    }
    stand.detach(attached).await?;
    Ok(outcome)
}
