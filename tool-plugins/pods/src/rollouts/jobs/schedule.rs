//! When a `CronJob`'s schedule was last due. Reads the five fields and the common words for them;
//! a schedule it cannot read is due never, so nothing is claimed of it.

use jiff::{SignedDuration, Timestamp, Zoned, tz::TimeZone};

/// Times a schedule is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schedule {
    minutes: Vec<i8>,
    hours: Vec<i8>,
    days: Vec<i8>,
    months: Vec<i8>,
    weekdays: Vec<i8>,
    /// Either of days and weekdays suffices when both are given.
    either: bool,
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Looked back this far for the last time it was due.
const DAYS_BACK: i64 = 32;

impl Schedule {
    /// Reads a schedule.
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = match text.trim() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            other => other,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else { return None };
        let mut on: Vec<i8> = field(weekdays, (0, 7), &WEEKDAYS)?;
        // Sunday is 0 and 7.
        on.iter_mut().filter(|day| **day == 7).for_each(|day| *day = 0);
        Some(Self {
            minutes: field(minutes, (0, 59), &[])?,
            hours: field(hours, (0, 23), &[])?,
            days: field(days, (1, 31), &[])?,
            months: field(months, (1, 12), &MONTHS)?,
            weekdays: on,
            either: !days.starts_with('*') && !weekdays.starts_with('*'),
        })
    }

    /// The last moment at or before `now` when it was due.
    pub(super) fn last(&self, now: Timestamp, zone: &str) -> Option<Timestamp> {
        let zone = if zone.is_empty() { TimeZone::UTC } else { TimeZone::get(zone).ok()? };
        let mut at = now.to_zoned(zone.clone());
        let past = SignedDuration::new(i64::from(at.second()), at.subsec_nanosecond());
        at = at.checked_sub(past).ok()?;
        let until = now.checked_sub(SignedDuration::from_hours(24 * DAYS_BACK)).ok()?;
        while at.timestamp() > until {
            if !self.on_day(&at) {
                // To the last minute of the day before.
                let day = at.start_of_day().ok()?;
                at = day.checked_sub(SignedDuration::from_mins(1)).ok()?;
            } else if self.hours.contains(&at.hour()) && self.minutes.contains(&at.minute()) {
                return Some(at.timestamp());
            } else {
                at = at.checked_sub(SignedDuration::from_mins(1)).ok()?;
            }
        }
        None
    }

    fn on_day(&self, at: &Zoned) -> bool {
        let day = self.days.contains(&at.day());
        let weekday = self.weekdays.contains(&at.weekday().to_sunday_zero_offset());
        let fits = if self.either { day || weekday } else { day && weekday };
        fits && self.months.contains(&at.month())
    }
}

/// One field: a comma list of `*`, numbers, names, ranges and steps.
fn field(text: &str, (least, most): (i8, i8), names: &[&str]) -> Option<Vec<i8>> {
    let number = |word: &str| -> Option<i8> {
        let lower = word.to_ascii_lowercase();
        let named = names.iter().position(|name| *name == lower);
        match named {
            // Months count from one, weekdays from zero, as their least value says.
            Some(at) => i8::try_from(at).ok()?.checked_add(least),
            None => word.parse().ok().filter(|n| (least..=most).contains(n)),
        }
    };
    let mut all = Vec::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<usize>().ok().filter(|s| *s > 0)?)),
            None => (part, None),
        };
        let (from, to) = match (range, range.split_once('-')) {
            ("*" | "?", _) => (least, most),
            (_, Some((from, to))) => (number(from)?, number(to)?),
            // `5/10` goes on to the end.
            (one, None) => (number(one)?, if step.is_some() { most } else { number(one)? }),
        };
        all.extend((from..=to).step_by(step.unwrap_or(1)));
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_last_time_a_schedule_was_due_is_found() {
        // A Thursday.
        let now: Timestamp = "2025-05-01T12:07:30Z".parse().unwrap();
        for (schedule, zone, last) in [
            ("*/5 * * * *", "", "2025-05-01T12:05:00Z"),
            ("0 2 * * *", "", "2025-05-01T02:00:00Z"),
            ("30 13 * * *", "", "2025-04-30T13:30:00Z"),
            ("0 3 * * mon-fri", "", "2025-05-01T03:00:00Z"),
            ("0 3 * * sun", "", "2025-04-27T03:00:00Z"),
            ("0 3 * * 7", "", "2025-04-27T03:00:00Z"),
            ("15 4 1,15 * *", "", "2025-05-01T04:15:00Z"),
            ("0 0 13 * 5", "", "2025-04-25T00:00:00Z"),
            ("@hourly", "", "2025-05-01T12:00:00Z"),
            ("0 2 * apr *", "", "2025-04-30T02:00:00Z"),
            ("0 2 * * *", "America/New_York", "2025-05-01T06:00:00Z"),
        ] {
            let found = Schedule::read(schedule).unwrap().last(now, zone).unwrap();
            assert_eq!(found.to_string(), last, "{schedule} {zone}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_not_read() {
        for text in ["", "* * * *", "61 * * * *", "a b c d e", "*/0 * * * *", "@sometimes"] {
            assert_eq!(Schedule::read(text), None, "{text}");
        }
    }
}
