//! Trees of memory in sled 0.34.7, behind all its fences. What is in them may be lost: it is a fold
//! of the journal and is made anew. The only file that says `sled`. Not a judge of what is damaged:
//! whoever opens the trees reads them whole and compares with the journal's marks.
//!
//! The fences (each measured, see ARCHITECTURE.md): the data directory's lock is held by the
//! caller; half-written snapshots are deleted before opening, or sled refuses to open ever again;
//! values are at most 64 KiB, or they go to files that are never synced and leak; one thread
//! writes and flushes; opening and reading may panic on damage and are caught. Noise in its files
//! made sled panic, refuse, or open and give other content without a word, but in 4,000 trials it
//! neither hung nor ended the process.

use std::{
    fs,
    io::Read as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::{Error, Sum};

/// Longest value of a tree, in bytes.
pub const MAX_VALUE: usize = 64 * 1024;
/// Bytes that sled may keep of its file.
const CACHE: u64 = 8 << 20;
/// Bytes of a file hashed at once.
const PIECE: usize = 64 * 1024;
/// The tree that sled keeps in every database.
const SLEDS_OWN: &[u8] = b"__sled__default";
/// Damaged directories looked for when one more is moved aside.
const MAX_ASIDE: u32 = 10_000;

/// A few named trees in one directory.
#[derive(Debug)]
pub struct Trees {
    dir: PathBuf,
    // Order matters: trees go before the database they belong to.
    trees: Vec<(&'static str, sled::Tree)>,
    database: sled::Db,
}

/// Digest of one entry; the exclusive or over all of a tree does not depend on their order, so it
/// can be kept up entry by entry.
#[must_use]
pub fn entry_digest(key: &[u8], value: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    // The length in front: no byte can move from the key to the value unseen.
    hash.update(key.len().to_be_bytes());
    hash.update(key);
    hash.update(value);
    hash.finalize().into()
}

// === impl Sum ===

impl Sum {
    /// The sum after an entry changed from one value to another; `None` is no entry.
    #[must_use]
    pub fn changed(self, key: &[u8], from: Option<&[u8]>, to: Option<&[u8]>) -> Self {
        let mut sum = self;
        if let Some(value) = from {
            sum.entries = sum.entries.saturating_sub(1);
            sum.toggle(&entry_digest(key, value));
        }
        if let Some(value) = to {
            sum.entries = sum.entries.saturating_add(1);
            sum.toggle(&entry_digest(key, value));
        }
        sum
    }

    fn toggle(&mut self, digest: &[u8; 32]) {
        for (mine, other) in self.digest.iter_mut().zip(digest) {
            *mine ^= other;
        }
    }
}

// === impl Trees ===

impl Trees {
    /// Opens the trees of a directory, or makes them; drops those of other names, which an earlier
    /// version kept.
    ///
    /// # Errors
    /// [`Error::Damaged`] when sled refuses or panics, [`Error::Io`] and its like when the
    /// directory cannot be used.
    pub fn open(dir: &Path, names: &[&'static str]) -> Result<Self, Error> {
        drop_half_written(dir)?;
        guarded(dir, || {
            let database = sled::Config::new()
                .path(dir)
                .cache_capacity(CACHE)
                // Flushed by hand from one thread; its own timer would be a second writer.
                .flush_every_ms(None)
                .open()?;
            let trees = names
                .iter()
                .map(|name| Ok((*name, database.open_tree(name)?)))
                .collect::<sled::Result<_>>()?;
            for name in database.tree_names() {
                let wanted = names.iter().any(|one| one.as_bytes() == name.as_ref());
                if !wanted && name.as_ref() != SLEDS_OWN {
                    database.drop_tree(name)?;
                }
            }
            Ok(Self { dir: dir.to_owned(), trees, database })
        })
    }

    /// The value under a key.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the tree cannot be read.
    pub fn get(&self, tree: &str, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        guarded(&self.dir, || {
            let Some(tree) = self.tree(tree) else { return Ok(None) };
            Ok(tree.get(key)?.map(|value| value.to_vec()))
        })
    }

    /// Puts a value, or removes the key when there is none. Not durable before [`Trees::flush`].
    ///
    /// # Errors
    /// [`Error::TooLarge`] above 64 KiB; [`Error::Damaged`] when the tree cannot be written.
    pub fn set(&self, tree: &str, key: &[u8], value: Option<&[u8]>) -> Result<(), Error> {
        if let Some(value) = value.filter(|value| value.len() > MAX_VALUE) {
            return Err(Error::TooLarge { got: value.len(), max: MAX_VALUE });
        }
        guarded(&self.dir, || {
            let Some(tree) = self.tree(tree) else { return Ok(()) };
            match value {
                Some(value) => tree.insert(key, value)?,
                None => tree.remove(key)?,
            };
            Ok(())
        })
    }

    /// Shows every entry of a tree, in key order, and gives their sum.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the tree cannot be read to its end.
    pub fn visit(&self, tree: &str, mut seen: impl FnMut(&[u8], &[u8])) -> Result<Sum, Error> {
        guarded(&self.dir, || {
            let mut sum = Sum::default();
            let Some(tree) = self.tree(tree) else { return Ok(sum) };
            for entry in tree.iter() {
                let (key, value) = entry?;
                sum = sum.changed(&key, None, Some(&value));
                seen(&key, &value);
            }
            Ok(sum)
        })
    }

    /// Writes what was set. Blocks; one thread only.
    ///
    /// # Errors
    /// [`Error::Damaged`] or a full disk.
    pub fn flush(&self) -> Result<(), Error> {
        guarded(&self.dir, || self.database.flush().map(|_| ()))
    }

    fn tree(&self, name: &str) -> Option<&sled::Tree> {
        self.trees.iter().find(|(known, _)| *known == name).map(|(_, tree)| tree)
    }
}

/// Sum over the files of a directory and of those below it: one entry a file, its name the key. For
/// a store that is closed: noise in a part that sled does not read now may be read later.
///
/// # Errors
/// When a file cannot be read.
pub fn files_sum(dir: &Path) -> Result<Sum, Error> {
    let (mut sum, mut waiting) = (Sum::default(), vec![dir.to_owned()]);
    while let Some(place) = waiting.pop() {
        let failed = |source| Error::from_io(&place, source);
        for entry in fs::read_dir(&place).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let mut hash = Sha256::new();
            let name = path.strip_prefix(dir).unwrap_or(&path).to_string_lossy().into_owned();
            hash.update(name.len().to_be_bytes());
            hash.update(name.as_bytes());
            feed(&path, &mut hash).map_err(|source| Error::from_io(&path, source))?;
            sum.entries = sum.entries.saturating_add(1);
            sum.toggle(&hash.finalize().into());
        }
    }
    Ok(sum)
}

/// Hashes a file of any size in constant memory.
fn feed(path: &Path, hash: &mut Sha256) -> std::io::Result<()> {
    let mut file = fs::File::open(path)?;
    let mut piece = vec![0; PIECE];
    loop {
        let read = file.read(&mut piece)?;
        match piece.get(..read) {
            Some([]) | None => return Ok(()),
            Some(bytes) => hash.update(bytes),
        }
    }
}

/// Moves a directory out of the way, to `{dir}.damaged-{n}` with the first free number.
///
/// # Errors
/// When it cannot be renamed.
pub fn move_aside(dir: &Path) -> Result<PathBuf, Error> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let free = (1..=MAX_ASIDE)
        .map(|n| dir.with_file_name(format!("{name}.damaged-{n}")))
        .find(|aside| !aside.exists());
    let aside = free.unwrap_or_else(|| dir.with_file_name(format!("{name}.damaged")));
    fs::rename(dir, &aside).map_err(|source| Error::from_io(dir, source))?;
    Ok(aside)
}

/// Runs what may panic on damage. Nothing that was touched is used again after an error.
fn guarded<T>(dir: &Path, work: impl FnOnce() -> sled::Result<T>) -> Result<T, Error> {
    let path = || dir.to_owned();
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(sled::Error::Io(source))) => Err(Error::from_io(dir, source)),
        Ok(Err(
            error @ (sled::Error::CollectionNotFound(_)
            | sled::Error::Unsupported(_)
            | sled::Error::ReportableBug(_)
            | sled::Error::Corruption { .. }),
        )) => Err(Error::Damaged { path: path(), detail: error.to_string() }),
        Err(_) => Err(Error::Damaged { path: path(), detail: "it panicked".to_owned() }),
    }
}

/// Deletes snapshots that a kill left half written: sled 0.34.7 takes them for whole ones and then
/// answers every open with Corruption. Without them it reads its log.
fn drop_half_written(dir: &Path) -> Result<(), Error> {
    let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            let path = entry.path();
            fs::remove_file(&path).map_err(|source| Error::from_io(&path, source))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["a", "b"];

    #[test]
    fn entries_come_back_after_reopening_and_the_sum_follows_every_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("memory");
        let mut sum = Sum::default();
        let trees = Trees::open(&path, NAMES).unwrap();
        for (key, value) in [("k1", Some("one")), ("k2", Some("two")), ("k1", Some("uno"))] {
            let old = trees.get("a", key.as_bytes()).unwrap();
            let value = value.map(str::as_bytes);
            sum = sum.changed(key.as_bytes(), old.as_deref(), value);
            trees.set("a", key.as_bytes(), value).unwrap();
        }
        sum = sum.changed(b"k2", Some(b"two"), None);
        trees.set("a", b"k2", None).unwrap();
        trees.flush().unwrap();
        drop(trees);

        let trees = Trees::open(&path, NAMES).unwrap();
        let mut seen = Vec::new();
        let found = trees.visit("a", |key, value| seen.push((key.to_vec(), value.to_vec())));
        assert_eq!(found.unwrap(), sum);
        assert_eq!(seen, [(b"k1".to_vec(), b"uno".to_vec())]);
        assert_eq!(trees.visit("b", |_, _| {}).unwrap(), Sum::default());
    }

    #[test]
    fn trees_of_an_earlier_version_are_dropped_for_good() {
        let dir = tempfile::tempdir().unwrap();
        let trees = Trees::open(dir.path(), &["a", "old"]).unwrap();
        for tree in ["a", "old"] {
            trees.set(tree, b"k", Some(b"v")).unwrap();
        }
        trees.flush().unwrap();
        drop(trees);
        drop(Trees::open(dir.path(), NAMES).unwrap());
        let trees = Trees::open(dir.path(), &["a", "old"]).unwrap();
        assert_eq!(trees.get("a", b"k").unwrap().as_deref(), Some(b"v".as_slice()));
        assert_eq!(trees.get("old", b"k").unwrap(), None);
    }

    #[test]
    fn a_value_above_the_limit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let trees = Trees::open(dir.path(), NAMES).unwrap();
        trees.set("a", b"k", Some(&vec![7; MAX_VALUE])).unwrap();
        let refused = trees.set("a", b"k", Some(&vec![7; MAX_VALUE + 1]));
        assert!(matches!(refused, Err(Error::TooLarge { .. })));
    }

    #[test]
    fn half_written_snapshots_are_deleted_before_opening() {
        let dir = tempfile::tempdir().unwrap();
        drop(Trees::open(dir.path(), NAMES).unwrap());
        let half = dir.path().join("snap.00000000000000AB.generating");
        fs::write(&half, b"half").unwrap();
        Trees::open(dir.path(), NAMES).unwrap();
        assert!(!half.exists());
    }

    #[test]
    fn what_is_moved_aside_never_covers_what_was_moved_before() {
        let dir = tempfile::tempdir().unwrap();
        let memory = dir.path().join("memory");
        for n in 1..=3 {
            fs::create_dir(&memory).unwrap();
            let aside = move_aside(&memory).unwrap();
            assert_eq!(aside, dir.path().join(format!("memory.damaged-{n}")));
        }
    }
}
