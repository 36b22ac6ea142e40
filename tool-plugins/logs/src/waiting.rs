//! How much a program says that waits for it: lag, depth, tasks queued. One number means little;
//! numbers that climb through the log tell of a queue that is not drained. Bounded: a few queues.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// Queues that are followed.
const MAX_QUEUES: usize = 8;
/// So many times the first number, and so much more, is a climb.
const TIMES: f64 = 3.0;
const LEAST: f64 = 100.0;
/// Numbers that it takes.
const TOLD: u64 = 3;

/// What was said of one queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// The first number.
    pub first: f64,
    /// The last one.
    pub last: f64,
    /// When the first was said.
    pub since: Option<Timestamp>,
    /// When the last was said.
    pub until: Option<Timestamp>,
    /// How often.
    pub times: u64,
    /// The last line.
    pub quote: String,
}

/// All queues of one log.
#[derive(Debug, Default)]
pub struct Queues(BTreeMap<String, Waiting>);

// === impl Queues ===

impl Queues {
    /// Takes a line with its time and how it stands in the log.
    pub fn note(&mut self, time: Option<Timestamp>, message: &str, head: &str) {
        let Some((queue, amount)) = told(message) else { return };
        if self.0.len() >= MAX_QUEUES && !self.0.contains_key(&queue) {
            return;
        }
        let known = self.0.entry(queue).or_insert_with(|| Waiting {
            first: amount,
            last: amount,
            since: time,
            until: time,
            times: 0,
            quote: String::new(),
        });
        known.last = amount;
        known.until = time.or(known.until);
        known.times += 1;
        head.clone_into(&mut known.quote);
    }

    /// Those that climbed.
    pub fn climbing(&self) -> impl Iterator<Item = (&str, &Waiting)> {
        let climbs =
            |w: &Waiting| w.times >= TOLD && w.last >= TIMES * w.first && w.last - w.first >= LEAST;
        self.0.iter().filter(move |(_, w)| climbs(w)).map(|(name, w)| (name.as_str(), w))
    }
}

/// Words for pieces of work, between a number and what it does.
const PIECES: &[&str] = &[
    "task",
    "tasks",
    "job",
    "jobs",
    "message",
    "messages",
    "msgs",
    "event",
    "events",
    "record",
    "records",
    "item",
    "items",
    "entries",
    "deliveries",
];
/// What they do when nobody takes them.
const WAIT: &[&str] = &[
    "waiting",
    "wait",
    "pending",
    "queued",
    "enqueued",
    "behind",
    "unprocessed",
    "outstanding",
    "backlogged",
    "ready",
    "unacked",
    "unacknowledged",
    "undelivered",
    "remaining",
    "left",
];
/// Words before a number.
const NAMED: &[&str] = &[
    "lag",
    "backlog",
    "depth",
    "waiting",
    "pending",
    "enqueued",
    "queued",
    "unprocessed",
    "behind",
];
/// "queue size 5", "queue length=5".
const MEASURE: &[&str] = &["size", "length", "len", "depth"];
/// Units that make a number something else.
const UNITS: &[&str] = &[
    "ms", "s", "sec", "secs", "seconds", "min", "minutes", "m", "h", "bytes", "b", "kb", "mb", "gb",
];

/// How much a message says that waits, and in which queue when it names one.
fn told(message: &str) -> Option<(String, f64)> {
    if message.len() > 400 || !message.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    let apart = |c: char| c.is_whitespace() || matches!(c, '=' | ':' | ',' | ';' | '(' | ')' | '"');
    let words: Vec<String> = message
        .split(apart)
        .map(|w| w.trim_matches(|c| matches!(c, '.' | '[' | ']' | '{' | '}' | '\'')))
        .filter(|w| !w.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let at = |index: usize| words.get(index).map_or("", String::as_str);
    let (mut found, mut place) = (None, 0);
    for index in 0..words.len() {
        // An id such as 8992e85 or "inf" is a number to a parser and to nobody else.
        let plain = at(index).chars().all(|c| c.is_ascii_digit() || c == '.' || c == '-');
        let Some(amount) = plain.then(|| at(index).parse::<f64>().ok()).flatten() else { continue };
        let unit = UNITS.contains(&at(index + 1));
        let before = index.checked_sub(1).map_or("", at);
        let further = index.checked_sub(2).map_or("", at);
        let of = ["of", "is", "at", "now"].contains(&before);
        let name = if of { further } else { before };
        let named = name.rsplit(['_', '.', '-']).next().is_some_and(|last| NAMED.contains(&last))
            || MEASURE.contains(&name) && further.contains("queue");
        let after = at(index + 1);
        let waits = PIECES.contains(&after) && WAIT.contains(&at(index + 2))
            || after != "lag" && NAMED.contains(&after);
        if !unit && amount >= 0.0 && (named || waits) {
            (found, place) = (Some(amount), index);
            break;
        }
    }
    let queue = words.windows(2).take(place).find_map(|pair| match pair {
        [word, name] if ["queue", "topic", "stream", "subscription", "list"].contains(&&**word) => {
            let is_name = name.contains(|c: char| c.is_ascii_alphabetic())
                && !MEASURE.contains(&&**name)
                && !NAMED.contains(&&**name);
            is_name.then(|| name.clone())
        }
        _ => None,
    });
    Some((queue.unwrap_or_default(), found?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_read_in_many_wordings() {
        for (message, expected) in [
            ("queue mail-out: 50964 tasks waiting, 0 active", Some(("mail-out", 50964.0))),
            ("consumer lag is 1200 for group billing", Some(("", 1200.0))),
            ("partition=3 lag=88123 offset=19", Some(("", 88123.0))),
            ("sidekiq stats: enqueued=4000 busy=0", Some(("", 4000.0))),
            ("queue depth 321", Some(("", 321.0))),
            ("topic orders.v1: 900 messages behind", Some(("orders.v1", 900.0))),
            ("12 jobs pending in queue render", Some(("", 12.0))),
            ("queue size=77", Some(("", 77.0))),
            ("backlog of 512 events", Some(("", 512.0))),
            ("lag 300 ms", None),
            ("request done in 45 ms", None),
            ("GET /queue/7 200", None),
            ("replication lag 2 seconds", None),
        ] {
            let told = told(message);
            let told = told.as_ref().map(|(queue, amount)| (queue.as_str(), *amount));
            assert_eq!(told, expected, "{message}");
        }
    }

    #[test]
    fn only_numbers_that_climb_are_told() {
        let mut queues = Queues::default();
        for amount in [10, 400, 9000] {
            let line = format!("queue a: {amount} tasks waiting");
            queues.note(None, &line, &line);
            queues.note(None, "queue b: 70 tasks waiting", "");
        }
        let told: Vec<&str> = queues.climbing().map(|(name, _)| name).collect();
        assert_eq!(told, ["a"]);
    }
}
