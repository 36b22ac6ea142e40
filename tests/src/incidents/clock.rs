//! Time of a story: seconds relative to the moment the alert fired, and how programs write it.
//! Written by hand because a recording has thousands of time stamps.

/// Seconds since the alert fired; negative is before.
pub type Sec = i64;

/// A minute in seconds.
pub const MIN: Sec = 60;
/// An hour in seconds.
pub const HOUR: Sec = 3600;
/// A day in seconds.
pub const DAY: Sec = 86_400;
/// When the recording was taken: what is later cannot be seen.
pub const NOW: Sec = 300;
/// Where metrics and logs begin.
pub const BEGIN: Sec = -55 * MIN;
/// Where metrics end.
pub const END: Sec = 10 * MIN;
/// Seconds between two samples of a metric.
pub const STEP: Sec = 30;
/// Longer ago nothing is seen in events: the server keeps them for an hour.
pub const EVENTS_SINCE: Sec = NOW - HOUR;

/// Where the story lies in the calendar.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// When the alert fired, in seconds since 1970.
    pub fired: i64,
}

/// A moment to the nanosecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Seconds since 1970.
    pub unix: i64,
    /// Nanoseconds beyond.
    pub nanos: u32,
}

/// A date and time of day in UTC.
#[derive(Debug, Clone, Copy)]
pub struct Civil {
    /// Year.
    pub year: i64,
    /// Month from 1.
    pub month: i64,
    /// Day from 1.
    pub day: i64,
    /// Hour.
    pub hour: i64,
    /// Minute.
    pub minute: i64,
    /// Second.
    pub second: i64,
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Clock {
    /// `at` as objects write it, such as `2025-12-09T05:44:00Z`.
    #[must_use]
    pub fn rfc(self, at: Sec) -> String {
        let mut text = civil(self.fired + at).iso('T');
        text.push('Z');
        text
    }

    /// `at` with microseconds, as leases and newer events write it.
    #[must_use]
    pub fn micro(self, at: Sec) -> String {
        let mut text = civil(self.fired + at).iso('T');
        text.push_str(&format!(".{:06}Z", (at.rem_euclid(997)) * 1003));
        text
    }

    /// The moment `at` and `nanos` beyond.
    #[must_use]
    pub fn moment(self, at: Sec, nanos: u32) -> Moment {
        Moment { unix: self.fired + at, nanos }
    }
}

impl Moment {
    /// The date and time of day.
    #[must_use]
    pub fn civil(self) -> Civil {
        civil(self.unix)
    }

    /// Milliseconds of the second.
    #[must_use]
    pub fn millis(self) -> u32 {
        self.nanos / 1_000_000
    }

    /// RFC 3339 with `digits` digits of the second, without zone.
    #[must_use]
    pub fn iso(self, separator: char, digits: usize) -> String {
        let mut text = self.civil().iso(separator);
        let nanos = format!(".{:09}", self.nanos);
        text.push_str(nanos.get(..=digits).unwrap_or_default());
        text
    }
}

impl Civil {
    /// `2025-12-09T05:44:00` with any separator.
    #[must_use]
    pub fn iso(self, separator: char) -> String {
        let mut text = String::with_capacity(36);
        digits(&mut text, self.year, 4);
        text.push('-');
        digits(&mut text, self.month, 2);
        text.push('-');
        digits(&mut text, self.day, 2);
        text.push(separator);
        text.push_str(&self.time());
        text
    }

    /// `05:44:00`.
    #[must_use]
    pub fn time(self) -> String {
        let mut text = String::with_capacity(8);
        digits(&mut text, self.hour, 2);
        text.push(':');
        digits(&mut text, self.minute, 2);
        text.push(':');
        digits(&mut text, self.second, 2);
        text
    }

    /// The month's short English name.
    #[must_use]
    pub fn month_name(self) -> &'static str {
        let at = usize::try_from(self.month - 1).unwrap_or_default();
        MONTHS.get(at).copied().unwrap_or("Jan")
    }
}

fn digits(text: &mut String, value: i64, width: u32) {
    for place in (0..width).rev() {
        let digit = u8::try_from(value / 10_i64.pow(place) % 10).unwrap_or_default();
        text.push(char::from(b'0' + digit));
    }
}

/// Days and seconds to a date, by the arithmetic of the proleptic Gregorian calendar.
fn civil(unix: i64) -> Civil {
    let (days, rest) = (unix.div_euclid(DAY), unix.rem_euclid(DAY));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    Civil {
        year: yoe + era * 400 + i64::from(month <= 2),
        month,
        day: doy - (153 * mp + 2) / 5 + 1,
        hour: rest / HOUR,
        minute: rest / MIN % 60,
        second: rest % 60,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        let clock = Clock { fired: 1_765_259_040 };
        assert_eq!(clock.rfc(0), "2025-12-09T05:44:00Z");
        assert_eq!(clock.rfc(-55 * MIN), "2025-12-09T04:49:00Z");
        assert_eq!(Clock { fired: 951_782_400 }.rfc(DAY), "2000-03-01T00:00:00Z");
        assert_eq!(clock.moment(0, 187_433_979).iso(' ', 3), "2025-12-09 05:44:00.187");
    }
}
