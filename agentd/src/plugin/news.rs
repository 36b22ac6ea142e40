//! What happens to plugins and tools, in order: the last thousand things since the daemon started.
//! Not durable, and not the investigations' own log; it is for who writes or runs a plugin.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use tokio::sync::watch;

use super::clean;

/// Things that are kept.
const KEPT: usize = 1000;
/// Longest line, in bytes.
const MAX_SUMMARY: usize = 512;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An instance registered.
    Registered,
    /// An instance takes calls.
    Ready,
    /// An instance said goodbye.
    Left,
    /// The lease of an instance ran out.
    Expired,
    /// An instance cannot be reached.
    Unreachable,
    /// An instance takes no calls any more, for now.
    Unready,
    /// Somebody who announced the plugin was not let in.
    PluginRefused,
    /// A tool was refused at registration.
    ToolRefused,
    /// A tool waits for a person to accept its descriptor.
    ToolQuarantined,
    /// A person accepted or switched on a tool.
    ToolActivated,
    /// A person switched off a tool.
    ToolDisabled,
    /// The breaker of a tool opened.
    ToolTripped,
    /// The breaker of a tool closed again.
    ToolRecovered,
}

/// To what it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Namespace.
    pub plugin: String,
    /// An instance, when it happened to one.
    pub instance_id: String,
    /// A tool, when it happened to one.
    pub tool: String,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// From 1, without holes.
    pub sequence: u32,
    /// When.
    pub time: Timestamp,
    /// What.
    pub kind: Kind,
    /// To what.
    pub subject: Subject,
    /// One line for people, which begins with the subject: `plugin` or `plugin.tool`.
    pub summary: String,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct News {
    clock: fn() -> Timestamp,
    newest: watch::Sender<u32>,
    kept: Mutex<VecDeque<Event>>,
}

/// For tests: all at one moment.
impl Default for News {
    fn default() -> Self {
        Self::new(|| Timestamp::UNIX_EPOCH)
    }
}

/// `plugin` or `plugin.tool`, as people read it.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tool.as_str() {
            "" => write!(f, "{}", self.plugin),
            tool => write!(f, "{}.{tool}", self.plugin),
        }
    }
}

// === impl Subject ===

impl Subject {
    /// A plugin, whichever of its instances.
    #[must_use]
    pub fn plugin(plugin: &str) -> Self {
        Self::instance(plugin, "")
    }

    /// An instance.
    #[must_use]
    pub fn instance(plugin: &str, id: &str) -> Self {
        Self { plugin: plugin.to_owned(), instance_id: id.to_owned(), tool: String::new() }
    }

    /// A tool.
    #[must_use]
    pub fn tool(plugin: &str, tool: &str) -> Self {
        Self { plugin: plugin.to_owned(), instance_id: String::new(), tool: tool.to_owned() }
    }
}

// === impl News ===

impl News {
    /// Nothing yet; `clock` tells when things happen.
    pub(crate) fn new(clock: fn() -> Timestamp) -> Self {
        Self { clock, newest: watch::Sender::default(), kept: Mutex::default() }
    }

    /// Tells of one thing. A summary that does not begin with the subject is put behind it.
    pub(crate) fn tell(&self, kind: Kind, subject: Subject, summary: String) {
        let mut kept = self.lock();
        let sequence = kept.back().map_or(1, |last| last.sequence.saturating_add(1));
        if kept.len() == KEPT {
            kept.pop_front();
        }
        let mut summary = headed(&subject, summary);
        // One line, whatever a plugin calls its tools: a second one would look like ours.
        summary = summary.replace(char::is_control, " ");
        clean::cut(&mut summary, MAX_SUMMARY);
        kept.push_back(Event { sequence, time: (self.clock)(), kind, subject, summary });
        // Under the lock, so that the newest number never falls.
        self.newest.send_replace(sequence);
        drop(kept);
    }

    /// What came after a number, as far as it is kept; none for one that is not there yet.
    pub(crate) fn after(&self, sequence: u32) -> Option<Vec<Event>> {
        let kept = self.lock();
        let newest = kept.back().map_or(0, |last| last.sequence);
        let later = kept.iter().filter(|event| event.sequence > sequence).cloned();
        (sequence <= newest).then(|| later.collect())
    }

    /// Sees the newest number, now and as it grows.
    pub(crate) fn newest(&self) -> watch::Receiver<u32> {
        self.newest.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line that begins with what it is about.
fn headed(subject: &Subject, said: String) -> String {
    let name = subject.to_string();
    let is_headed = said.strip_prefix(&name).is_some_and(|rest| rest.starts_with([' ', ':']));
    if is_headed { said } else { format!("{name}: {said}") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    #[test]
    fn each_line_begins_with_what_it_is_about() {
        let news = News::default();
        for (subject, said, told) in [
            (Subject::instance("pods", "1"), "pods registered", "pods registered"),
            (Subject::instance("pods", "1"), "podsy is gone", "pods: podsy is gone"),
            (Subject::instance("pods", "1"), "nobody answers", "pods: nobody answers"),
            (Subject::tool("pods", "look"), "pods.look works", "pods.look works"),
            (Subject::tool("pods", "look"), "pods is odd", "pods.look: pods is odd"),
        ] {
            news.tell(Kind::Ready, subject, said.to_owned());
            assert_eq!(news.after(0).unwrap().last().unwrap().summary, told);
        }
    }

    #[test]
    fn the_last_thousand_are_kept_numbered_without_holes() {
        let news = News::default();
        assert_eq!(news.after(0).unwrap(), []);
        assert_eq!(news.after(1), None, "not there yet, as after a restart");
        for _ in 0..KEPT + 5 {
            news.tell(Kind::Left, Subject::instance("a", "1"), String::new());
        }
        let kept: Vec<u32> = news.after(0).unwrap().iter().map(|event| event.sequence).collect();
        assert_eq!((kept.len(), kept[0], *kept.last().unwrap()), (KEPT, 6, 1005));
        assert_eq!(news.after(1004).unwrap().len(), 1);
        assert_eq!(*news.newest().borrow(), 1005);
    }
}
