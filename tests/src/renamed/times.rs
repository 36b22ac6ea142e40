//! Times in texts, moved by days: dates as programs write them, and seconds or milliseconds since
//! 1970 of the years that recordings are from. What is no time stays.

use jiff::{Span, civil::Date};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY: i64 = 24 * 3600;
/// Seconds since 1970 that count as times: autumn 2020 to spring 2033.
const TIMES: std::ops::Range<i64> = 1_600_000_000..2_000_000_000;

/// `text` with all times moved by `days`.
pub(super) fn moved(text: &str, days: i64) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, number) = rest.split_at(at);
        out.push_str(before);
        let begins = !out.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '.');
        let found = || {
            let date = date(number, days);
            date.or_else(|| clf(number, days)).or_else(|| epoch(number, days))
        };
        let taken = match begins.then(found).flatten() {
            Some((taken, new)) => {
                out.push_str(&new);
                taken
            }
            None => {
                let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
                out.push_str(number.get(..end).unwrap_or_default());
                end
            }
        };
        rest = number.get(taken..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// `2025-11-28` or `2025/11/28`.
fn date(text: &str, days: i64) -> Option<(usize, String)> {
    let text = text.get(..10)?;
    let mark = text.chars().nth(4).filter(|mark| ['-', '/'].contains(mark))?;
    let mut parts = text.split(mark);
    let read = Date::new(
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
    );
    let new = read.ok()?.checked_add(Span::new().days(days)).ok()?;
    Some((10, format!("{:04}{mark}{:02}{mark}{:02}", new.year(), new.month(), new.day())))
}

/// `28/Nov/2025`, as web servers write it.
fn clf(text: &str, days: i64) -> Option<(usize, String)> {
    let text = text.get(..11)?;
    let mut parts = text.split('/');
    let day = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let month = MONTHS.iter().zip(1_i8..).find(|(month, _)| **month == name)?.1;
    let read = Date::new(parts.next()?.parse().ok()?, month, day).ok()?;
    let new = read.checked_add(Span::new().days(days)).ok()?;
    let month = usize::try_from(new.month()).ok().and_then(|month| MONTHS.get(month - 1))?;
    Some((11, format!("{:02}/{month}/{:04}", new.day(), new.year())))
}

/// Seconds or milliseconds since 1970, ten or thirteen digits.
fn epoch(text: &str, days: i64) -> Option<(usize, String)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let digits = text.get(..end)?;
    if text.get(end..)?.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let number: i64 = digits.parse().ok()?;
    let unit = match end {
        10 => 1,
        13 => 1000,
        _ => return None,
    };
    TIMES.contains(&(number / unit)).then(|| (end, (number + days * DAY * unit).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_moved_in_all_their_forms_and_nothing_else_is() {
        for (text, expected) in [
            ("2025-11-28T18:42:00Z x", "2026-11-28T18:42:00Z x"),
            ("2025/11/28 18:12:26 sent", "2026/11/28 18:12:26 sent"),
            ("[28/Nov/2025:17:42:45 +0000]", "[28/Nov/2026:17:42:45 +0000]"),
            ("\"time\":1764353082035,", "\"time\":1795889082035,"),
            ("{} 148130 1764351720", "{} 148130 1795887720"),
            (
                "v3.22.1 10.244.1.34 8589934592 id-1764351720a 2025-99-99",
                "v3.22.1 10.244.1.34 8589934592 id-1764351720a 2025-99-99",
            ),
        ] {
            assert_eq!(moved(text, 365), expected, "{text}");
        }
        assert_eq!(moved("2024-03-01T00:00:00Z", -365), "2023-03-02T00:00:00Z");
    }
}
