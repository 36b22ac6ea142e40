//! Listens to the signals that plugins speak. One that no catalogue knows is kept, counted and told
//! to its author; one that another plugin brought is not the speaker's to use, and is put below
//! the speaker's own name, where it has no weight. Nothing is dropped here.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{reasoner::catalogue::Catalogue, tool::CallOutput};

/// Most unknown signals remembered of one plugin, and most plugins.
const MAX_REMEMBERED: usize = 200;

/// What was heard since the start that no catalogue knows.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    by_plugin: Mutex<BTreeMap<String, Spoken>>,
}

#[derive(Debug, Default)]
struct Spoken {
    times: BTreeMap<String, u32>,
    /// Not yet told to the plugin.
    untold: Vec<String>,
}

/// An ear for one call: what is known when it is made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ear {
    words: Arc<Catalogue>,
    heard: Arc<Heard>,
}

// === impl Ear ===

impl Ear {
    pub(crate) fn new(words: Arc<Catalogue>, heard: Arc<Heard>) -> Self {
        Self { words, heard }
    }

    /// Listens to what `plugin` answered.
    pub(crate) fn listen(&self, plugin: &str, output: &mut CallOutput) {
        for observation in &mut output.observations {
            let known = self.words.signal(&observation.signal);
            if known.is_some_and(|s| s.source.is_guest() && !s.source.is_of(plugin)) {
                observation.signal = format!("{plugin}.{}", observation.signal);
            }
            if !self.words.knows(&observation.signal) {
                self.heard.note(plugin, &observation.signal);
            }
        }
    }
}

// === impl Heard ===

impl Heard {
    fn note(&self, plugin: &str, signal: &str) {
        let mut by_plugin = self.lock();
        if by_plugin.len() >= MAX_REMEMBERED && !by_plugin.contains_key(plugin) {
            return;
        }
        let spoken = by_plugin.entry(plugin.to_owned()).or_default();
        if let Some(times) = spoken.times.get_mut(signal) {
            *times = times.saturating_add(1);
        } else if spoken.times.len() < MAX_REMEMBERED {
            spoken.times.insert(signal.to_owned(), 1);
            spoken.untold.push(advice(plugin, signal));
            tracing::warn!(plugin, signal, "signal is in no catalogue and has no weight");
        }
    }

    /// Advice for the author that came up since it was last asked for.
    pub(crate) fn untold(&self, plugin: &str) -> Vec<String> {
        let mut by_plugin = self.lock();
        by_plugin
            .get_mut(plugin)
            .map(|spoken| std::mem::take(&mut spoken.untold))
            .unwrap_or_default()
    }

    /// Advice for the author on everything that `words` still do not know.
    pub(crate) fn advice(&self, plugin: &str, words: &Catalogue) -> Vec<String> {
        let by_plugin = self.lock();
        let spoken = by_plugin.get(plugin).map(|spoken| &spoken.times);
        let unknown = spoken.into_iter().flatten().filter(|(signal, _)| !words.knows(signal));
        unknown.map(|(signal, times)| format!("{} ({times}×)", advice(plugin, signal))).collect()
    }

    /// Signal, speaker and times of everything that `words` still do not know.
    pub(crate) fn unknown(&self, words: &Catalogue) -> Vec<(String, String, u32)> {
        let by_plugin = self.lock();
        let all = by_plugin.iter().flat_map(|(plugin, spoken)| {
            spoken.times.iter().map(move |(signal, times)| (signal.clone(), plugin.clone(), *times))
        });
        all.filter(|(signal, ..)| !words.knows(signal)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Spoken>> {
        self.by_plugin.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn advice(plugin: &str, signal: &str) -> String {
    let own = signal.strip_prefix(plugin).is_some_and(|rest| rest.starts_with('.'));
    let mend = if own {
        "declare it among the catalog's signals with what it tells".to_owned()
    } else {
        format!("use one that `agentd signals` lists, or declare {plugin}.NAME as one of your own")
    };
    format!("signal {signal} is in no catalogue and has no weight: {mend}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use crate::{
        fact::{Entity, Observation},
        reasoner::catalogue::{Polarity, guest::Offered},
    };

    fn words() -> Catalogue {
        let mut words = Catalogue::embedded().unwrap();
        let guest = words.admit(&Offered {
            plugin: "ours".to_owned(),
            version: "1.0.0".to_owned(),
            signals: vec![("ours.lagging".to_owned(), "lags".to_owned(), Polarity::Harm)],
            documents: Vec::new(),
        });
        words.host(&guest);
        words
    }

    fn said(signals: &[&str]) -> CallOutput {
        let observation = |signal: &&str| Observation {
            signal: (*signal).to_owned(),
            subject: Entity::new("Pod", "a", "b"),
            ..Observation::default()
        };
        CallOutput { observations: signals.iter().map(observation).collect(), ..Default::default() }
    }

    #[test]
    fn an_unknown_signal_is_kept_counted_and_told_once() {
        let heard = Arc::new(Heard::default());
        let ear = Ear::new(Arc::new(words()), Arc::clone(&heard));
        let mut output = said(&["ours.lagging", "ours.new", "odd", "ours.new", "log.timeout"]);
        ear.listen("ours", &mut output);
        assert_eq!(output.observations.len(), 5);
        let told = heard.untold("ours");
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("ours.new") && told[0].contains("declare it among"), "{told:?}");
        assert!(told[1].contains("odd") && told[1].contains("ours.NAME"), "{told:?}");
        assert!(heard.untold("ours").is_empty());
        let unknown = heard.unknown(&words());
        let unknown: Vec<_> =
            unknown.iter().map(|(s, p, n)| (s.as_str(), p.as_str(), *n)).collect();
        assert_eq!(unknown, [("odd", "ours", 1), ("ours.new", "ours", 2)]);
        assert!(heard.advice("ours", &words())[1].ends_with("(2×)"));
    }

    #[test]
    fn another_plugins_word_has_no_weight_in_a_strangers_mouth() {
        let heard = Arc::new(Heard::default());
        let ear = Ear::new(Arc::new(words()), Arc::clone(&heard));
        let mut output = said(&["ours.lagging"]);
        ear.listen("thief", &mut output);
        assert_eq!(output.observations[0].signal, "thief.ours.lagging");
        assert_eq!(heard.unknown(&words()).len(), 1);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let heard = Arc::new(Heard::default());
        let ear = Ear::new(Arc::default(), Arc::clone(&heard));
        let many: Vec<String> = (0..1000).map(|n| format!("x.s{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        ear.listen("x", &mut said(&many));
        assert_eq!(heard.unknown(&Catalogue::default()).len(), MAX_REMEMBERED);
    }
}
