//! The journal through its own door: order, resuming, batching, loss, restarts.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::{
    fs,
    sync::{Arc, Condvar, Mutex},
};

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    testing::{CODEC, alert, concluded, event, finished, id, started},
    *,
};
use crate::{
    alert::Alert,
    investigation::{Investigation, Phase},
    store::{Head, memory::MemoryLog},
};

fn cart() -> Alert {
    alert("high_memory", "cart")
}

async fn begun(journal: &Journal, n: u64) -> InvestigationId {
    let of = id(n);
    assert_eq!(journal.start(started(of, &cart()), None).await.unwrap(), Begun::New);
    of
}

fn end(n: u64, seq: Seq) -> Event {
    finished(seq, concluded(id(n), &cart(), "oom_killed", &[], 5))
}

fn in_dir(dir: &Path) -> Journal {
    Journal::open(&Config { dir: dir.to_owned() }, CODEC).unwrap()
}

async fn all(journal: &Journal, of: InvestigationId, after: Seq) -> Vec<(Seq, Bytes)> {
    let mut cursor = journal.follow(of, after).unwrap();
    let mut got = Vec::new();
    while let Some(more) = cursor.next().await.unwrap() {
        got.extend(more);
    }
    got
}

/// A log whose commits wait for permission, or fail on demand.
#[derive(Debug, Clone, Default)]
struct Gate {
    log: MemoryLog,
    state: Arc<(Mutex<GateState>, Condvar)>,
}

#[derive(Debug, Default)]
struct GateState {
    shut: bool,
    full: bool,
    batches: Vec<usize>,
}

impl Gate {
    fn set(&self, change: impl FnOnce(&mut GateState)) {
        change(&mut self.state.0.lock().unwrap());
        self.state.1.notify_all();
    }

    fn batches(&self) -> Vec<usize> {
        self.state.0.lock().unwrap().batches.clone()
    }
}

impl EventLog for Gate {
    fn commit(&self, batch: &[Write]) -> Result<Vec<Result<Written, Refusal>>, store::Error> {
        let mut state = self.state.0.lock().unwrap();
        state.batches.push(batch.len());
        self.state.1.notify_all();
        let state = self.state.1.wait_while(state, |state| state.shut).unwrap();
        if state.full {
            return Err(store::Error::from_io("d", std::io::ErrorKind::StorageFull.into()));
        }
        self.log.commit(batch)
    }
    fn read(
        &self,
        id: InvestigationId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<(Seq, Bytes)>, store::Error> {
        self.log.read(id, after, limit)
    }
    fn head(&self, id: InvestigationId) -> Result<Option<Head>, store::Error> {
        self.log.head(id)
    }
    fn attachment(&self, id: InvestigationId, seq: Seq) -> Result<Option<Bytes>, store::Error> {
        self.log.attachment(id, seq)
    }
    fn list(
        &self,
        before: Option<InvestigationId>,
        limit: usize,
    ) -> Result<Vec<(InvestigationId, Head)>, store::Error> {
        self.log.list(before, limit)
    }
    fn unfinished(&self) -> Result<Vec<InvestigationId>, store::Error> {
        self.log.unfinished()
    }
    fn finished(
        &self,
        position: u64,
        limit: usize,
    ) -> Result<Vec<(u64, InvestigationId)>, store::Error> {
        self.log.finished(position, limit)
    }
    fn mark(&self, tree: &str) -> Result<Option<Mark>, store::Error> {
        self.log.mark(tree)
    }
    fn records(&self, position: u64, limit: usize) -> Result<Vec<(u64, Bytes)>, store::Error> {
        self.log.records(position, limit)
    }
    fn learnt(&self) -> Result<u64, store::Error> {
        self.log.learnt()
    }
    fn joined(
        &self,
        id: InvestigationId,
        after: u32,
        limit: usize,
    ) -> Result<Vec<store::Joint>, store::Error> {
        self.log.joined(id, after, limit)
    }
    fn tally(&self, id: InvestigationId) -> Result<store::Tally, store::Error> {
        self.log.tally(id)
    }
    fn delivery(&self, receiver: &str) -> Result<Option<Delivery>, store::Error> {
        self.log.delivery(receiver)
    }
    fn contracts(&self) -> Result<Vec<(String, Bytes)>, store::Error> {
        self.log.contracts()
    }
}

#[tokio::test]
async fn a_stream_resumed_after_any_number_is_the_rest_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let journal = in_dir(dir.path());
    let of = begun(&journal, 1).await;
    // More than one chunk of a cursor.
    let events = (2..=599).map(|seq| event(of, seq)).collect();
    journal.append(events, Vec::new()).await.unwrap();
    journal.append(vec![end(1, 600)], Vec::new()).await.unwrap();
    let recording = all(&journal, of, 0).await;
    assert_eq!(recording.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), Vec::from_iter(1..=600));
    for after in [0, 1, 2, 255, 256, 257, 511, 512, 599, 600] {
        let from = usize::try_from(after).unwrap();
        assert_eq!(all(&journal, of, after).await, recording[from..], "after {after}");
    }
    let beyond = journal.follow(of, 601).map(|_| ());
    assert!(matches!(beyond, Err(Error::OutOfRange { after: 601, oldest: 1, newest: 600 })));
    drop(journal);
    let journal = in_dir(dir.path());
    assert_eq!(all(&journal, of, 0).await, recording, "after a restart");
}

#[tokio::test]
async fn a_reader_waits_at_the_end_and_hears_what_comes() {
    let journal = Journal::in_memory(CODEC).unwrap();
    let of = begun(&journal, 1).await;
    let mut fast = journal.follow(of, 1).unwrap();
    let mut slow = journal.follow(of, 0).unwrap();
    {
        let mut waiting = Box::pin(fast.next());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        journal.append(vec![event(of, 2)], Vec::new()).await.unwrap();
        assert_eq!(waiting.await.unwrap().unwrap()[0].0, 2);
    }
    journal.append(vec![event(of, 3), end(1, 4)], Vec::new()).await.unwrap();
    assert_eq!(fast.next().await.unwrap().unwrap().len(), 2);
    assert_eq!(fast.next().await.unwrap(), None);
    assert_eq!(slow.next().await.unwrap().unwrap().len(), 4, "a slow reader only falls behind");
    assert_eq!(slow.next().await.unwrap(), None);
}

#[tokio::test]
async fn an_unknown_investigation_is_not_found() {
    let journal = Journal::in_memory(CODEC).unwrap();
    assert!(matches!(journal.follow(id(9), 0), Err(Error::NotFound { .. })));
    assert!(matches!(journal.investigation(id(9)), Err(Error::NotFound { .. })));
    let orphan = journal.append(vec![event(id(9), 2)], Vec::new()).await;
    assert!(matches!(orphan, Err(Error::NotFound { .. })));
    assert_eq!(journal.last_seq(id(9)).unwrap(), None);
    assert_eq!(journal.events(id(9)).unwrap(), []);
}

#[tokio::test]
async fn what_waits_while_a_sync_runs_is_written_together() {
    let gate = Gate::default();
    let journal = Journal::over(Box::new(gate.clone()), CODEC, None).unwrap();
    for n in 1..=20 {
        begun(&journal, n).await;
    }
    gate.set(|state| (state.shut, state.batches) = (true, Vec::new()));
    let appends = (1..=20).map(|n| {
        let journal = journal.clone();
        async move { journal.append(vec![event(id(n), 2)], Vec::new()).await }
    });
    let mut appends = Box::pin(futures_util::future::join_all(appends));
    assert!(futures_util::poll!(&mut appends).is_pending());
    let entered = gate.state.0.lock().unwrap();
    drop(gate.state.1.wait_while(entered, |state| state.batches.is_empty()).unwrap());
    for n in 1..=20 {
        assert_eq!(journal.last_seq(id(n)).unwrap(), Some(1), "published before it was durable");
    }
    gate.set(|state| state.shut = false);
    for done in appends.await {
        done.unwrap();
    }
    let batches = gate.batches();
    assert_eq!(batches.iter().sum::<usize>(), 20);
    assert!(batches.len() <= 2, "{batches:?}");
}

#[tokio::test]
async fn a_lost_write_is_told_to_all_who_waited_and_may_be_asked_again() {
    let gate = Gate::default();
    let journal = Journal::over(Box::new(gate.clone()), CODEC, None).unwrap();
    let of = begun(&journal, 1).await;
    gate.set(|state| state.full = true);
    let one = || journal.append(vec![event(of, 2)], Vec::new());
    for lost in [one().await, one().await] {
        let error = lost.unwrap_err();
        assert!(matches!(error, Error::Lost { .. }) && error.retryable(), "{error:?}");
        assert_eq!(error.kind(), Kind::Unavailable);
    }
    assert_eq!(journal.last_seq(of).unwrap(), Some(1));
    gate.set(|state| state.full = false);
    one().await.unwrap();
    one().await.unwrap();
    assert_eq!(journal.last_seq(of).unwrap(), Some(2));
}

#[tokio::test]
async fn an_equal_request_answers_the_first_investigation_and_another_content_is_a_conflict() {
    let journal = Journal::in_memory(CODEC).unwrap();
    let request = |content: u8| RequestKey {
        principal: "p".to_owned(),
        request_id: Uuid::from_u128(5),
        content_hash: [content; 32],
        now: Timestamp::UNIX_EPOCH,
    };
    let ask = |n, content| journal.start(started(id(n), &cart()), Some(request(content)));
    assert_eq!(ask(1, 1).await.unwrap(), Begun::New);
    assert_eq!(ask(2, 1).await.unwrap(), Begun::Existing(id(1)));
    let reused = ask(3, 2).await.unwrap_err();
    assert!(matches!(reused, Error::RequestReused { id: first } if first == id(1)));
    assert_eq!(reused.kind(), Kind::Conflict);
    assert!(matches!(
        journal.start(event(id(4), 1), None).await,
        Err(Error::NotStarted { seq: 1 })
    ));
}

#[tokio::test]
async fn lists_fold_running_ones_and_page_through_a_filter() {
    let journal = Journal::in_memory(CODEC).unwrap();
    for n in 1..=9 {
        begun(&journal, n).await;
        if n % 3 == 0 {
            journal.append(vec![end(n, 2)], Vec::new()).await.unwrap();
        }
    }
    let ids = |page: &Page| page.investigations.iter().map(|one| one.id).collect::<Vec<_>>();
    let ended = |one: &Investigation| one.phase == Phase::Succeeded;
    let first = journal.list(None, 2, ended).unwrap();
    assert_eq!(ids(&first), [9, 6].map(id));
    assert!(first.investigations.iter().all(|one| one.report.is_some() && one.last_seq == 2));
    let second = journal.list(first.next, 2, ended).unwrap();
    assert_eq!((ids(&second), second.next), (vec![id(3)], None));
    let running = journal.list(None, 50, |one| one.phase == Phase::Running).unwrap();
    assert_eq!(ids(&running), [8, 7, 5, 4, 2, 1].map(id));
    assert_eq!(journal.unfinished().unwrap(), [1, 2, 4, 5, 7, 8].map(id));
    assert_eq!(journal.finished_after(1, 9).unwrap(), [(2, id(6)), (3, id(9))]);
    assert!(journal.ended(id(3)).unwrap() && !journal.ended(id(2)).unwrap());
}

#[tokio::test]
async fn a_copy_of_the_file_made_at_an_acknowledgement_holds_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let journal = in_dir(dir.path());
    let of = begun(&journal, 1).await;
    for seq in 2..=30 {
        let attachment = vec![(seq, Bytes::from(vec![7; 1000]))];
        journal.append(vec![event(of, seq)], attachment).await.unwrap();
        if seq % 7 == 0 {
            let copy = tempfile::tempdir().unwrap();
            let file = "journal.redb";
            fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
            let found = in_dir(copy.path());
            assert_eq!(found.last_seq(of).unwrap(), Some(seq));
            assert_eq!(found.read(of, 0, 99).unwrap(), journal.read(of, 0, 99).unwrap());
            assert_eq!(found.attachment(of, seq).unwrap().unwrap().len(), 1000);
        }
    }
}

#[tokio::test]
async fn the_directory_is_free_once_the_last_handle_is_gone_and_waiting_readers_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let journal = in_dir(dir.path());
    let other = journal.clone();
    let of = begun(&journal, 1).await;
    let mut cursor = journal.follow(of, 1).unwrap();
    drop(journal);
    let held = Journal::open(&Config { dir: dir.path().to_owned() }, CODEC);
    assert!(matches!(held, Err(Error::Store(store::Error::Held { pid: Some(_), .. }))));
    drop(other);
    assert!(matches!(cursor.next().await, Err(Error::Closed)));
    drop(cursor);
    in_dir(dir.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_and_readers_at_once_see_one_order_without_holes() {
    let dir = tempfile::tempdir().unwrap();
    let journal = in_dir(dir.path());
    let mut tasks = tokio::task::JoinSet::new();
    for n in 1..=8 {
        let of = begun(&journal, n).await;
        for _ in 0..3 {
            let journal = journal.clone();
            tasks.spawn(async move {
                let seqs = all(&journal, of, 0).await.into_iter().map(|(seq, _)| seq);
                assert_eq!(Vec::from_iter(seqs), Vec::from_iter(1..=40));
            });
        }
        let journal = journal.clone();
        tasks.spawn(async move {
            for seq in 2..40 {
                journal.append(vec![event(of, seq)], Vec::new()).await.unwrap();
            }
            journal.append(vec![end(n, 40)], Vec::new()).await.unwrap();
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}
