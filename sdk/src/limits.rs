//! Sizes that the contract bounds, and how text is cut to keep to them.

use std::time::Duration;

use agent_proto::tool::v1 as wire;

/// Largest text of a failure, in bytes.
pub const MAX_MESSAGE: usize = 2 * 1024;
/// Largest summary of a result, in bytes.
pub const MAX_SUMMARY: usize = 4 * 1024;
/// Most observations of one result.
pub const MAX_OBSERVATIONS: usize = 500;
/// Most relations of one result.
pub const MAX_RELATIONS: usize = 2000;

/// Largest message on the wire, both ways, in bytes.
pub(crate) const MAX_WIRE: usize = 4 * 1024 * 1024;
/// Largest update of a call, in bytes.
pub(crate) const MAX_UPDATE: usize = 512 * 1024;
/// Size at which pieces of a result or of its facts are cut, in bytes.
pub(crate) const PIECE: usize = 256 * 1024;
/// Largest arguments, in bytes.
pub(crate) const MAX_ARGUMENTS: usize = 256 * 1024;
/// Largest statement, log line or progress line, in bytes.
pub(crate) const MAX_LINE: usize = 2 * 1024;
/// Largest name or key, in bytes.
pub(crate) const MAX_NAME: usize = 256;
/// Largest value of an attribute, in bytes.
pub(crate) const MAX_VALUE: usize = 4 * 1024;
/// Most attributes of one observation, links or gaps of one result, violations of one failure.
pub(crate) const MAX_ENTRIES: usize = 64;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
const DEFAULT_RESULT: usize = 256 * 1024;
const MAX_RESULT: usize = 8 * 1024 * 1024;
const DEFAULT_PROGRESS: Duration = Duration::from_millis(200);

/// What one call keeps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Time for this attempt; zero is already over.
    pub(crate) timeout: Duration,
    /// Largest `result_json`, in bytes.
    pub(crate) result_bytes: usize,
    /// Shortest time between two progress updates.
    pub(crate) progress_interval: Duration,
}

impl From<Option<wire::CallLimits>> for Bounds {
    fn from(limits: Option<wire::CallLimits>) -> Self {
        let limits = limits.unwrap_or_default();
        // A negative duration does not convert, and is as over as zero.
        let span = |d: prost_types::Duration| Duration::try_from(d).unwrap_or(Duration::ZERO);
        Self {
            timeout: limits.timeout.map_or(DEFAULT_TIMEOUT, span).min(MAX_TIMEOUT),
            result_bytes: match usize::try_from(limits.max_result_bytes) {
                Ok(0) | Err(_) => DEFAULT_RESULT,
                Ok(bytes) => bytes.min(MAX_RESULT),
            },
            progress_interval: limits.min_progress_interval.map_or(DEFAULT_PROGRESS, span),
        }
    }
}

/// Cuts `text` to at most `max` bytes, keeping head and tail, at character boundaries.
#[must_use]
pub fn cut_middle(text: &str, max: usize) -> String {
    const MARK: &str = " … ";
    if text.len() <= max {
        return text.to_owned();
    }
    let room = max.saturating_sub(MARK.len());
    let head = text.floor_char_boundary(room.div_ceil(2));
    let tail = text.ceil_char_boundary(text.len().saturating_sub(room / 2));
    let mut cut = String::with_capacity(max);
    cut.push_str(text.get(..head).unwrap_or_default());
    cut.push_str(MARK);
    cut.push_str(text.get(tail..).unwrap_or_default());
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_text_keeps_head_and_tail_and_stays_within_bounds() {
        assert_eq!(cut_middle("short", 16), "short");
        for text in ["a".repeat(100), "ä€🙂".repeat(30)] {
            for max in 5..60 {
                let cut = cut_middle(&text, max);
                assert!(cut.len() <= max, "{} > {max}", cut.len());
                assert!(cut.contains('…'));
            }
        }
        assert_eq!(cut_middle("0123456789abcdef", 11), "012 … def");
    }

    #[test]
    fn unset_limits_are_the_defaults_of_the_contract() {
        let bounds = Bounds::from(None);
        assert_eq!(bounds.timeout, Duration::from_secs(30));
        assert_eq!(bounds.result_bytes, 256 * 1024);
        assert_eq!(bounds.progress_interval, Duration::from_millis(200));
    }

    #[test]
    fn a_timeout_that_is_not_positive_is_over() {
        for (seconds, nanos) in [(0, 0), (-1, 0), (0, -5)] {
            let timeout = Some(prost_types::Duration { seconds, nanos });
            let bounds = Bounds::from(Some(wire::CallLimits { timeout, ..Default::default() }));
            assert!(bounds.timeout.is_zero());
        }
    }

    #[test]
    fn extreme_limits_are_capped() {
        let bounds = Bounds::from(Some(wire::CallLimits {
            timeout: Some(prost_types::Duration { seconds: i64::MAX, nanos: 0 }),
            max_result_bytes: i32::MAX,
            min_progress_interval: None,
        }));
        assert_eq!(bounds.timeout, MAX_TIMEOUT);
        assert_eq!(bounds.result_bytes, MAX_RESULT);
    }
}
