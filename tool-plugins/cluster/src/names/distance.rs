//! Edit distance between names: how many letters must be put in, taken out or changed.

/// How many letters must be put in, taken out or changed to make one name of the other.
#[must_use]
pub fn between(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for (pair, to) in row.windows(2).zip(&b) {
            let (diagonal, above) = (pair.first().copied(), pair.get(1).copied());
            let change = diagonal.unwrap_or(left) + usize::from(from != *to);
            left = change.min(left + 1).min(above.unwrap_or(left) + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_single_letter_edits() {
        for (a, b, want) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "abd", 1),
            ("web", "wbe", 2),
            ("", "xy", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(between(a, b), want, "{a} {b}");
            assert_eq!(between(b, a), want, "{b} {a}");
        }
    }
}
