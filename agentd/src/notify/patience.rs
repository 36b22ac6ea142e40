//! How long a receiver is waited for: when a message is tried again, and when it is given up, so
//! that one that can never arrive does not hold up those behind it for ever. Pure.

use std::time::Duration;

/// What came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Taken: a 2xx.
    Delivered,
    /// The receiver was not reached: the message cannot have arrived.
    Unreached,
    /// Nobody can tell: it took too long, or the connection broke.
    Unanswered,
    /// It answered with a fault of its own, or asked to wait.
    Answered {
        /// The status.
        status: u16,
        /// How long it asked to wait.
        retry_after: Option<Duration>,
    },
}

/// What follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing is owed any more.
    Done,
    /// Another try after this pause.
    Again(Duration),
    /// It is given up, for this reason.
    GiveUp(String),
}

/// Pause before the second try; it doubles from there.
const FIRST: Duration = Duration::from_secs(1);
/// Longest pause, and longest that a receiver's own word is followed.
const LONGEST: Duration = Duration::from_secs(300);
const LONGEST_ASKED: Duration = Duration::from_secs(3600);
/// After this age a message is news to nobody.
const OLDEST: Duration = Duration::from_secs(24 * 3600);
/// Tries at a receiver that refuses: its settings may be mended in the meantime.
const REFUSED: u32 = 5;
/// Tries at a receiver that fails over this message; with the pauses about an hour.
const FAILED: u32 = 20;

/// What follows from a try: `tries` of them so far, at a message of this age. `share` is drawn from
/// 0 to 1, so that receivers are not met in step.
pub(super) fn next(outcome: Outcome, tries: u32, age: Duration, share: f64) -> Next {
    let most = match outcome {
        Outcome::Delivered => return Next::Done,
        Outcome::Answered { status: 410, .. } => {
            return Next::GiveUp("the receiver is gone (410)".to_owned());
        }
        Outcome::Unreached
        | Outcome::Unanswered
        | Outcome::Answered { status: 408 | 425 | 429 | 502 | 503 | 504, .. } => u32::MAX,
        Outcome::Answered { status: 300..=499, .. } => REFUSED,
        Outcome::Answered { .. } => FAILED,
    };
    if tries >= most {
        return Next::GiveUp(format!("{tries} tries ended with {}", told(outcome)));
    }
    if age >= OLDEST {
        return Next::GiveUp(format!(
            "it is 24 hours old; the last try ended with {}",
            told(outcome)
        ));
    }
    let asked = match outcome {
        Outcome::Answered { retry_after, .. } => retry_after.unwrap_or_default(),
        Outcome::Delivered | Outcome::Unreached | Outcome::Unanswered => Duration::ZERO,
    };
    Next::Again(pause(tries, share).max(asked.min(LONGEST_ASKED)))
}

/// Half of it is sure, the other half drawn.
fn pause(tries: u32, share: f64) -> Duration {
    let doubled = FIRST.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1)));
    doubled.min(LONGEST).mul_f64(0.5 + share.clamp(0.0, 1.0) / 2.0)
}

/// What came of a try, in words.
pub(super) fn told(outcome: Outcome) -> String {
    match outcome {
        Outcome::Delivered => "success".to_owned(),
        Outcome::Unreached => "no connection".to_owned(),
        Outcome::Unanswered => "no answer".to_owned(),
        Outcome::Answered { status, .. } => format!("status {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YOUNG: Duration = Duration::from_secs(60);

    fn status(status: u16) -> Outcome {
        Outcome::Answered { status, retry_after: None }
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_are_never_in_step() {
        for (tries, least, most) in
            [(1, 0.5, 1.0), (2, 1.0, 2.0), (6, 16.0, 32.0), (40, 150.0, 300.0)]
        {
            for (share, seconds) in [(0.0, least), (1.0, most)] {
                let wanted = Next::Again(Duration::from_secs_f64(seconds));
                assert_eq!(next(Outcome::Unreached, tries, YOUNG, share), wanted, "{tries}");
            }
        }
    }

    #[test]
    fn a_receiver_that_is_away_is_waited_for_a_day_and_one_that_refuses_is_not() {
        let gives_up =
            |outcome, tries, age| matches!(next(outcome, tries, age, 0.5), Next::GiveUp(_));
        for outcome in [Outcome::Unreached, Outcome::Unanswered, status(503), status(429)] {
            assert!(!gives_up(outcome, 1000, OLDEST - YOUNG), "{outcome:?}");
            assert!(gives_up(outcome, 1, OLDEST), "{outcome:?}");
        }
        for (outcome, most) in
            [(status(410), 1), (status(404), 5), (status(302), 5), (status(500), 20)]
        {
            assert!(gives_up(outcome, most, YOUNG), "{outcome:?}");
            assert!(most == 1 || !gives_up(outcome, most - 1, YOUNG), "{outcome:?}");
        }
        assert_eq!(next(Outcome::Delivered, 1000, OLDEST, 0.5), Next::Done);
    }

    #[test]
    fn what_the_receiver_asks_for_is_followed_within_reason() {
        for (asked, seconds) in [(30, 30), (100_000, 3600)] {
            let retry_after = Some(Duration::from_secs(asked));
            let outcome = Outcome::Answered { status: 429, retry_after };
            let wanted = Next::Again(Duration::from_secs(seconds));
            assert_eq!(next(outcome, 1, YOUNG, 0.5), wanted);
        }
    }
}
