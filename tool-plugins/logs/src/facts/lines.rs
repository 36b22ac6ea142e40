//! Facts about kinds of lines: errors, settings taken over, ordinary lines that began or ended.

use agent_sdk::{Entity, Observation};

use super::{News, how_often, news};
use crate::{
    level::Level,
    rate::{Change, Counts},
    signals::words,
    tally::{self, Kind, Tally},
};

/// Facts about kinds of errors of one container.
const MAX_ERRORS: usize = 8;
/// Of these, errors that were there all along.
const MAX_OLD_ERRORS: usize = 3;
/// Facts about changed kinds of lines of one container.
const MAX_SHIFTS: usize = 5;

pub(super) fn reloads(subject: &Entity, tally: &Tally<'_>) -> Vec<Observation> {
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

/// Statements that lock or rewrite a whole table, by the program's own account.
pub(super) fn heavy(subject: &Entity, tally: &Tally<'_>) -> Vec<Observation> {
    let told = tally.heavy().take(6).map(|(statement, seen)| {
        spoken("db.heavy_statement", subject, &format!("it runs {statement}"), seen)
            .attr("statement", statement.as_str())
            .attr("table", words::table(statement).unwrap_or_default())
    });
    told.collect()
}

/// Indexes that a server says were dropped.
pub(super) fn dropped(subject: &Entity, tally: &Tally<'_>) -> Vec<Observation> {
    let told = tally.dropped().take(4).map(|(index, seen)| {
        spoken("db.index_dropped", subject, &format!("index {index} was dropped"), seen)
            .attr("index", index.as_str())
            .attr("table", words::table(&seen.quote).unwrap_or_default())
    });
    told.collect()
}

/// What a container says, as often as it says it.
fn spoken(signal: &str, subject: &Entity, what: &str, seen: &tally::Seen) -> Observation {
    let often = how_often(&seen.counts, seen.counts.first);
    let says = format!("container {} says that {what} {often}", subject.container);
    Observation::new(signal, subject.clone(), says)
        .count(seen.counts.total)
        .maybe_since(seen.counts.first)
        .maybe_until(seen.counts.last)
        .quote(&seen.quote)
}

/// Queues that the program says are not drained.
pub(super) fn backlogs(subject: &Entity, tally: &Tally<'_>) -> Vec<Observation> {
    let told = tally.queues().climbing().map(|(queue, waiting)| {
        let says = format!(
            "container {} says that more and more waits{}: {} at last, {} {} lines before",
            subject.container,
            if queue.is_empty() { String::new() } else { format!(" in queue {queue}") },
            waiting.last,
            waiting.first,
            waiting.times - 1
        );
        Observation::new("log.backlog_growing", subject.clone(), says)
            .count(waiting.times)
            .value(waiting.last, "1")
            .baseline(waiting.first)
            .maybe_since(waiting.since)
            .maybe_until(waiting.until)
            .attr("queue", queue)
            .quote(&waiting.quote)
    });
    told.collect()
}

pub(super) fn errors(subject: &Entity, tally: &Tally<'_>, new_harm: &mut u64) -> Vec<Observation> {
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
        .attr("of", whose(kind))
        .quote(&tally::quote(&kind.quote, kind.exception.as_ref()));
    match &kind.exception {
        Some(exception) => fact.attr("exception", exception.class.as_str()),
        None => fact,
    }
}

/// Whose fault a line tells: another's, that cannot be reached, found or used; the program's code;
/// or empty where it does not say.
fn whose(kind: &tally::Kind) -> &'static str {
    let thrown = kind.exception.as_ref().map_or("", |exception| exception.line.as_str());
    if kind.of_another {
        "another"
    } else if words::is_of_code(&kind.quote) || words::is_of_code(thrown) {
        "code"
    } else {
        ""
    }
}

/// Kinds of ordinary lines that began, ended or changed their rate. What a program says only while
/// it starts is no change.
pub(super) fn shifts(subject: &Entity, tally: &Tally<'_>) -> Vec<Observation> {
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
        let work = if is_work_done(&template) { verb } else { "" };
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
            .attr("work", work)
            .quote(&kind.quote);
        found.push((change.evidence, fact));
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.into_iter().take(MAX_SHIFTS).map(|(_, fact)| fact).collect()
}

/// Whether a kind of line tells of a piece of work that was done.
fn is_work_done(template: &str) -> bool {
    const DONE: &[&str] = &[
        "succeeded",
        "success",
        "processed",
        "consumed",
        "handled",
        "completed",
        "finished",
        "acked",
        "acknowledged",
        "committed",
        "delivered",
        "dispatched",
        "done",
    ];
    const PIECE: &[&str] = &[
        "message",
        "messages",
        "msg",
        "task",
        "tasks",
        "job",
        "jobs",
        "event",
        "events",
        "record",
        "records",
        "batch",
        "batches",
        "item",
        "items",
        "offset",
        "offsets",
        "delivery",
        "queue",
        "topic",
        "partition",
        "order",
        "orders",
        "payload",
        "entry",
        "entries",
    ];
    let lower = template.to_ascii_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let any = |table: &[&str]| words.iter().any(|word| table.contains(word));
    any(DONE) && any(PIECE)
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
