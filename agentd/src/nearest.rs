//! Which known word was meant by an unknown one.

/// The known word that is nearest by single-letter edits, unless all are far away.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = |other: &&str| distance(word, other) <= 1 + word.chars().count() / 3;
    known.into_iter().filter(near).min_by_key(|other| distance(word, other))
}

/// Letters to change, add or take away.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut next = vec![i + 1];
        let mut left = i + 1;
        for ((b, corner), above) in to.iter().zip(&row).zip(row.iter().skip(1)) {
            left = (corner + usize::from(a != *b)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_single_letter_edits() {
        for (a, b, letters) in [
            ("", "", 0),
            ("", "ab", 2),
            ("listen", "listen", 0),
            ("lsiten", "listen", 2),
            ("http", "https", 1),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (letters, letters), "{a} {b}");
        }
    }

    #[test]
    fn a_slip_is_understood_and_a_stranger_is_not() {
        let known = ["listen", "max_rounds", "max_duration"];
        assert_eq!(nearest("lisen", known), Some("listen"));
        assert_eq!(nearest("max_round", known), Some("max_rounds"));
        assert_eq!(nearest("colour", known), None);
    }
}
