//! Logs of containers: which there are, and their lines with the kubelet's time when it was
//! recorded. Lines are read one by one; a log is never held whole.

use std::{
    fmt,
    io::{self, BufRead, Read},
};

use agent_sdk::{Entity, Failure};
use bytes::{Buf as _, Bytes};
use jiff::Timestamp;

use crate::live::logs::Pieces;

/// Longest line that is kept, in bytes; the rest of a longer one is dropped.
pub const MAX_LINE: usize = 64 * 1024;

/// Which log: a container of a pod, its current run or the one before.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogFile {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Name of the container.
    pub container: String,
    /// Whether it is the run before the current one.
    pub previous: bool,
}

impl LogFile {
    /// The container as the subject of an observation.
    #[must_use]
    pub fn entity(&self) -> Entity {
        Entity::new("Pod", self.namespace.as_str(), self.pod.as_str())
            .container(self.container.as_str())
    }
}

impl fmt::Display for LogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let previous = if self.previous { " (previous)" } else { "" };
        write!(f, "{}/{}/{}{previous}", self.namespace, self.pod, self.container)
    }
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The kubelet's time, when it was recorded.
    pub time: Option<Timestamp>,
    /// The line without that time.
    pub text: String,
}

/// The lines of a log, oldest first. After an error it ends. One of a live cluster waits for what
/// comes over the network: it is read on a thread that may block.
pub struct LogReader {
    source: Box<dyn BufRead + Send>,
    name: String,
    cut_after: Timestamp,
    over: bool,
}

// === impl LogReader ===

impl LogReader {
    pub(crate) fn new(source: Box<dyn BufRead + Send>, name: String, cut_after: Timestamp) -> Self {
        Self { source, name, cut_after, over: false }
    }

    /// A log that comes in while it is read.
    pub(crate) fn live(pieces: Pieces, name: String, cut_after: Timestamp) -> Self {
        Self::new(Box::new(Incoming { pieces, piece: Bytes::new() }), name, cut_after)
    }

    fn read_line(&mut self) -> io::Result<Option<String>> {
        let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
        let mut bytes = Vec::new();
        if self.source.by_ref().take(limit).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        if bytes.len() >= MAX_LINE && bytes.last() != Some(&b'\n') {
            self.source.skip_until(b'\n')?;
        }
        let text = String::from_utf8_lossy(&bytes);
        Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()))
    }
}

impl Iterator for LogReader {
    type Item = Result<LogLine, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.over {
            match self.read_line() {
                Ok(Some(line)) => {
                    let line = split_time(&line);
                    if line.time.is_none_or(|time| time <= self.cut_after) {
                        return Some(Ok(line));
                    }
                }
                Ok(None) => self.over = true,
                Err(error) => {
                    self.over = true;
                    let failure = error.downcast::<Failure>().unwrap_or_else(|error| {
                        let message = format!("{} cannot be read further: {error}", self.name);
                        Failure::external("LOG_UNREADABLE", message)
                    });
                    return Some(Err(failure));
                }
            }
        }
        None
    }
}

/// Bytes that come in piece by piece, as a reader that waits for them.
struct Incoming {
    pieces: Pieces,
    piece: Bytes,
}

impl Read for Incoming {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut held = self.fill_buf()?;
        let read = held.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Incoming {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece.map_err(io::Error::other)?,
                None => break,
            }
        }
        Ok(&self.piece)
    }

    fn consume(&mut self, read: usize) {
        self.piece.advance(read);
    }
}

impl fmt::Debug for LogReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogReader").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Splits off the kubelet's leading time. Only its own form counts (`2006-01-02T15:04:05.999Z `
/// or with an offset): a program's own date is part of its line.
pub(crate) fn split_time(line: &str) -> LogLine {
    let whole = || LogLine { time: None, text: line.to_owned() };
    let Some((head, text)) = line.split_once(' ').or(Some((line, ""))) else { return whole() };
    let bytes = head.as_bytes();
    let kubelet_form = bytes.len() >= 20
        && bytes.get(4) == Some(&b'-')
        && bytes.get(10) == Some(&b'T')
        && bytes.first().is_some_and(u8::is_ascii_digit);
    match head.parse() {
        Ok(time) if kubelet_form => LogLine { time: Some(time), text: text.to_owned() },
        _ => whole(),
    }
}
