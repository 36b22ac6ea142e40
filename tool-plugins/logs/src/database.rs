//! What the log of a database server tells of its clients: who connects and how often, who holds a
//! lock that others wait for, whose statements are slow. Bounded tables; resolving names to
//! objects is left to the end.

use std::collections::BTreeMap;

use agent_sdk::{Entity, Observation, Relation, RelationKind};
use plugin_cluster::Peers;

use crate::{
    rate::{Counts, Window},
    record::Record,
    signals::words,
};

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

/// Who a session belongs to, as far as the log tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    address: String,
    user: String,
    application: String,
}

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
    quote: String,
}

/// The fold over one server's log.
#[derive(Debug, Default)]
pub struct Sessions {
    sessions: BTreeMap<u64, Session>,
    /// Locks that others waited for, by the session that held them.
    held: BTreeMap<u64, Deeds>,
    slow: BTreeMap<Who, Deeds>,
    connects: BTreeMap<Who, Counts>,
}

/// Where the facts are about.
pub struct Place<'a> {
    /// The server's workload, or its pod.
    pub database: Entity,
    /// Namespace of the server.
    pub namespace: &'a str,
    /// Names of the cluster.
    pub peers: &'a Peers,
    /// Top owners of pods.
    pub tops: &'a BTreeMap<Entity, Entity>,
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
        if words::took(&text).is_some_and(|ms| ms >= SLOW_MS) && !who.is_empty() {
            let took = words::took(&text).unwrap_or_default();
            if self.slow.len() < MAX_CLIENTS || self.slow.contains_key(&who) {
                let deeds = self.slow.entry(who).or_default();
                deeds.longest_ms = deeds.longest_ms.max(took);
                deeds.add(record, &text, window);
            }
        }
        if let Some(holder) = holder(&text)
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
        let mut slow: Vec<_> = self.slow.iter().collect();
        slow.sort_by(|a, b| b.1.longest_ms.total_cmp(&a.1.longest_ms));
        facts.extend(slow.iter().take(4).map(|(who, deeds)| slow_query(place, who, deeds)));
        facts.extend(self.most_connections(place, window));
        let clients = self.sessions.values().map(|s| &s.who).chain(self.slow.keys());
        let mut callers: Vec<Entity> = clients.filter_map(|who| place.resolve(who)).collect();
        callers.sort();
        callers.dedup();
        let calls = |from| Relation::new(from, RelationKind::Calls, place.database.clone());
        (facts, callers.into_iter().map(calls).collect())
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

fn slow_query(place: &Place<'_>, who: &Who, deeds: &Deeds) -> Observation {
    let client = place.resolve(who);
    let subject = client.clone().unwrap_or_else(|| place.database.clone());
    let name = client.map(|c| format!("{} {}", c.kind, c.name)).or_else(|| who.shown());
    let says = format!(
        "statements of {} take up to {:.1} s in {}: {}",
        name.unwrap_or_else(|| "a client".to_owned()),
        deeds.longest_ms / 1000.0,
        place.database.name,
        deeds.statement
    );
    Observation::new("db.slow_query", subject, says)
        .count(deeds.counts.total)
        .value(deeds.longest_ms / 1000.0, "s")
        .maybe_since(deeds.counts.first)
        .maybe_until(deeds.counts.last)
        .attr("statement", deeds.statement.as_str())
        .attr("table", deeds.table.as_str())
        .attr("application", who.application.as_str())
        .quote(&deeds.quote)
        .peer(place.database.clone())
}

// === impl Deeds ===

impl Deeds {
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

// === impl Who ===

impl Who {
    fn is_empty(&self) -> bool {
        self.address.is_empty() && self.user.is_empty() && self.application.is_empty()
    }

    fn learn(&mut self, told: &Self) {
        for (own, new) in [
            (&mut self.address, &told.address),
            (&mut self.user, &told.user),
            (&mut self.application, &told.application),
        ] {
            if own.is_empty() {
                own.clone_from(new);
            }
        }
    }

    fn shown(&self) -> Option<String> {
        let named = [&self.application, &self.user, &self.address];
        named.into_iter().find(|name| !name.is_empty()).cloned()
    }
}

// === impl Place ===

impl Place<'_> {
    /// The object behind a client: by its address, else by the name it gave.
    fn resolve(&self, who: &Who) -> Option<Entity> {
        let by_address = self.peers.address(&who.address).filter(|e| e.kind == "Pod");
        let by_name = || {
            [&who.application, &who.user].into_iter().filter(|n| n.len() > 2).find_map(|name| {
                let dashed = name.replace('_', "-");
                [name.as_str(), dashed.as_str()].iter().find_map(|name| {
                    let known = self.peers.known(name, self.namespace);
                    known.or_else(|| self.peers.unique(name))
                })
            })
        };
        let found = by_address.or_else(by_name)?;
        let top = self.tops.get(&found).cloned().unwrap_or(found);
        (top != self.database && top.name != self.database.name).then_some(top)
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

/// Who a line is about: `host=10.1.2.3`, `remote=10.1.2.3:5`, `user=x`, `x@db`, `app=x`, and an
/// address in the prefix.
fn who_of(text: &str, head: &str) -> Who {
    let both = format!("{head}\n{text}");
    let after = |marks: &[&str]| {
        marks.iter().find_map(|mark| {
            let rest = both.split_once(mark)?.1.trim_start_matches(['"', '\'', '[']);
            let end = rest.find(|c: char| {
                c.is_whitespace() || matches!(c, ',' | '"' | '\'' | '(' | ')' | ']' | '[')
            });
            let word = rest.get(..end.unwrap_or(rest.len()))?;
            (!word.is_empty() && word != "unknown").then(|| word.to_owned())
        })
    };
    let told = after(&["host=", "client=", "remote=", "remote_host\":", "client_addr="]);
    let address = told.or_else(|| {
        let parts = |c: char| !(c.is_ascii_digit() || c == '.');
        let is_ip = |word: &&str| word.parse::<std::net::Ipv4Addr>().is_ok();
        head.split(parts).find(is_ip).map(str::to_owned)
    });
    let address = address.map(|a| a.split(':').next().unwrap_or_default().to_owned());
    let at = || {
        let word = head.split([' ', '\t']).find(|word| {
            word.split_once('@').is_some_and(|(user, db)| !user.is_empty() && !db.is_empty())
        })?;
        let user = word.split('@').next()?.rsplit([':', '[', ']']).next()?;
        (!user.is_empty()).then(|| user.to_owned())
    };
    Who {
        address: address.unwrap_or_default(),
        user: after(&["user=", "User@Host: ", "\"user\":"]).or_else(at).unwrap_or_default(),
        application: words::application(&both).unwrap_or_default(),
    }
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
