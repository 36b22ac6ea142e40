//! The fold: what has ended becomes records, and records become cases, notes and checkpoints. Not
//! where they are kept: that is in `trees`.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{CASES, Changes, Desk, WORKING};
use crate::{
    investigation::{Investigation, InvestigationId},
    journal,
    memory::{
        Error,
        case::Case,
        episode::Episode,
        feedback::Feedback,
        record::Record,
        working::{Checkpoint, Note, checkpoint_key, note_key},
    },
    store::{Records, RequestKey},
};

/// Investigations or records taken in with one write.
const CHUNK: usize = 256;

/// What some records make of memory.
#[derive(Default)]
struct Lessons {
    cases: BTreeMap<Uuid, Case>,
    notes: BTreeMap<String, Note>,
    /// What runs no more.
    ended: Vec<InvestigationId>,
}

impl Desk {
    /// Takes in all that has ended and all that people said since the last time.
    pub(super) fn catch_up(&mut self) -> Result<(), Error> {
        self.ensure_open()?;
        self.record_ended()?;
        loop {
            let records = self.shared.journal.records_after(self.position(), CHUNK)?;
            let mut lessons = Lessons { ended: self.ended_checkpoints()?, ..Lessons::default() };
            if records.is_empty() && lessons.ended.is_empty() {
                return Ok(());
            }
            let last = records.last().map_or(self.position(), |(last, _)| *last);
            for (position, bytes) in &records {
                match Record::decode(bytes) {
                    Some(record) => self.learn(&mut lessons, *position, record),
                    // One unreadable record must not keep all later ones from being remembered.
                    None => tracing::warn!(position, "a record of memory cannot be read"),
                }
            }
            self.take_in(lessons, last)?;
        }
    }

    /// Checkpoints of what has ended by now.
    fn ended_checkpoints(&self) -> Result<Vec<InvestigationId>, Error> {
        let known: Vec<Uuid> = self.shared.working().checkpoints.keys().copied().collect();
        let mut ended = Vec::new();
        for id in known.into_iter().map(InvestigationId) {
            if self.shared.journal.ended(id)? {
                ended.push(id);
            }
        }
        Ok(ended)
    }

    /// Makes records of what has ended, in the order of ending, each once.
    fn record_ended(&mut self) -> Result<(), Error> {
        loop {
            let ended = self.shared.journal.finished_after(self.shared.journal.learnt()?, CHUNK)?;
            let Some((last, _)) = ended.last().copied() else { return Ok(()) };
            let mut records = Vec::new();
            for (_, id) in ended {
                match self.shared.journal.investigation(id) {
                    Ok(investigation) => records.extend(
                        Episode::of(&investigation)
                            .map(|episode| Record::Episode(Box::new(episode))),
                    ),
                    // One unreadable log must not keep all later ones from being remembered.
                    Err(
                        error @ (journal::Error::Undecodable { .. }
                        | journal::Error::NotFound { .. }),
                    ) => {
                        tracing::warn!(investigation = %id, %error, "not remembered");
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            let records = records.iter().map(Record::encode).collect();
            let write = Records { records, learnt: Some(last), request: None };
            self.shared.journal.remember(write)?;
        }
    }

    /// Keeps what people said of an outcome.
    pub(super) fn judge(
        &mut self,
        feedback: Feedback,
        request: Option<RequestKey>,
    ) -> Result<(), Error> {
        self.catch_up()?;
        let id = feedback.of();
        let mut records = Vec::new();
        if self.shared.cases().places(feedback.id).is_none() {
            let episode = Self::judged(&self.shared.journal.investigation(id)?)?;
            records.push(Record::Episode(Box::new(episode)).encode());
        }
        records.push(Record::Feedback(Box::new(feedback)).encode());
        let request = request.map(|request| (request, id));
        self.shared.journal.remember(Records { records, learnt: None, request })?;
        self.catch_up()
    }

    /// The episode of an investigation that was not worth one until people judged it.
    fn judged(investigation: &Investigation) -> Result<Episode, Error> {
        let id = investigation.id;
        if !investigation.phase.terminal() {
            return Err(Error::NotFinished { id });
        }
        Episode::judged(investigation).ok_or(Error::NoReport { id })
    }

    /// What one record changes.
    fn learn(&mut self, lessons: &mut Lessons, position: u64, record: Record) {
        let (case, again) = match record {
            Record::Episode(episode) => (Case::new(*episode, position), false),
            Record::Feedback(feedback) => {
                let known = lessons.cases.remove(&feedback.id);
                let Some(mut case) = known.or_else(|| self.shared.case(feedback.id)) else {
                    tracing::warn!(investigation = %feedback.of(), "judged, and not remembered");
                    return;
                };
                // A kill may have left one tree with this record and another without.
                if !case.heard(position) {
                    case.hear(*feedback, position);
                }
                (case, true)
            }
        };
        let case = case.fitting();
        self.now = self.now.max(case.episode.ended);
        let fingerprint = &case.episode.fingerprint;
        let note = Note::of(&case, self.config.note_kept);
        let standing = match lessons.notes.get(fingerprint) {
            Some(note) => Some(note.id),
            None => self.shared.working().notes.get(fingerprint).map(|note| note.id),
        };
        // A judgement of an earlier case leaves the note of a later one as it is.
        if !again || standing == Some(note.id) {
            lessons.notes.insert(fingerprint.clone(), note);
        }
        lessons.cases.insert(case.episode.id, case);
    }

    /// Writes the lessons, then lets readers see them.
    fn take_in(&mut self, lessons: Lessons, position: u64) -> Result<(), Error> {
        let mut changes = self.sweep();
        for (id, case) in &lessons.cases {
            changes.insert((CASES, id.as_bytes().to_vec()), Some(case.encode()));
        }
        for (fingerprint, note) in &lessons.notes {
            let value = (note.expires > self.now).then(|| encoded(note));
            changes.insert((WORKING, note_key(fingerprint)), value);
        }
        for id in &lessons.ended {
            changes.insert((WORKING, checkpoint_key(*id)), None);
        }
        self.apply(&changes, position)?;
        let mut cases = self.shared.cases_mut();
        for case in lessons.cases.values() {
            cases.put(case);
        }
        drop(cases);
        let mut working = self.shared.working_mut();
        working.notes.extend(lessons.notes);
        for id in lessons.ended {
            working.checkpoints.remove(&id.0);
        }
        for fingerprint in working.expired(self.now) {
            working.notes.remove(&fingerprint);
        }
        Ok(())
    }

    /// Writes where running investigations stand.
    pub(super) fn write_checkpoints(&mut self, checkpoints: Vec<Checkpoint>) -> Result<(), Error> {
        self.ensure_open()?;
        let mut changes = self.sweep();
        for checkpoint in &checkpoints {
            let key = checkpoint_key(InvestigationId(checkpoint.id));
            changes.insert((WORKING, key), Some(encoded(checkpoint)));
        }
        self.apply(&changes, self.position())?;
        let mut working = self.shared.working_mut();
        for checkpoint in checkpoints {
            working.checkpoints.insert(checkpoint.id, checkpoint);
        }
        Ok(())
    }

    /// Makes the checkpoints those of the investigations that have not ended, as the journal tells
    /// them: a kill may have come before the newest was written.
    pub(super) fn reconcile(&mut self) -> Result<(), Error> {
        let mut wanted = Vec::new();
        for id in self.shared.journal.unfinished()? {
            let state = self.shared.journal.state(id);
            wanted.extend(state.ok().flatten().as_ref().and_then(Checkpoint::of));
        }
        let known = self.shared.working().checkpoints.clone();
        let mut changes = Changes::new();
        for id in known.keys().filter(|id| !wanted.iter().any(|one| one.id == **id)) {
            changes.insert((WORKING, checkpoint_key(InvestigationId(*id))), None);
        }
        for checkpoint in wanted.iter().filter(|one| known.get(&one.id) != Some(one)) {
            let key = checkpoint_key(InvestigationId(checkpoint.id));
            changes.insert((WORKING, key), Some(encoded(checkpoint)));
        }
        self.apply(&changes, self.position())?;
        self.shared.working_mut().checkpoints =
            wanted.into_iter().map(|checkpoint| (checkpoint.id, checkpoint)).collect();
        Ok(())
    }

    /// Removal of the notes that nobody is told any more.
    fn sweep(&self) -> Changes {
        let expired = self.shared.working().expired(self.now);
        expired.into_iter().map(|key| ((WORKING, note_key(&key)), None)).collect()
    }
}

fn encoded(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
