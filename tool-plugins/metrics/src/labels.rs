//! Label sets of series: sorted, shared, cheap to clone. No meaning of labels here; that is
//! [`crate::object`]'s.

use std::{fmt, sync::Arc};

/// The labels of a series without its metric name, sorted by name, each name once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Vec<(Arc<str>, Arc<str>)>);

// === impl Labels ===

impl Labels {
    /// Sorts `pairs`; of a name given twice the first stays.
    #[must_use]
    pub fn new(mut pairs: Vec<(Arc<str>, Arc<str>)>) -> Self {
        pairs.sort();
        pairs.dedup_by(|later, first| later.0 == first.0);
        Self(pairs)
    }

    /// The same from plain text, for queries and tests.
    #[must_use]
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        Self::new(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
    }

    /// The value of a label; a label that is not there has the empty value, as in Prometheus.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| &**key == name).map_or("", |(_, value)| value)
    }

    /// The value of the first of `names` that is there and not empty.
    #[must_use]
    pub fn first_of(&self, names: &[&str]) -> &str {
        names.iter().map(|name| self.get(name)).find(|value| !value.is_empty()).unwrap_or("")
    }

    /// Only the labels named in `names`.
    #[must_use]
    pub fn only(&self, names: &[String]) -> Self {
        Self(self.0.iter().filter(|(key, _)| names.iter().any(|n| **n == **key)).cloned().collect())
    }

    /// All labels but those named in `names`.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        Self(self.0.iter().filter(|(key, _)| !names.contains(&&**key)).cloned().collect())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{name}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_the_same_set_whatever_their_order() {
        assert_eq!(Labels::of(&[("b", "2"), ("a", "1")]), Labels::of(&[("a", "1"), ("b", "2")]));
    }

    #[test]
    fn a_missing_label_reads_as_empty() {
        let labels = Labels::of(&[("a", "1")]);
        assert_eq!((labels.get("a"), labels.get("b")), ("1", ""));
        assert_eq!(labels.first_of(&["x", "a"]), "1");
    }
}
