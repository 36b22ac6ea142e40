//! Reading one container's logs from their beginning to their end: the run before, the current one,
//! and before them what the store beside the API server has ([`crate::earlier`] says when).

use agent_sdk::{Entity, Failure};
use jiff::{SignedDuration, Timestamp};
use plugin_cluster::{Cluster, LogLine, Span};

use crate::{
    earlier::{self, Earlier, MOMENT, Missing, Stored},
    ending::{End, Time},
    rate::{PAST, Window},
    sources::Stream,
    store::MAX_LINES,
    tally::Tally,
};

/// Bytes at most of one container's logs.
const MAX_BYTES: usize = 24 * 1024 * 1024;

/// Lines of a log, oldest first. After an error it ends.
pub type Lines = Box<dyn Iterator<Item = Result<LogLine, Failure>> + Send>;

/// A stream with its logs open.
pub struct Opened {
    /// The container.
    pub stream: Stream,
    readers: Vec<Lines>,
    /// Logs that could not be had, the current run's among them or not.
    failed: Vec<(String, Failure)>,
    lacks_current: bool,
}

/// An opened stream whose first line was read for its time.
pub struct Begun {
    /// The container.
    pub stream: Stream,
    readers: Vec<Lines>,
    first: Option<Timestamp>,
    head: Option<(Option<Timestamp>, String)>,
    gaps: Vec<(String, Failure)>,
    lacks_current: bool,
    /// Whether lines of the store are among them.
    pub is_from_store: bool,
}

/// Opens a stream's logs, the run before first.
pub async fn open(cluster: &Cluster, mut stream: Stream) -> Opened {
    stream.files.sort_by_key(|file| !file.previous);
    let (mut readers, mut failed): (Vec<Lines>, Vec<_>) = (Vec::new(), Vec::new());
    let mut lacks_current = false;
    for file in &stream.files {
        match cluster.logs(file, Span::default()).await {
            Ok(Some(reader)) => readers.push(Box::new(reader)),
            Ok(None) => {}
            Err(failure) => {
                lacks_current |= !file.previous;
                failed.push((format!("log of {file}"), failure));
            }
        }
    }
    Opened { stream, readers, failed, lacks_current }
}

/// Lines that are there already, as a log.
#[must_use]
pub fn lines(had: Vec<LogLine>) -> Lines {
    Box::new(had.into_iter().map(Ok))
}

// === impl Opened ===

impl Opened {
    /// Reads the first line. Blocks, as all reading of logs does.
    #[must_use]
    pub fn begin(self, now: Timestamp) -> Begun {
        let Self { stream, mut readers, failed, lacks_current } = self;
        let (mut first, mut head, mut gaps) = (None, None, failed);
        match readers.first_mut().and_then(Iterator::next) {
            Some(Ok(line)) => {
                let inside = || crate::line::understand(&line.text, now).time;
                first = line.time.or_else(inside);
                head = Some((line.time, line.text));
            }
            Some(Err(failure)) => gaps.push((named(&stream.subject), failure)),
            None => {}
        }
        let mut begun =
            Begun { stream, readers, first, head, gaps, lacks_current, is_from_store: false };
        if let Some(stored) = begun.stream.stored.take() {
            begun.put_before(stored);
        }
        begun
    }
}

// === impl Begun ===

impl Begun {
    /// Adds from the store what the API server has no more.
    pub async fn reach_back(&mut self, earlier: &Earlier<'_>, now: Timestamp) {
        let Some(missing) = self.missing(now) else { return };
        let Some(stored) = earlier.of(&self.stream.subject, missing, MAX_LINES).await else {
            return;
        };
        if missing.to == now {
            // All of it is the store's, then: nothing comes twice.
            self.readers.clear();
            self.head = None;
        }
        // What was not had there was had here.
        self.gaps.clear();
        self.put_before(stored);
    }

    fn missing(&self, now: Timestamp) -> Option<Missing> {
        if self.stream.files.is_empty() || (self.head.is_some() && self.first.is_none()) {
            // It never ran, or has no times to join at.
            return None;
        }
        let first = self.first.filter(|_| !self.lacks_current);
        earlier::missing(first, self.stream.began, now)
    }

    fn put_before(&mut self, Stored { lines: had, gap }: Stored) {
        self.gaps.extend(gap.map(|gap| (named(&self.stream.subject), gap)));
        let Some(first) = had.first() else { return };
        self.first = first.time;
        // The line that was read to look at its time goes where it was.
        let head = self.head.take().map(|(time, text)| LogLine { time, text });
        let mut readers = std::mem::take(&mut self.readers).into_iter();
        let rest = readers.next().into_iter().flatten();
        let current: Lines = Box::new(head.map(Ok).into_iter().chain(rest));
        self.readers = [lines(had), current].into_iter().chain(readers).collect();
        self.is_from_store = true;
    }

    /// The window of this log. A container whose log reaches back to its beginning has a lead. That
    /// of a pod that is gone ends with it.
    #[must_use]
    pub fn window(&self, now: Timestamp) -> Window {
        let spoken = || self.stream.last_words.iter().filter_map(|(time, _)| *time).min();
        let to = self.stream.ended.unwrap_or(now).min(now);
        let from = self.first.or_else(spoken).unwrap_or(to).min(to);
        let whole =
            self.stream.began.is_some_and(|began| from.duration_since(began).abs() <= MOMENT);
        let lead = if whole { PAST - to.duration_since(from) } else { SignedDuration::ZERO };
        Window { from, to, lead: lead.max(SignedDuration::ZERO) }
    }

    /// Feeds all lines to `tally`; answers what could not be read. When the time is up only the
    /// last lines of what is left are fed.
    pub fn feed(self, tally: &mut Tally<'_>, time: &Time<'_>) -> Vec<(String, Failure)> {
        let mut gaps = self.gaps;
        // Said before the log that is there, or all there is; a log that is there says it itself.
        let told = if self.readers.is_empty() { &self.stream.last_words[..] } else { &[] };
        for (at, text) in told {
            for line in text.lines() {
                tally.line(*at, line);
            }
            tally.end_of_log();
        }
        if let Some((at, text)) = &self.head {
            tally.line(*at, text);
        }
        let name = named(&self.stream.subject);
        let (mut bytes, mut is_short) = (0, false);
        for mut reader in self.readers {
            for number in 0_usize.. {
                is_short |= bytes > MAX_BYTES || number % 256 == 0 && (time.is_short)();
                if is_short {
                    break;
                }
                match reader.next() {
                    Some(Ok(line)) => {
                        bytes += line.text.len();
                        tally.line(line.time, &line.text);
                    }
                    Some(Err(failure)) => gaps.push((name.clone(), failure)),
                    None => break,
                }
            }
            if is_short {
                let first = tally.lines();
                let end = End::of(reader, time.is_over);
                gaps.extend(end.gap(first).map(|gap| (name.clone(), gap)));
                tally.end_of_log();
                for line in end.lines {
                    tally.line(line.time, &line.text);
                }
            }
            tally.end_of_log();
        }
        gaps
    }
}

fn named(subject: &Entity) -> String {
    format!("log of {}/{}/{}", subject.namespace, subject.name, subject.container)
}
