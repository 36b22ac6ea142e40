//! `checks.yaml`: which sentence of the contract each check covers, and how it counts.

use std::sync::LazyLock;

use serde::Deserialize;

/// The file, as built in.
const FILE: &str = include_str!("../checks.yaml");

/// How a check counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// A failure fails the plugin.
    Must,
    /// A failure is told, and fails the plugin with `--strict` only.
    Should,
}

impl Level {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Must => "must",
            Self::Should => "should",
        }
    }
}

/// One check.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) level: Level,
    /// Asked of the smallest honest plugin too.
    #[serde(default)]
    pub(crate) basic: bool,
    /// Looked at with `--target`, where the plugin does not register.
    #[serde(default)]
    pub(crate) target: bool,
    /// The sentence of the contract.
    pub(crate) sentence: String,
    /// Where the contract says so: sections of the design, files of the wire.
    pub(crate) from: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    checks: Vec<Entry>,
}

/// The whole file.
pub(crate) struct Spec;

impl Spec {
    /// All checks, in the order of the contract.
    pub(crate) fn all() -> &'static [Entry] {
        static ALL: LazyLock<Vec<Entry>> = LazyLock::new(|| {
            // The test below reads the same text: a build whose file is broken never gets out.
            serde_saphyr::from_str::<File>(FILE).map(|file| file.checks).unwrap_or_default()
        });
        &ALL
    }

    pub(crate) fn entry(id: &str) -> Option<&'static Entry> {
        Self::all().iter().find(|entry| entry.id == id)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::scene::SCENES;

    #[test]
    fn the_file_can_be_read_and_names_each_check_once() {
        let file: File = serde_saphyr::from_str(FILE).unwrap();
        let ids: BTreeSet<_> = file.checks.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!((ids.len(), file.checks.len()), (46, 46));
        for entry in &file.checks {
            assert!(entry.sentence.len() > 20 && !entry.from.is_empty(), "{}", entry.id);
            assert!(!entry.basic || entry.level == Level::Must, "{}: basic asks MUSTs", entry.id);
        }
    }

    #[test]
    fn no_sentence_is_without_a_check_and_no_check_without_a_sentence() {
        let entries: BTreeSet<_> = Spec::all().iter().map(|entry| entry.id.as_str()).collect();
        let played: BTreeSet<_> = SCENES.iter().flat_map(|scene| scene.ids()).copied().collect();
        assert_eq!(entries, played);
    }
}
