//! The last lines of a log that there is no time to read whole: what lies before them is passed
//! over unread, so that what was said last is known also where reading is slow.

use std::collections::VecDeque;

use agent_sdk::Failure;
use plugin_cluster::LogLine;

/// Lines that are kept.
const LAST: usize = 1000;

/// How much time there is.
pub struct Time<'a> {
    /// Whether not all can be read any more.
    pub is_short: &'a dyn Fn() -> bool,
    /// Whether nothing can.
    pub is_over: &'a dyn Fn() -> bool,
}

/// See the module.
pub struct End {
    /// The last lines; none when the time was over before them.
    pub lines: VecDeque<LogLine>,
    /// Lines before them that were passed over.
    passed: u64,
    is_reached: bool,
    failure: Option<Failure>,
}

impl End {
    /// Goes through what is left of a log.
    pub fn of(
        log: impl Iterator<Item = Result<LogLine, Failure>>,
        is_over: &dyn Fn() -> bool,
    ) -> Self {
        let mut end = Self { lines: VecDeque::new(), passed: 0, is_reached: true, failure: None };
        for (number, line) in log.enumerate() {
            if number % 256 == 0 && is_over() {
                end.is_reached = false;
                end.lines.clear();
                return end;
            }
            match line {
                Ok(line) => end.lines.push_back(line),
                Err(failure) => end.failure = Some(failure),
            }
            if end.lines.len() > LAST {
                end.lines.pop_front();
                end.passed += 1;
            }
        }
        end
    }

    /// What was not read of a log of which `first` lines were.
    pub fn gap(&self, first: u64) -> Option<Failure> {
        if let Some(failure) = &self.failure {
            return Some(failure.clone());
        }
        let says = match (self.is_reached, self.passed) {
            (true, 0) => return None,
            (true, _) => {
                format!("only its first {first} and its last {} lines were read", self.lines.len())
            }
            (false, _) => format!("only its first {first} lines were read"),
        };
        Some(Failure::external("LOG_TOO_LONG", says))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: usize) -> impl Iterator<Item = Result<LogLine, Failure>> {
        (0..lines).map(|number| Ok(LogLine { time: None, text: number.to_string() }))
    }

    #[test]
    fn the_last_lines_are_kept_and_those_before_are_said_to_lack() {
        let end = End::of(log(5000), &|| false);
        assert_eq!((end.lines.len(), end.lines.back().unwrap().text.as_str()), (1000, "4999"));
        let gap = end.gap(70).unwrap();
        assert_eq!(gap.message, "only its first 70 and its last 1000 lines were read");
        let all = End::of(log(7), &|| false);
        assert!(all.lines.len() == 7 && all.gap(70).is_none());
    }

    #[test]
    fn a_log_whose_end_is_too_far_has_none() {
        let end = End::of(log(5000), &|| true);
        assert!(end.lines.is_empty());
        assert_eq!(end.gap(70).unwrap().message, "only its first 70 lines were read");
    }
}
