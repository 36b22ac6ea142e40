//! Who announced a plugin and was not let in, so that whoever looks for the plugin finds why. Anybody
//! may try, again and again and under any name: little is remembered, and little is told.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

/// Plugins that are remembered.
const REMEMBERED: usize = 20;
/// How long a refusal is worth telling.
const WORTH: Duration = Duration::from_secs(15 * 60);
/// How long the same is not told again.
const QUIET: Duration = Duration::from_secs(60);
/// How many are told in that time, of all plugins together.
const MOST: usize = 20;

#[derive(Debug)]
struct Refusal {
    why: String,
    at: Instant,
    told: Instant,
}

/// The last refusal of each plugin.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    by_plugin: BTreeMap<String, Refusal>,
    /// When the last ones were told, oldest first.
    told: VecDeque<Instant>,
}

impl Refusals {
    /// Notes that `plugin` was refused. True when that is to be told: another reason than last time, or
    /// long ago, and not one of too many.
    pub(super) fn note(&mut self, plugin: &str, why: &str, now: Instant) -> bool {
        let known = self.by_plugin.get(plugin).filter(|known| known.why == why);
        let told = known.map(|known| known.told).filter(|told| now - *told < QUIET);
        if self.by_plugin.len() >= REMEMBERED && !self.by_plugin.contains_key(plugin) {
            let oldest = self.by_plugin.iter().min_by_key(|(_, refusal)| refusal.at);
            if let Some(oldest) = oldest.map(|(plugin, _)| plugin.clone()) {
                self.by_plugin.remove(&oldest);
            }
        }
        let refusal = Refusal { why: why.to_owned(), at: now, told: told.unwrap_or(now) };
        self.by_plugin.insert(plugin.to_owned(), refusal);
        told.is_none() && self.may_tell(now)
    }

    /// Takes one of the few that are told in a while.
    pub(super) fn may_tell(&mut self, now: Instant) -> bool {
        while self.told.front().is_some_and(|told| now - *told >= QUIET) {
            self.told.pop_front();
        }
        if self.told.len() >= MOST {
            return false;
        }
        self.told.push_back(now);
        true
    }

    /// `plugin` was let in: what was wrong is mended.
    pub(super) fn forget(&mut self, plugin: &str) {
        self.by_plugin.remove(plugin);
    }

    /// Plugins that were refused lately, each with how long ago and why.
    pub(super) fn lately(&self, now: Instant) -> impl Iterator<Item = (&str, Duration, &str)> {
        let all = self.by_plugin.iter();
        all.map(move |(plugin, refusal)| (plugin.as_str(), now - refusal.at, refusal.why.as_str()))
            .filter(|(_, ago, _)| *ago < WORTH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_told_once_a_minute_and_again_when_the_reason_is_another() {
        let mut refusals = Refusals::default();
        let (begun, second) = (Instant::now(), Duration::from_secs(1));
        assert!(refusals.note("a", "no token", begun));
        assert!(!refusals.note("a", "no token", begun + second));
        assert!(refusals.note("a", "bad name", begun + 2 * second));
        assert!(!refusals.note("a", "bad name", begun + 3 * second));
        assert!(refusals.note("a", "bad name", begun + 2 * second + QUIET));
        let now = begun + 3 * second + QUIET;
        assert_eq!(refusals.lately(now).collect::<Vec<_>>(), [("a", second, "bad name")]);
        assert_eq!(refusals.lately(now + WORTH).count(), 0);
        refusals.forget("a");
        assert_eq!(refusals.lately(now).count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_names_or_reasons_pushes_out_the_oldest_and_is_hardly_told() {
        let mut refusals = Refusals::default();
        let mut told = 0;
        for n in 0..300 {
            tokio::time::advance(Duration::from_millis(1)).await;
            told += usize::from(refusals.note(&format!("p{n}"), "no", Instant::now()));
            told += usize::from(refusals.note("same", &format!("no {n}"), Instant::now()));
        }
        assert_eq!(told, MOST);
        let kept: Vec<&str> = refusals.lately(Instant::now()).map(|(plugin, ..)| plugin).collect();
        assert_eq!(kept.len(), REMEMBERED);
        assert!(kept.contains(&"p299") && !kept.contains(&"p0"));
    }
}
