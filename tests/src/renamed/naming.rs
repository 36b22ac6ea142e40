//! New names for old ones, drawn from a seed, and their replacement in texts. A name stands where
//! no letter, digit or dash comes before it and no letter or digit behind it: `cart` is not in
//! `carts`, and `cart-7d9f` becomes a child of the new name.

use std::collections::{BTreeMap, BTreeSet};

use crate::seed::Seed;

const SYLLABLES: [&str; 20] = [
    "ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "qui", "ro", "su",
    "ta", "ve", "wi", "xo", "zu",
];

/// Old names and new ones.
#[derive(Debug)]
pub(super) struct Naming {
    /// Longest old name first, so that it wins over one it begins with.
    pairs: Vec<(String, String)>,
}

impl Naming {
    /// Draws a new name for each old one.
    pub(super) fn draw(old: BTreeSet<String>, seed: u64) -> Self {
        let mut seed = Seed::new(seed);
        let mut taken: BTreeSet<String> = old.clone();
        let mut pairs = Vec::new();
        for name in old {
            let new = loop {
                let new = word(&mut seed) + "-" + &word(&mut seed);
                if taken.insert(new.clone()) {
                    break new;
                }
            };
            if name.contains('-') {
                // Programs write their own name with underscores in module paths.
                pairs.push((name.replace('-', "_"), new.replace('-', "_")));
            }
            pairs.push((name, new));
        }
        pairs.sort_by_key(|(old, _)| std::cmp::Reverse(old.len()));
        Self { pairs }
    }

    /// New names as they are given, old name first.
    pub(super) fn given(names: &[(&str, &str)]) -> Self {
        let owned = |(old, new): &(&str, &str)| ((*old).to_owned(), (*new).to_owned());
        let mut pairs: Vec<(String, String)> = names.iter().map(owned).collect();
        pairs.sort_by_key(|(old, _)| std::cmp::Reverse(old.len()));
        Self { pairs }
    }

    /// `text` with every old name replaced. A name can only begin where a word begins, so one look
    /// at each word is enough.
    pub(super) fn applied(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + text.len() / 8);
        let mut rest = text;
        while !rest.is_empty() {
            let word = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            let taken = match self.at(rest).filter(|_| word > 0) {
                Some((old, new)) => {
                    out.push_str(new);
                    old.len()
                }
                None => 0,
            };
            // What is left of the word, and what stands between it and the next one.
            let left = rest.get(taken..).unwrap_or_default();
            let left_word = left.find(|c: char| !is_word(c)).unwrap_or(left.len());
            let between = left.get(left_word..).unwrap_or_default();
            let end = left_word + between.find(is_word).unwrap_or(between.len());
            out.push_str(left.get(..end).unwrap_or_default());
            rest = left.get(end..).unwrap_or_default();
        }
        out
    }

    /// The longest old name at the beginning of `text`.
    fn at(&self, text: &str) -> Option<(&str, &str)> {
        self.pairs
            .iter()
            .find(|(old, _)| {
                text.strip_prefix(old.as_str())
                    .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
            })
            .map(|(old, new)| (old.as_str(), new.as_str()))
    }

    /// All pairs.
    pub(super) fn pairs(self) -> BTreeMap<String, String> {
        self.pairs.into_iter().collect()
    }
}

fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '-' || letter == '_'
}

fn word(seed: &mut Seed) -> String {
    (0..3).filter_map(|_| SYLLABLES.get(seed.below(SYLLABLES.len()))).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_replaced_where_it_stands_whole_or_begins_a_longer_one() {
        let naming = Naming::draw(["cart".to_owned(), "cart-db".to_owned()].into(), 7);
        let new = |old: &str| naming.at(old).unwrap().1.to_owned();
        let (cart, db) = (new("cart"), new("cart-db"));
        for (text, expected) in [
            ("cart-7d9f5 on cart-db-0", format!("{cart}-7d9f5 on {db}-0")),
            (
                "cart.bazaar.svc \"cart\" carts my-cart",
                format!("{cart}.bazaar.svc \"{cart}\" carts my-cart"),
            ),
            ("cart_db::pool", format!("{}::pool", db.replace('-', "_"))),
        ] {
            assert_eq!(naming.applied(text), expected);
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_names_and_another_one_others() {
        let draw = |seed| Naming::draw(["cart".to_owned(), "till".to_owned()].into(), seed).pairs();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
