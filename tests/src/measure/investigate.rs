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
    let Prepared { case, stage, .. } = &prepared;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use crate::{measure::variant::Taken, staged};

    async fn bundled(variant: Variant) -> Outcome {
        let case = Case::read(&staged::bundled()).unwrap();
        let pace = Pace { at_once: 1, keep: Some(case.id.clone()) };
        all(&[case], variant, &pace).await.unwrap().remove(0)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_incident_is_investigated_as_the_daemon_does_it_and_can_be_thought_through_again() {
        let outcome = bundled(Variant::Plain).await;
        assert_eq!((outcome.trouble.as_str(), outcome.rounds > 0), ("", true), "{outcome:?}");
        let gathered = outcome.gathered.as_ref().unwrap();
        let calls: usize = gathered.rounds.iter().map(Vec::len).sum();
        assert_eq!((gathered.rounds.len(), calls), (outcome.rounds, outcome.calls));
        assert!(gathered.observations() > 10);
        let (_, again) = gathered.weighed().unwrap();
        let first = again.conclusion.root_causes.first();
        assert_eq!(first.map(|cause| cause.category.clone()), outcome.answer.category);
        let sure = first.map(|cause| cause.confidence).unwrap_or_default();
        assert!((sure - outcome.answer.confidence.unwrap_or_default()).abs() < 1e-9);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_source_that_is_taken_away_is_met_as_a_failure() {
        let variant = Variant::Without(Taken::Logs, 403);
        let outcome = bundled(variant).await;
        assert!(outcome.holes > 0, "{outcome:?}");
        assert!(!outcome.signals.iter().any(|signal| signal.starts_with("log.")));
        assert_eq!(variant.promise(&outcome), Some(("name the source as a gap", true)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_recording_that_cannot_be_read_costs_its_own_case_only() {
        let dir = tempfile::tempdir().unwrap();
        let mut broken = Case::read(&staged::bundled()).unwrap();
        (broken.id, broken.dir) = ("broken".to_owned(), dir.path().to_owned());
        "broken".clone_into(&mut broken.truth.id);
        let whole = Case::read(&staged::bundled()).unwrap();
        let outcomes = all(&[broken, whole], Variant::Plain, &Pace::default()).await.unwrap();
        let troubled: Vec<bool> = outcomes.iter().map(|one| !one.trouble.is_empty()).collect();
        assert_eq!(troubled, [true, false], "{outcomes:?}");
    }
}
