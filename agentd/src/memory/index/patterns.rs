//! What recurs: which causes the cases of one alert had, how often people confirmed or contradicted
//! them, how long ago. A fold over the cases, so it is learnt, corrected and made anew with them.
//! A pattern says which cause to check first; it adds no belief.
//!
//! Stated arithmetic: a case that people confirmed, or named the cause of, weighs 1, one that nobody
//! judged 0.6, one that is partly right 0.4, and one that people said was not so -1 for the cause
//! that was found. Weights halve every 90 days.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    Blamed, Entry, Index, NOBODY,
    rank::{Query, compare},
};
use crate::{
    alert::Alert,
    investigation::finding::{Judgement, LearnedPattern},
    memory::{
        similarity::Compared,
        words::{NOTHING, Word},
    },
};

/// Cases from which something recurs.
const RECURS: u32 = 2;
/// Most patterns told of one alert.
const MOST: usize = 3;
/// Weight below which a pattern is not told any more: two cases that nobody judged are forgotten
/// after a good year.
const FORGOTTEN: f64 = 0.05;
/// Days after which a case weighs half.
const HALF_LIFE_DAYS: f64 = 90.0;
/// Seconds of a day.
const DAY: f64 = 86_400.0;
/// Weight of a case that people confirmed, or named the cause of.
const CONFIRMED: f64 = 1.0;
/// Weight of a case that nobody judged.
const UNJUDGED: f64 = 0.6;
/// Weight of a case that is partly right.
const PARTLY: f64 = 0.4;
/// Share of the cases that show a signal for it to be a usual one.
const USUAL: f64 = 0.66;
/// Usual signals named.
const NAMED: usize = 3;

/// Where a group of cases comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Source {
    kind: Word,
    service: Word,
    namespace: Word,
}

/// What was counted of one cause.
#[derive(Debug, Clone, Default)]
struct Tally {
    seen: u32,
    confirmed: u32,
    contradicted: u32,
    weight: f64,
    last: Timestamp,
    signals: BTreeMap<Word, u32>,
}

impl Index {
    /// Share of each cause's weight among the cases of the same alert, 0 to 1.
    pub(super) fn priors(&self, query: &Query, now: Timestamp) -> BTreeMap<Blamed, f64> {
        let tallies = tally(&self.same_alert(query), now, |cause| cause);
        let all: f64 = tallies.values().map(|one| one.weight.max(0.0)).sum();
        let share = |weight: f64| if all > 0.0 { weight.max(0.0) / all } else { 0.0 };
        tallies.iter().map(|(cause, one)| (*cause, share(one.weight))).collect()
    }

    /// What recurring cases teach about an alert, strongest first, at most three. With signals, a
    /// pattern whose usual signals are seen leads, and without cases of the same alert those of the
    /// same type on other services speak when they showed the same signals.
    pub(in crate::memory) fn patterns(
        &self,
        alert: &Alert,
        signals: &[String],
        now: Timestamp,
    ) -> Vec<LearnedPattern> {
        let query = self.query(alert, signals);
        let source =
            Source { kind: query.kind, service: query.service, namespace: query.namespace };
        let own = self.told(source, &self.same_alert(&query), now);
        let mut found: Vec<(f64, LearnedPattern)> = own
            .into_iter()
            .filter(|(weight, one)| one.seen >= RECURS && *weight > FORGOTTEN)
            .map(|(weight, one)| (weight * (0.5 + 0.5 * fit(&one, signals)), one))
            .collect();
        if found.is_empty() && !signals.is_empty() {
            found = self.elsewhere(&query, signals, now);
        }
        strongest(found, MOST)
    }

    /// What recurs among some cases, by alert, strongest first.
    pub(in crate::memory) fn recurring(
        &self,
        ids: &[Uuid],
        now: Timestamp,
        most: usize,
    ) -> Vec<LearnedPattern> {
        let mut groups: BTreeMap<Source, Vec<&Entry>> = BTreeMap::new();
        for case in ids.iter().filter_map(|id| self.entry(*id)) {
            let (kind, service, namespace) = (case.kind, case.service, case.namespace);
            groups.entry(Source { kind, service, namespace }).or_default().push(case);
        }
        let mut found = Vec::new();
        for (source, mut cases) in groups {
            in_order(&mut cases);
            let told = self.told(source, &cases, now).into_iter();
            found.extend(told.filter(|(_, one)| one.seen + one.contradicted >= RECURS));
        }
        strongest(found, most)
    }

    /// Cases of the same type on the same service, in a fixed order; of the same one of the two
    /// when the alert names only one.
    fn same_alert(&self, query: &Query) -> Vec<&Entry> {
        if query.kind == NOTHING && query.service == NOTHING {
            return Vec::new();
        }
        let fits = |asked: Word, known: Word| asked == NOTHING || asked == known;
        let mut cases: Vec<&Entry> = self
            .candidates(query)
            .filter(|case| fits(query.kind, case.kind) && fits(query.service, case.service))
            .filter(|case| compare(query.namespace, case.namespace) != Compared::Other)
            .collect();
        in_order(&mut cases);
        cases
    }

    /// Patterns of the same type of alert on other services: of category alone, and only when at
    /// least half of what those cases usually showed is seen.
    fn elsewhere(
        &self,
        query: &Query,
        signals: &[String],
        now: Timestamp,
    ) -> Vec<(f64, LearnedPattern)> {
        let mut cases: Vec<&Entry> =
            self.candidates(query).filter(|case| case.kind == query.kind).collect();
        in_order(&mut cases);
        let category = |cause: Blamed| Blamed { culprit: NOTHING, ..cause };
        let source = Source { kind: query.kind, service: NOTHING, namespace: NOTHING };
        let all = tally(&cases, now, category).into_iter();
        let told = all.map(|(cause, one)| {
            let weight = one.weight;
            (weight, self.pattern(source, cause, one, cases.len()))
        });
        told.filter(|(weight, one)| one.seen >= RECURS && *weight > FORGOTTEN)
            .filter(|(_, one)| !one.signals.is_empty() && fit(one, signals) >= 0.5)
            .collect()
    }

    fn told(&self, source: Source, cases: &[&Entry], now: Timestamp) -> Vec<(f64, LearnedPattern)> {
        let all = tally(cases, now, |cause| cause).into_iter();
        all.map(|(cause, one)| (one.weight, self.pattern(source, cause, one, cases.len())))
            .collect()
    }

    fn pattern(&self, source: Source, cause: Blamed, tally: Tally, of: usize) -> LearnedPattern {
        let text = |word: Word| self.words.text(word).to_owned();
        let enough = (f64::from(tally.seen) * USUAL).max(1.0);
        let usual = tally.signals.iter().filter(|(_, cases)| f64::from(**cases) >= enough);
        let mut usual: Vec<Word> = usual.map(|(signal, _)| *signal).collect();
        usual.sort_by(|a, b| {
            self.rarity(*b)
                .total_cmp(&self.rarity(*a))
                .then_with(|| self.words.text(*a).cmp(self.words.text(*b)))
        });
        let of = u32::try_from(of).unwrap_or(u32::MAX);
        let mut pattern = LearnedPattern {
            statement: String::new(),
            kind: text(source.kind),
            service: text(source.service),
            namespace: text(source.namespace),
            category: if cause.worded { String::new() } else { text(cause.category) },
            culprit: cause.culprit(&self.words),
            signals: usual.into_iter().take(NAMED).map(text).collect(),
            seen: tally.seen,
            confirmed: tally.confirmed,
            contradicted: tally.contradicted,
            share: f64::from(tally.seen) / f64::from(of.max(1)),
            last: tally.last,
        };
        pattern.statement = sentence(&pattern, self.words.text(cause.category), of);
        pattern
    }
}

/// One line: what it was about, what it was, how often, and what people said.
fn sentence(of: &LearnedPattern, cause: &str, cases: u32) -> String {
    let mut said = if of.kind.is_empty() { "an alert".to_owned() } else { of.kind.clone() };
    for (word, part) in [("on", &of.service), ("in", &of.namespace)] {
        if !part.is_empty() {
            said.push_str(&format!(" {word} {part}"));
        }
    }
    said.push_str(&format!(" was {cause}"));
    if let Some(culprit) = &of.culprit {
        said.push_str(&format!(" of {culprit}"));
    }
    let times = if of.seen == 1 { "once".to_owned() } else { format!("{} times", of.seen) };
    said.push_str(&format!(
        " in {} of {cases} cases: seen {times}, {} confirmed",
        of.seen, of.confirmed
    ));
    if of.contradicted > 0 {
        said.push_str(&format!(", {} contradicted", of.contradicted));
    }
    if of.seen > 0 {
        said.push_str(&format!(", last {}", of.last.strftime("%Y-%m-%d")));
    }
    said
}

/// Counts causes over cases; `as_told` may make several causes one.
fn tally(
    cases: &[&Entry],
    now: Timestamp,
    as_told: impl Fn(Blamed) -> Blamed,
) -> BTreeMap<Blamed, Tally> {
    let mut found: BTreeMap<Blamed, Tally> = BTreeMap::new();
    for case in cases {
        let days = (now.duration_since(case.ended).as_secs_f64() / DAY).max(0.0);
        let aged = 0.5_f64.powf(days / HALF_LIFE_DAYS);
        if case.cause != NOBODY {
            let one = found.entry(as_told(case.cause)).or_default();
            let sure = case.corrected || case.judged == Some(Judgement::Correct);
            one.seen += 1;
            one.confirmed += u32::from(sure);
            one.weight += aged
                * match case.judged {
                    _ if sure => CONFIRMED,
                    Some(Judgement::Partly) => PARTLY,
                    Some(Judgement::Correct | Judgement::Incorrect) | None => UNJUDGED,
                };
            one.last = one.last.max(case.ended);
            for signal in &case.signals {
                *one.signals.entry(*signal).or_default() += 1;
            }
        }
        let wrong = case.judged == Some(Judgement::Incorrect);
        if wrong && case.found != NOBODY && as_told(case.found) != as_told(case.cause) {
            let one = found.entry(as_told(case.found)).or_default();
            one.contradicted += 1;
            one.weight -= aged;
        }
    }
    found
}

/// Share of a pattern's usual signals that are seen; 1 when there is nothing to compare.
fn fit(pattern: &LearnedPattern, signals: &[String]) -> f64 {
    if signals.is_empty() || pattern.signals.is_empty() {
        return 1.0;
    }
    let seen: BTreeSet<&String> = signals.iter().collect();
    let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    count(pattern.signals.iter().filter(|one| seen.contains(one)).count())
        / count(pattern.signals.len())
}

fn strongest(mut found: Vec<(f64, LearnedPattern)>, most: usize) -> Vec<LearnedPattern> {
    found.sort_by(|(a, one), (b, other)| {
        b.total_cmp(a).then_with(|| one.statement.cmp(&other.statement))
    });
    found.into_iter().take(most).map(|(_, one)| one).collect()
}

/// Sums of fractions depend on their order: the same one after every restart.
fn in_order(cases: &mut [&Entry]) {
    cases.sort_by(|a, b| a.ended.cmp(&b.ended).then(a.id.cmp(&b.id)));
}
