//! Ejection: what fails again and again is left alone for a while, then tried with one call. The
//! same machine serves a replica of one tool and the wire to an instance; who ejects, and how many
//! at once, is the pool's to say.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that eject.
const IN_A_ROW: u32 = 3;
/// First span outside.
const FIRST: Duration = Duration::from_secs(5);
/// Longest span outside; it doubles with each failed trial.
const LONGEST: Duration = Duration::from_secs(60);

/// How a call went, as far as it tells about who was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Went {
    /// It works, whatever it answered.
    Well,
    /// It failed.
    Badly,
    /// It cannot serve: once is enough.
    Hopeless,
    /// It tells nothing.
    Untold,
}

/// Whether something may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stand {
    /// It may.
    In,
    /// One call may try it.
    Trial,
    /// Only when nobody else is there.
    Out,
}

/// The state of one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ejection {
    failed: u32,
    out: Option<Out>,
}

#[derive(Debug, Clone, Copy)]
struct Out {
    until: Instant,
    span: Duration,
    trying: bool,
}

// === impl Ejection ===

impl Ejection {
    /// How it stands now.
    pub(crate) fn stand(&self, now: Instant) -> Stand {
        match self.out {
            None => Stand::In,
            Some(out) if out.trying || now < out.until => Stand::Out,
            Some(_) => Stand::Trial,
        }
    }

    /// It is asked: a trial is taken.
    pub(crate) fn ask(&mut self, now: Instant) {
        if let Some(out) = &mut self.out
            && now >= out.until
        {
            out.trying = true;
        }
    }

    /// Notes how a call went. `may_leave` tells whether one more may be out.
    pub(crate) fn note(&mut self, went: Went, now: Instant, may_leave: bool) {
        match (went, &mut self.out) {
            (Went::Well, _) => *self = Self::default(),
            (Went::Untold, Some(out)) => out.trying = false,
            (Went::Untold, None) => {}
            (Went::Badly | Went::Hopeless, Some(out)) => {
                // A late answer to a call from before says nothing new.
                if out.trying {
                    let span = out.span.saturating_mul(2).min(LONGEST);
                    *out = Out { until: now + span, span, trying: false };
                }
            }
            (Went::Badly | Went::Hopeless, None) => {
                self.failed = self.failed.saturating_add(1);
                let enough = went == Went::Hopeless || self.failed >= IN_A_ROW;
                if enough && may_leave {
                    self.out = Some(Out { until: now + FIRST, span: FIRST, trying: false });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn three_failures_in_a_row_eject_and_one_trial_decides_over_the_way_back() {
        let mut held = Ejection::default();
        for went in [Went::Badly, Went::Badly, Went::Well, Went::Badly, Went::Untold, Went::Badly] {
            held.note(went, Instant::now(), true);
        }
        assert_eq!(held.stand(Instant::now()), Stand::In);
        held.note(Went::Badly, Instant::now(), true);
        let mut spans = Vec::new();
        for _ in 0..6 {
            let mut waited = 0;
            while held.stand(Instant::now()) == Stand::Out {
                advance(Duration::from_secs(1)).await;
                waited += 1;
            }
            spans.push(waited);
            assert_eq!(held.stand(Instant::now()), Stand::Trial);
            held.ask(Instant::now());
            assert_eq!(held.stand(Instant::now()), Stand::Out, "one trial at a time");
            held.note(Went::Badly, Instant::now(), true);
        }
        assert_eq!(spans, [5, 10, 20, 40, 60, 60]);
        advance(LONGEST).await;
        held.ask(Instant::now());
        held.note(Went::Well, Instant::now(), true);
        assert_eq!(held.stand(Instant::now()), Stand::In);
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_serve_is_out_at_once_unless_too_many_are() {
        let mut held = Ejection::default();
        held.note(Went::Hopeless, Instant::now(), false);
        assert_eq!(held.stand(Instant::now()), Stand::In);
        held.note(Went::Hopeless, Instant::now(), true);
        assert_eq!(held.stand(Instant::now()), Stand::Out);
        advance(FIRST).await;
        held.ask(Instant::now());
        held.note(Went::Untold, Instant::now(), true);
        assert_eq!(
            held.stand(Instant::now()),
            Stand::Trial,
            "a trial that told nothing is repeated"
        );
    }
}
