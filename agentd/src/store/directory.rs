//! The data directory: made when missing, held by one process, never shared. Not the files in it.
//!
//! ```text
//! {dir}/lock              held while the process lives; its pid inside
//! {dir}/journal.redb      the truth
//! {dir}/memory/           sled; made anew from the journal when damaged or missing
//! {dir}/memory.damaged-1  what was moved aside
//! ```

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use super::Error;

/// Name of the journal's file.
const JOURNAL: &str = "journal.redb";
/// Name of the memory's directory.
const MEMORY: &str = "memory";
/// Longest text of a lock file that is worth reading.
const LOCK_TEXT: u64 = 32;

/// A data directory that this process holds. Dropping it gives it back.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    // Held, never read: the lock lives as long as the open file.
    _lock: File,
}

impl Directory {
    /// Makes the directory when it is missing and takes the lock.
    ///
    /// # Errors
    /// When another process holds it, when it cannot be made or written, or when what stands there
    /// is no directory.
    pub fn hold(path: &Path) -> Result<Self, Error> {
        if path.exists() && !path.is_dir() {
            return Err(Error::NotADirectory { path: path.to_owned() });
        }
        fs::create_dir_all(path).map_err(|source| Error::from_io(path, source))?;
        let file = path.join("lock");
        let failed = |source| Error::from_io(path, source);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&file)
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // A holder that could not write its number is still a holder.
                let _ = (&mut lock).take(LOCK_TEXT).read_to_string(&mut text);
                return Err(Error::Held { dir: path.to_owned(), pid: text.trim().parse().ok() });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        lock.set_len(0).map_err(failed)?;
        lock.rewind().map_err(failed)?;
        writeln!(lock, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the journal is.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }

    /// Where memory is.
    #[must_use]
    pub fn memory(&self) -> PathBuf {
        self.path.join(MEMORY)
    }

    /// Refuses a missing or empty journal beside a memory that holds something: that is a lost
    /// file, and beginning anew would hide it.
    ///
    /// # Errors
    /// [`Error::JournalMissing`], or when the directory cannot be read.
    pub fn check_journal(&self) -> Result<(), Error> {
        let (journal, memory) = (self.journal(), self.memory());
        let written = fs::metadata(&journal).is_ok_and(|file| file.len() > 0);
        if written || !memory.is_dir() {
            return Ok(());
        }
        let mut entries =
            fs::read_dir(&memory).map_err(|source| Error::from_io(&memory, source))?;
        if entries.next().is_some() {
            return Err(Error::JournalMissing { journal, memory });
        }
        Ok(())
    }

    /// Makes the names of new files durable: syncing a file does not sync its name.
    ///
    /// # Errors
    /// When the directory cannot be synced.
    pub fn sync(&self) -> Result<(), Error> {
        File::open(&self.path)
            .and_then(|dir| dir.sync_all())
            .map_err(|source| Error::from_io(&self.path, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_the_first_one_is() {
        let dir = tempfile::tempdir().unwrap();
        let held = Directory::hold(dir.path()).unwrap();
        let Err(Error::Held { pid, .. }) = Directory::hold(dir.path()) else {
            panic!("held twice");
        };
        assert_eq!(pid, Some(std::process::id()));
        drop(held);
        Directory::hold(dir.path()).unwrap();
    }

    #[test]
    fn a_file_in_its_place_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("data");
        fs::write(&file, b"x").unwrap();
        assert!(matches!(Directory::hold(&file), Err(Error::NotADirectory { .. })));
        let below = file.join("deeper");
        assert!(matches!(Directory::hold(&below), Err(Error::NotADirectory { .. })));
    }

    #[test]
    fn a_journal_lost_beside_a_memory_is_not_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let held = Directory::hold(dir.path()).unwrap();
        held.check_journal().unwrap();
        fs::create_dir(held.memory()).unwrap();
        held.check_journal().unwrap();
        fs::write(held.memory().join("db"), b"x").unwrap();
        assert!(matches!(held.check_journal(), Err(Error::JournalMissing { .. })));
        fs::write(held.journal(), b"").unwrap();
        assert!(matches!(held.check_journal(), Err(Error::JournalMissing { .. })));
        fs::write(held.journal(), b"x").unwrap();
        held.check_journal().unwrap();
    }
}
