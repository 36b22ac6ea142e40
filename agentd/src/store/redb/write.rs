//! One batch as one redb transaction. Each write is checked whole before its first byte is put, so
//! a refused one leaves nothing behind and the transaction goes on. Not opened or mended here.

use bytes::Bytes;
use redb::{Database, ReadableTable as _, Table, WriteTransaction};

use super::{
    AGES, ATTACHMENTS, CONTRACTS, DELIVERIES, EVENTS, EventKey, FINISHED, FORMAT, HEADS, Id,
    JOINED, LEARNT, MARKS, META, OLDEST, RECORDS, REQUESTS, RUNNING, TALLIES, event_key, head_of,
    id_of, stored_point, tally_of,
};
use crate::{
    investigation::{InvestigationId, event::Seq},
    store::{
        Begun, Delivery, Entry, Head, Joined, Mark, Records, Refusal, RequestKey, Write, Written,
        numbers::{UNBORN, fresh},
    },
};

/// Expired requests dropped with each new one: more than one, so that they die out.
const SWEEP: usize = 8;

/// Makes the tables of a new file, brings an older one up to this format, and gives the format of
/// the file then: another one is left as it is.
pub(super) fn prepare(database: &Database) -> Result<u64, redb::Error> {
    let transaction = database.begin_write()?;
    let found = {
        let mut meta = transaction.open_table(META)?;
        let found = meta.get("format")?.map(|format| format.value());
        match found {
            // A file of this format is opened without writing: its disk may be full.
            Some(FORMAT) => FORMAT,
            // Formats so far only gained tables, and those are made below.
            None | Some(OLDEST..FORMAT) => {
                meta.insert("format", FORMAT)?;
                FORMAT
            }
            Some(other) => other,
        }
    };
    if found == FORMAT {
        // Opening makes a table; readers may then rely on all of them.
        drop(Tables::open(&transaction)?);
        transaction.commit()?;
    } else {
        transaction.abort()?;
    }
    Ok(found)
}

/// Writes a batch and syncs it.
pub(super) fn commit(
    database: &Database,
    batch: &[Write],
) -> Result<Vec<Result<Written, Refusal>>, redb::Error> {
    let transaction = database.begin_write()?;
    let mut answers = Vec::with_capacity(batch.len());
    {
        let mut tables = Tables::open(&transaction)?;
        for write in batch {
            answers.push(match tables.take(write) {
                Ok(written) => Ok(written),
                Err(Stop::Refused(refusal)) => Err(refusal),
                Err(Stop::Failed(error)) => return Err(error),
            });
        }
    }
    transaction.commit()?;
    Ok(answers)
}

/// Why a write went no further.
enum Stop {
    /// It contradicts what is stored.
    Refused(Refusal),
    /// The store failed; the whole transaction is off.
    Failed(redb::Error),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<E: Into<redb::Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

struct Tables<'t> {
    events: Table<'t, EventKey, &'static [u8]>,
    attachments: Table<'t, EventKey, &'static [u8]>,
    heads: Table<'t, Id, (u32, u64)>,
    running: Table<'t, Id, ()>,
    finished: Table<'t, u64, Id>,
    requests: Table<'t, &'static [u8], (Id, [u8; 32], u64)>,
    ages: Table<'t, (u64, &'static [u8]), ()>,
    marks: Table<'t, &'static str, (super::StoredPoint, super::StoredPoint)>,
    records: Table<'t, u64, &'static [u8]>,
    joined: Table<'t, EventKey, (bool, &'static [u8])>,
    tallies: Table<'t, Id, (u32, u32)>,
    deliveries: Table<'t, &'static str, (u64, u32, bool)>,
    contracts: Table<'t, &'static str, &'static [u8]>,
    meta: Table<'t, &'static str, u64>,
}

// === impl Tables ===

impl<'t> Tables<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            events: transaction.open_table(EVENTS)?,
            attachments: transaction.open_table(ATTACHMENTS)?,
            heads: transaction.open_table(HEADS)?,
            running: transaction.open_table(RUNNING)?,
            finished: transaction.open_table(FINISHED)?,
            requests: transaction.open_table(REQUESTS)?,
            ages: transaction.open_table(AGES)?,
            marks: transaction.open_table(MARKS)?,
            records: transaction.open_table(RECORDS)?,
            joined: transaction.open_table(JOINED)?,
            tallies: transaction.open_table(TALLIES)?,
            deliveries: transaction.open_table(DELIVERIES)?,
            contracts: transaction.open_table(CONTRACTS)?,
            meta: transaction.open_table(META)?,
        })
    }

    fn take(&mut self, write: &Write) -> Result<Written, Stop> {
        match write {
            Write::Start { entry, request } => {
                self.start(entry, request.as_ref()).map(Written::Begun)
            }
            Write::Append { entries, attachments } => self.append(entries, attachments),
            Write::Marks(marks) => {
                for (tree, Mark { now, before }) in marks {
                    self.marks.insert(*tree, (stored_point(*now), stored_point(*before)))?;
                }
                Ok(Written::Done)
            }
            Write::Records(records) => self.record(records).map(Written::Begun),
            Write::Joined(joined) => self.join(joined),
            Write::Delivery(receiver, Delivery { done, tries, uncertain }) => {
                self.deliveries.insert(receiver.as_str(), (*done, *tries, *uncertain))?;
                Ok(Written::Done)
            }
            Write::Contracts(contracts) => {
                for (name, bytes) in contracts {
                    match bytes {
                        Some(bytes) => self.contracts.insert(name.as_str(), bytes.as_ref())?,
                        None => self.contracts.remove(name.as_str())?,
                    };
                }
                Ok(Written::Done)
            }
        }
    }

    fn join(&mut self, given: &Joined) -> Result<Written, Stop> {
        let id = given.investigation;
        self.head(id)?.ok_or(Refusal::Unknown { id })?;
        let before = self.tallies.get(*id.0.as_bytes())?.map(|stored| stored.value());
        let mut tally = tally_of(before);
        for (over, bytes) in &given.entries {
            let counted = if *over { &mut tally.resolved } else { &mut tally.alerts };
            *counted = counted.saturating_add(1);
            let number = tally.alerts.saturating_add(tally.resolved);
            self.joined.insert(event_key(id, number), (*over, bytes.as_ref()))?;
        }
        self.tallies.insert(*id.0.as_bytes(), (tally.alerts, tally.resolved))?;
        Ok(Written::Done)
    }

    fn record(&mut self, given: &Records) -> Result<Begun, Stop> {
        if let Some((request, id)) = &given.request {
            if let Some(known) = self.known(request)? {
                return Ok(Begun::Existing(known));
            }
            self.keep(request, *id)?;
        }
        for bytes in &given.records {
            let position = self.records.last()?.map_or(1, |(last, _)| last.value() + 1);
            self.records.insert(position, bytes.as_ref())?;
        }
        if let Some(learnt) = given.learnt {
            self.meta.insert(LEARNT, learnt)?;
        }
        Ok(Begun::New)
    }

    fn start(&mut self, entry: &Entry, request: Option<&RequestKey>) -> Result<Begun, Stop> {
        if let Some(request) = request
            && let Some(known) = self.known(request)?
        {
            return Ok(Begun::Existing(known));
        }
        let id = entry.investigation;
        let head = self.head(id)?.unwrap_or(UNBORN);
        for entry in fresh(head, std::slice::from_ref(entry), |seq| self.stored(id, seq))? {
            self.put(entry)?;
        }
        if let Some(request) = request {
            self.keep(request, id)?;
        }
        Ok(Begun::New)
    }

    fn keep(&mut self, request: &RequestKey, id: InvestigationId) -> Result<(), Stop> {
        let (key, expires) = (request.bytes(), request.expires());
        let value = (*id.0.as_bytes(), request.content_hash, expires);
        self.requests.insert(key.as_slice(), value)?;
        self.ages.insert((expires, key.as_slice()), ())?;
        Ok(())
    }

    /// The investigation that a request stands for already, if it is not forgotten yet.
    fn known(&mut self, request: &RequestKey) -> Result<Option<InvestigationId>, Stop> {
        self.sweep(request.asked())?;
        let key = request.bytes();
        let found = self.requests.get(key.as_slice())?.map(|stored| stored.value());
        let Some((id, content_hash, expires)) = found else { return Ok(None) };
        if expires <= request.asked() {
            self.requests.remove(key.as_slice())?;
            self.ages.remove((expires, key.as_slice()))?;
            return Ok(None);
        }
        let id = id_of(id);
        if content_hash == request.content_hash {
            Ok(Some(id))
        } else {
            Err(Refusal::RequestReused { id }.into())
        }
    }

    fn sweep(&mut self, asked: u64) -> Result<(), Stop> {
        let mut old = Vec::new();
        for stored in self.ages.range((0, [].as_slice())..(asked, [].as_slice()))?.take(SWEEP) {
            let (age, _) = stored?;
            let (expires, key) = age.value();
            old.push((expires, key.to_vec()));
        }
        for (expires, key) in old {
            self.requests.remove(key.as_slice())?;
            self.ages.remove((expires, key.as_slice()))?;
        }
        Ok(())
    }

    fn append(&mut self, entries: &[Entry], attachments: &[(Seq, Bytes)]) -> Result<Written, Stop> {
        let Some(first) = entries.first() else { return Ok(Written::Done) };
        let id = first.investigation;
        let head = self.head(id)?.ok_or(Refusal::Unknown { id })?;
        for entry in fresh(head, entries, |seq| self.stored(id, seq))? {
            self.put(entry)?;
        }
        for (seq, bytes) in attachments {
            self.attachments.insert(event_key(id, *seq), bytes.as_ref())?;
        }
        Ok(Written::Done)
    }

    fn head(&self, id: InvestigationId) -> Result<Option<Head>, Stop> {
        Ok(self.heads.get(*id.0.as_bytes())?.map(|stored| head_of(stored.value())))
    }

    fn stored(&self, id: InvestigationId, seq: Seq) -> Result<Option<Bytes>, Stop> {
        let found = self.events.get(event_key(id, seq))?;
        Ok(found.map(|stored| Bytes::copy_from_slice(stored.value())))
    }

    fn put(&mut self, entry: &Entry) -> Result<(), Stop> {
        let id = *entry.investigation.0.as_bytes();
        let key = event_key(entry.investigation, entry.seq);
        self.events.insert(key, entry.bytes.as_ref())?;
        let mut position = 0;
        if entry.last {
            position = self.finished.last()?.map_or(1, |(last, _)| last.value() + 1);
            self.finished.insert(position, id)?;
            self.running.remove(id)?;
        } else if entry.seq == 1 {
            self.running.insert(id, ())?;
        }
        self.heads.insert(id, (entry.seq, position))?;
        Ok(())
    }
}
