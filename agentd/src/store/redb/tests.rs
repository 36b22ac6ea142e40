//! What only the redb log has: files, formats, damage, a full disk.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::{
    collections::BTreeSet,
    fs, io,
    sync::{Arc, Mutex},
};

use redb::StorageBackend;

use super::*;
use crate::store::Entry;

fn entry(seq: Seq, size: usize) -> Entry {
    let bytes = Bytes::from(vec![b'x'; size]);
    Entry { investigation: InvestigationId(Uuid::from_u128(1)), seq, bytes, last: false }
}

fn append(seq: Seq, size: usize) -> Write {
    Write::Append { entries: vec![entry(seq, size)], attachments: Vec::new() }
}

fn newest(log: &RedbLog) -> Seq {
    log.head(entry(1, 0).investigation).unwrap().map_or(0, |head| head.last)
}

/// A disk that gives out pages until it is full. Lengthening a file takes no page, as on any file
/// system with holes; writing into a hole does.
#[derive(Debug, Clone, Default)]
struct Disk(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    bytes: Vec<u8>,
    /// What the last sync made safe.
    durable: Vec<u8>,
    taken: BTreeSet<u64>,
    room: usize,
}

const PAGE: u64 = 4096;

impl Disk {
    fn set_room(&self, pages: usize) {
        self.0.lock().unwrap().room = pages;
    }

    fn taken(&self) -> usize {
        self.0.lock().unwrap().taken.len()
    }

    fn log(&self) -> Result<RedbLog, Error> {
        let disk = self.clone();
        let opener = move || Builder::new().set_cache_size(CACHE).create_with_backend(disk.clone());
        RedbLog::on("disk".into(), Box::new(opener))
    }
}

fn at(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.0.lock().unwrap().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let pages = self.0.lock().unwrap();
        out.copy_from_slice(&pages.bytes[at(offset)..at(offset) + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.0.lock().unwrap().bytes.resize(at(len), 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut pages = self.0.lock().unwrap();
        pages.durable = pages.bytes.clone();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut pages = self.0.lock().unwrap();
        let needed: BTreeSet<u64> =
            (offset / PAGE..(offset + data.len() as u64).div_ceil(PAGE)).collect();
        let more = needed.difference(&pages.taken).count();
        if pages.taken.len() + more > pages.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        pages.taken.extend(needed);
        pages.bytes[at(offset)..at(offset) + data.len()].copy_from_slice(data);
        Ok(())
    }
}

#[test]
fn a_full_disk_loses_nothing_acknowledged_and_goes_on_when_there_is_room() {
    for size in [200, 5_000, 100_000] {
        let disk = Disk::default();
        disk.set_room(usize::MAX);
        let log = disk.log().unwrap();
        log.commit(&[Write::Start { entry: entry(1, size), request: None }]).unwrap();
        disk.set_room(disk.taken() + 60);
        let mut acknowledged = 1;
        let mut refusals = 0;
        // Goes on knocking after the disk is full, as an engine with several investigations would.
        while refusals < 5 {
            match log.commit(&[append(acknowledged + 1, size)]) {
                Ok(answers) => {
                    answers[0].as_ref().unwrap();
                    acknowledged += 1;
                }
                Err(error) => {
                    assert!(matches!(error, Error::Full { .. }), "{error:?}");
                    assert!(error.retryable());
                    refusals += 1;
                    assert_eq!(newest(&log), acknowledged, "size {size}");
                }
            }
            assert!(acknowledged < 5000, "the disk never filled");
        }
        disk.set_room(usize::MAX);
        log.commit(&[append(acknowledged + 1, size)]).unwrap()[0].as_ref().unwrap();
        drop(log);
        let log = disk.log().unwrap();
        let stored = log.read(entry(1, 0).investigation, 0, 10_000).unwrap();
        assert_eq!(stored.len(), at(u64::from(acknowledged) + 1), "size {size}");
        assert!(stored.iter().all(|(_, bytes)| bytes.len() == size));
    }
}

#[test]
fn a_disk_full_from_the_start_is_said() {
    let disk = Disk::default();
    assert!(matches!(disk.log(), Err(Error::Full { .. })));
}

#[test]
fn when_the_power_goes_right_after_an_answer_what_was_answered_is_there() {
    let disk = Disk::default();
    disk.set_room(usize::MAX);
    let log = disk.log().unwrap();
    log.commit(&[Write::Start { entry: entry(1, 100), request: None }]).unwrap();
    for seq in 2..=40 {
        log.commit(&[append(seq, 300)]).unwrap()[0].as_ref().unwrap();
        // The power goes: what was synced by now is all there is.
        let bytes = disk.0.lock().unwrap().durable.clone();
        let left = Disk::default();
        *left.0.lock().unwrap() = Pages { bytes, room: usize::MAX, ..Pages::default() };
        assert_eq!(newest(&left.log().unwrap()), seq);
    }
}

#[test]
fn a_file_of_another_format_is_refused_with_both_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("journal.redb");
    let database = Database::create(&file).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(META).unwrap().insert("format", 99).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let refused = RedbLog::open(Directory::hold(dir.path()).unwrap());
    assert!(matches!(refused, Err(Error::Format { found: 99, known: FORMAT, .. })), "{refused:?}");
}

#[test]
fn a_file_that_is_no_journal_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("journal.redb");
    fs::write(
        &file,
        b"something else altogether, and quite long enough to have a header of its own",
    )
    .unwrap();
    let before = fs::read(&file).unwrap();
    let refused = RedbLog::open(Directory::hold(dir.path()).unwrap());
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn expired_requests_die_out() {
    let disk = Disk::default();
    disk.set_room(usize::MAX);
    let log = disk.log().unwrap();
    for n in 0..60_u32 {
        let request = crate::store::RequestKey {
            principal: "p".to_owned(),
            request_id: Uuid::from_u128(u128::from(n)),
            content_hash: [0; 32],
            now: jiff::Timestamp::from_second(i64::from(n) * 3600).unwrap(),
        };
        let mut first = entry(1, 10);
        first.investigation = InvestigationId(Uuid::from_u128(u128::from(n)));
        log.commit(&[Write::Start { entry: first, request: Some(request) }]).unwrap();
    }
    let kept = log.view(|view| Ok(view.open_table(REQUESTS)?.iter()?.count())).unwrap();
    assert!((24..=25).contains(&kept), "{kept}");
}
