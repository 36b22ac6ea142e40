//! Who announced a plugin and was not let in, so that whoever looks for the plugin finds why. Anybody
//! may try, again and again and under any name: little is remembered, and little is told.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::ration::{Ration, SPAN};

/// Plugins that are remembered.
const REMEMBERED: usize = 20;
/// How long a refusal is worth telling.
const WORTH: Duration = Duration::from_secs(15 * 60);
/// How many are told in a minute, of all plugins together.
const MOST: usize = 20;
/// How many of one.
const EACH: usize = 5;

#[derive(Debug)]
struct Refusal {
    why: String,
    at: Instant,
    told: Option<Instant>,
}

/// The last refusal of each plugin.
#[derive(Debug)]
pub(super) struct Refusals {
    by_plugin: BTreeMap<String, Refusal>,
    /// Who tried a name that is not theirs, with the reason, and when that was told.
    strangers: BTreeMap<(String, String), Instant>,
    ration: Ration,
}

impl Default for Refusals {
    fn default() -> Self {
        let (by_plugin, strangers) = (BTreeMap::new(), BTreeMap::new());
        Self { by_plugin, strangers, ration: Ration::new(MOST, EACH) }
    }
}

impl Refusals {
    /// Notes that `plugin` was refused. True when that is to be told: another reason than last time, or
    /// long ago, and not one of too many.
    pub(super) fn note(&mut self, plugin: &str, why: &str, now: Instant) -> bool {
        let known = self.by_plugin.get(plugin).filter(|known| known.why == why);
        let told = known.and_then(|known| known.told).filter(|told| now - *told < SPAN);
        let tells = told.is_none() && self.ration.take(plugin, now);
        self.keep(plugin, why, if tells { Some(now) } else { told }, now);
        tells
    }

    /// The same of what is told in another way.
    pub(super) fn note_quietly(&mut self, plugin: &str, why: &str, now: Instant) {
        self.keep(plugin, why, Some(now), now);
    }

    fn keep(&mut self, plugin: &str, why: &str, told: Option<Instant>, now: Instant) {
        if self.by_plugin.len() >= REMEMBERED && !self.by_plugin.contains_key(plugin) {
            let oldest = self.by_plugin.iter().min_by_key(|(_, refusal)| refusal.at);
            if let Some(oldest) = oldest.map(|(plugin, _)| plugin.clone()) {
                self.by_plugin.remove(&oldest);
            }
        }
        self.by_plugin.insert(plugin.to_owned(), Refusal { why: why.to_owned(), at: now, told });
    }

    /// Somebody tried a name that is not theirs: it comes into no list. True when that is to be told.
    pub(super) fn stranger(&mut self, plugin: &str, why: &str, now: Instant) -> bool {
        self.strangers.retain(|_, told| now - *told < SPAN);
        let who = (plugin.to_owned(), why.to_owned());
        // As many as are told in that time, so that there are never more.
        let tells = !self.strangers.contains_key(&who) && self.ration.take(plugin, now);
        if tells {
            self.strangers.insert(who, now);
        }
        tells
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
        assert!(refusals.note("a", "bad name", begun + 2 * second + SPAN));
        let now = begun + 3 * second + SPAN;
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
        // What was not told for want of room is told once there is.
        assert!(refusals.note("p299", "no", Instant::now() + SPAN));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_who_tries_again_and_again_is_told_once_a_minute() {
        let (mut refusals, begun) = (Refusals::default(), Instant::now());
        let told = (0..100).filter(|_| refusals.stranger("pods", "not yours", begun)).count();
        assert_eq!(told, 1);
        assert!(refusals.note("logs", "no", begun), "others have room");
        assert!(refusals.stranger("pods", "not yours", begun + SPAN));
        assert_eq!(refusals.lately(begun).count(), 1);
    }
}
