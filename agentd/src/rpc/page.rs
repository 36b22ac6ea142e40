//! Pages of lists (AIP-158). A token is opaque and bound to the filter it was given for; it holds
//! the key after which the next page begins, so that what comes and goes in between neither
//! repeats nor hides an item.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::status::Problem;
use crate::tool::Violation;

/// One page.
#[derive(Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Its items.
    pub items: Vec<T>,
    /// Token of the next one; empty at the end.
    pub next: String,
}

/// What a page is asked for with.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Items wanted; the usual number when 0.
    pub size: i32,
    /// Token of the page before; empty for the first.
    pub token: &'a str,
    /// The filter in words: a token is good for the same filter only.
    pub filter: &'a str,
}

/// Sizes of a list's pages.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// When the caller does not say.
    pub usual: usize,
    /// Whatever the caller says.
    pub most: usize,
}

/// Cuts the page that was asked for out of `all`, which is sorted by `key`.
///
/// # Errors
/// When the size is negative, or the token is none of ours or belongs to another filter.
pub fn page<T>(
    all: Vec<T>,
    key: impl Fn(&T) -> String,
    asked: Asked<'_>,
    sizes: Sizes,
) -> Result<Page<T>, Problem> {
    let size = match usize::try_from(asked.size) {
        Ok(0) => sizes.usual,
        Ok(some) => some.min(sizes.most),
        Err(_) => return Err(wrong("page_size", "NEGATIVE", "give 0 or more")),
    };
    let after = if asked.token.is_empty() { None } else { Some(open(asked)?) };
    let mut rest = all
        .into_iter()
        .skip_while(|item| after.as_ref().is_some_and(|after| key(item) <= *after))
        .peekable();
    let items: Vec<T> = rest.by_ref().take(size).collect();
    let next = match (rest.peek(), items.last()) {
        (Some(_), Some(last)) => seal(&key(last), asked.filter),
        (Some(_) | None, _) => String::new(),
    };
    Ok(Page { items, next })
}

/// A token that continues after `key`, for one filter.
pub(super) fn seal(key: &str, filter: &str) -> String {
    let mut token = mark(filter);
    for byte in key.bytes() {
        // Writing to a string does not fail.
        let _ = write!(token, "{byte:02x}");
    }
    token
}

/// The key a token continues after.
pub(super) fn open(asked: Asked<'_>) -> Result<String, Problem> {
    let bad = |said| wrong("page_token", "BAD_PAGE_TOKEN", said);
    let hex = asked
        .token
        .strip_prefix(&mark(asked.filter))
        .ok_or_else(|| bad("belongs to another query; begin again without a token"))?;
    let bytes: Option<Vec<u8>> = (0..hex.len())
        .step_by(2)
        .map(|at| hex.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| bad("is none of ours; begin again without a token"))
}

fn mark(filter: &str) -> String {
    Sha256::digest(filter).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// One fault of a field.
pub(super) fn wrong(field: &str, reason: &str, said: &str) -> Problem {
    Problem::invalid(vec![Violation {
        field: field.to_owned(),
        description: said.to_owned(),
        reason: reason.to_owned(),
    }])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const SIZES: Sizes = Sizes { usual: 3, most: 5 };

    fn asked(size: i32, token: &str) -> Result<Page<String>, Problem> {
        let all = (b'a'..=b'h').map(|c| char::from(c).to_string()).collect();
        page(all, Clone::clone, Asked { size, token, filter: "plugin=x" }, SIZES)
    }

    #[test]
    fn pages_joined_are_the_list_whatever_their_size() {
        for size in [0, 1, 2, 5, 100] {
            let (mut token, mut joined) = (String::new(), String::new());
            loop {
                let page = asked(size, &token).unwrap();
                assert!(page.items.len() <= 5);
                joined.extend(page.items);
                if page.next.is_empty() {
                    break;
                }
                token = page.next;
            }
            assert_eq!(joined, "abcdefgh", "size {size}");
        }
    }

    #[test]
    fn tokens_of_another_query_garbage_and_negative_sizes_are_refused() {
        let other = seal("c", "plugin=y");
        for token in [other.as_str(), "zz", "é", &format!("{}zz", mark("plugin=x"))] {
            assert!(asked(0, token).is_err(), "{token}");
        }
        assert!(asked(-1, "").is_err());
    }
}
