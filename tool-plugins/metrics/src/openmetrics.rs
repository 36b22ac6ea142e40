//! Reads the lines of the `OpenMetrics` text form, byte by byte, without allocating per sample.
//! It knows lines, not series: putting samples together is [`crate::store`]'s.
//!
//! Tolerant by intent: exemplars are skipped, a bad line is one [`Row::Bad`] and nothing more.
//! Format: <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

use std::sync::Arc;

use crate::labels::Labels;

/// One line, understood.
#[derive(Debug, PartialEq)]
pub(crate) enum Row<'a> {
    /// A sample of the series written as `series` (name and labels, as they stand).
    Sample { series: &'a [u8], value: f64, at_ms: Option<i64> },
    /// `# TYPE family kind`.
    Type { family: &'a str, kind: &'a str },
    /// `# EOF`: nothing counts after it.
    End,
    /// Comments, help, units, blank lines.
    Nothing,
    /// Not a line of the format.
    Bad,
}

/// Understands one line. `last` is the series of the line before: dumps list a series' samples
/// together, so comparing first spares the scan for its end.
pub(crate) fn row<'a>(line: &'a [u8], last: &[u8]) -> Row<'a> {
    let line = line.trim_ascii();
    match line.first() {
        None => Row::Nothing,
        Some(b'#') => comment(line),
        Some(_) => sample(line, last).unwrap_or(Row::Bad),
    }
}

fn comment(line: &[u8]) -> Row<'_> {
    let Ok(text) = std::str::from_utf8(line) else { return Row::Nothing };
    let mut words = text.split_ascii_whitespace();
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some("#"), Some("EOF"), None, None) => Row::End,
        (Some("#"), Some("TYPE"), Some(family), Some(kind)) => Row::Type { family, kind },
        _ => Row::Nothing,
    }
}

fn sample<'a>(line: &'a [u8], last: &[u8]) -> Option<Row<'a>> {
    let same = !last.is_empty() && line.starts_with(last) && line.get(last.len()) == Some(&b' ');
    let end = if same { last.len() } else { series_end(line)? };
    let (series, rest) = line.split_at_checked(end)?;
    let rest = std::str::from_utf8(rest).ok()?;
    let mut words = rest.split_ascii_whitespace();
    let value = words.next()?.parse::<f64>().ok()?;
    let at_ms = match words.next() {
        None | Some("#") => None,
        Some(word) => Some(millis(word)?),
    };
    Some(Row::Sample { series, value, at_ms })
}

/// Where name and labels end: at the closing brace outside quotes, else at the first blank.
fn series_end(line: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped, mut braced) = (false, false, false);
    for (index, byte) in line.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' => braced = true,
            b'}' if braced => return Some(index + 1),
            b' ' | b'\t' if !braced => return (index > 0).then_some(index),
            _ => {}
        }
    }
    None
}

/// Time stamps are seconds in `OpenMetrics`, with or without a fraction; the older Prometheus form
/// has milliseconds, told apart by size: no second of this era has twelve digits.
fn millis(word: &str) -> Option<i64> {
    if let Ok(whole) = word.parse::<i64>() {
        return if whole.abs() >= 100_000_000_000 { Some(whole) } else { whole.checked_mul(1000) };
    }
    let (seconds, fraction) = word.split_once('.')?;
    let seconds = seconds.parse::<i64>().ok()?;
    let digits = fraction.get(..fraction.len().min(3))?;
    let scale = [0, 100, 10, 1].get(digits.len()).copied()?;
    let part = if digits.is_empty() { 0 } else { digits.parse::<i64>().ok()? };
    seconds.checked_mul(1000)?.checked_add(part * scale)
}

/// Name and labels of a series as it is written. `None` when they are malformed.
pub(crate) fn series(raw: &[u8]) -> Option<(Arc<str>, Labels)> {
    let text = std::str::from_utf8(raw).ok()?;
    let (mut name, mut rest) = match text.split_once('{') {
        None => return is_name(text).then(|| (text.into(), Labels::default())),
        Some((name, rest)) => (name.to_owned(), rest),
    };
    let mut pairs = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if rest.trim_end() == "}" {
            break;
        }
        let (key, after) = if let Some(after) = rest.strip_prefix('"') {
            quoted(after)?
        } else {
            let end = rest.find(['=', '}', '"'])?;
            (rest.get(..end)?.trim().to_owned(), rest.get(end..)?)
        };
        // A quoted name without a value is the metric's own (UTF-8 names).
        if let Some(value) = after.trim_start().strip_prefix('=') {
            let (value, after) = quoted(value.trim_start().strip_prefix('"')?)?;
            pairs.push((key.into(), value.into()));
            rest = after;
        } else if name.is_empty() {
            name = key;
            rest = after;
        } else {
            return None;
        }
    }
    (!name.is_empty()).then(|| (name.as_str().into(), Labels::new(pairs)))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
}

/// The text up to the closing quote, unescaped, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((index, character)) = chars.next() {
        match character {
            '"' => return Some((value, text.get(index + 1..)?)),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn lines_of_every_form_are_understood() {
        let table: &[(&str, Row<'_>)] = &[
            ("up 1", Row::Sample { series: b"up", value: 1.0, at_ms: None }),
            ("up 1 12", Row::Sample { series: b"up", value: 1.0, at_ms: Some(12_000) }),
            ("up 1 12.5", Row::Sample { series: b"up", value: 1.0, at_ms: Some(12_500) }),
            (
                "up 1 1700000000123",
                Row::Sample { series: b"up", value: 1.0, at_ms: Some(1_700_000_000_123) },
            ),
            (
                "b{le=\"+Inf\"} 7 5 # {trace=\"x\"} 0.3 4.9",
                Row::Sample { series: b"b{le=\"+Inf\"}", value: 7.0, at_ms: Some(5000) },
            ),
            (
                "b{le=\"1\"} 7 # {trace=\"x\"} 0.3",
                Row::Sample { series: b"b{le=\"1\"}", value: 7.0, at_ms: None },
            ),
            (
                "a{p=\"x } \\\" y\"} 2",
                Row::Sample { series: b"a{p=\"x } \\\" y\"}", value: 2.0, at_ms: None },
            ),
            ("# EOF", Row::End),
            ("# TYPE a counter", Row::Type { family: "a", kind: "counter" }),
            ("# HELP a words", Row::Nothing),
            ("", Row::Nothing),
            ("up", Row::Bad),
            ("up one", Row::Bad),
            ("up 1 later", Row::Bad),
            ("a{p=\"x 1", Row::Bad),
        ];
        for (line, expected) in table {
            assert_eq!(&row(line.as_bytes(), b""), expected, "{line}");
        }
    }

    #[test]
    fn infinite_and_undefined_values_are_read() {
        for (text, check) in [("+Inf", f64::INFINITY), ("-Inf", f64::NEG_INFINITY)] {
            let line = format!("up {text}");
            let Row::Sample { value, .. } = row(line.as_bytes(), b"") else { panic!("{text}") };
            assert_eq!(value.total_cmp(&check), std::cmp::Ordering::Equal);
        }
        let Row::Sample { value, .. } = row(b"up NaN", b"") else { panic!("NaN") };
        assert!(value.is_nan());
    }

    #[test]
    fn the_series_of_the_line_before_is_recognised_only_when_whole() {
        let last = b"up";
        assert!(matches!(row(b"up_total 3", last), Row::Sample { series: b"up_total", .. }));
        assert!(matches!(row(b"up 3", last), Row::Sample { series: b"up", .. }));
    }

    #[test]
    fn labels_are_unescaped_and_sorted() {
        let (name, labels) = series(br#"m{z="1",a="x\"y\\z\n",}"#).unwrap();
        assert_eq!((&*name, labels.get("a"), labels.get("z")), ("m", "x\"y\\z\n", "1"));
        let (name, labels) = series(br#"{"a.b", x="1"}"#).unwrap();
        assert_eq!((&*name, labels.get("x")), ("a.b", "1"));
        for bad in ["m{a=1}", "m{a}", "m{\"x\" \"y\"}", "m x"] {
            assert!(series(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
