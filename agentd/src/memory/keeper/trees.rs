//! Keeping the trees: opening and comparing them with the journal's marks, writing with the mark
//! first, and making them anew when they are not what the marks say.

use std::{fs, path::Path};

use uuid::Uuid;

use super::{CASES, Changes, Desk, FILES, TREES, WORKING};
use crate::{
    investigation::InvestigationId,
    memory::{
        Error, Repair,
        case::Case,
        index::Index,
        working::{Checkpoint, Note, Working, checkpoint_key},
    },
    store::{
        self, Mark, Point, Sum,
        sled::{Trees, files_sum, move_aside},
    },
};

/// What a look at the trees gave.
struct Opened {
    trees: Trees,
    points: Vec<(&'static str, Point)>,
    cases: Index,
    working: Working,
}

impl Desk {
    /// Opens memory at the start.
    pub(super) fn open(&mut self) -> Result<(), Error> {
        self.ensure_open()?;
        self.catch_up()?;
        self.reconcile()
    }

    /// Closes the trees and notes in the journal what their files are now. Without that note (after
    /// a kill) only what the trees give is compared at the next start.
    pub(super) fn close(&mut self) {
        if self.shared.trees().is_none() {
            return;
        }
        self.shared.set_trees(None);
        let point = |sum| Point { position: self.position(), sum };
        let sealed = files_sum(&self.config.dir).map_err(Error::from).and_then(|sum| {
            let mark = Mark { now: point(sum), before: Point::default() };
            self.shared.journal.set_marks(vec![(FILES, mark)]).map_err(Error::from)
        });
        if let Err(error) = sealed {
            tracing::warn!(error = %error, "memory was closed without a note of its files");
        }
    }

    /// Has the trees open: as they are when they match their marks, else anew.
    pub(super) fn ensure_open(&mut self) -> Result<(), Error> {
        if self.shared.trees().is_some() {
            return Ok(());
        }
        let mut marks = Vec::new();
        for tree in TREES {
            marks.push((*tree, self.shared.journal.mark(tree)?));
        }
        let used = marks.iter().any(|(_, mark)| mark.is_some());
        let there = holds_files(&self.config.dir);
        if there || used {
            let seal = self.shared.journal.mark(FILES)?.unwrap_or_default();
            match self.unsealed(seal, there).and_then(|()| self.look(&marks, there)) {
                Ok(opened) => {
                    // From here on the files change.
                    self.shared.journal.set_marks(vec![(FILES, Mark::default())])?;
                    self.points = opened.points;
                    *self.shared.cases_mut() = opened.cases;
                    *self.shared.working_mut() = opened.working;
                    self.shared.set_trees(Some(opened.trees));
                    return Ok(());
                }
                Err(reason) => self.put_aside(&reason, there)?,
            }
        }
        self.make_anew()
    }

    /// Looks whether the trees are still readable and what they should be; if not, makes them anew
    /// at once. The index goes on answering meanwhile.
    pub(super) fn check(&mut self) {
        let fine = self.shared.trees().as_ref().map(|trees| {
            self.points.iter().all(|(tree, point)| {
                trees.visit(tree, |_, _| {}).is_ok_and(|found| found == point.sum)
            })
        });
        let done = match fine {
            Some(true) => Ok(()),
            Some(false) => self.mend("its trees can no longer be read"),
            None => self.open(),
        };
        if let Err(error) = done {
            tracing::error!(error = %error, "memory could not be mended; it will be tried again");
        }
    }

    /// Writes changes: marks first, then the trees. On damage the trees are made anew from the
    /// records, which hold all that the changes were made of.
    pub(super) fn apply(&mut self, changes: &Changes, position: u64) -> Result<(), Error> {
        if changes.is_empty() && position == self.position() {
            return Ok(());
        }
        match self.write(changes, position) {
            Err(Error::Store { source }) => {
                if matches!(*source, store::Error::Damaged { .. }) && !self.mending {
                    return self.mend(&source.to_string());
                }
                // Half of it may be written: the next use compares the trees with their marks.
                self.shared.set_trees(None);
                Err(Error::Store { source })
            }
            done => done,
        }
    }

    fn write(&mut self, changes: &Changes, position: u64) -> Result<(), Error> {
        let slot = self.shared.trees();
        let Some(trees) = slot.as_ref() else { return Err(Error::Closed) };
        let mut points = self.points.clone();
        for (tree, point) in &mut points {
            point.position = position;
            for ((_, key), value) in changes.iter().filter(|((name, _), _)| name == tree) {
                let old = trees.get(tree, key)?;
                point.sum = point.sum.changed(key, old.as_deref(), value.as_deref());
            }
        }
        let marks = points.iter().zip(&self.points);
        let marks =
            marks.map(|((tree, now), (_, before))| (*tree, Mark { now: *now, before: *before }));
        self.shared.journal.set_marks(marks.collect())?;
        for ((tree, key), value) in changes {
            trees.set(tree, key, value.as_deref())?;
        }
        trees.flush()?;
        drop(slot);
        self.points = points;
        Ok(())
    }

    fn mend(&mut self, reason: &str) -> Result<(), Error> {
        self.mending = true;
        let done = self.mend_once(reason);
        self.mending = false;
        done
    }

    fn mend_once(&mut self, reason: &str) -> Result<(), Error> {
        self.shared.set_trees(None);
        self.put_aside(reason, holds_files(&self.config.dir))?;
        self.make_anew()?;
        self.catch_up()?;
        self.reconcile()
    }

    /// Says what is wrong and moves the files out of the way.
    fn put_aside(&mut self, reason: &str, there: bool) -> Result<(), Error> {
        let aside = if there { Some(move_aside(&self.config.dir)?) } else { None };
        tracing::error!(
            reason,
            memory = %self.config.dir.display(),
            moved_to = aside.as_ref().map(|path| path.display().to_string()),
            "memory is damaged or missing; it is made anew from the journal's records, nothing is lost"
        );
        self.shared.said(Repair { reason: reason.to_owned(), aside });
        Ok(())
    }

    /// Empty trees, and marks that say so. The index keeps its cases and notes: they are those of
    /// the records. Checkpoints are only written when they differ, so they are forgotten here.
    fn make_anew(&mut self) -> Result<(), Error> {
        let names = TREES.iter().chain([&FILES]);
        let blank = names.map(|tree| (*tree, Mark::default())).collect();
        self.shared.journal.set_marks(blank)?;
        let trees = Trees::open(&self.config.dir, TREES)?;
        self.points = TREES.iter().map(|tree| (*tree, Point::default())).collect();
        self.shared.working_mut().checkpoints.clear();
        self.shared.set_trees(Some(trees));
        Ok(())
    }

    /// Compares the files with what they were when memory was closed, if it was.
    fn unsealed(&self, seal: Mark, there: bool) -> Result<(), String> {
        if !there || seal == Mark::default() {
            return Ok(());
        }
        match files_sum(&self.config.dir) {
            Ok(sum) if sum == seal.now.sum => Ok(()),
            Ok(_) => Err("its files are not as they were left".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Opens the trees and reads them whole; the error is what is wrong with them.
    fn look(&self, marks: &[(&'static str, Option<Mark>)], there: bool) -> Result<Opened, String> {
        if !there && marks.iter().any(|(_, mark)| mark.is_some_and(|mark| mark != Mark::default()))
        {
            return Err("its files are missing".to_owned());
        }
        let trees = Trees::open(&self.config.dir, TREES).map_err(|error| error.to_string())?;
        let (mut cases, mut working, mut strange) = (Index::default(), Working::default(), 0_u64);
        let told = trees.visit(CASES, |key, value| match Case::decode(value) {
            Some(case) if case.episode.id.as_bytes() == key => cases.put(&case),
            _ => strange += 1,
        });
        let notes = trees.visit(WORKING, |key, value| {
            if !remember(&mut working, key, value) {
                strange += 1;
            }
        });
        let mut points = Vec::new();
        for ((tree, mark), sum) in marks.iter().zip([told, notes]) {
            let sum = sum.map_err(|error| error.to_string())?;
            points.push((*tree, matching(tree, mark.unwrap_or_default(), sum)?));
        }
        if strange > 0 {
            return Err(format!("{strange} of its entries make no sense"));
        }
        Ok(Opened { trees, points, cases, working })
    }
}

/// The point at which a tree stands.
fn matching(tree: &str, mark: Mark, found: Sum) -> Result<Point, String> {
    [mark.now, mark.before].into_iter().find(|point| point.sum == found).ok_or_else(|| {
        let wanted = mark.now.sum.entries;
        format!(
            "tree {tree} holds {} entries that do not match its mark of {wanted}",
            found.entries
        )
    })
}

/// Takes an entry of the working tree in; false when it is none.
fn remember(working: &mut Working, key: &[u8], value: &[u8]) -> bool {
    match key.split_first() {
        Some((b'c', id)) => {
            let (Ok(id), Ok(checkpoint)) =
                (Uuid::from_slice(id), serde_json::from_slice::<Checkpoint>(value))
            else {
                return false;
            };
            let right = checkpoint_key(InvestigationId(id)) == key && checkpoint.id == id;
            working.checkpoints.insert(id, checkpoint);
            right
        }
        Some((b'n', fingerprint)) => {
            let (Ok(fingerprint), Ok(note)) =
                (std::str::from_utf8(fingerprint), serde_json::from_slice::<Note>(value))
            else {
                return false;
            };
            working.notes.insert(fingerprint.to_owned(), note);
            true
        }
        _ => false,
    }
}

fn holds_files(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())
}
