//! Texts by number: the index holds every text once and compares numbers. Also how a text falls
//! into the words that a search looks for.

use std::{collections::HashMap, sync::Arc};

/// A text by number; 0 is the empty one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Word(u32);

/// The empty text.
pub(super) const NOTHING: Word = Word(0);
/// A text that no case has: equal to none of theirs.
const STRANGE: Word = Word(u32::MAX);
/// Longest word that is looked for, in bytes; the rest of a longer one is not compared.
const LONGEST: usize = 48;

/// Every text once.
#[derive(Debug)]
pub(super) struct Words {
    numbers: HashMap<Arc<str>, Word>,
    texts: Vec<Arc<str>>,
}

impl Default for Words {
    fn default() -> Self {
        let empty: Arc<str> = Arc::from("");
        Self { numbers: HashMap::from([(Arc::clone(&empty), NOTHING)]), texts: vec![empty] }
    }
}

impl Words {
    /// The number of a text, a new one when it has none.
    pub(super) fn take(&mut self, text: &str) -> Word {
        if let Some(word) = self.numbers.get(text) {
            return *word;
        }
        // More texts than a u32 counts would not fit into memory.
        let word = Word(u32::try_from(self.texts.len()).unwrap_or(u32::MAX));
        let text: Arc<str> = Arc::from(text);
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, word);
        word
    }

    /// The number of a text, or that of a text that nothing has.
    pub(super) fn find(&self, text: &str) -> Word {
        self.numbers.get(text).copied().unwrap_or(STRANGE)
    }

    /// The text of a number.
    pub(super) fn text(&self, word: Word) -> &str {
        let place = usize::try_from(word.0).ok();
        place.and_then(|place| self.texts.get(place)).map_or("", |text| text)
    }
}

/// The words of a text in lower case: letters and digits together, and names whole as well as in
/// parts, so that `oom_killed` is found by `oom`.
pub(super) fn words_of(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let mut found = Vec::new();
    let joint = |c: char| c == '_' || c == '-' || c == '.';
    for name in lower.split(|c: char| !(c.is_alphanumeric() || joint(c))) {
        let name = name.trim_matches(joint);
        let parts: Vec<&str> = name.split(joint).filter(|part| !part.is_empty()).collect();
        if parts.len() > 1 {
            found.push(short(name));
        }
        found.extend(parts.into_iter().map(short));
    }
    found
}

fn short(word: &str) -> String {
    word.get(..word.floor_char_boundary(LONGEST)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_whole_and_in_parts() {
        assert_eq!(
            words_of("OOM_killed: Pod web-app-7f, 512Mi (größer)."),
            [
                "oom_killed",
                "oom",
                "killed",
                "pod",
                "web-app-7f",
                "web",
                "app",
                "7f",
                "512mi",
                "größer"
            ]
        );
        assert_eq!(words_of(" -- .. ,"), Vec::<String>::new());
    }

    #[test]
    fn a_text_has_one_number_and_what_is_unknown_equals_nothing() {
        let mut words = Words::default();
        let (a, b) = (words.take("a"), words.take("b"));
        assert_eq!((words.take("a"), words.find("b"), words.take("")), (a, b, NOTHING));
        assert_eq!((words.text(a), words.text(STRANGE)), ("a", ""));
        assert!(words.find("c") == STRANGE && a != b);
    }
}
