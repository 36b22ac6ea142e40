//! What an alert claims: the kind of harm it speaks of, and the kind of health that would answer
//! it. Read from the alert's words with the table `claims.yaml`; no word of any one incident.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::alert::Alert;

/// Words by which an alert speaks of more than the one object it names.
const SEVERAL: [&str; 6] =
    ["several", "multiple", "more than one", "many", "workloads", "namespace degraded"];

/// One kind of claim.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Words that tell it: the beginning of a word, or several words in a row.
    pub words: Vec<String>,
    /// Signals that would bear it out.
    pub harm: Vec<String>,
    /// Signals that answer it when nothing is wrong.
    pub health: Vec<String>,
}

impl Claim {
    /// The claim of an alert: by its type, else by its description; none when neither speaks of
    /// anything the table knows.
    #[must_use]
    pub fn of<'a>(claims: &'a [Self], alert: &Alert) -> Option<&'a Self> {
        [&alert.kind, &alert.description].into_iter().find_map(|text| {
            let said = Said::new(text);
            claims.iter().find(|claim| claim.words.iter().any(|word| said.speaks_of(word)))
        })
    }
}

/// Whether an alert speaks of more than one object: what bears its claim out beside the named one
/// is then its concern too.
#[must_use]
pub fn speaks_of_several(alert: &Alert) -> bool {
    [&alert.kind, &alert.description].into_iter().any(|text| {
        let said = Said::new(text);
        SEVERAL.iter().any(|word| said.speaks_of(word))
    })
}

/// A text as the words it is made of: `KubePodCrashLooping`, `pod_crash_looping` and "pod is crash
/// looping" say the same.
struct Said {
    words: BTreeSet<String>,
    row: String,
}

impl Said {
    fn new(text: &str) -> Self {
        let mut row = String::from(" ");
        let mut before = ' ';
        for letter in text.chars() {
            let begins = letter.is_ascii_uppercase() && before.is_ascii_lowercase();
            if begins || !letter.is_alphanumeric() {
                row.push(' ');
            }
            if letter.is_alphanumeric() {
                row.push(letter.to_ascii_lowercase());
            }
            before = letter;
        }
        Self { words: row.split_whitespace().map(str::to_owned).collect(), row }
    }

    fn speaks_of(&self, word: &str) -> bool {
        if word.contains(' ') {
            return self.row.contains(&format!(" {word}"));
        }
        // Codes are written into other words, as in `HTTP5xx`.
        if word.starts_with(|first: char| first.is_ascii_digit()) {
            return self.words.iter().any(|said| said.contains(word));
        }
        self.words.iter().any(|said| said.starts_with(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reasoner::catalogue::Catalogue;

    #[test]
    fn alerts_of_every_spelling_are_understood() {
        let catalogue = Catalogue::embedded().unwrap();
        for (kind, description, health) in [
            ("KubePodCrashLooping", "", "workload.healthy"),
            ("pod_crash_looping", "out of memory?", "workload.healthy"),
            ("ContainerMemoryHigh", "", "container.memory_steady"),
            ("HTTP5xxRatio", "", "service.error_ratio_normal"),
            ("high-error-rate", "", "service.error_ratio_normal"),
            ("", "p95 of web above 2 s", "service.latency_normal"),
            ("custom", "The response time of web has doubled", "service.latency_normal"),
            ("job_failed", "", "job.succeeded"),
        ] {
            let alert = Alert {
                kind: kind.to_owned(),
                description: description.to_owned(),
                ..Alert::default()
            };
            let claim = Claim::of(catalogue.claims(), &alert).unwrap();
            assert!(claim.health.iter().any(|h| h == health), "{kind} {description}: {claim:?}");
        }
        let none = Alert { kind: "the_corps_has_fallen".to_owned(), ..Alert::default() };
        assert_eq!(Claim::of(catalogue.claims(), &none), None);
    }

    #[test]
    fn an_alert_about_several_workloads_is_told_from_one_about_a_single_workload() {
        for (kind, description, several) in [
            ("namespace_degraded", "", true),
            ("WorkloadsNotReady", "", true),
            ("rollout_stuck", "more than one workload is not ready", true),
            ("KubePodNotReady", "Pod web-1 has been not ready for 15 minutes", false),
            ("high_error_rate", "web answers 12 % of requests with errors", false),
        ] {
            let (kind, description) = (kind.to_owned(), description.to_owned());
            let alert = Alert { kind, description, ..Alert::default() };
            assert_eq!(speaks_of_several(&alert), several, "{alert:?}");
        }
    }
}
