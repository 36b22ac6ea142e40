//! The log in memory: for tests, and the plainest statement of what [`EventLog`] promises. Its
//! "disk" is shared between clones, so that a reopened log finds what the dropped one wrote.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included, Unbounded},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use super::{
    Begun, Delivery, Entry, Error, EventLog, Head, Joined, Joint, Mark, Records, Refusal,
    RequestKey, Tally, Write, Written, numbers,
};
use crate::investigation::{InvestigationId, event::Seq};

/// A log that lives as long as the process.
#[derive(Debug, Clone, Default)]
pub struct MemoryLog {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Debug, Default)]
struct Disk {
    events: BTreeMap<(InvestigationId, Seq), Bytes>,
    attachments: BTreeMap<(InvestigationId, Seq), Bytes>,
    heads: BTreeMap<InvestigationId, Head>,
    finished: BTreeMap<u64, InvestigationId>,
    requests: BTreeMap<Vec<u8>, Request>,
    marks: BTreeMap<&'static str, Mark>,
    records: BTreeMap<u64, Bytes>,
    learnt: u64,
    joined: BTreeMap<(InvestigationId, u32), (bool, Bytes)>,
    deliveries: BTreeMap<String, Delivery>,
    contracts: BTreeMap<String, Bytes>,
}

#[derive(Debug)]
struct Request {
    id: InvestigationId,
    content_hash: [u8; 32],
    expires: u64,
}

impl MemoryLog {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        // Nothing in here panics half way; a poisoned lock guards whole values.
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventLog for MemoryLog {
    fn commit(&self, batch: &[Write]) -> Result<Vec<Result<Written, Refusal>>, Error> {
        let mut disk = self.disk();
        Ok(batch.iter().map(|write| disk.take(write)).collect())
    }

    fn read(
        &self,
        id: InvestigationId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<(Seq, Bytes)>, Error> {
        let range = (Excluded((id, after)), Included((id, Seq::MAX)));
        let disk = self.disk();
        let found = disk.events.range(range).take(limit);
        Ok(found.map(|((_, seq), bytes)| (*seq, bytes.clone())).collect())
    }

    fn head(&self, id: InvestigationId) -> Result<Option<Head>, Error> {
        Ok(self.disk().heads.get(&id).copied())
    }

    fn attachment(&self, id: InvestigationId, seq: Seq) -> Result<Option<Bytes>, Error> {
        Ok(self.disk().attachments.get(&(id, seq)).cloned())
    }

    fn list(
        &self,
        before: Option<InvestigationId>,
        limit: usize,
    ) -> Result<Vec<(InvestigationId, Head)>, Error> {
        let end = before.map_or(Unbounded, Excluded);
        let disk = self.disk();
        let found = disk.heads.range((Unbounded, end)).rev().take(limit);
        Ok(found.map(|(id, head)| (*id, *head)).collect())
    }

    fn unfinished(&self) -> Result<Vec<InvestigationId>, Error> {
        let disk = self.disk();
        let running = disk.heads.iter().filter(|(_, head)| head.finished.is_none());
        Ok(running.map(|(id, _)| *id).collect())
    }

    fn finished(&self, position: u64, limit: usize) -> Result<Vec<(u64, InvestigationId)>, Error> {
        let disk = self.disk();
        let found = disk.finished.range((Excluded(position), Unbounded)).take(limit);
        Ok(found.map(|(position, id)| (*position, *id)).collect())
    }

    fn mark(&self, tree: &str) -> Result<Option<Mark>, Error> {
        Ok(self.disk().marks.get(tree).copied())
    }

    fn records(&self, position: u64, limit: usize) -> Result<Vec<(u64, Bytes)>, Error> {
        let disk = self.disk();
        let found = disk.records.range((Excluded(position), Unbounded)).take(limit);
        Ok(found.map(|(position, bytes)| (*position, bytes.clone())).collect())
    }

    fn learnt(&self) -> Result<u64, Error> {
        Ok(self.disk().learnt)
    }

    fn joined(&self, id: InvestigationId, after: u32, limit: usize) -> Result<Vec<Joint>, Error> {
        let range = (Excluded((id, after)), Included((id, u32::MAX)));
        let disk = self.disk();
        let found = disk.joined.range(range).take(limit);
        Ok(found.map(|((_, n), (over, bytes))| (*n, *over, bytes.clone())).collect())
    }

    fn tally(&self, id: InvestigationId) -> Result<Tally, Error> {
        Ok(self.disk().tally(id))
    }

    fn contracts(&self) -> Result<Vec<(String, Bytes)>, Error> {
        Ok(self.disk().contracts.clone().into_iter().collect())
    }

    fn delivery(&self, receiver: &str) -> Result<Option<Delivery>, Error> {
        Ok(self.disk().deliveries.get(receiver).copied())
    }
}

impl Disk {
    fn take(&mut self, write: &Write) -> Result<Written, Refusal> {
        match write {
            Write::Start { entry, request } => {
                self.start(entry, request.as_ref()).map(Written::Begun)
            }
            Write::Append { entries, attachments } => self.append(entries, attachments),
            Write::Marks(marks) => {
                self.marks.extend(marks.iter().copied());
                Ok(Written::Done)
            }
            Write::Records(records) => self.record(records).map(Written::Begun),
            Write::Joined(joined) => self.join(joined),
            Write::Delivery(receiver, delivery) => {
                self.deliveries.insert(receiver.clone(), *delivery);
                Ok(Written::Done)
            }
            Write::Contracts(contracts) => {
                for (name, bytes) in contracts {
                    match bytes {
                        Some(bytes) => self.contracts.insert(name.clone(), bytes.clone()),
                        None => self.contracts.remove(name),
                    };
                }
                Ok(Written::Done)
            }
        }
    }

    fn tally(&self, id: InvestigationId) -> Tally {
        let mut tally = Tally::default();
        for (_, (over, _)) in self.joined.range((id, 0)..=(id, u32::MAX)) {
            let counted = if *over { &mut tally.resolved } else { &mut tally.alerts };
            *counted += 1;
        }
        tally
    }

    fn join(&mut self, joined: &Joined) -> Result<Written, Refusal> {
        let id = joined.investigation;
        if !self.heads.contains_key(&id) {
            return Err(Refusal::Unknown { id });
        }
        let tally = self.tally(id);
        for (number, entry) in (tally.alerts + tally.resolved + 1..).zip(&joined.entries) {
            self.joined.insert((id, number), entry.clone());
        }
        Ok(Written::Done)
    }

    /// The investigation that a request stands for already.
    fn known(&mut self, request: &RequestKey) -> Result<Option<InvestigationId>, Refusal> {
        self.requests.retain(|_, known| known.expires > request.asked());
        match self.requests.get(&request.bytes()) {
            None => Ok(None),
            Some(known) if known.content_hash == request.content_hash => Ok(Some(known.id)),
            Some(known) => Err(Refusal::RequestReused { id: known.id }),
        }
    }

    fn keep(&mut self, request: &RequestKey, id: InvestigationId) {
        let (content_hash, expires) = (request.content_hash, request.expires());
        self.requests.insert(request.bytes(), Request { id, content_hash, expires });
    }

    fn record(&mut self, given: &Records) -> Result<Begun, Refusal> {
        if let Some((request, id)) = &given.request {
            if let Some(known) = self.known(request)? {
                return Ok(Begun::Existing(known));
            }
            self.keep(request, *id);
        }
        for bytes in &given.records {
            let position = self.records.last_key_value().map_or(1, |(last, _)| last + 1);
            self.records.insert(position, bytes.clone());
        }
        self.learnt = given.learnt.unwrap_or(self.learnt);
        Ok(Begun::New)
    }

    fn start(&mut self, entry: &Entry, request: Option<&RequestKey>) -> Result<Begun, Refusal> {
        if let Some(request) = request
            && let Some(known) = self.known(request)?
        {
            return Ok(Begun::Existing(known));
        }
        let id = entry.investigation;
        let head = self.heads.get(&id).copied().unwrap_or(numbers::UNBORN);
        let entries = std::slice::from_ref(entry);
        for entry in numbers::fresh(head, entries, |seq| self.stored(id, seq))? {
            self.put(entry);
        }
        if let Some(request) = request {
            self.keep(request, id);
        }
        Ok(Begun::New)
    }

    fn append(
        &mut self,
        entries: &[Entry],
        attachments: &[(Seq, Bytes)],
    ) -> Result<Written, Refusal> {
        let Some(first) = entries.first() else { return Ok(Written::Done) };
        let id = first.investigation;
        let head = *self.heads.get(&id).ok_or(Refusal::Unknown { id })?;
        let fresh = numbers::fresh(head, entries, |seq| self.stored(id, seq))?;
        for entry in fresh {
            self.put(entry);
        }
        for (seq, bytes) in attachments {
            self.attachments.insert((id, *seq), bytes.clone());
        }
        Ok(Written::Done)
    }

    fn stored(&self, id: InvestigationId, seq: Seq) -> Result<Option<Bytes>, Refusal> {
        Ok(self.events.get(&(id, seq)).cloned())
    }

    fn put(&mut self, entry: &Entry) {
        let id = entry.investigation;
        self.events.insert((id, entry.seq), entry.bytes.clone());
        let finished = entry.last.then(|| {
            let position = self.finished.last_key_value().map_or(1, |(last, _)| last + 1);
            self.finished.insert(position, id);
            position
        });
        self.heads.insert(id, Head { last: entry.seq, finished });
    }
}
