//! The file of tokens: read at the start, and again when it changes. A file that cannot be read or
//! makes no sense later leaves the tokens before it in force, and says so.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tokio::time::{MissedTickBehavior, interval};

use crate::guard::tokens::{Fault, Tokens};

/// How often files are looked at for a change.
pub(super) const LOOK: Duration = Duration::from_secs(2);

/// A file of tokens that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("the tokens in {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// It makes no sense.
    #[error("the tokens in {} cannot be used: {}", path.display(), told(faults))]
    Faults {
        /// The file.
        path: PathBuf,
        /// All that is wrong with it.
        faults: Vec<Fault>,
    },
}

fn told(faults: &[Fault]) -> String {
    let lines = faults.iter().map(|fault| format!("line {}: {}", fault.line, fault.said));
    lines.collect::<Vec<_>>().join("; ")
}

/// Puts the tokens of a file in force.
pub(super) fn load(path: &Path, tokens: &Tokens) -> Result<(), Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| Error::Read { path: path.to_owned(), source })?;
    tokens.set(&text).map_err(|faults| Error::Faults { path: path.to_owned(), faults })?;
    // A name that is no plugin's here lets nobody in, and looks right in the file.
    let plugins = tokens.plugins().join(" ");
    tracing::info!(file = %path.display(), plugins, "tokens were read; plugins are let in as these");
    Ok(())
}

/// Keeps the tokens as the file has them, until it is dropped.
pub(super) async fn keep(path: PathBuf, tokens: Tokens) {
    let mut known = stamp(&path);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let now = stamp(&path);
        if now == known {
            continue;
        }
        known = now;
        match load(&path, &tokens) {
            Ok(()) => {}
            Err(error) => {
                tracing::error!(%error, "tokens were not read again; those before stay valid");
            }
        }
    }
}

/// What differs when a file was written anew, or swapped as Kubernetes swaps a Secret.
pub(super) fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let about = std::fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}
