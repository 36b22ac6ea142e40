//! Scenes: which checks are played together on one stage, in which order. With `--exec` every scene
//! has a plugin process of its own and several play at once; otherwise they share the one plugin.

use std::{sync::Arc, time::Duration};

use crate::{
    agentd::Pace,
    means::Means,
    stage::Stage,
    verdict::{Board, Stop},
};

mod arguments;
mod calls;
mod cancels;
mod catalog;
mod crowd;
mod drain;
mod effects;
mod failures;
mod lease;
mod limits;
mod refusals;
mod registration;
mod relay;
mod secrets;
mod timing;

/// Checks that are played together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scene {
    /// One plugin, one call after the other.
    Calls,
    /// Many calls at once.
    Crowd,
    /// Cancelled calls, and what they leave behind.
    Cancels,
    /// A reader that does not read.
    Unread,
    /// An agentd that forgets, rejects and asks again, and at last says STOP.
    Registry,
    /// An agentd that is away and comes back.
    Lost,
    /// A process that was stopped for long.
    Frozen,
    /// An agentd that says no.
    Refused,
    /// A second process.
    Restart,
    /// SIGTERM.
    Drain,
}

/// All scenes, the long ones first; with one shared plugin, what ends it comes last.
pub(crate) const SCENES: [Scene; 10] = [
    Scene::Calls,
    Scene::Crowd,
    Scene::Cancels,
    Scene::Unread,
    Scene::Lost,
    Scene::Frozen,
    Scene::Restart,
    Scene::Refused,
    Scene::Drain,
    Scene::Registry,
];

impl Scene {
    /// The checks that are played in it.
    pub(crate) fn ids(self) -> &'static [&'static str] {
        match self {
            Self::Calls => &[
                "REG-01", "CAT-01", "CAT-02", "CAT-03", "CAT-04", "CAT-05", "HLTH-01", "CALL-01",
                "CALL-02", "CALL-03", "CALL-05", "CALL-06", "CALL-07", "ARG-01", "ARG-02",
                "ARG-03", "ERR-01", "ERR-02", "ERR-03", "ERR-04", "TIME-01", "TIME-02", "LIM-01",
                "LIM-02", "IDEM-01", "IDEM-02", "DRY-01", "COMP-01", "AUTH-01", "RELAY-01",
                "ERR-05",
            ],
            Self::Crowd => &["CALL-04", "LEASE-01"],
            Self::Cancels => &["CAN-01", "CAN-02", "CAN-03"],
            Self::Unread => &["LIM-03"],
            Self::Registry => &["LEASE-02", "REG-02", "REG-04", "REG-05", "LEASE-04"],
            Self::Lost => &["LEASE-03"],
            Self::Frozen => &["LEASE-05"],
            Self::Refused => &["REG-03"],
            Self::Restart => &["REG-01"],
            Self::Drain => &["DRAIN-01", "HLTH-01", "RELAY-01"],
        }
    }

    /// Whether it can be played with `--target`.
    fn is_for_target(self) -> bool {
        matches!(self, Self::Calls | Self::Crowd | Self::Cancels | Self::Unread)
    }

    /// Plays it: on `shared`, or on a stage of its own.
    pub(crate) async fn play(self, means: &Arc<Means>, board: &Board, shared: Option<&Stage>) {
        if !board.wants_any(self.ids()) {
            return;
        }
        if let Some(stage) = shared {
            if stage.agentd.is_none() && !self.is_for_target() {
                return;
            }
            return self.play_on(means, board, stage).await;
        }
        // These start plugins as they need them.
        match self {
            Self::Refused => return refusals::play(means, board).await,
            Self::Restart => return board.run("REG-01", registration::restarts(means)).await,
            Self::Lost => return board.run("LEASE-03", lease::comes_back(means)).await,
            Self::Calls
            | Self::Crowd
            | Self::Cancels
            | Self::Unread
            | Self::Registry
            | Self::Frozen
            | Self::Drain => {}
        }
        match Stage::open(means, Pace::SHORT).await {
            Ok(stage) => self.play_on(means, board, &stage).await,
            Err(stop) => self.unplayed(board, &stop),
        }
    }

    /// There is no plugin to play with: what it did not do is its failure, the rest was not seen.
    fn unplayed(self, board: &Board, stop: &Stop) {
        let why = match stop {
            Stop::Failed { why, .. } | Stop::Skipped(why) => why.clone(),
        };
        board.note("REG-01", Err(stop.clone()), Duration::ZERO);
        board.skip_rest(self.ids(), &format!("the plugin could not be looked at: {why}"));
    }

    async fn play_on(self, means: &Arc<Means>, board: &Board, stage: &Stage) {
        match self {
            Self::Calls => self.calls(board, stage).await,
            Self::Crowd => {
                board.run("CALL-04", crowd::capacity(stage)).await;
                board.run("LEASE-01", lease::renews(stage)).await;
            }
            Self::Cancels => {
                board.run("CAN-01", cancels::stops(stage)).await;
                board.run("CAN-02", cancels::early(stage)).await;
                board.run("CAN-03", cancels::hundred(stage)).await;
            }
            Self::Unread => board.run("LIM-03", limits::unread(stage)).await,
            Self::Registry => {
                board.run("LEASE-02", lease::forgotten(stage)).await;
                board.run("REG-02", registration::unavailable(stage)).await;
                board.run("REG-04", registration::rejected(stage)).await;
                board.run("REG-05", registration::repeats(stage)).await;
                board.run("LEASE-04", lease::directed(stage)).await;
            }
            Self::Frozen => board.run("LEASE-05", lease::frozen(stage)).await,
            Self::Drain => drain::play(stage, board).await,
            Self::Lost => board.run("LEASE-03", lease::comes_back(means)).await,
            Self::Refused => refusals::play(means, board).await,
            Self::Restart => board.run("REG-01", registration::restarts(means)).await,
        }
    }

    async fn calls(self, board: &Board, stage: &Stage) {
        board.run("REG-01", registration::registers(stage)).await;
        board.run("HLTH-01", drain::serving(stage)).await;
        board.run("CAT-01", catalog::rules(stage)).await;
        board.run("CAT-02", catalog::told(stage)).await;
        board.run("CAT-03", catalog::examples(stage)).await;
        board.run("CAT-04", catalog::advice(stage)).await;
        board.run("CAT-05", catalog::claims(stage)).await;
        board.run("CALL-01", calls::stream(stage)).await;
        board.run("CALL-02", calls::results(stage)).await;
        board.run("CALL-03", calls::unknown(stage)).await;
        board.run("CALL-05", crowd::apart(stage)).await;
        board.run("CALL-06", timing::progress(stage)).await;
        board.run("CALL-07", calls::future(stage)).await;
        board.run("ARG-01", arguments::wrong(stage)).await;
        board.run("ARG-02", arguments::integer(stage)).await;
        board.run("ARG-03", arguments::large(stage)).await;
        board.run("ERR-01", failures::form(stage)).await;
        board.run("ERR-02", failures::panic(stage)).await;
        board.run("ERR-03", failures::size(stage)).await;
        board.run("ERR-04", failures::absent(stage)).await;
        board.run("TIME-01", timing::timeout(stage)).await;
        board.run("TIME-02", timing::over(stage)).await;
        board.run("LIM-01", limits::truncated(stage)).await;
        board.run("LIM-02", limits::pages(stage)).await;
        board.run("IDEM-01", effects::repeated(stage)).await;
        board.run("IDEM-02", effects::reused(stage)).await;
        board.run("DRY-01", effects::dry_runs(stage)).await;
        board.run("COMP-01", effects::undone(stage)).await;
        board.run("RELAY-01", relay::slots(stage)).await;
        board.run("AUTH-01", secrets::token(stage)).await;
        // Last: it looks at all that came.
        board.run("ERR-05", secrets::canaries(stage)).await;
    }
}
