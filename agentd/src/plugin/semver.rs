//! Semantic versions: read strictly, compared by precedence. Build metadata is allowed and has no
//! weight.

use std::{cmp::Ordering, str::FromStr};

/// A version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    core: [u64; 3],
    pre: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    // Numbers come before words.
    Number(u64),
    Word(String),
}

/// Text that is not a semantic version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a semantic version such as 1.4.0 or 2.0.0-rc.1")]
pub struct BadVersion;

impl FromStr for Version {
    type Err = BadVersion;

    fn from_str(text: &str) -> Result<Self, BadVersion> {
        let (text, build) = match text.split_once('+') {
            Some((text, build)) => (text, Some(build)),
            None => (text, None),
        };
        let (core, pre) = match text.split_once('-') {
            Some((core, pre)) => (core, Some(pre)),
            None => (text, None),
        };
        if text.len() > 128 || build.is_some_and(|build| !build.split('.').all(word)) {
            return Err(BadVersion);
        }
        let numbers: Vec<u64> =
            core.split('.').map(number).collect::<Option<_>>().ok_or(BadVersion)?;
        let pre = pre.map_or(Ok(Vec::new()), |pre| pre.split('.').map(part).collect())?;
        Ok(Self { core: numbers.try_into().map_err(|_| BadVersion)?, pre })
    }
}

impl Version {
    /// Grows when callers must change.
    #[must_use]
    pub fn major(&self) -> u64 {
        self.core[0]
    }

    /// Whether it is no prerelease.
    #[must_use]
    pub fn is_release(&self) -> bool {
        self.pre.is_empty()
    }

    /// Grows when callers may use more.
    #[must_use]
    pub fn minor(&self) -> u64 {
        self.core[1]
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        // A release comes after all that was released before it.
        let released = self.pre.is_empty().cmp(&other.pre.is_empty());
        self.core.cmp(&other.core).then(released).then_with(|| self.pre.cmp(&other.pre))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    (plain && !padded).then(|| text.parse().ok()).flatten()
}

fn part(text: &str) -> Result<Part, BadVersion> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return number(text).map(Part::Number).ok_or(BadVersion);
    }
    word(text).then(|| Part::Word(text.to_owned())).ok_or(BadVersion)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn only_semantic_versions_are_read() {
        for good in ["0.0.0", "1.4.0", "1.0.0-rc.1", "1.0.0-0a", "2.0.0+build.7", "1.0.0-a+b"] {
            assert!(good.parse::<Version>().is_ok(), "{good}");
        }
        for bad in [
            "", "1", "1.0", "1.0.0.0", "v1.0.0", "01.0.0", "1.0.0-", "1.0.0-01", "1.0.0+", "1.0.x",
            "1.-1.0",
        ] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }

    #[test]
    fn precedence_is_that_of_the_standard() {
        let ordered =
            ["1.0.0-1", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta", "1.0.0", "1.9.0", "1.10.0"];
        let read: Vec<Version> = ordered.iter().map(|text| text.parse().unwrap()).collect();
        assert!(read.is_sorted(), "{read:?}");
    }
}
