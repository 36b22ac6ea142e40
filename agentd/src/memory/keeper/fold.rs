//! The fold: events of the journal become episodes, notes and checkpoints. Not where they are kept:
//! that is in `trees`.

use jiff::Timestamp;

use super::{Changes, Desk, EPISODES, WORKING};
use crate::{
    investigation::{Investigation, InvestigationId},
    memory::{
        Error,
        episode::Episode,
        working::{Checkpoint, Note, checkpoint_key, note_key},
    },
};

/// Investigations taken in with one write.
const CHUNK: usize = 256;

/// What one finished investigation leaves in memory.
struct Lesson {
    id: InvestigationId,
    episode: Option<Episode>,
    note: Option<(String, Note)>,
}

impl Desk {
    /// Takes in all that has ended since the last time.
    pub(super) fn catch_up(&mut self) -> Result<(), Error> {
        self.ensure_open()?;
        loop {
            let ended = self.shared.journal.finished_after(self.position(), CHUNK)?;
            let Some((last, _)) = ended.last().copied() else { return Ok(()) };
            let mut lessons = Vec::new();
            for (_, id) in ended {
                match self.shared.journal.investigation(id) {
                    Ok(investigation) => lessons.push(self.lesson(&investigation)),
                    // One unreadable log must not keep all later ones from being remembered.
                    Err(crate::journal::Error::Undecodable { detail }) => {
                        tracing::warn!(investigation = %id, %detail, "not remembered: its log cannot be read");
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            self.take_in(lessons, last)?;
        }
    }

    fn lesson(&mut self, investigation: &Investigation) -> Lesson {
        self.now = investigation.ended.unwrap_or(Timestamp::MIN).max(self.now);
        let note = Note::of(investigation, self.config.note_kept);
        Lesson {
            id: investigation.id,
            episode: Episode::of(investigation),
            note: note.map(|note| (investigation.alert.identity(), note)),
        }
    }

    /// Writes the lessons, then lets readers see them.
    fn take_in(&mut self, lessons: Vec<Lesson>, position: u64) -> Result<(), Error> {
        let mut changes = self.sweep();
        for lesson in &lessons {
            if let Some(episode) = &lesson.episode {
                let key = (EPISODES, episode.id.as_bytes().to_vec());
                changes.insert(key, Some(episode.encode()));
            }
            if let Some((fingerprint, note)) = &lesson.note {
                let value = (note.expires > self.now).then(|| encoded(note));
                changes.insert((WORKING, note_key(fingerprint)), value);
            }
            changes.insert((WORKING, checkpoint_key(lesson.id)), None);
        }
        self.apply(&changes, position)?;
        let mut cases = self.shared.cases_mut();
        let mut working = self.shared.working_mut();
        for lesson in lessons {
            if let Some(episode) = &lesson.episode {
                cases.insert(episode);
            }
            if let Some((fingerprint, note)) = lesson.note {
                working.notes.insert(fingerprint, note);
            }
            working.checkpoints.remove(&lesson.id.0);
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
