//! Laying out text for people: wrapped lines, columns, times, names. Pure.

use agent_proto::tool::v1::EntityRef;
use jiff::Timestamp;
use prost_types::{Duration, Timestamp as Stamp};

/// Widest line.
pub(super) const WIDTH: usize = 100;

/// The words in lines of at most [`WIDTH`] columns; the first line begins with `head`, further ones
/// are indented as deep as `head` is long.
pub(super) fn wrapped(head: &str, words: &str) -> String {
    wrapped_to(WIDTH, head, words)
}

/// As [`wrapped`], in lines of at most `width` columns. What steers a terminal is left out: the
/// words come from logs.
pub(super) fn wrapped_to(width: usize, head: &str, words: &str) -> String {
    let deep = head.chars().count();
    let mut lines = vec![head.to_owned()];
    let mut column = deep;
    let seen = |word: &str| -> String { word.chars().filter(|c| !c.is_control()).collect() };
    for word in words.split_whitespace().map(seen) {
        let long = word.chars().count();
        let blank = usize::from(column > deep);
        if column > deep && column + blank + long > width {
            lines.push(" ".repeat(deep));
            column = deep;
        }
        if let Some(line) = lines.last_mut() {
            if column > deep {
                line.push(' ');
            }
            line.push_str(&word);
        }
        column += usize::from(column > deep) + long;
    }
    let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    lines.join("\n")
}

/// At most `most` characters, with a mark where it was cut; line ends become blanks.
pub(super) fn cut(text: &str, most: usize) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if flat.chars().count() <= most {
        return flat;
    }
    let kept: String = flat.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Rows as columns, each as wide as its widest cell; the last one is left as it is.
pub(super) fn columns(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|word| (*word).to_owned()).collect();
    let all = || std::iter::once(&head).chain(rows);
    let wide = |column: usize| {
        all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(wide).collect();
    let mut out = String::new();
    for row in all() {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// A name without `investigations/` in front.
pub(super) fn bare(name: &str) -> &str {
    name.strip_prefix("investigations/").unwrap_or(name)
}

/// An object as people write it: `Deployment namespace/name`, with its container.
pub(super) fn object(entity: &EntityRef) -> String {
    let place = match entity.namespace.as_str() {
        "" => entity.name.clone(),
        namespace => format!("{namespace}/{}", entity.name),
    };
    let container = match entity.container.as_str() {
        "" => String::new(),
        container => format!(" (container {container})"),
    };
    format!("{} {place}{container}", entity.kind).trim_start().to_owned()
}

/// A time of the wire.
pub(super) fn time(stamp: Option<&Stamp>) -> Option<Timestamp> {
    let stamp = stamp?;
    Timestamp::new(stamp.seconds, stamp.nanos).ok()
}

/// A time on the wire.
pub(super) fn stamp(time: Timestamp) -> Stamp {
    Stamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }
}

/// Day and minute, in UTC.
pub(super) fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Time of day, in UTC.
pub(super) fn clock(time: Timestamp) -> String {
    time.strftime("%H:%M:%S").to_string()
}

/// Time of day, in UTC, with the day where that is another than the one of `now`.
pub(super) fn moment(time: Timestamp, now: Timestamp) -> String {
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    if day(time) == day(now) { clock(time) } else { format!("{} {}", day(time), clock(time)) }
}

/// A span that somebody chose, without a fraction where it has none: `30 s`, `1 min`, `0.5 s`.
pub(super) fn chosen(span: Option<&Duration>) -> String {
    let span = std::time::Duration::try_from(span.copied().unwrap_or_default()).unwrap_or_default();
    match (span.as_secs() / 60, span.as_secs() % 60, span.subsec_millis()) {
        (minutes @ 1.., 0, 0) => format!("{minutes} min"),
        (0, seconds, 0) => format!("{seconds} s"),
        _ => spent(span),
    }
}

/// A span on the wire, such as `0.4 s` or `2 min 5 s`.
pub(super) fn took(span: Option<&Duration>) -> String {
    let span = span.copied().unwrap_or_default();
    let seconds = std::time::Duration::try_from(span).unwrap_or_default().as_secs_f64();
    spent(std::time::Duration::from_secs_f64(seconds))
}

/// A span such as `3 ms`, `0.4 s` or `2 min 5 s`.
pub(super) fn spent(span: std::time::Duration) -> String {
    match span.as_secs() {
        0 if span.is_zero() => "0 s".to_owned(),
        0 if span.as_millis() == 0 => "<1 ms".to_owned(),
        0 if span.as_millis() < 100 => format!("{} ms", span.as_millis()),
        seconds @ 60.. => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{:.1} s", span.as_secs_f64()),
    }
}

/// A share as per cent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// How many, with the word in the singular or plural.
pub(super) fn counted(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn words_are_wrapped_below_the_head_and_none_is_lost() {
        let words = "word ".repeat(50);
        let laid = wrapped("  1. ", &words);
        assert!(laid.lines().all(|line| line.chars().count() <= WIDTH), "{laid}");
        assert!(laid.lines().skip(1).all(|line| line.starts_with("     word")), "{laid}");
        assert_eq!(laid.matches("word").count(), 50);
        assert_eq!(wrapped("CAUSE  ", ""), "CAUSE");
        let long = "x".repeat(120);
        assert_eq!(wrapped("- ", &long), format!("- {long}"));
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![
            vec!["a".to_owned(), "bbbb".to_owned(), "c".to_owned()],
            vec!["aaa".to_owned(), "b".to_owned(), String::new()],
        ];
        assert_eq!(columns(&["X", "Y", "Z"], &rows), "X    Y     Z\na    bbbb  c\naaa  b\n");
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        assert_eq!(cut("größer als\n gedacht", 8), "größer…");
        assert_eq!(cut("kurz", 8), "kurz");
    }

    #[test]
    fn objects_and_spans_are_written_for_people() {
        let pod = EntityRef {
            kind: "Pod".to_owned(),
            namespace: "a".to_owned(),
            name: "b".to_owned(),
            container: "c".to_owned(),
            ..EntityRef::default()
        };
        assert_eq!(object(&pod), "Pod a/b (container c)");
        let node =
            EntityRef { kind: "Node".to_owned(), name: "n".to_owned(), ..EntityRef::default() };
        assert_eq!(object(&node), "Node n");
        assert_eq!(took(Some(&Duration { seconds: 125, nanos: 0 })), "2 min 5 s");
        for (nanos, said) in
            [(420_000_000, "0.4 s"), (3_400_000, "3 ms"), (70_000, "<1 ms"), (0, "0 s")]
        {
            assert_eq!(took(Some(&Duration { seconds: 0, nanos })), said);
        }
        for (seconds, nanos, said) in
            [(30, 0, "30 s"), (60, 0, "1 min"), (90, 0, "1 min 30 s"), (0, 500_000_000, "0.5 s")]
        {
            assert_eq!(chosen(Some(&Duration { seconds, nanos })), said);
        }
    }

    #[test]
    fn a_time_of_another_day_has_its_date() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-11-22T08:00:00Z");
        assert_eq!(moment(at("2026-11-22T07:59:58Z"), now), "07:59:58");
        assert_eq!(moment(at("2026-11-21T23:59:58Z"), now), "2026-11-21 23:59:58");
    }
}
