//! Times written inside log lines, for logs without the kubelet's own: ISO forms, nginx's, klog's,
//! and numbers of seconds, milli- or nanoseconds. Byte by byte, as every line passes here.

use jiff::{Timestamp, civil, tz::TimeZone};

/// The time at the beginning of `text` (a bracket or quote before it is skipped), read as UTC when
/// it names no zone, and how many bytes it takes. `near` tells the year that klog leaves out.
#[must_use]
pub fn leading(text: &str, near: Timestamp) -> Option<(Timestamp, usize)> {
    let skipped = text.len() - text.trim_start_matches(['[', '"', ' ']).len();
    let rest = text.get(skipped..)?;
    let (time, used) = iso(rest).or_else(|| klog(rest, near))?;
    Some((time, skipped + used))
}

/// The time of an access log: `[04/Nov/2025:19:17:01 +0000]`, anywhere in the line.
#[must_use]
pub fn bracketed(text: &str) -> Option<Timestamp> {
    let inside = text.split_once('[')?.1.split_once(']')?.0;
    let (date, clock) = inside.split_once(':')?;
    let mut parts = date.split('/');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let months =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|m| *m == month)? + 1;
    let (clock, zone) = clock.split_once(' ').unwrap_or((clock, "+0000"));
    let written = format!("{year}-{month:02}-{day}T{clock}{}", zone_of(zone)?);
    written.parse().ok()
}

fn zone_of(written: &str) -> Option<String> {
    let (hours, minutes) = written.split_at_checked(3)?;
    Some(format!("{hours}:{}", minutes.trim_start_matches(':')))
}

/// A number of a JSON log: seconds, milliseconds, micro- or nanoseconds, told apart by size.
#[must_use]
pub fn number(value: f64) -> Option<Timestamp> {
    let seconds = match value.abs() {
        v if v < 1e8 => return None,
        v if v < 1e11 => value,
        v if v < 1e14 => value / 1e3,
        v if v < 1e17 => value / 1e6,
        _ => value / 1e9,
    };
    let duration = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
    Timestamp::from_duration(duration).ok()
}

/// `2006-01-02T15:04:05.999Z`, with `/` or a space instead, a comma, a zone or none.
fn iso(text: &str) -> Option<(Timestamp, usize)> {
    let bytes = text.as_bytes();
    let digits = |from: usize, count: usize| -> Option<i16> {
        bytes.get(from..from + count)?.iter().try_fold(0_i16, |sum, byte| {
            byte.is_ascii_digit().then(|| sum * 10 + i16::from(byte - b'0'))
        })
    };
    let one_of = |at: usize, set: &[u8]| bytes.get(at).is_some_and(|b| set.contains(b));
    let shaped = one_of(4, b"-/") && one_of(7, b"-/") && one_of(10, b"T ") && one_of(13, b":");
    if !shaped || !one_of(16, b":") {
        return None;
    }
    let small = |from: usize| i8::try_from(digits(from, 2)?).ok();
    let mut end = 19;
    let mut nanos = 0_i32;
    if one_of(end, b".,") {
        let mut unit = 100_000_000;
        end += 1;
        while let Some(digit) = bytes.get(end).filter(|b| b.is_ascii_digit()) {
            nanos += i32::from(digit - b'0') * unit;
            unit /= 10;
            end += 1;
        }
    }
    let moment = civil::DateTime::new(
        digits(0, 4)?,
        small(5)?,
        small(8)?,
        small(11)?,
        small(14)?,
        small(17)?.min(59),
        nanos,
    )
    .ok()?;
    let utc = moment.to_zoned(TimeZone::UTC).ok()?.timestamp();
    if one_of(end, b"Z") {
        return Some((utc, end + 1));
    }
    let offset = || {
        let sign = match bytes.get(end)? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let hours = digits(end + 1, 2)?;
        let colon = usize::from(bytes.get(end + 3) == Some(&b':'));
        let minutes = digits(end + 3 + colon, 2)?;
        let seconds = sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60);
        Some((jiff::SignedDuration::from_secs(seconds), end + 5 + colon))
    };
    match offset() {
        Some((offset, end)) => Some((utc.checked_sub(offset).ok()?, end)),
        None => Some((utc, end)),
    }
}

/// `I0630 21:23:53.189614`: no year, so the one that brings it nearest below `near`.
fn klog(text: &str, near: Timestamp) -> Option<(Timestamp, usize)> {
    let bytes = text.as_bytes();
    let shaped = bytes.first().is_some_and(|b| b"IWEF".contains(b))
        && bytes.get(1..5)?.iter().all(u8::is_ascii_digit)
        && bytes.get(5) == Some(&b' ');
    if !shaped {
        return None;
    }
    let clock = text.get(6..)?.split(' ').next()?;
    let year = near.to_zoned(TimeZone::UTC).year();
    let (month, day) = (text.get(1..3)?, text.get(3..5)?);
    let at = |year: i16| format!("{year:04}-{month}-{day}T{clock}Z").parse::<Timestamp>().ok();
    let slack = jiff::SignedDuration::from_hours(24);
    let this = at(year).filter(|t| t.duration_since(near) <= slack);
    Some((this.or_else(|| at(year - 1))?, 6 + clock.len()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn times_of_many_loggers_are_read() {
        let near: Timestamp = "2025-01-02T00:00:00Z".parse().unwrap();
        let table = [
            ("2025-06-30T21:01:19.594Z x", Some("2025-06-30T21:01:19.594Z")),
            ("2025-06-30 21:01:19,594 ERROR x", Some("2025-06-30T21:01:19.594Z")),
            ("2025/06/30 21:01:19 x", Some("2025-06-30T21:01:19Z")),
            ("[2025-06-30T21:01:19+02:00] x", Some("2025-06-30T19:01:19Z")),
            ("2025-06-30T21:01:19-0130 x", Some("2025-06-30T22:31:19Z")),
            ("I0101 21:23:53.189614       1 a.go:1] x", Some("2025-01-01T21:23:53.189614Z")),
            ("E1231 21:23:53.000000       1 a.go:1] x", Some("2024-12-31T21:23:53Z")),
            ("no time here", None),
            ("2025-06-30 x", None),
            ("", None),
        ];
        for (text, expected) in table {
            let expected: Option<Timestamp> = expected.map(|t| t.parse().unwrap());
            assert_eq!(leading(text, near).map(|(t, _)| t), expected, "{text}");
        }
        let access = "10.0.0.1 - - [04/Nov/2025:19:17:01 +0100] \"GET / HTTP/1.1\" 200 1";
        assert_eq!(bracketed(access), Some("2025-11-04T18:17:01Z".parse().unwrap()));
    }

    #[test]
    fn numbers_are_times_in_the_unit_of_their_size() {
        let expected: Timestamp = "2025-06-30T21:22:29Z".parse().unwrap();
        for value in [1_751_318_549.0, 1_751_318_549_000.0, 1_751_318_549_000_000_000.0] {
            assert_eq!(number(value).unwrap(), expected);
        }
        assert_eq!(number(42.0), None);
    }
}
