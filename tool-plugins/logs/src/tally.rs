//! What one container logged, folded line by line: kinds of lines, mechanisms of failure, settings
//! taken over. Memory is bounded by the tables here and by [`crate::template`], not by the log.

mod about;
mod whom;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use agent_sdk::Entity;
use jiff::Timestamp;
use plugin_cluster::{Peers, instruction};

use crate::{
    database::Sessions,
    exception::{self, Exception},
    level::Level,
    peer::{self, Speaker},
    rate::{Counts, Window},
    record::{Joiner, Record},
    signals::{self, Mechanism, Reload, statements, words},
    template::{Id, Miner},
    waiting::Queues,
};

/// Mechanisms with their peers, at most.
const MAX_MECHANISMS: usize = 64;
/// Others it connects to, at most.
const MAX_MET: usize = 8;
/// Settings taken over, at most.
const MAX_RELOADS: usize = 16;

/// A kind of line.
#[derive(Debug, Clone)]
pub struct Kind {
    /// Its level.
    pub level: Level,
    /// How often and when.
    pub counts: Counts,
    /// The last such record's head, as it stands.
    pub quote: String,
    /// The exception it names.
    pub exception: Option<Exception>,
    /// Whether the program crashed with it.
    pub is_crash: bool,
    /// Whether it says of itself that nothing is amiss.
    pub is_harmless: bool,
    /// Whether it tells of another that cannot be reached, found or used, and not of the program.
    pub of_another: bool,
}

/// A mechanism or a setting, as often as it was seen.
#[derive(Debug, Clone)]
pub struct Seen {
    /// How often and when.
    pub counts: Counts,
    /// The last such record's head, with the exception's line.
    pub quote: String,
    /// Name of the exception.
    pub exception: Option<String>,
    /// What else such records tell, the last one's.
    pub beside: BTreeMap<&'static str, String>,
}

/// The fold.
#[derive(Debug)]
pub struct Tally<'a> {
    window: Window,
    speaker: &'a Speaker,
    peers: &'a Peers,
    joiner: Joiner,
    miner: Miner,
    kinds: HashMap<Id, Kind>,
    mechanisms: BTreeMap<(Mechanism, Option<Entity>), Seen>,
    reloads: BTreeMap<Reload, Seen>,
    orders: Seen,
    heavy: BTreeMap<String, Seen>,
    dropped: BTreeMap<String, Seen>,
    met: BTreeSet<Entity>,
    sessions: Sessions,
    queues: Queues,
    all: Counts,
    lines: u64,
}

// === impl Tally ===

impl<'a> Tally<'a> {
    /// An empty fold over `window`.
    #[must_use]
    pub fn new(window: Window, speaker: &'a Speaker, peers: &'a Peers) -> Self {
        Self {
            window,
            speaker,
            peers,
            joiner: Joiner::new(window.to),
            miner: Miner::default(),
            kinds: HashMap::new(),
            mechanisms: BTreeMap::new(),
            reloads: BTreeMap::new(),
            orders: Seen::new(),
            heavy: BTreeMap::new(),
            dropped: BTreeMap::new(),
            met: BTreeSet::new(),
            sessions: Sessions::default(),
            queues: Queues::default(),
            all: Counts::default(),
            lines: 0,
        }
    }

    /// Takes a line, in order of time.
    pub fn line(&mut self, time: Option<Timestamp>, text: &str) {
        self.lines += 1;
        if let Some(record) = self.joiner.line(time, text) {
            self.record(&record);
        }
    }

    /// Ends a log: the next line begins anew, as the current log does after the previous one.
    pub fn end_of_log(&mut self) {
        if let Some(record) = self.joiner.finish() {
            self.record(&record);
        }
    }

    fn record(&mut self, record: &Record) {
        // What gives orders to its reader is told as such and counts for nothing else.
        if let Some(order) = instruction::find(&record.message) {
            self.orders.counts.add(record.time, &self.window);
            order.clone_into(&mut self.orders.quote);
            return;
        }
        self.all.add(record.time, &self.window);
        if self.speaker.server.is_some() {
            self.sessions.note(record, &self.window);
            if record.level < Level::Error
                && let Some(index) = statements::dropped_index(&record.message)
                && self.dropped.len() < MAX_RELOADS
            {
                let seen = self.dropped.entry(index).or_insert_with(Seen::new);
                seen.add(record, None, &self.window);
            }
        } else if record.level < Level::Error
            && let Some(statement) = statements::heavy(&record.message)
            && (self.heavy.len() < MAX_RELOADS || self.heavy.contains_key(&statement))
        {
            let seen = self.heavy.entry(statement).or_insert_with(Seen::new);
            seen.add(record, None, &self.window);
        }
        self.queues.note(record.time, &record.message, &record.head);
        self.meet(record);
        let mined = self.miner.add(record.level, &record.message);
        if let Some(gone) = mined.evicted {
            self.kinds.remove(&gone);
        }
        let exception = exception::of(record);
        let kind = self.kinds.entry(mined.id).or_insert_with(|| Kind {
            level: record.level,
            counts: Counts::default(),
            quote: String::new(),
            exception: None,
            is_crash: false,
            is_harmless: signals::is_harmless(record),
            of_another: false,
        });
        let mechanisms = signals::of(record);
        kind.is_crash |= mechanisms.iter().any(|m| m.signal == "log.panic");
        kind.of_another |= mechanisms.iter().any(|m| signals::is_of_another(m.signal));
        kind.counts.add(record.time, &self.window);
        record.head.clone_into(&mut kind.quote);
        if exception.is_some() {
            kind.exception.clone_from(&exception);
        }
        self.note_mechanisms(mechanisms, record, exception.as_ref());
        if record.level <= Level::Warn
            && let Some(reload) = signals::reload(&record.message)
        {
            let room = self.reloads.len() < MAX_RELOADS || self.reloads.contains_key(&reload);
            if room {
                let seen = self.reloads.entry(reload).or_insert_with(Seen::new);
                seen.add(record, None, &self.window);
            }
        }
    }

    /// Whom the program says it connects to, in good days as well.
    fn meet(&mut self, record: &Record) {
        let text = record.message.as_str();
        let speaks = ["onnected to", "onnecting to", "://"].iter().any(|word| text.contains(word));
        if speaks && self.met.len() < MAX_MET {
            self.met
                .extend(peer::of(text, self.speaker, self.peers).filter(|p| p.kind != "External"));
        }
    }

    fn note_mechanisms(
        &mut self,
        mechanisms: Vec<Mechanism>,
        record: &Record,
        exception: Option<&Exception>,
    ) {
        for mechanism in mechanisms {
            let text = about::telling(record, exception);
            let peer = self.peer(&mechanism, &text);
            let mechanism = about::placed(mechanism, peer.as_ref(), &text);
            let beside = words::beside(mechanism.signal, &text);
            let key = (mechanism, peer);
            if self.mechanisms.len() >= MAX_MECHANISMS && !self.mechanisms.contains_key(&key) {
                continue;
            }
            let seen = self.mechanisms.entry(key).or_insert_with(Seen::new);
            seen.add(record, exception, &self.window);
            seen.beside.extend(beside);
        }
    }

    /// Who speaks.
    #[must_use]
    pub fn speaker(&self) -> &Speaker {
        self.speaker
    }

    /// Names of the cluster.
    #[must_use]
    pub fn peers(&self) -> &Peers {
        self.peers
    }

    /// Statements on whole tables that the program says it runs.
    pub fn heavy(&self) -> impl Iterator<Item = (&String, &Seen)> {
        self.heavy.iter()
    }

    /// Indexes that the server says were dropped.
    pub fn dropped(&self) -> impl Iterator<Item = (&String, &Seen)> {
        self.dropped.iter()
    }

    /// Whom the program says it connects to.
    #[must_use]
    pub fn met(&self) -> &BTreeSet<Entity> {
        &self.met
    }

    /// Lines that give orders to their reader.
    #[must_use]
    pub fn orders(&self) -> &Seen {
        &self.orders
    }

    /// What a server's log told of its clients.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// What it says that waits for it.
    #[must_use]
    pub fn queues(&self) -> &Queues {
        &self.queues
    }

    /// The window it was made with.
    #[must_use]
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// All records over time.
    #[must_use]
    pub fn all(&self) -> &Counts {
        &self.all
    }

    /// Lines taken.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Kinds of lines with their templates.
    pub fn kinds(&self) -> impl Iterator<Item = (String, &Kind)> {
        let mut kinds: Vec<_> = self.kinds.iter().collect();
        kinds.sort_by_key(|(id, _)| **id);
        kinds.into_iter().filter_map(|(id, kind)| Some((self.miner.text(*id)?, kind)))
    }

    /// Mechanisms with whom they concern.
    pub fn mechanisms(&self) -> impl Iterator<Item = (&Mechanism, Option<&Entity>, &Seen)> {
        self.mechanisms.iter().map(|((mechanism, peer), seen)| (mechanism, peer.as_ref(), seen))
    }

    /// Settings taken over.
    pub fn reloads(&self) -> impl Iterator<Item = (&Reload, &Seen)> {
        self.reloads.iter()
    }

    /// Kinds and other table entries held, for tests of the bound.
    #[must_use]
    pub fn held(&self) -> usize {
        self.kinds.len() + self.mechanisms.len() + self.reloads.len() + self.heavy.len()
    }
}

// === impl Seen ===

impl Seen {
    fn new() -> Self {
        Self {
            counts: Counts::default(),
            quote: String::new(),
            exception: None,
            beside: BTreeMap::new(),
        }
    }

    fn add(&mut self, record: &Record, exception: Option<&Exception>, window: &Window) {
        self.counts.add(record.time, window);
        self.quote = quote(&record.head, exception);
        if let Some(exception) = exception {
            self.exception = Some(exception.class.clone());
        }
    }
}

/// The head, with the exception and its first own frame below it, all as they stand.
#[must_use]
pub fn quote(head: &str, exception: Option<&Exception>) -> String {
    let mut quote = head.to_owned();
    if let Some(exception) = exception {
        if !head.contains(&exception.line) {
            quote.push('\n');
            quote.push_str(&exception.line);
        }
        if let Some(frame) = &exception.frame {
            quote.push('\n');
            quote.push_str(frame);
        }
    }
    quote
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::template::MAX_TEMPLATES;

    #[test]
    fn memory_stays_level_over_an_endless_log() {
        let (speaker, peers) = (Speaker::default(), Peers::default());
        let from: Timestamp = "2025-01-01T00:00:00Z".parse().unwrap();
        let to = from.checked_add(jiff::SignedDuration::from_hours(1)).unwrap();
        let window = Window { from, to, lead: jiff::SignedDuration::ZERO };
        let mut tally = Tally::new(window, &speaker, &peers);
        let letters = |n: u32| -> String {
            (0..4).map(|i| char::from(b'g' + u8::try_from((n >> (4 * i)) & 15).unwrap())).collect()
        };
        for n in 0..20_000_u32 {
            let word = letters(n);
            tally.line(
                Some(from),
                &format!("ERROR {word} {word} {word} to {word}.example.com: connection refused"),
            );
            tally.line(Some(from), &format!("INFO config reloaded: {word}: {n} -> {word}"));
        }
        tally.end_of_log();
        assert!(tally.held() <= MAX_TEMPLATES + MAX_MECHANISMS + 2 * MAX_RELOADS);
        assert_eq!(tally.lines(), 40_000);
    }
}
