//! Memory through its own door: what is recalled and why, and that nothing happens to it that the
//! journal does not mend.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod judged;
mod spoiled;

use std::fs;

use super::*;
use crate::{
    investigation::event::Kind as Said,
    investigation::finding::Hypothesis,
    journal::testing::{CODEC, alert, concluded, finished, id, minute, said, started},
    store::Mark,
};

struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn memory_dir(&self) -> PathBuf {
        self.dir.path().join("memory")
    }

    fn journal(&self) -> Journal {
        Journal::open(&journal::Config { dir: self.dir.path().to_owned() }, CODEC).unwrap()
    }

    /// A kill leaves no note of the files, so only the trees themselves can be compared.
    async fn forget_files(&self) {
        let journal = self.journal();
        let blank = move || journal.set_marks(vec![(keeper::FILES, Mark::default())]);
        tokio::task::spawn_blocking(blank).await.unwrap().unwrap();
    }

    async fn open(&self, now: Timestamp) -> (Journal, Memory) {
        let journal = self.journal();
        let memory = Memory::open(Config::new(self.memory_dir()), journal.clone(), now).await;
        (journal, memory.unwrap())
    }
}

/// Runs an investigation to its end and learns it.
async fn live_through(journal: &Journal, memory: &Memory, done: Investigation) {
    journal.start(started(done.id, &done.alert), None).await.unwrap();
    journal.append(vec![finished(2, done.clone())], Vec::new()).await.unwrap();
    let learnt = memory.learn(&done).await.unwrap();
    assert_eq!(learnt, Some(format!("episodes/{}", done.id.0)));
}

/// Twelve cases on three services.
async fn a_past(journal: &Journal, memory: &Memory) {
    for n in 0..12_u64 {
        let service = ["cart", "search", "ledger"][usize::try_from(n % 3).unwrap()];
        let mut alert = alert(if n % 2 == 0 { "high_memory" } else { "high_latency" }, service);
        alert.labels.insert("pod".to_owned(), format!("{service}-{n}"));
        alert.labels.insert("team".to_owned(), format!("team-{}", n % 3));
        let signals: &[&str] =
            if n % 2 == 0 { &["container.oom_killed"] } else { &["service.latency_high"] };
        let at = i64::try_from(n).unwrap();
        let category = ["oom_killed", "", "cpu_throttling"][usize::try_from(n % 3).unwrap()];
        live_through(journal, memory, concluded(id(n), &alert, category, signals, at)).await;
    }
}

fn questions() -> Vec<(Alert, Vec<String>)> {
    let signals = vec!["container.oom_killed".to_owned()];
    vec![
        (alert("high_memory", "cart"), Vec::new()),
        (alert("high_memory", "cart"), signals.clone()),
        (alert("high_latency", "search"), Vec::new()),
        (alert("", "ledger"), signals.clone()),
        (Alert { description: "slow".to_owned(), ..Alert::default() }, signals),
    ]
}

fn answers(memory: &Memory) -> Vec<Vec<EpisodeMatch>> {
    questions()
        .iter()
        .map(|(alert, signals)| memory.recall(alert, signals, minute(20)).cases)
        .collect()
}

#[tokio::test]
async fn the_same_alert_a_month_later_is_recalled_whatever_its_pods_are_called() {
    let home = Home::new();
    let (journal, memory) = home.open(minute(0)).await;
    let mut first = alert("high_memory", "cart");
    first.labels.insert("pod".to_owned(), "cart-7d9f-abcde".to_owned());
    first.labels.insert("team".to_owned(), "shop".to_owned());
    first.start = Some(minute(0));
    let seen = ["container.oom_killed", "container.memory_growing"];
    live_through(&journal, &memory, concluded(id(1), &first, "oom_killed", &seen, 5)).await;
    let mut again = first.clone();
    again.labels.insert("pod".to_owned(), "cart-5c4b-zzzzz".to_owned());
    again.start = Some(minute(60 * 24 * 30));
    again.description = "other words".to_owned();

    let found = memory.recall(&again, &["container.oom_killed".to_owned()], minute(20)).cases;
    assert_eq!(found.len(), 1);
    assert!(found[0].similarity > 0.9, "{found:?}");
    assert_eq!(found[0].category, "oom_killed");
    assert_eq!(found[0].culprit.as_ref().unwrap().to_string(), "Deployment shop/cart");
    assert_eq!((found[0].tool_calls, memory.total()), (9, 1));
    assert_eq!(
        found[0].reason,
        "same type, service and namespace; same signal container.oom_killed; same labels"
    );
    let elsewhere = memory.recall(&alert("high_memory", "search"), &[], minute(20)).cases;
    assert_eq!(elsewhere, [], "another service with nothing else in common");
    let otherwise = memory.recall(&alert("certificate_expiring", "cart"), &[], minute(20)).cases;
    assert_eq!(otherwise, [], "another type with nothing else in common");
    let symptoms = ["container.oom_killed".to_owned()];
    let elsewhere = memory.recall(&alert("high_memory", "search"), &symptoms, minute(20)).cases;
    assert!(elsewhere[0].similarity < 0.5, "{elsewhere:?}");
}

#[tokio::test]
async fn the_newest_of_equal_cases_comes_first_and_five_are_told_at_most() {
    let home = Home::new();
    let (journal, memory) = home.open(minute(0)).await;
    for n in 1..=7 {
        let at = i64::try_from(n).unwrap();
        let done = concluded(id(n), &alert("high_memory", "cart"), "oom_killed", &[], at);
        live_through(&journal, &memory, done).await;
    }
    let found = memory.recall(&alert("high_memory", "cart"), &[], minute(20)).cases;
    let wanted = [7, 6, 5, 4, 3].map(|n| format!("episodes/{}", id(n).0));
    assert_eq!(found.into_iter().map(|one| one.episode).collect::<Vec<_>>(), wanted);
}

#[tokio::test]
async fn a_case_without_a_conclusion_is_told_low_and_names_no_cause() {
    let home = Home::new();
    let (journal, memory) = home.open(minute(0)).await;
    let cart = alert("high_memory", "cart");
    live_through(&journal, &memory, concluded(id(1), &cart, "", &[], 1)).await;
    live_through(&journal, &memory, concluded(id(2), &cart, "healthy", &[], 2)).await;
    let found = memory.recall(&cart, &[], minute(20)).cases;
    assert_eq!(found[0].episode, format!("episodes/{}", id(2).0));
    assert!(found[1].similarity <= 0.5 && found[1].category.is_empty());
    assert_eq!(found[1].culprit, None);
    assert!(found[1].reason.ends_with("no cause was found then"), "{}", found[1].reason);
}

#[tokio::test]
async fn only_what_has_ended_in_the_journal_is_learnt() {
    let home = Home::new();
    let (journal, memory) = home.open(minute(0)).await;
    let done = concluded(id(1), &alert("high_memory", "cart"), "oom_killed", &[], 1);
    journal.start(started(done.id, &done.alert), None).await.unwrap();
    let early = memory.learn(&done).await.unwrap_err();
    assert!(matches!(early, Error::NotFinished { .. }));
    assert_eq!((early.kind(), memory.total()), (Kind::Conflict, 0));
}

#[tokio::test]
async fn a_withdrawn_investigation_leaves_no_episode() {
    let home = Home::new();
    let (journal, memory) = home.open(minute(0)).await;
    let mut done = concluded(id(1), &alert("high_memory", "cart"), "oom_killed", &[], 1);
    done.phase = crate::investigation::Phase::Cancelled;
    journal.start(started(done.id, &done.alert), None).await.unwrap();
    journal.append(vec![finished(2, done.clone())], Vec::new()).await.unwrap();
    assert_eq!(memory.learn(&done).await.unwrap(), None);
    assert_eq!((memory.total(), memory.note(&done.alert, minute(1))), (0, None));
}

#[tokio::test]
async fn a_repeat_within_the_hour_is_told_by_a_note() {
    let home = Home::new();
    let (journal, memory) = home.open(minute(0)).await;
    let cart = alert("high_memory", "cart");
    live_through(&journal, &memory, concluded(id(1), &cart, "oom_killed", &[], 10)).await;
    let note = memory.note(&cart, minute(69)).unwrap();
    let at = minute(10).strftime("%H:%M").to_string();
    assert_eq!(
        note.text,
        format!("concluded {at} UTC: oom_killed on Deployment shop/cart ({})", id(1).resource())
    );
    assert_eq!(memory.note(&cart, minute(70)), None);
    assert_eq!(memory.note(&alert("high_memory", "search"), minute(11)), None);
    drop((memory, journal));
    let (_journal, memory) = home.open(minute(20)).await;
    assert_eq!(memory.note(&cart, minute(20)), Some(note));
    assert_eq!(memory.repairs(), []);
}

#[tokio::test]
async fn a_running_investigation_has_a_checkpoint_until_it_ends_even_over_a_restart() {
    let home = Home::new();
    let (journal, memory) = home.open(minute(0)).await;
    let cart = alert("high_memory", "cart");
    let first = started(id(1), &cart);
    journal.start(first.clone(), None).await.unwrap();
    let mut state = State::open(&first).unwrap();
    for (seq, confidence) in [(2, 0.2), (3, 0.7)] {
        let hypothesis = Hypothesis {
            id: format!("h{seq}"),
            statement: format!("guess {seq}"),
            confidence,
            ..Hypothesis::default()
        };
        let event = said(id(1), seq, Said::HypothesisUpdated(hypothesis, 0.0));
        state.apply(&event).unwrap();
        journal.append(vec![event], Vec::new()).await.unwrap();
        if seq == 2 {
            memory.checkpoint(&state).await.unwrap();
        }
    }
    assert_eq!(memory.checkpoints()[0].leading, ["guess 2 (0.20)"]);
    drop((memory, journal));
    let (journal, memory) = home.open(minute(1)).await;
    // The journal knew more than the checkpoint.
    assert_eq!(memory.checkpoints()[0].leading, ["guess 3 (0.70)", "guess 2 (0.20)"]);
    let done = concluded(id(1), &cart, "oom_killed", &[], 3);
    journal.append(vec![finished(4, done.clone())], Vec::new()).await.unwrap();
    memory.learn(&done).await.unwrap();
    assert_eq!(memory.checkpoints(), []);
    let key = working::checkpoint_key(id(1));
    let stored = memory.shared.trees().as_ref().unwrap().get("working", &key);
    assert_eq!(stored.unwrap(), None, "gone from the disk too");
    drop((memory, journal));
    assert_eq!(home.open(minute(4)).await.1.checkpoints(), []);
}

#[tokio::test]
async fn what_ended_while_memory_was_not_told_is_learnt_at_the_start() {
    let home = Home::new();
    let (journal, memory) = home.open(minute(0)).await;
    a_past(&journal, &memory).await;
    let before = answers(&memory);
    let done = concluded(id(99), &alert("disk_full", "mail"), "disk_full", &[], 20);
    journal.start(started(done.id, &done.alert), None).await.unwrap();
    journal.append(vec![finished(2, done.clone())], Vec::new()).await.unwrap();
    drop((memory, journal));
    let (_journal, memory) = home.open(minute(21)).await;
    assert_eq!((memory.total(), memory.repairs()), (13, Vec::new()));
    assert_eq!(memory.recall(&done.alert, &[], minute(20)).cases[0].category, "disk_full");
    assert_eq!(answers(&memory), before);
}

#[tokio::test]
async fn many_clean_restarts_repair_nothing_and_answer_the_same() {
    let home = Home::new();
    let (journal, memory) = home.open(minute(0)).await;
    a_past(&journal, &memory).await;
    let wanted = answers(&memory);
    assert!(wanted.iter().take(4).all(|found| !found.is_empty()), "{wanted:?}");
    drop((memory, journal));
    for round in 0..10 {
        let (journal, memory) = home.open(minute(20)).await;
        assert_eq!(memory.repairs(), [], "round {round}");
        assert_eq!(answers(&memory), wanted, "round {round}");
        let done = concluded(id(100 + round), &alert("disk_full", "mail"), "disk_full", &[], 20);
        live_through(&journal, &memory, done).await;
    }
}

#[tokio::test]
async fn a_deleted_memory_is_said_and_made_anew_with_the_same_answers() {
    let home = Home::new();
    let (journal, memory) = home.open(minute(0)).await;
    a_past(&journal, &memory).await;
    let wanted = answers(&memory);
    drop((memory, journal));
    fs::remove_dir_all(home.memory_dir()).unwrap();
    let (journal, memory) = home.open(minute(20)).await;
    assert_eq!(answers(&memory), wanted);
    let repairs = memory.repairs();
    assert_eq!(repairs.len(), 1);
    assert_eq!(
        (repairs[0].reason.as_str(), repairs[0].aside.clone()),
        ("its files are missing", None)
    );
    drop((memory, journal));
    assert_eq!(home.open(minute(20)).await.1.repairs(), []);
}

#[tokio::test]
async fn a_journal_lost_beside_a_memory_is_refused() {
    let home = Home::new();
    let (journal, memory) = home.open(minute(0)).await;
    a_past(&journal, &memory).await;
    drop((memory, journal));
    fs::remove_file(home.dir.path().join("journal.redb")).unwrap();
    let opened = Journal::open(&journal::Config { dir: home.dir.path().to_owned() }, CODEC);
    let Err(journal::Error::Store(error @ store::Error::JournalMissing { .. })) = opened else {
        panic!("{opened:?}");
    };
    assert!(error.to_string().contains("bring the journal back"), "{error}");
}

#[test]
fn an_episode_fits_a_tree_whatever_its_alert_holds_and_survives_its_encoding() {
    let mut hostile = alert(&"\u{1}".repeat(256), "cart");
    for n in 0..64 {
        hostile.labels.insert(format!("{n}{}", "\u{2}".repeat(250)), "\u{3}".repeat(4000));
    }
    let names: Vec<String> = (0..200).map(|n| format!("{n}{}", "ü".repeat(4000))).collect();
    let signals: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut done = concluded(id(1), &hostile, "oom_killed", &signals, 1);
    let report = done.report.as_mut().unwrap();
    report.conclusion.root_causes[0].statement = "€".repeat(100_000);
    let episode = Episode::of(&done).unwrap();
    let case = Case::new(episode.clone(), 1).fitting();
    let bytes = case.encode();
    assert!(bytes.len() <= crate::store::sled::MAX_VALUE, "{}", bytes.len());
    assert_eq!(Case::decode(&bytes), Some(case));
    assert!(episode.cause.ends_with("€…"));
    let plain = Episode::of(&concluded(id(2), &alert("a", "b"), "healthy", &["x.y"], 1)).unwrap();
    let case = Case::new(plain, 1);
    assert_eq!(case.clone().fitting(), case);
}
