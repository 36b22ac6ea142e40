//! From a tally to facts in the words of the signal catalogue, bounded and the telling ones first.

use agent_sdk::{Entity, Observation};
use jiff::Timestamp;

use crate::{
    level::Level,
    rate::{Change, Counts},
    signals::Mechanism,
    tally::{self, Kind, Seen, Tally},
};

/// Facts about kinds of errors of one container.
const MAX_ERRORS: usize = 8;
/// Of these, errors that were there all along.
const MAX_OLD_ERRORS: usize = 3;
/// Facts about changed kinds of lines of one container.
const MAX_SHIFTS: usize = 5;
/// Facts about mechanisms of one container.
const MAX_MECHANISMS: usize = 16;

/// What a log told.
#[derive(Debug, Default)]
pub struct Told {
    /// Facts, the telling ones first.
    pub facts: Vec<Observation>,
    /// How many lines of harm are new; orders containers of one workload.
    pub new_harm: u64,
}

/// The facts of one container's log.
#[must_use]
pub fn of(subject: &Entity, tally: &Tally<'_>) -> Told {
    let mut told = Told::default();
    told.facts.extend(mechanisms(subject, tally, &mut told.new_harm));
    told.facts.extend(reloads(subject, tally));
    told.facts.extend(errors(subject, tally, &mut told.new_harm));
    if told.new_harm == 0 && tally.lines() > 0 {
        let says = format!(
            "container {} logs no errors beyond the usual in {} lines",
            subject.container,
            tally.lines()
        );
        let quiet = Observation::new("log.quiet", subject.clone(), says);
        told.facts.push(quiet.attr("lines", tally.lines().to_string()));
    }
    told.facts.extend(shifts(subject, tally));
    told
}

/// Whether something is new, and since when it counts.
struct News {
    is_new: bool,
    since: Option<Timestamp>,
    /// Whether its beginning was seen, or it may be older than the log.
    begins_in_log: bool,
    /// The clearest change of its rate, with the lead.
    change: Option<Change>,
}

/// Lines of one kind that make it weighty in a log without an earlier part.
const WEIGHTY: u64 = 10;

/// New by its rate. In a log too short to have an earlier part, what is weighty counts as new, as
/// it may well be. What ends a program is new unless it was there from early on.
fn news(counts: &Counts, grave: bool, tally: &Tally<'_>) -> News {
    let window = tally.window();
    let change = counts.change(window, true);
    let by_rate = change.filter(Change::is_new);
    let (early, _) = counts.around(crate::rate::BUCKETS / 4);
    let weighty = counts.total >= WEIGHTY || counts.total * 20 >= tally.all().total;
    let is_new = match (by_rate, window.has_past()) {
        (Some(_), _) => true,
        (None, false) => weighty || grave,
        (None, true) => grave && (early < 1.0 || !window.lead.is_zero()),
    };
    let since = match by_rate {
        // The odd one before the change is not its beginning.
        Some(change) if change.seen_before >= 1.0 => Some(change.at),
        _ => counts.first,
    };
    let begins_in_log = window.has_past() && (is_new || early < 1.0);
    News { is_new, since, begins_in_log, change }
}

impl News {
    fn onset(&self) -> &'static str {
        if self.begins_in_log { "seen" } else { "before_data" }
    }
}

fn mechanisms(subject: &Entity, tally: &Tally<'_>, new_harm: &mut u64) -> Vec<Observation> {
    let mut found: Vec<(bool, u64, Observation)> = Vec::new();
    for (mechanism, peer, seen) in tally.mechanisms() {
        let news = news(&seen.counts, is_grave(mechanism.signal), tally);
        if news.is_new {
            *new_harm += seen.counts.total;
        }
        let fact = mechanism_fact(subject, mechanism, (peer, seen), &news);
        found.push((news.is_new, seen.counts.total, fact));
    }
    found.sort_by_key(|(is_new, count, _)| (!is_new, std::cmp::Reverse(*count)));
    found.into_iter().take(MAX_MECHANISMS).map(|(.., fact)| fact).collect()
}

/// Mechanisms of which one line is enough.
fn is_grave(signal: &str) -> bool {
    matches!(
        signal,
        "log.panic" | "log.oom" | "log.exec_format" | "log.config_error" | "log.no_space"
    )
}

fn mechanism_fact(
    subject: &Entity,
    mechanism: &Mechanism,
    (peer, seen): (Option<&Entity>, &Seen),
    news: &News,
) -> Observation {
    let whom = peer.map(|p| p.name.clone());
    let mut verb = phrase(mechanism, whom.as_deref());
    if let (Some(exception), "log.panic") = (&seen.exception, mechanism.signal) {
        verb = format!("{verb} ({exception})");
    }
    let says =
        format!("container {} {verb} {}", subject.container, how_often(&seen.counts, news.since));
    let mut fact = Observation::new(mechanism.signal, subject.clone(), says)
        .count(seen.counts.total)
        .maybe_since(news.since)
        .maybe_until(seen.counts.last)
        .attr("is_new", news.is_new.to_string())
        .attr("onset", news.onset())
        .quote(&seen.quote);
    if let Some((name, value)) = &mechanism.detail {
        fact = fact.attr(*name, value.as_str());
    }
    if let Some(exception) = &seen.exception {
        fact = fact.attr("exception", exception.as_str());
    }
    match peer {
        Some(peer) => fact.peer(peer.clone()),
        None => fact,
    }
}

fn phrase(mechanism: &Mechanism, whom: Option<&str>) -> String {
    let detail = mechanism.detail.as_ref().map(|(_, value)| value.as_str());
    let to = |verb: &str| whom.map_or_else(|| verb.to_owned(), |whom| format!("{verb} {whom}"));
    let of = |verb: &str, other: &str| match whom {
        Some(whom) => format!("{verb} {whom}"),
        None => other.to_owned(),
    };
    match mechanism.signal {
        "log.connection_refused" => of("cannot connect to", "cannot connect"),
        "log.timeout" => of("waits in vain for", "runs into timeouts"),
        "log.upstream_error" => format!(
            "{}{}",
            of("gets errors from", "gets errors from what it calls"),
            detail.map(|s| format!(" (status {s})")).unwrap_or_default()
        ),
        "log.dns_failure" => format!("cannot resolve {}", detail.or(whom).unwrap_or("a name")),
        "log.tls_failure" => format!(
            "fails at TLS{}{}",
            whom.map(|w| format!(" with {w}")).unwrap_or_default(),
            detail.map(|d| format!(" ({d})")).unwrap_or_default()
        ),
        "log.auth_failure" => of("is refused for its credentials by", "sees credentials refused"),
        "log.permission_denied" => of("lacks a right at", "lacks a right"),
        "log.pool_exhausted" => of("finds no free connection to", "finds no free connection"),
        "log.lock_wait" => "waits for locks".to_owned(),
        "log.no_space" => "finds the disk full".to_owned(),
        "log.panic" => "crashes on an unhandled error".to_owned(),
        "log.oom" => "runs out of memory by its own account".to_owned(),
        "log.exec_format" => "is a program for another CPU architecture".to_owned(),
        "log.config_error" => format!(
            "complains about a setting{}",
            detail.map(|d| format!(" ({d})")).unwrap_or_default()
        ),
        other => crate::signals::said_of_load(other, whom).unwrap_or_else(|| to(other)),
    }
}

fn how_often(counts: &Counts, since: Option<Timestamp>) -> String {
    let times =
        if counts.total == 1 { "once".to_owned() } else { format!("{} times", counts.total) };
    match since {
        Some(since) if counts.total == 1 => format!("once, at {}", since.strftime("%H:%M")),
        Some(since) => format!("{times} since {}", since.strftime("%H:%M")),
        None => times,
    }
}

fn reloads(subject: &Entity, tally: &Tally<'_>) -> Vec<Observation> {
    let mut facts = Vec::new();
    for (reload, seen) in tally.reloads() {
        // A program that says so all the time tells nothing; one that names old and new does.
        if reload.old.is_empty() && seen.counts.total > 3 {
            continue;
        }
        let setting = if reload.setting.is_empty() { "settings" } else { &reload.setting };
        let values = if reload.new.is_empty() {
            String::new()
        } else if reload.old.is_empty() {
            format!(" = {}", reload.new)
        } else {
            format!(": {} -> {}", reload.old, reload.new)
        };
        let at = seen.counts.first.map(|t| format!(" at {}", t.strftime("%H:%M")));
        let says = format!(
            "container {} took over new {setting}{values}{}",
            subject.container,
            at.unwrap_or_default()
        );
        facts.push(
            Observation::new("log.config_reloaded", subject.clone(), says)
                .count(seen.counts.total)
                .maybe_since(seen.counts.first)
                .maybe_until(seen.counts.last)
                .attr("setting", reload.setting.as_str())
                .attr("old", reload.old.as_str())
                .attr("new", reload.new.as_str())
                .quote(&seen.quote),
        );
    }
    facts
}

fn errors(subject: &Entity, tally: &Tally<'_>, new_harm: &mut u64) -> Vec<Observation> {
    let mut found: Vec<(bool, Level, u64, Observation)> = Vec::new();
    for (template, kind) in tally.kinds().filter(|(_, kind)| kind.level >= Level::Warn) {
        let grave = kind.level == Level::Fatal || kind.is_crash;
        let mut news = news(&kind.counts, grave, tally);
        news.is_new &= !kind.is_harmless;
        let rises = news.change.is_some_and(|c| c.is_clear(4.0) && c.after > c.before);
        let rose = rises && !kind.is_harmless;
        if kind.level == Level::Warn && !news.is_new && !rose {
            continue;
        }
        if news.is_new && kind.level > Level::Warn {
            *new_harm += kind.counts.total;
        }
        let fact = error_fact(subject, &template, kind, &news);
        found.push((news.is_new || rose, kind.level, kind.counts.total, fact));
    }
    found.sort_by_key(|(is_new, level, count, _)| {
        (!is_new, std::cmp::Reverse(*level), std::cmp::Reverse(*count))
    });
    let mut old = 0;
    found.retain(|(is_new, ..)| {
        old += usize::from(!is_new);
        *is_new || old <= MAX_OLD_ERRORS
    });
    found.into_iter().take(MAX_ERRORS).map(|(.., fact)| fact).collect()
}

fn error_fact(subject: &Entity, template: &str, kind: &Kind, news: &News) -> Observation {
    let thrown = kind.exception.as_ref().map(|e| {
        let frame = e.frame.as_ref().map(|f| format!(" {f}")).unwrap_or_default();
        format!(" ({}{frame})", e.class)
    });
    let says = format!(
        "container {} logs \"{}\" {}{}{}",
        subject.container,
        agent_sdk::limits::cut_middle(template, 160),
        how_often(&kind.counts, news.since),
        thrown.unwrap_or_default(),
        if news.is_new { "" } else { ", as before" }
    );
    let fact = Observation::new("log.error_pattern", subject.clone(), says)
        .count(kind.counts.total)
        .maybe_since(news.since)
        .maybe_until(kind.counts.last)
        .attr("template", template)
        .attr("level", kind.level.word())
        .attr("is_new", news.is_new.to_string())
        .attr("onset", news.onset())
        .quote(&tally::quote(&kind.quote, kind.exception.as_ref()));
    match &kind.exception {
        Some(exception) => fact.attr("exception", exception.class.as_str()),
        None => fact,
    }
}

/// Kinds of ordinary lines that began, ended or changed their rate. What a program says only while
/// it starts is no change.
fn shifts(subject: &Entity, tally: &Tally<'_>) -> Vec<Observation> {
    let mut found: Vec<(f64, Observation)> = Vec::new();
    for (template, kind) in tally.kinds().filter(|(_, kind)| kind.level <= Level::Warn) {
        let Some(change) = kind.counts.change(tally.window(), false) else { continue };
        // Warnings that grew are told as error patterns.
        if kind.level == Level::Warn && change.after > change.before && !kind.is_harmless {
            continue;
        }
        let settled = change.past >= 0.15 && change.past <= 0.98;
        if follows_all(&kind.counts, change, tally) {
            continue;
        }
        let many = change.seen_before.max(change.seen_after) >= 8.0;
        if !change.is_clear(4.0) || !settled || !many {
            continue;
        }
        let verb = if change.before < 0.02 * change.after {
            "began"
        } else if change.after < 0.02 * change.before {
            "ended"
        } else if change.after > change.before {
            "came more often"
        } else {
            "came less often"
        };
        let says = format!(
            "container {}: lines \"{}\" {verb} at {}: {:.0} an hour, before {:.0}",
            subject.container,
            agent_sdk::limits::cut_middle(&template, 160),
            change.at.strftime("%H:%M"),
            change.after,
            change.before
        );
        let fact = Observation::new("log.pattern_shift", subject.clone(), says)
            .count(kind.counts.total)
            .value(change.after, "1/h")
            .baseline(change.before)
            .since(change.at)
            .maybe_until(kind.counts.last.filter(|last| *last > change.at))
            .attr("template", template)
            .attr("level", kind.level.word())
            .attr("before", format!("{:.0}", change.before))
            .attr("after", format!("{:.0}", change.after))
            .quote(&kind.quote);
        found.push((change.evidence, fact));
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.into_iter().take(MAX_SHIFTS).map(|(_, fact)| fact).collect()
}

/// Whether a kind of line only changed as all lines did: a container that ended or got more to do.
fn follows_all(counts: &Counts, change: Change, tally: &Tally<'_>) -> bool {
    let (own_before, own_after) = counts.around(change.bucket);
    let (all_before, all_after) = tally.all().around(change.bucket);
    let before = own_before / all_before.max(1.0);
    let after = own_after / all_after.max(1.0);
    // Too few lines afterwards tell nothing about their mix.
    let silent = all_after < 8.0 || all_before < 8.0;
    silent || before.max(after) < 3.0 * before.min(after)
}
