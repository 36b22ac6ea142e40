//! One suite for every [`EventLog`], stamped on each backend below. A backend says how to make an
//! empty log and how to open it again after it was dropped without any farewell.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{
    Begun, Delivery, Entry, EventLog, Joined, Mark, Point, Records, Refusal, RequestKey, Sum,
    Tally, Write, Written, directory::Directory, memory::MemoryLog, redb::RedbLog,
};
use crate::investigation::{InvestigationId, event::Seq};

/// A backend under test.
trait Bench {
    type Log: EventLog;
    fn new() -> Self;
    fn open(&self) -> Self::Log;
}

struct InMemory(MemoryLog);

impl Bench for InMemory {
    type Log = MemoryLog;
    fn new() -> Self {
        Self(MemoryLog::default())
    }
    fn open(&self) -> MemoryLog {
        self.0.clone()
    }
}

struct InRedb(tempfile::TempDir);

impl Bench for InRedb {
    type Log = RedbLog;
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn open(&self) -> RedbLog {
        RedbLog::open(Directory::hold(self.0.path()).unwrap()).unwrap()
    }
}

fn id(n: u128) -> InvestigationId {
    InvestigationId(Uuid::from_u128(n))
}

fn entry(n: u128, seq: Seq) -> Entry {
    let bytes = Bytes::from(format!("event {seq} of {n}"));
    Entry { investigation: id(n), seq, bytes, last: false }
}

fn last(n: u128, seq: Seq) -> Entry {
    Entry { last: true, ..entry(n, seq) }
}

fn begin(n: u128) -> Write {
    Write::Start { entry: entry(n, 1), request: None }
}

fn append(entries: Vec<Entry>) -> Write {
    Write::Append { entries, attachments: Vec::new() }
}

fn one(log: &impl EventLog, write: Write) -> Result<Written, Refusal> {
    let mut answers = log.commit(&[write]).unwrap();
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

fn seqs(log: &impl EventLog, n: u128) -> Vec<Seq> {
    log.read(id(n), 0, 100).unwrap().into_iter().map(|(seq, _)| seq).collect()
}

fn asked(at: i64, content: u8, n: u128) -> Write {
    let request = RequestKey {
        principal: "p".to_owned(),
        request_id: Uuid::from_u128(77),
        content_hash: [content; 32],
        now: Timestamp::from_second(at).unwrap(),
    };
    Write::Start { entry: entry(n, 1), request: Some(request) }
}

fn what_is_written_is_read_back_byte_for_byte_from_any_number<B: Bench>() {
    let bench = B::new();
    let log = bench.open();
    one(&log, begin(1)).unwrap();
    one(&log, begin(2)).unwrap();
    one(&log, append((2..=6).map(|seq| entry(1, seq)).collect())).unwrap();
    for after in 0..=6 {
        let wanted: Vec<_> = (after + 1..=6).map(|seq| (seq, entry(1, seq).bytes)).collect();
        assert_eq!(log.read(id(1), after, 100).unwrap(), wanted, "after {after}");
    }
    assert_eq!(log.read(id(1), 1, 2).unwrap().len(), 2);
    assert_eq!(seqs(&log, 2), [1]);
    assert_eq!(log.read(id(1), Seq::MAX, 1).unwrap(), []);
}

fn a_hole_is_refused_and_nothing_of_it_is_written<B: Bench>() {
    let bench = B::new();
    let log = bench.open();
    one(&log, begin(1)).unwrap();
    for entries in [
        vec![entry(1, 3)],
        vec![entry(1, 2), entry(1, 4)],
        vec![entry(1, 2), entry(1, 2)],
        vec![entry(1, 2), entry(2, 3)],
        vec![entry(1, 0)],
        vec![Entry { bytes: Bytes::from_static(b"other"), ..entry(1, 1) }],
    ] {
        let refused = one(&log, append(entries.clone()));
        assert!(refused.is_err(), "{entries:?}");
        assert_eq!(seqs(&log, 1), [1], "{entries:?}");
    }
    assert_eq!(one(&log, append(vec![entry(9, 2)])), Err(Refusal::Unknown { id: id(9) }));
    assert_eq!(one(&log, append(Vec::new())), Ok(Written::Done));
}

fn one_refused_write_does_not_harm_the_others_of_its_batch<B: Bench>() {
    let bench = B::new();
    let log = bench.open();
    let batch = [begin(1), append(vec![entry(1, 7)]), begin(2), append(vec![entry(2, 2)])];
    let answers = log.commit(&batch).unwrap();
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, true]);
    assert_eq!((seqs(&log, 1), seqs(&log, 2)), (vec![1], vec![1, 2]));
}

fn a_repeat_of_stored_events_is_taken_as_done<B: Bench>() {
    let bench = B::new();
    let log = bench.open();
    for _ in 0..2 {
        assert_eq!(one(&log, begin(1)), Ok(Written::Begun(Begun::New)));
        one(&log, append(vec![entry(1, 2), last(1, 3)])).unwrap();
        assert_eq!(seqs(&log, 1), [1, 2, 3]);
    }
    assert_eq!(log.finished(0, 9).unwrap(), [(1, id(1))]);
}

fn nothing_follows_the_end<B: Bench>() {
    let bench = B::new();
    let log = bench.open();
    one(&log, begin(1)).unwrap();
    one(&log, append(vec![last(1, 2)])).unwrap();
    let late = one(&log, append(vec![entry(1, 3)]));
    assert_eq!(late, Err(Refusal::AfterEnd { id: id(1), got: 3 }));
    one(&log, begin(2)).unwrap();
    let within = one(&log, append(vec![last(2, 2), entry(2, 3)]));
    assert_eq!(within, Err(Refusal::AfterEnd { id: id(2), got: 3 }));
    assert_eq!(seqs(&log, 2), [1]);
}

fn a_request_begins_once_a_day_and_not_with_other_content<B: Bench>() {
    let bench = B::new();
    let log = bench.open();
    let day = SignedDuration::from_hours(24).as_secs();
    assert_eq!(one(&log, asked(1000, 1, 1)), Ok(Written::Begun(Begun::New)));
    assert_eq!(one(&log, asked(2000, 1, 2)), Ok(Written::Begun(Begun::Existing(id(1)))));
    assert_eq!(one(&log, asked(2000, 2, 3)), Err(Refusal::RequestReused { id: id(1) }));
    assert_eq!(log.head(id(2)).unwrap(), None);
    assert_eq!(log.head(id(3)).unwrap(), None);
    let early = one(&log, asked(1000 + day - 1, 1, 4));
    assert_eq!(early, Ok(Written::Begun(Begun::Existing(id(1)))));
    assert_eq!(one(&log, asked(1000 + day, 2, 4)), Ok(Written::Begun(Begun::New)));
    drop(log);
    let again = one(&bench.open(), asked(1000 + day, 2, 5));
    assert_eq!(again, Ok(Written::Begun(Begun::Existing(id(4)))));
}

fn two_equal_requests_in_one_batch_begin_one_investigation<B: Bench>() {
    let bench = B::new();
    let log = bench.open();
    let answers = log.commit(&[asked(1000, 1, 1), asked(1000, 1, 2)]).unwrap();
    assert_eq!(answers[1], Ok(Written::Begun(Begun::Existing(id(1)))));
    assert_eq!(log.list(None, 9).unwrap().len(), 1);
}

fn lists_are_newest_first_and_go_on_from_any_place<B: Bench>() {
    let bench = B::new();
    let log = bench.open();
    for n in [3, 1, 4, 2, 5] {
        one(&log, begin(n)).unwrap();
    }
    let listed = |before: Option<u128>, limit| -> Vec<InvestigationId> {
        let found = log.list(before.map(id), limit).unwrap();
        found.into_iter().map(|(id, _)| id).collect()
    };
    assert_eq!(listed(None, 9), [5, 4, 3, 2, 1].map(id));
    assert_eq!(listed(None, 2), [5, 4].map(id));
    assert_eq!(listed(Some(4), 2), [3, 2].map(id));
    assert_eq!(listed(Some(1), 2), []);
}

fn what_has_ended_stands_in_order_of_ending_and_the_rest_is_unfinished<B: Bench>() {
    let bench = B::new();
    let log = bench.open();
    for n in 1..=4 {
        one(&log, begin(n)).unwrap();
    }
    for n in [3, 1] {
        one(&log, append(vec![last(n, 2)])).unwrap();
    }
    assert_eq!(log.unfinished().unwrap(), [id(2), id(4)]);
    assert_eq!(log.finished(0, 9).unwrap(), [(1, id(3)), (2, id(1))]);
    assert_eq!(log.finished(1, 9).unwrap(), [(2, id(1))]);
    assert_eq!(log.finished(0, 1).unwrap(), [(1, id(3))]);
    assert_eq!(log.finished(u64::MAX, 1).unwrap(), []);
    let head = log.head(id(3)).unwrap().unwrap();
    assert_eq!((head.last, head.finished), (2, Some(1)));
}

fn attachments_and_marks_are_kept<B: Bench>() {
    let bench = B::new();
    let log = bench.open();
    one(&log, begin(1)).unwrap();
    let big = Bytes::from(vec![7; 300_000]);
    let attachments = vec![(2, big.clone())];
    one(&log, Write::Append { entries: vec![entry(1, 2)], attachments }).unwrap();
    let point = |position| Point { position, sum: Sum { entries: 3, digest: [9; 32] } };
    let mark = Mark { now: point(2), before: point(1) };
    one(&log, Write::Marks(vec![("a", mark)])).unwrap();
    drop(log);
    let log = bench.open();
    assert_eq!(log.attachment(id(1), 2).unwrap(), Some(big));
    assert_eq!(log.attachment(id(1), 1).unwrap(), None);
    assert_eq!((log.mark("a").unwrap(), log.mark("b").unwrap()), (Some(mark), None));
}

fn records(of: &[&'static str], learnt: Option<u64>) -> Records {
    let records = of.iter().map(|text| Bytes::from_static(text.as_bytes())).collect();
    Records { records, learnt, request: None }
}

fn records_are_numbered_in_order_and_read_from_any_place<B: Bench>() {
    let bench = B::new();
    let log = bench.open();
    assert_eq!((log.records(0, 9).unwrap(), log.learnt().unwrap()), (vec![], 0));
    let batch = [
        Write::Records(records(&["a", "b"], Some(3))),
        Write::Records(records(&[], Some(5))),
        Write::Records(records(&["c"], None)),
    ];
    for answer in log.commit(&batch).unwrap() {
        assert_eq!(answer, Ok(Written::Begun(Begun::New)));
    }
    drop(log);
    let log = bench.open();
    let told = |position, limit| -> Vec<(u64, Bytes)> { log.records(position, limit).unwrap() };
    let [a, b, c] = ["a", "b", "c"].map(|text| Bytes::from_static(text.as_bytes()));
    assert_eq!(told(0, 9), [(1, a), (2, b.clone()), (3, c)]);
    assert_eq!(told(1, 1), [(2, b)]);
    assert_eq!(told(u64::MAX, 1), []);
    assert_eq!(log.learnt().unwrap(), 5);
}

fn a_request_keeps_its_records_once<B: Bench>() {
    let bench = B::new();
    let log = bench.open();
    let keep = |content: u8, n: u128| {
        let Write::Start { request, .. } = asked(1000, content, n) else { panic!("no start") };
        Write::Records(Records {
            request: Some((request.unwrap(), id(n))),
            ..records(&["x"], None)
        })
    };
    assert_eq!(one(&log, keep(1, 1)), Ok(Written::Begun(Begun::New)));
    assert_eq!(one(&log, keep(1, 1)), Ok(Written::Begun(Begun::Existing(id(1)))));
    assert_eq!(one(&log, keep(2, 1)), Err(Refusal::RequestReused { id: id(1) }));
    assert_eq!(log.records(0, 9).unwrap().len(), 1);
    // One id is one request, whatever it asked for.
    assert_eq!(one(&log, asked(2000, 3, 2)), Err(Refusal::RequestReused { id: id(1) }));
}

fn joining(n: u128, entries: &[(bool, &'static str)]) -> Write {
    let entries = entries.iter().map(|(over, bytes)| (*over, Bytes::from_static(bytes.as_bytes())));
    Write::Joined(Joined { investigation: id(n), entries: entries.collect() })
}

fn alerts_join_an_investigation_in_order_also_after_its_end<B: Bench>() {
    let bench = B::new();
    let log = bench.open();
    assert_eq!(one(&log, joining(1, &[(false, "a")])), Err(Refusal::Unknown { id: id(1) }));
    one(&log, begin(1)).unwrap();
    one(&log, begin(2)).unwrap();
    one(&log, joining(1, &[(false, "a"), (false, "b")])).unwrap();
    one(&log, append(vec![last(1, 2)])).unwrap();
    one(&log, joining(1, &[(true, "a is over")])).unwrap();
    drop(log);
    let log = bench.open();
    let told: Vec<_> = log.joined(id(1), 1, 5).unwrap();
    assert_eq!(
        told,
        [(2, false, Bytes::from_static(b"b")), (3, true, Bytes::from_static(b"a is over"))]
    );
    assert_eq!(log.joined(id(1), 0, 1).unwrap().len(), 1);
    assert_eq!(log.tally(id(1)).unwrap(), Tally { alerts: 2, resolved: 1 });
    assert_eq!(log.tally(id(2)).unwrap(), Tally::default());
    assert_eq!(log.joined(id(2), 0, 5).unwrap(), []);
}

fn how_far_a_receiver_was_told_is_kept_by_its_name<B: Bench>() {
    let bench = B::new();
    let log = bench.open();
    assert_eq!(log.delivery("a").unwrap(), None);
    let told = Delivery { done: 7, tries: 2, uncertain: true };
    one(&log, Write::Delivery("a".to_owned(), Delivery::default())).unwrap();
    one(&log, Write::Delivery("a".to_owned(), told)).unwrap();
    drop(log);
    let log = bench.open();
    assert_eq!((log.delivery("a").unwrap(), log.delivery("b").unwrap()), (Some(told), None));
}

fn contracts_are_kept_by_name_and_forgotten_when_told_so<B: Bench>() {
    let bench = B::new();
    let log = bench.open();
    let keep = |name: &str, text: &'static str| {
        (name.to_owned(), Some(Bytes::from_static(text.as_bytes())))
    };
    one(&log, Write::Contracts(vec![keep("a.x", "1"), keep("a.y", "2")])).unwrap();
    one(&log, Write::Contracts(vec![keep("a.x", "3"), ("a.y".to_owned(), None)])).unwrap();
    drop(log);
    let kept = bench.open().contracts().unwrap();
    assert_eq!(kept, [("a.x".to_owned(), Bytes::from_static(b"3"))]);
}

fn everything_acknowledged_is_there_after_a_drop_without_farewell<B: Bench>() {
    let bench = B::new();
    for round in 1..=5 {
        let log = bench.open();
        one(&log, begin(round)).unwrap();
        one(&log, append((2..=9).map(|seq| entry(round, seq)).collect())).unwrap();
        if round % 2 == 0 {
            one(&log, append(vec![last(round, 10)])).unwrap();
        }
        drop(log);
        let log = bench.open();
        for n in 1..=round {
            assert_eq!(seqs(&log, n).len(), if n % 2 == 0 { 10 } else { 9 });
        }
    }
    assert_eq!(bench.open().unfinished().unwrap(), [1, 3, 5].map(id));
}

macro_rules! conformance {
    ($backend:ident, $bench:ty: $($name:ident)*) => {
        mod $backend {
            $(#[test] fn $name() { super::$name::<$bench>(); })*
        }
    };
}

macro_rules! all {
    ($($name:ident)*) => {
        conformance!(memory, super::InMemory: $($name)*);
        conformance!(redb, super::InRedb: $($name)*);
    };
}

all! {
    what_is_written_is_read_back_byte_for_byte_from_any_number
    a_hole_is_refused_and_nothing_of_it_is_written
    one_refused_write_does_not_harm_the_others_of_its_batch
    a_repeat_of_stored_events_is_taken_as_done
    nothing_follows_the_end
    a_request_begins_once_a_day_and_not_with_other_content
    two_equal_requests_in_one_batch_begin_one_investigation
    lists_are_newest_first_and_go_on_from_any_place
    what_has_ended_stands_in_order_of_ending_and_the_rest_is_unfinished
    attachments_and_marks_are_kept
    records_are_numbered_in_order_and_read_from_any_place
    a_request_keeps_its_records_once
    alerts_join_an_investigation_in_order_also_after_its_end
    how_far_a_receiver_was_told_is_kept_by_its_name
    contracts_are_kept_by_name_and_forgotten_when_told_so
    everything_acknowledged_is_there_after_a_drop_without_farewell
}
