//! What the log of a database server tells of its clients: who connects and how often, who holds a
//! lock that others wait for, whose statements are slow. Bounded tables; resolving names to
//! objects is left to the end.

mod who;

use std::collections::{BTreeMap, BTreeSet};

use agent_sdk::{Entity, Observation, Relation, RelationKind};

use crate::{
    rate::{Counts, Window},
    record::Record,
    signals::{statements, words},
};
use who::who_of;
pub use who::{Place, Who};

/// Sessions remembered by their number.
const MAX_SESSIONS: usize = 2000;
/// Clients remembered.
const MAX_CLIENTS: usize = 200;
/// A statement that takes longer than this is slow, ms.
const SLOW_MS: f64 = 1000.0;
/// Share of all connections from which one client has most of them.
const MOST: f64 = 0.5;
/// Connections from which a share means something.
const MANY: f64 = 15.0;

#[derive(Debug, Clone, Default)]
struct Session {
    who: Who,
    statement: String,
}

/// What one client did to others.
#[derive(Debug, Clone, Default)]
struct Deeds {
    counts: Counts,
    statement: String,
    table: String,
    longest_ms: f64,
    all_ms: f64,
    /// How many of its statements read little: they only waited for the server's time.
    little: u64,
    quote: String,
}

/// The fold over one server's log.
#[derive(Debug, Default)]
pub struct Sessions {
    sessions: BTreeMap<u64, Session>,
    /// Locks that others waited for, by the session that held them.
    held: BTreeMap<u64, Deeds>,
    /// Deadlocks by the sessions that stood in each other's way.
    crossed: BTreeMap<u64, Deeds>,
    slow: BTreeMap<Who, Deeds>,
    connects: BTreeMap<Who, Counts>,
}

// === impl Sessions ===

impl Sessions {
    /// Takes a record of the server.
    pub fn note(&mut self, record: &Record, window: &Window) {
        let text = whole(record);
        let pid = pid_of(&record.head);
        let told = who_of(&text, &record.head);
        if let Some(pid) = pid
            && (self.sessions.len() < MAX_SESSIONS || self.sessions.contains_key(&pid))
        {
            let session = self.sessions.entry(pid).or_default();
            // Numbers of ended sessions are given anew.
            if connects(&record.message) {
                *session = Session::default();
            }
            session.who.learn(&told);
            if let Some(statement) = words::statement(&text) {
                session.statement = statement;
            }
        }
        let who = pid.and_then(|pid| self.sessions.get(&pid)).map_or(told, |s| s.who.clone());
        if connects(&record.message) && self.has_room(&who) {
            self.connects.entry(who.clone()).or_default().add(record.time, window);
        }
        if statements::took(&text).is_some_and(|ms| ms >= SLOW_MS) && !who.is_empty() {
            let took = statements::took(&text).unwrap_or_default();
            if self.slow.len() < MAX_CLIENTS || self.slow.contains_key(&who) {
                let deeds = self.slow.entry(who).or_default();
                deeds.slow(took, statements::reads_little(&text));
                deeds.add(record, &text, window);
            }
        }
        if is_deadlock(&text) {
            for pid in crossed(&text) {
                if self.crossed.len() < MAX_CLIENTS || self.crossed.contains_key(&pid) {
                    self.crossed.entry(pid).or_default().add(record, &text, window);
                }
            }
        } else if let Some(holder) = holder(&text)
            && (self.held.len() < MAX_CLIENTS || self.held.contains_key(&holder))
        {
            let deeds = self.held.entry(holder).or_default();
            deeds.add(record, &text, window);
        }
    }

    fn has_room(&self, who: &Who) -> bool {
        !who.is_empty() && (self.connects.len() < MAX_CLIENTS || self.connects.contains_key(who))
    }

    /// Facts and edges: who holds locks, whose statements are slow, who has most connections.
    #[must_use]
    pub fn tell(&self, place: &Place<'_>, window: &Window) -> (Vec<Observation>, Vec<Relation>) {
        let mut facts = Vec::new();
        for (pid, deeds) in &self.held {
            let session = self.sessions.get(pid).cloned().unwrap_or_default();
            facts.push(lock_held(place, &session, deeds, *pid));
        }
        facts.sort_by_key(|fact: &Observation| std::cmp::Reverse(fact.as_wire().count));
        facts.truncate(4);
        facts.extend(self.deadlocks(place));
        facts.extend(self.slow_queries(place));
        facts.extend(self.most_connections(place, window));
        let clients = self.sessions.values().map(|s| &s.who).chain(self.slow.keys());
        let mut callers: Vec<Entity> = clients.filter_map(|who| place.resolve(who)).collect();
        callers.sort();
        callers.dedup();
        let calls = |from| Relation::new(from, RelationKind::Calls, place.database.clone());
        (facts, callers.into_iter().map(calls).collect())
    }

    /// Which known clients deadlock.
    fn deadlocks(&self, place: &Place<'_>) -> Vec<Observation> {
        let mut by_client: BTreeMap<Entity, Deeds> = BTreeMap::new();
        for (pid, deeds) in &self.crossed {
            let who = self.sessions.get(pid).map(|session| &session.who);
            if let Some(client) = who.and_then(|who| place.resolve(who)) {
                let known = by_client.entry(client).or_default();
                known.counts.merge(&deeds.counts);
                known.table.clone_from(&deeds.table);
                known.quote.clone_from(&deeds.quote);
            }
        }
        by_client.iter().map(|(client, deeds)| deadlock(place, client, deeds)).collect()
    }

    /// Whose statements are slow: those that take most of the server's time first.
    fn slow_queries(&self, place: &Place<'_>) -> Vec<Observation> {
        let all: f64 = self.slow.values().filter(|d| !d.only_waits()).map(|d| d.all_ms).sum();
        let mut slow: Vec<_> = self.slow.iter().collect();
        slow.sort_by(|a, b| {
            (a.1.only_waits(), b.1.all_ms)
                .partial_cmp(&(b.1.only_waits(), a.1.all_ms))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        let told = slow.iter().take(4);
        told.map(|(who, deeds)| {
            let most = !deeds.only_waits() && deeds.all_ms >= MOST * all;
            slow_query(place, who, deeds, most)
        })
        .collect()
    }

    /// The client that opens most of the connections since its own number grew.
    fn most_connections(&self, place: &Place<'_>, window: &Window) -> Option<Observation> {
        let mut all = Counts::default();
        let mut by_client: BTreeMap<Entity, Counts> = BTreeMap::new();
        for (who, counts) in &self.connects {
            all.merge(counts);
            if let Some(client) = place.resolve(who) {
                by_client.entry(client).or_default().merge(counts);
            }
        }
        let grown = by_client.into_iter().filter_map(|(client, counts)| {
            let change = counts.change(window, true)?;
            let (before, after) = counts.around(change.bucket);
            let (all_before, all_after) = all.around(change.bucket);
            let (share, usual) = (after / all_after.max(1.0), before / all_before.max(1.0));
            let grew = change.is_clear(3.0) && change.after > change.before;
            let most = share >= MOST && after >= MANY && usual <= 0.8 * share;
            (grew && most).then_some((share, usual, change.at, client, counts))
        });
        let (share, usual, at, client, counts) = grown.max_by(|a, b| a.0.total_cmp(&b.0))?;
        let says = format!(
            "{} {} opens {:.0} % of the connections to {}, before {:.0} %",
            client.kind,
            client.name,
            share * 100.0,
            place.database.name,
            usual * 100.0
        );
        Some(
            Observation::new("db.connections_held", client, says)
                .value(share, "1")
                .baseline(usual)
                .since(at)
                .maybe_until(counts.last)
                .peer(place.database.clone()),
        )
    }
}

fn lock_held(place: &Place<'_>, session: &Session, deeds: &Deeds, pid: u64) -> Observation {
    let holder = place.resolve(&session.who);
    let subject = holder.clone().unwrap_or_else(|| place.database.clone());
    let statement =
        if session.statement.is_empty() { &deeds.statement } else { &session.statement };
    let who = match &holder {
        Some(holder) => format!("{} {}", holder.kind, holder.name),
        None => session.who.shown().unwrap_or_else(|| format!("process {pid}")),
    };
    let on = if deeds.table.is_empty() { String::new() } else { format!(" on {}", deeds.table) };
    let with =
        if statement.is_empty() { String::new() } else { format!(", its statement: {statement}") };
    let says = format!(
        "{who} holds a lock{on} in {} that others waited for {} times{with}",
        place.database.name, deeds.counts.total
    );
    Observation::new("db.lock_held", subject, says)
        .count(deeds.counts.total)
        .maybe_since(deeds.counts.first)
        .maybe_until(deeds.counts.last)
        .attr("known", holder.is_some().to_string())
        .attr("table", deeds.table.as_str())
        .attr("statement", statement.as_str())
        .attr("application", session.who.application.as_str())
        .attr("user", session.who.user.as_str())
        .attr("process", pid.to_string())
        .quote(&deeds.quote)
        .peer(place.database.clone())
}

fn deadlock(place: &Place<'_>, client: &Entity, deeds: &Deeds) -> Observation {
    let on = if deeds.table.is_empty() { String::new() } else { format!(" on {}", deeds.table) };
    let says = format!(
        "statements of {} {} met in a deadlock{on} in {} {} times",
        client.kind, client.name, place.database.name, deeds.counts.total
    );
    Observation::new("db.deadlock", client.clone(), says)
        .count(deeds.counts.total)
        .maybe_since(deeds.counts.first)
        .maybe_until(deeds.counts.last)
        .attr("table", deeds.table.as_str())
        .quote(&deeds.quote)
        .peer(place.database.clone())
}

fn slow_query(place: &Place<'_>, who: &Who, deeds: &Deeds, most: bool) -> Observation {
    let client = place.resolve(who);
    let subject = client.clone().unwrap_or_else(|| place.database.clone());
    let name = client.as_ref().map(|c| format!("{} {}", c.kind, c.name)).or_else(|| who.shown());
    let statement = if deeds.statement.is_empty() && !deeds.table.is_empty() {
        format!("on {}", deeds.table)
    } else {
        deeds.statement.clone()
    };
    let but = if deeds.only_waits() { "; they read little and only wait" } else { "" };
    let says = format!(
        "statements of {} take up to {:.1} s in {}: {statement}{but}",
        name.unwrap_or_else(|| "a client".to_owned()),
        deeds.longest_ms / 1000.0,
        place.database.name,
    );
    Observation::new("db.slow_query", subject, says)
        .count(deeds.counts.total)
        .value(deeds.longest_ms / 1000.0, "s")
        .maybe_since(deeds.counts.first)
        .maybe_until(deeds.counts.last)
        .attr("known", client.is_some().to_string())
        .attr("most", most.to_string())
        .attr("waits", deeds.only_waits().to_string())
        .attr("statement", statement)
        .attr("table", deeds.table.as_str())
        .attr("application", who.application.as_str())
        .quote(&deeds.quote)
        .peer(place.database.clone())
}

// === impl Deeds ===

impl Deeds {
    fn slow(&mut self, took: f64, little: bool) {
        self.longest_ms = self.longest_ms.max(took);
        self.all_ms += took;
        self.little += u64::from(little);
    }

    /// Whether most of its slow statements read little: others keep the server busy.
    fn only_waits(&self) -> bool {
        2 * self.little > self.counts.total
    }

    fn add(&mut self, record: &Record, text: &str, window: &Window) {
        self.counts.add(record.time, window);
        if let Some(statement) = words::statement(text) {
            self.table = words::table(&statement).unwrap_or_default();
            self.statement = statement;
        } else if let Some(table) = words::table(text) {
            self.table = table;
        }
        record.head.clone_into(&mut self.quote);
        if let Some(detail) = record.trace.iter().find(|line| line.contains("holding the lock")) {
            self.quote.push('\n');
            self.quote.push_str(detail);
        }
    }
}

fn whole(record: &Record) -> String {
    let mut text = record.message.clone();
    for line in record.trace.iter().take(6) {
        text.push('\n');
        text.push_str(line);
    }
    text
}

fn connects(message: &str) -> bool {
    ["connection authorized", "Connection accepted", "Connect\t", "authenticated: "]
        .iter()
        .any(|words| message.contains(words))
}

/// `[77]`, `pid=77`, `conn77`, `Id: 77`.
fn pid_of(head: &str) -> Option<u64> {
    let number = |text: &str| -> Option<u64> {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text.get(..end)?.parse().ok()
    };
    let bracketed = head.match_indices('[').find_map(|(at, _)| {
        let rest = head.get(at + 1..)?;
        let (inside, _) = rest.split_once(']')?;
        number(inside).filter(|_| inside.bytes().all(|b| b.is_ascii_digit() || b == b'-'))
    });
    bracketed.or_else(|| {
        ["pid=", "\"pid\":", "\"ctx\":\"conn", "conn", "Id: "]
            .iter()
            .find_map(|mark| number(head.split_once(mark)?.1.trim_start()))
    })
}

fn is_deadlock(text: &str) -> bool {
    text.contains("deadlock detected") || text.contains("Deadlock found")
}

/// The processes of a deadlock: `Process 77 waits for ...; blocked by process 81.`
fn crossed(text: &str) -> BTreeSet<u64> {
    let marks = text.match_indices("rocess ").filter_map(|(at, mark)| {
        let rest = text.get(at + mark.len()..)?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest.get(..end)?.parse().ok()
    });
    marks.collect()
}

/// The process that holds the lock others wait for.
fn holder(text: &str) -> Option<u64> {
    let mark =
        ["Process holding the lock: ", "Processes holding the lock: ", "blocked by process "];
    let rest = mark.iter().find_map(|mark| Some(text.split_once(mark)?.1))?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

#[cfg(test)]
#[path = "database/tests.rs"]
mod tests;
