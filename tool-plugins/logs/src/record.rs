//! Lines joined into records: a head line and the stack trace that belongs to it. Bounded: of a
//! long trace only the first lines and the last few are kept.

use jiff::{SignedDuration, Timestamp};

use crate::{
    level::Level,
    line::{Line, understand, undressed},
};

/// A head line with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When it was written.
    pub time: Option<Timestamp>,
    /// Its level; a trace below an unmarked line makes it an error.
    pub level: Level,
    /// The head's message.
    pub message: String,
    /// The head as it stands in the log.
    pub head: String,
    /// HTTP status of an access log line.
    pub status: Option<u16>,
    /// The lines that follow, as they stand.
    pub trace: Vec<String>,
}

/// Lines of a trace that are kept from its beginning.
const KEPT: usize = 40;
/// Longest kept line, bytes.
const MAX_LINE: usize = 2048;
/// Lines of one trace are written at once.
const AT_ONCE: SignedDuration = SignedDuration::from_secs(2);

/// Puts lines together. Feed lines in order; each call may complete the record before.
#[derive(Debug)]
pub struct Joiner {
    near: Timestamp,
    open: Option<Record>,
    /// Whether a trace has begun, so that any unformatted line belongs to it.
    in_trace: bool,
}

// === impl Joiner ===

impl Joiner {
    /// `near` is the time of the data, for forms that leave out the year.
    #[must_use]
    pub fn new(near: Timestamp) -> Self {
        Self { near, open: None, in_trace: false }
    }

    /// Takes a line; answers the record that it completes.
    pub fn line(&mut self, time: Option<Timestamp>, text: &str) -> Option<Record> {
        let text = &*undressed(text);
        let line = understand(text, self.near);
        if let Some(open) = &mut self.open
            && belongs(open, self.in_trace, time, text, &line)
        {
            self.in_trace |= begins_trace(text);
            keep(open, text);
            if open.level < Level::Warn && self.in_trace {
                open.level = Level::Error;
            }
            return None;
        }
        if text.trim().is_empty() {
            return None;
        }
        self.in_trace = begins_trace(text);
        self.open.replace(record(time, text, line))
    }

    /// The last record.
    pub fn finish(&mut self) -> Option<Record> {
        self.open.take()
    }
}

fn record(time: Option<Timestamp>, text: &str, line: Line) -> Record {
    let trace = line.stack.as_deref().unwrap_or_default();
    Record {
        time: time.or(line.time),
        level: line.level,
        message: cut(&line.message),
        head: cut(text.trim_end()),
        status: line.status,
        trace: trace.lines().take(KEPT).map(cut).collect(),
    }
}

/// Whether a line continues the open record.
fn belongs(
    open: &Record,
    in_trace: bool,
    time: Option<Timestamp>,
    text: &str,
    line: &Line,
) -> bool {
    let late = match (open.time, time) {
        (Some(before), Some(after)) => after.duration_since(before) > AT_ONCE,
        _ => false,
    };
    if line.continues && !late {
        return true;
    }
    if late || line.formatted {
        return false;
    }
    let indented = text.starts_with([' ', '\t']) && !text.trim().is_empty();
    let named = text.starts_with("Caused by: ")
        || text.starts_with("Traceback (most recent")
        || text.starts_with("goroutine ")
        || text.starts_with("[signal ")
        || text.starts_with("During handling of the above")
        || text.starts_with("Stack trace:")
        || text.starts_with('#') && text.as_bytes().get(1).is_some_and(u8::is_ascii_digit)
        || text.starts_with("The above exception was");
    let thrown = open.level >= Level::Warn && crate::exception::is_head(text);
    indented || named || thrown || in_trace
}

fn begins_trace(text: &str) -> bool {
    let trimmed = text.trim_start();
    text.starts_with("Traceback (most recent")
        || text.starts_with("goroutine ")
        || text.starts_with("panic: ")
        || text.starts_with("Caused by: ")
        || text.starts_with("thread '") && text.contains("panicked at")
        || text.starts_with("Exception in thread")
        || trimmed.len() < text.len() && trimmed.starts_with("at ")
}

/// Keeps the first lines and the very last ones: the last line of a Python trace names the error.
fn keep(record: &mut Record, text: &str) {
    const LAST: usize = 8;
    // Of .NET's loggers the first line only says who speaks.
    let is_title = record.trace.is_empty()
        && record.message.ends_with(']')
        && ["fail: ", "crit: ", "warn: "].iter().any(|word| record.head.starts_with(word));
    if is_title {
        record.message = cut(text.trim());
    }
    if record.trace.len() >= KEPT + LAST {
        record.trace.remove(KEPT);
    }
    record.trace.push(cut(text.trim_end()));
}

fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(MAX_LINE)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn join(text: &str) -> Vec<Record> {
        let mut joiner = Joiner::new(Timestamp::UNIX_EPOCH);
        let mut records: Vec<Record> =
            text.lines().filter_map(|line| joiner.line(None, line)).collect();
        records.extend(joiner.finish());
        records
    }

    #[test]
    fn a_java_trace_belongs_to_its_head() {
        let records = join(
            "2025-08-27 12:00:00.481 ERROR 1 --- [exec-6] c.x : Servlet threw\n\
             java.lang.NullPointerException: it is null\n\
             \tat c.x.Rule.apply(Rule.java:58)\n\
             Caused by: java.io.IOException: no\n\
             \t... 3 more\n\
             2025-08-27 12:00:01.000  INFO 1 --- [exec-6] c.x : fine",
        );
        assert_eq!(records.len(), 2);
        assert_eq!(records[0].trace.len(), 4);
        assert_eq!(records[0].message, "Servlet threw");
    }

    #[test]
    fn a_python_trace_keeps_its_last_line_and_the_hints_after_it() {
        let records = join(
            "2025-03-05 02:04:09,272 ERROR    [run] unhandled\n\
             Traceback (most recent call last):\n\
             \x20 File \"/app/run.py\", line 212, in <module>\n\
             \x20   main()\n\
             lib.errors.UndefinedColumn: column x does not exist\n\
             LINE 3: WHERE x\n\
             HINT:  Perhaps y",
        );
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].trace.last().unwrap(), "HINT:  Perhaps y");
    }

    #[test]
    fn a_go_panic_and_a_bare_trace_are_one_record_each() {
        let records = join(
            "panic: runtime error: index out of range\n\
             \n\
             goroutine 1 [running]:\n\
             main.main()\n\
             \t/app/main.go:12 +0x1d\n\
             exit status 2",
        );
        assert_eq!((records.len(), records[0].level), (1, Level::Fatal));
        let records = join("TypeError: x is undefined\n    at f (/app/a.js:1:2)\nnext");
        assert_eq!(records[0].level, Level::Error);
    }

    #[test]
    fn plain_lines_stay_apart() {
        assert_eq!(join("one\ntwo\nthree").len(), 3);
        let records = join("2025-08-27 12:00:00.481 ERROR x\nplain words\n  indented");
        assert_eq!(records.len(), 2);
    }

    #[test]
    fn an_endless_trace_is_bounded_and_keeps_its_end() {
        let mut text = String::from("panic: deep\n");
        for frame in 0..100_000 {
            text.push_str(&format!("\tframe {frame}\n"));
        }
        text.push_str("\tthe last");
        let records = join(&text);
        assert!(records[0].trace.len() <= 48);
        assert_eq!(records[0].trace.last().unwrap(), "\tthe last");
    }
}
