//! Questions about metrics as values of a type, with the meaning PromQL gives them: a selector,
//! a function over a window, sums by labels, quantiles of histograms, shares. They are evaluated
//! here on samples, and [`promql`] writes the same values for a server, so nothing here may mean what
//! PromQL cannot say.

mod counter;
mod eval;
mod histogram;
pub mod promql;

use std::time::Duration;

pub use eval::{Grid, Track, evaluate};

/// Which series: a metric name and conditions on labels, all of which must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// Metric name.
    pub metric: String,
    /// Conditions on labels.
    pub matchers: Vec<Matcher>,
}

/// A condition on one label. A label that is not there has the empty value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    /// Name of the label.
    pub label: String,
    /// What its value must be.
    pub condition: Condition,
}

/// What the value of a label must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// `label="value"`.
    Is(String),
    /// `label!="value"`.
    IsNot(String),
    /// `label=~"a|b"`, whole values.
    OneOf(Vec<String>),
    /// `label=~"prefix.*"`.
    StartsWith(String),
    /// A host of a namespace by the rules of cluster DNS: `name.namespace`, `name.namespace.svc…`.
    HostIn(String),
}

/// A function over the samples of a window that ends at the time of evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// `rate`: growth of a counter per second.
    Rate,
    /// `increase`: growth of a counter over the window.
    Increase,
    /// `avg_over_time`.
    Average,
    /// `max_over_time`.
    Max,
    /// `count_over_time`.
    Count,
    /// `last_over_time`.
    Last,
}

/// How series of one group become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// `sum by (…)`.
    Sum,
    /// `avg by (…)`.
    Average,
    /// `max by (…)`.
    Max,
    /// `count by (…)`.
    Count,
}

/// A question.
#[derive(Debug, Clone, PartialEq)]
pub enum Query {
    /// The last sample not older than the look-back.
    Instant(Selector),
    /// A function over a window.
    Over {
        /// The function.
        function: Function,
        /// The series.
        selector: Selector,
        /// Length of the window.
        window: Duration,
    },
    /// Groups folded into one series each.
    By {
        /// How.
        fold: Fold,
        /// Labels that tell groups apart; all others vanish.
        labels: Vec<String>,
        /// Of what.
        of: Box<Self>,
    },
    /// `histogram_quantile(q, of)`; `of` must keep the label `le`.
    Quantile {
        /// Between 0 and 1.
        q: f64,
        /// Rates of cumulative buckets.
        of: Box<Self>,
    },
    /// `part / whole` where both have the same labels.
    Share {
        /// Numerator.
        part: Box<Self>,
        /// Denominator.
        whole: Box<Self>,
    },
}

// === impl Selector ===

impl Selector {
    /// All series called `metric`.
    #[must_use]
    pub fn new(metric: &str) -> Self {
        Self { metric: metric.to_owned(), matchers: Vec::new() }
    }

    /// Only those whose `label` has `value`.
    #[must_use]
    pub fn with(self, label: &str, value: &str) -> Self {
        self.matching(label, Condition::Is(value.to_owned()))
    }

    /// Only those whose `label` meets `condition`.
    #[must_use]
    pub fn matching(mut self, label: &str, condition: Condition) -> Self {
        self.matchers.push(Matcher { label: label.to_owned(), condition });
        self
    }
}

// === impl Condition ===

impl Condition {
    /// Whether a label's value meets it.
    #[must_use]
    pub fn holds(&self, value: &str) -> bool {
        match self {
            Self::Is(wanted) => value == wanted,
            Self::IsNot(unwanted) => value != unwanted,
            Self::OneOf(wanted) => wanted.iter().any(|w| w == value),
            Self::StartsWith(prefix) => value.starts_with(prefix),
            Self::HostIn(namespace) => {
                let host = value.split_once("://").map_or(value, |(_, host)| host);
                let host = host.split(['/', ':']).next().unwrap_or_default();
                let mut parts = host.split('.').skip(1);
                parts.next() == Some(namespace) && parts.next().is_none_or(|svc| svc == "svc")
            }
        }
    }
}

// === impl Query ===

impl Query {
    /// `rate(selector[window])`.
    #[must_use]
    pub fn rate(selector: Selector, window: Duration) -> Self {
        Self::Over { function: Function::Rate, selector, window }
    }

    /// `fold by (labels) (self)`.
    #[must_use]
    pub fn by(self, fold: Fold, labels: &[&str]) -> Self {
        let labels = labels.iter().map(|l| (*l).to_owned()).collect();
        Self::By { fold, labels, of: Box::new(self) }
    }

    /// `histogram_quantile(q, self)`.
    #[must_use]
    pub fn quantile(self, q: f64) -> Self {
        Self::Quantile { q, of: Box::new(self) }
    }

    /// `self / whole`.
    #[must_use]
    pub fn share_of(self, whole: Self) -> Self {
        Self::Share { part: Box::new(self), whole: Box::new(whole) }
    }
}
