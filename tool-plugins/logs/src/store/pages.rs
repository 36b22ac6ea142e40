//! Reading back through a store page by page, the newest first. The end of the next page is the
//! oldest line had, once more: lines of one instant may lie on both sides of a page's end. What
//! comes twice is kept once.

use std::collections::BTreeSet;

use agent_sdk::Failure;
use jiff::Timestamp;
use plugin_cluster::LogLine;

use super::{Entry, Had, MAX_BYTES, MAX_LINES, Page, Wanted, shipped::unwrapped};

/// Lines of the first page: most questions are about the last words.
const FIRST: usize = 1_000;
/// Lines of later pages; the most that a Loki gives that was not set up otherwise.
const NEXT: usize = 5_000;
/// A server that gives fewer at once is not asked any further.
const LEAST: usize = 100;

/// The end of the reason of a failure of servers that give fewer lines at once.
pub(super) const PAGE_TOO_LARGE: &str = "PAGE_TOO_LARGE";

/// Pages being read, until all that is wanted was had, or a bound is met. Who asks for them gives
/// lines up to a time, those at that time as well.
#[derive(Debug)]
pub(super) struct Pages<'a> {
    wanted: &'a Wanted,
    most: usize,
    seen: BTreeSet<Entry>,
    bytes: usize,
    gap: Option<Failure>,
    /// The end of the next page, and how many lines it may have.
    next: Option<(Timestamp, usize)>,
    /// The most lines of a page that the server gives.
    largest: usize,
}

impl<'a> Pages<'a> {
    pub(super) fn new(wanted: &'a Wanted) -> Self {
        let most = wanted.lines.min(MAX_LINES);
        Self {
            wanted,
            most,
            seen: BTreeSet::new(),
            bytes: 0,
            gap: None,
            next: (most > 0).then(|| (wanted.to, FIRST.min(most).max(LEAST))),
            largest: NEXT,
        }
    }

    /// The end of the next page, and how many lines it may have.
    pub(super) fn next(&self) -> Option<(Timestamp, usize)> {
        self.next
    }

    /// Takes what came. What fails before anything was had is the outcome.
    pub(super) fn take(&mut self, page: Result<Page, Failure>) -> Result<(), Failure> {
        let Some((until, size)) = self.next.take() else { return Ok(()) };
        match page {
            Ok(page) => self.add(page, until),
            Err(failure) if failure.reason.ends_with(PAGE_TOO_LARGE) && size > LEAST => {
                self.largest = (size / 5).max(LEAST);
                self.next = Some((until, self.largest));
            }
            Err(failure) if self.seen.is_empty() => return Err(failure),
            Err(failure) => self.gap = Some(failure),
        }
        Ok(())
    }

    fn add(&mut self, page: Page, until: Timestamp) {
        self.gap = self.gap.take().or(page.partial);
        let Some(oldest) = page.oldest else { return };
        let before = self.seen.len();
        let wanted = self.wanted;
        let meant =
            |e: &Entry| e.time >= wanted.from && e.time < wanted.to && wanted.is_of(&e.speaker);
        for entry in page.entries.into_iter().filter(meant) {
            let length = entry.text.len();
            self.bytes += if self.seen.insert(entry) { length } else { 0 };
        }
        if !page.is_full || oldest < wanted.from {
            return;
        }
        // More lines of one instant than a page holds cannot be told apart by time.
        let stuck = self.seen.len() == before && oldest >= until;
        if self.bytes > MAX_BYTES || stuck {
            self.gap = self.gap.take().or_else(|| Some(cut(self.seen.len())));
        } else if self.seen.len() < self.most {
            self.next = Some((oldest, self.largest));
        }
    }

    /// The newest lines, oldest first.
    pub(super) fn finish(self) -> Had {
        let Self { wanted, most, seen, gap, .. } = self;
        let is_cut = wanted.lines >= MAX_LINES && seen.len() >= most;
        let gap = gap.or_else(|| is_cut.then(|| cut(seen.len().min(most))));
        let mut had = Had { gap, ..Had::default() };
        let older = seen.len().saturating_sub(most);
        for entry in seen.into_iter().skip(older) {
            let line = LogLine { time: Some(entry.time), text: unwrapped(entry.text) };
            had.lines.entry(entry.speaker).or_default().push(line);
        }
        had
    }
}

fn cut(lines: usize) -> Failure {
    let says = format!("only the newest {lines} lines were taken; there are older ones");
    Failure::external("LOG_STORE_CUT", says)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::store::Whose;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_735_812_000 + second).unwrap()
    }

    fn entry(second: i64, number: usize) -> Entry {
        let speaker = ("web-0".to_owned(), "app".to_owned());
        Entry { time: at(second), speaker, text: format!("line {number}"), id: String::new() }
    }

    fn wanted(lines: usize) -> Wanted {
        Wanted {
            namespace: "shop".to_owned(),
            whose: Whose::Pod("web-0".to_owned()),
            container: String::new(),
            from: at(0),
            to: at(100_000),
            lines,
        }
    }

    /// Reads from a store of `all`, ordered by time, which gives `most` at once.
    fn from(all: &[Entry], most: usize, wanted: &Wanted) -> (Had, usize) {
        let (mut asked, mut pages) = (0, Pages::new(wanted));
        while let Some((until, size)) = pages.next() {
            asked += 1;
            let page = if size > most {
                Err(Failure::external(PAGE_TOO_LARGE, "too large"))
            } else {
                let fits = all.iter().rev().filter(|e| e.time <= until);
                Ok(Page::of(fits.take(size).cloned().collect(), size, None))
            };
            pages.take(page).unwrap();
        }
        (pages.finish(), asked)
    }

    fn count(had: &Had) -> usize {
        had.lines.values().map(Vec::len).sum()
    }

    #[test]
    fn all_lines_are_had_once_over_pages_that_end_within_an_instant() {
        // Seven lines a second: no page ends where a second does.
        let all: Vec<Entry> = (0..9_000).map(|n| entry(i64::try_from(n / 7).unwrap(), n)).collect();
        let (had, asked) = from(&all, NEXT, &wanted(MAX_LINES));
        assert_eq!((count(&had), asked, had.gap.is_none()), (9_000, 3, true));
        let lines = had.lines.values().next().unwrap();
        assert!(lines.is_sorted_by_key(|line| line.time), "oldest first");
        let (had, _) = from(&all, 500, &wanted(MAX_LINES));
        assert_eq!(count(&had), 9_000, "a server with smaller pages");
        let (had, asked) = from(&all, NEXT, &wanted(50));
        assert_eq!((count(&had), asked), (50, 1));
        assert_eq!(had.lines.values().next().unwrap().last().unwrap().text, "line 8999");
    }

    #[test]
    fn more_lines_of_one_instant_than_a_page_holds_end_it_with_a_gap() {
        let all: Vec<Entry> = (0..9_000).map(|n| entry(5, n)).collect();
        let (had, asked) = from(&all, 500, &wanted(MAX_LINES));
        assert!(asked < 10, "{asked}");
        assert_eq!(had.gap.unwrap().reason, "LOG_STORE_CUT");
    }

    #[test]
    fn more_lines_than_are_taken_in_are_a_gap() {
        let all: Vec<Entry> =
            (0..MAX_LINES + 5).map(|n| entry(i64::try_from(n).unwrap(), n)).collect();
        let (had, _) = from(&all, NEXT, &wanted(MAX_LINES));
        assert_eq!(count(&had), MAX_LINES);
        assert_eq!(had.gap.unwrap().reason, "LOG_STORE_CUT");
    }

    #[test]
    fn what_fails_after_some_lines_were_had_is_a_gap_and_before_a_failure() {
        let says = || Failure::external("LOKI_FAILED", "boom");
        let wanted = wanted(MAX_LINES);
        let mut pages = Pages::new(&wanted);
        let (_, size) = pages.next().unwrap();
        let entries = (0..size).map(|n| entry(i64::try_from(n).unwrap() + 7, n)).collect();
        pages.take(Ok(Page::of(entries, size, None))).unwrap();
        pages.take(Err(says())).unwrap();
        assert!(pages.next().is_none());
        let had = pages.finish();
        assert_eq!((count(&had), had.gap.unwrap().reason), (FIRST, "LOKI_FAILED".to_owned()));
        assert_eq!(Pages::new(&wanted).take(Err(says())).unwrap_err().reason, "LOKI_FAILED");
    }
}
