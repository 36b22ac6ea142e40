//! Which mechanism of failure a line speaks of, by the wording of many languages, servers and
//! databases. Rules are data in [`rules`]; what is recognised is a mechanism, never a product's
//! incident. A line that says itself that all is well ("ignored", "by design") is not counted.

mod config;
mod rules;
mod stale;
pub mod statements;
pub mod words;

use std::{collections::BTreeSet, sync::LazyLock};

use aho_corasick::AhoCorasick;

pub use config::{Reload, reload};

use crate::{level::Level, record::Record};

/// A mechanism, with what the line tells of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mechanism {
    /// Signal of the catalogue.
    pub signal: &'static str,
    /// A detail such as the status or the setting; its name is the signal's attribute.
    pub detail: Option<(&'static str, String)>,
}

struct Matcher {
    automaton: Option<AhoCorasick>,
    rules: Vec<&'static rules::Rule>,
    /// For each pattern the rule it belongs to.
    rule_of: Vec<usize>,
}

static MATCHER: LazyLock<Matcher> = LazyLock::new(|| {
    let mut patterns = Vec::new();
    let mut rule_of = Vec::new();
    let rules: Vec<&rules::Rule> = rules::all().collect();
    for (index, rule) in rules.iter().enumerate() {
        for phrase in rule.phrases {
            patterns.push(*phrase);
            rule_of.push(index);
        }
    }
    let automaton = AhoCorasick::builder().ascii_case_insensitive(true).build(patterns).ok();
    Matcher { automaton, rules, rule_of }
});

/// A statement that takes less is not slow, ms.
const FAST_MS: f64 = 100.0;

/// The mechanisms a record speaks of: at most one of what failed, and beside it whether the
/// program crashed on it.
#[must_use]
pub fn of(record: &Record) -> Vec<Mechanism> {
    if record.level < Level::Unknown && !speaks_of_waiting(record) {
        return Vec::new();
    }
    let text = whole(record);
    if says_it_is_well(&text) {
        return Vec::new();
    }
    let mut found = Vec::new();
    // The words of an access log are the callers', only its status is the program's.
    let stale = record.level >= Level::Warn && stale::speaks(&text);
    let own = || if stale { Some("log.stale_data") } else { matched(&text, record) };
    let spoken = record.status.is_none().then(own).flatten();
    // Servers may be told to log every statement with its time.
    let fast = |signal: &&str| {
        *signal == "log.slow_statement" && statements::took(&text).is_some_and(|ms| ms < FAST_MS)
    };
    let well = |signal: &&str| *signal == "log.cache_bypassed" && words::hits_enough(&text);
    let failed = spoken.filter(|signal| !fast(signal) && !well(signal)).map(|signal| {
        let detail = config::detail(signal, &text);
        Mechanism { signal, detail }
    });
    let left_open = || {
        let told = record.level >= Level::Info && statements::left_open(&record.message);
        told.then_some(Mechanism { signal: "log.transaction_open", detail: None })
    };
    found.extend(failed.or_else(left_open).or_else(|| upstream(record, &text)));
    // Who ends because of a setting does so on purpose, whatever its runtime prints.
    let on_purpose = found.iter().any(|m| m.signal == "log.config_error");
    if is_crash(record, &text) && !on_purpose {
        found.push(Mechanism { signal: "log.panic", detail: None });
    }
    found
}

/// Whether a record says of itself that nothing is amiss ("ignored", "by design").
#[must_use]
pub fn is_harmless(record: &Record) -> bool {
    // Who writes an error means one, whatever soothing word stands in it.
    record.level < Level::Error && says_it_is_well(&record.message)
}

/// Whether a mechanism is that of another one which cannot be reached, found or used: the line
/// tells where its program looked in vain, not what its program does wrong.
#[must_use]
pub fn is_of_another(signal: &str) -> bool {
    matches!(
        signal,
        "log.connection_refused" | "log.upstream_error" | "log.dns_failure" | "log.timeout"
    )
}

/// The message and what the trace adds to it.
fn whole(record: &Record) -> String {
    let mut text = record.message.clone();
    for line in record.trace.iter().filter(|l| !l.trim_start().starts_with("at ")).take(20) {
        text.push('\n');
        text.push_str(line);
    }
    text
}

/// Databases log who waits for a lock, and whom the kernel killed, at the level of information.
fn speaks_of_waiting(record: &Record) -> bool {
    const SAID: &[&str] = &[
        "still waiting for",
        "Slow query",
        "slow query",
        "duration: ",
        "COLLSCAN",
        "Query_time",
        "ransaction",
        "terminated by signal 9",
    ];
    record.level == Level::Info && SAID.iter().any(|words| record.message.contains(words))
        || rules::stores::is_said_calmly(&record.message)
        || rules::load::is_said_calmly(&record.message)
}

/// What a container does, in words, for signals of load.
#[must_use]
pub fn said_of_load(signal: &str, whom: Option<&str>) -> Option<String> {
    rules::stores::phrase(signal, whom).or_else(|| rules::load::phrase(signal))
}

fn says_it_is_well(text: &str) -> bool {
    const WELL: &[&str] = &[
        "ignored",
        "ignoring",
        "(expected",
        "by design",
        "as expected",
        "harmless",
        "no retry needed",
        "will be fetched later",
        "cached copy used",
        "nothing to worry",
        "non-fatal",
        "not critical",
        "indexed fine",
        "second attempt fine",
        "succeeded after retry",
        "recovered",
    ];
    words::has_any(text, WELL)
}

/// The first rule, in order of the table, with a phrase that counts in the text.
fn matched(text: &str, record: &Record) -> Option<&'static str> {
    let automaton = MATCHER.automaton.as_ref()?;
    let found: BTreeSet<usize> = automaton
        .find_overlapping_iter(text)
        .filter(|m| stands_alone(text, m.start(), m.end()))
        .filter_map(|m| MATCHER.rule_of.get(m.pattern().as_usize()).copied())
        .filter(|rule| MATCHER.rules.get(*rule).is_some_and(|r| record.level >= r.least))
        .collect();
    let of_input = speaks_of_input(text);
    let lacking = "log.schema_mismatch";
    let lacks = record.level >= Level::Warn && words::lacks_table(text);
    let schema = lacks.then(|| MATCHER.rules.iter().position(|rule| rule.signal == lacking));
    let found: BTreeSet<usize> = found.into_iter().chain(schema.flatten()).collect();
    let signals = || {
        let all = found.iter().filter_map(|rule| Some(MATCHER.rules.get(*rule)?.signal));
        all.filter(|signal| !(of_input && *signal == "log.config_error"))
    };
    let missing = || (!of_input && config::misses_a_variable(text)).then_some("log.config_error");
    let first = signals().next().or_else(missing)?;
    // Who cannot read a file of settings was told wrong, not answered wrong.
    if first == "log.protocol_error" && words::reads_settings(text) {
        return Some("log.config_error");
    }
    // A pool runs dry when its server cannot be reached; then that is what failed.
    if first == "log.pool_exhausted" && !words::is_of_server(text) {
        let behind =
            ["log.dns_failure", "log.tls_failure", "log.auth_failure", "log.connection_refused"];
        return signals().find(|signal| behind.contains(signal)).or(Some(first));
    }
    Some(first)
}

/// Whether what could not be read is something a caller sent, and no setting.
fn speaks_of_input(text: &str) -> bool {
    const INPUT: &[&str] = &[
        " request",
        "user agent",
        "user-agent",
        "query string",
        "query param",
        "form field",
        "upload",
        "cookie",
        "payload",
        "message body",
        "content-type",
        "accept-language",
        "referer",
        "from client",
        "client sent",
        // Work for a caller that was under way, as frameworks of the web and their threads name it.
        "exception on /",
        "[post]",
        "[get]",
        "[put]",
        "[patch]",
        "[delete]",
        "servlet",
        "http-nio",
        "nio-exec",
    ];
    const SETTING: &[&str] =
        &["config", "setting", "environment", "env var", "property", ".y", ".toml", "--", "flag"];
    let lower = text.to_ascii_lowercase();
    let speaks = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    speaks(INPUT) && !speaks(SETTING)
}

/// Whether a phrase is a thing said and not part of a word, a setting (`timeout=30s`) or a name
/// (`oom-safe`, `FATAL_ON_ERROR`).
fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let bytes = text.as_bytes();
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let first = bytes.get(start).copied().unwrap_or(b' ');
    let last = end.checked_sub(1).and_then(|i| bytes.get(i)).copied().unwrap_or(b' ');
    let before = start.checked_sub(1).and_then(|i| bytes.get(i)).copied().unwrap_or(b' ');
    let after = bytes.get(end).copied().unwrap_or(b' ');
    let begins = !word(first) || !word(before);
    let ends = !word(last) || !(word(after) || after == b'=' || after == b'-');
    begins && ends
}

/// "X answered 502", "status 503", "bad gateway": the failure of one that is called.
fn upstream(record: &Record, text: &str) -> Option<Mechanism> {
    if let Some(status) = record.status {
        // An access log tells what it answered itself; only gateways speak of those behind them.
        return matches!(status, 502 | 504).then(|| mechanism(status));
    }
    // Plain lines of a program that tells no levels count where they name what was called.
    let called = record.level == Level::Unknown && text.contains("://");
    if record.level < Level::Warn && !called {
        return None;
    }
    let words: Vec<&str> = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '>'))
        .filter(|w| !w.is_empty())
        .collect();
    words.iter().enumerate().find_map(|(index, word)| {
        let status: u16 =
            word.trim_matches('.').parse().ok().filter(|s| (500..=599).contains(s))?;
        let near = |words: Option<&[&str]>| {
            words.is_some_and(|w| w.iter().any(|w| SAID.contains(&w.to_ascii_lowercase().as_str())))
        };
        let unit = words.get(index + 1).is_some_and(|w| UNITS.contains(w));
        let said = near(words.get(index.saturating_sub(4)..index))
            || near(words.get(index + 1..(index + 4).min(words.len())));
        // "web-api: 500 for page 7", "502 from gate.edge".
        let joined = |name: &str| {
            name.contains(['-', '.']) && name.contains(|c: char| c.is_ascii_alphabetic())
        };
        let named = index
            .checked_sub(1)
            .and_then(|before| words.get(before))
            .is_some_and(|name| joined(name) && text.contains(&format!("{name}: {word}")));
        let from = words.get(index + 1) == Some(&"from")
            && words.get(index + 2).is_some_and(|name| joined(name));
        ((said || named || from) && !unit).then(|| mechanism(status))
    })
}

/// Words beside a number that make it the status of an answer.
const SAID: &[&str] = &[
    "status",
    "http",
    "code",
    "answered",
    "replied",
    "returned",
    "responded",
    "response",
    "upstream",
    "gateway",
    "unavailable",
    "internal",
    "got",
    "received",
    "->",
    "failed",
    "error",
    "statuscode",
];
const UNITS: &[&str] =
    &["ms", "s", "bytes", "rows", "items", "points", "lines", "kb", "mb", "entries"];

fn mechanism(status: u16) -> Mechanism {
    Mechanism { signal: "log.upstream_error", detail: Some(("status", status.to_string())) }
}

/// Whether the program itself ended on an error nobody handled.
fn is_crash(record: &Record, text: &str) -> bool {
    const CRASHES: &[&str] = &[
        "panicked at",
        "unhandled exception",
        "uncaught exception",
        "unhandledpromiserejection",
        "unhandled promise rejection",
        "unhandled failure",
        "unhandled error",
        "segmentation fault",
        "sigsegv",
        "fatal error: ",
        "core dumped",
        "exception in thread \"main\"",
        "terminate called",
        "goroutine 1 [running]",
        "application run failed",
        "process crashed",
    ];
    if record.level < Level::Unknown {
        return false;
    }
    let lower = text.to_ascii_lowercase();
    record.message.starts_with("panic: ")
        || record.head.starts_with("Traceback (most recent")
        || CRASHES.iter().any(|words| lower.contains(words))
}

#[cfg(test)]
mod tests;
