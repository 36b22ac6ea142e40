//! How alike an alert and a remembered case are: stated arithmetic over what both sides know, 0 to
//! 1, the same for the same input. Pure; finding the cases to compare is the index's.
//!
//! Points are given for what is the same and divided by the points of all that both sides know, so
//! that an alert that says little is not punished for silence, up to a floor ([`ENOUGH`]): a match
//! on little alone is worth little. What identifies the trouble and differs multiplies the whole
//! down, so that no sum of side matches makes another service's case look like this one's.

use super::episode::Outcome;

/// Least likeness worth telling. An alert on another service, or of another type, stays below it
/// unless the evidence shows the same signals.
pub const FLOOR: f64 = 0.35;
/// Most cases told.
pub const MOST: usize = 5;

/// Same service: what most often makes it the same trouble.
const SERVICE: f64 = 35.0;
/// Same type of alert.
const KIND: f64 = 25.0;
/// Same signals, weighted by their rarity: symptoms of the trouble itself, known late.
const SIGNALS: f64 = 20.0;
/// Same namespace and cluster: tells twins of one service in several environments apart.
const NAMESPACE: f64 = 10.0;
/// Same labels: teams and tiers, weak evidence.
const LABELS: f64 = 10.0;
/// Points that must be known on both sides for a full score: service and type.
const ENOUGH: f64 = SERVICE + KIND;
/// Factor when the service is known and another one.
const OTHER_SERVICE: f64 = 0.65;
/// Factor when the type is known and another one.
const OTHER_KIND: f64 = 0.5;
/// Likeness of the very same alert: its fingerprint leaves out nothing but words and time.
const SAME_ALERT: f64 = 0.95;
/// Factor for a case that came to no conclusion: it tells that it happened, not why.
const NO_CONCLUSION: f64 = 0.5;

/// Labels that name one instance and change with every restart: never compared.
pub const VOLATILE: &[&str] = &[
    "pod",
    "pod_name",
    "pod_ip",
    "pod_template_hash",
    "container_id",
    "controller_revision_hash",
    "endpoint",
    "host",
    "hostname",
    "id",
    "instance",
    "ip",
    "job_name",
    "node",
    "replica",
    "uid",
];

/// One thing compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// Known on both sides and equal.
    Same,
    /// Known on both sides and not equal.
    Other,
    /// One side does not say.
    Unknown,
}

impl Compared {
    fn points(self, of: f64) -> (f64, f64) {
        match self {
            Self::Same => (of, of),
            Self::Other => (0.0, of),
            Self::Unknown => (0.0, 0.0),
        }
    }
}

/// An alert beside a case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// The fingerprints are equal.
    pub same_alert: bool,
    /// Type.
    pub kind: Compared,
    /// Service.
    pub service: Compared,
    /// Namespace and cluster.
    pub namespace: Compared,
    /// Share of equal values among labels that both have; `None` when they share none.
    pub labels: Option<f64>,
    /// Share of the signals asked about that the case had, weighted by rarity; `None` when no
    /// signals are known yet.
    pub signals: Option<f64>,
    /// What the case came to.
    pub outcome: Outcome,
}

// === impl Comparison ===

impl Comparison {
    /// The likeness, 0 to 1, to three places.
    #[must_use]
    pub fn score(&self) -> f64 {
        let share = |share: Option<f64>, of: f64| share.map_or((0.0, 0.0), |part| (part * of, of));
        let parts = [
            self.service.points(SERVICE),
            self.kind.points(KIND),
            self.namespace.points(NAMESPACE),
            share(self.labels, LABELS),
            share(self.signals, SIGNALS),
        ];
        let got: f64 = parts.iter().map(|(got, _)| got).sum();
        let known: f64 = parts.iter().map(|(_, known)| known).sum();
        let mut score = got / known.max(ENOUGH);
        if self.service == Compared::Other {
            score *= OTHER_SERVICE;
        }
        if self.kind == Compared::Other {
            score *= OTHER_KIND;
        }
        if self.same_alert {
            score = score.max(SAME_ALERT);
        }
        if self.outcome == Outcome::Inconclusive {
            score *= NO_CONCLUSION;
        }
        (score * 1000.0).round() / 1000.0
    }

    /// Why it matched, in words; `shared` are the signals in common, the rarest first.
    #[must_use]
    pub fn reason(&self, shared: &[&str]) -> String {
        let named = [("type", self.kind), ("service", self.service), ("namespace", self.namespace)];
        let with = |wanted| {
            named.iter().filter(|(_, how)| *how == wanted).map(|(name, _)| *name).collect()
        };
        let (same, other): (Vec<&str>, Vec<&str>) = (with(Compared::Same), with(Compared::Other));
        let mut parts = Vec::new();
        if !same.is_empty() {
            parts.push(format!("same {}", listed(&same)));
        } else if self.same_alert {
            parts.push("same fingerprint".to_owned());
        }
        if !shared.is_empty() {
            let word = if shared.len() == 1 { "signal" } else { "signals" };
            parts.push(format!("same {word} {}", shared.join(", ")));
        }
        if self.labels.is_some_and(|share| share >= 1.0) {
            parts.push("same labels".to_owned());
        }
        if !other.is_empty() {
            parts.push(format!("another {}", listed(&other)));
        }
        parts.join("; ")
    }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [front @ .., last] => format!("{} and {last}", front.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAME: Comparison = Comparison {
        same_alert: false,
        kind: Compared::Same,
        service: Compared::Same,
        namespace: Compared::Same,
        labels: None,
        signals: None,
        outcome: Outcome::Cause,
    };

    #[test]
    fn likeness_follows_the_table() {
        use Compared::{Other, Unknown};
        let table: [(&str, Comparison, f64); 12] = [
            ("all that is known is the same", SAME, 1.0),
            ("no namespace given", Comparison { namespace: Unknown, ..SAME }, 1.0),
            ("other labels", Comparison { labels: Some(0.0), ..SAME }, 0.875),
            ("other signals", Comparison { signals: Some(0.0), ..SAME }, 0.778),
            (
                "the same alert, whatever else",
                Comparison { same_alert: true, signals: Some(0.0), ..SAME },
                0.95,
            ),
            ("a twin in another namespace", Comparison { namespace: Other, ..SAME }, 0.857),
            ("another service", Comparison { service: Other, ..SAME }, 0.325),
            (
                "another service, same signals",
                Comparison { service: Other, signals: Some(1.0), ..SAME },
                0.397,
            ),
            ("another type", Comparison { kind: Other, ..SAME }, 0.321),
            (
                "another type, same signals",
                Comparison { kind: Other, signals: Some(1.0), ..SAME },
                0.361,
            ),
            (
                "only the type is known",
                Comparison { service: Unknown, namespace: Unknown, ..SAME },
                0.417,
            ),
            ("no conclusion then", Comparison { outcome: Outcome::Inconclusive, ..SAME }, 0.5),
        ];
        for (what, comparison, wanted) in table {
            assert!((comparison.score() - wanted).abs() < 1e-9, "{what}: {}", comparison.score());
        }
    }

    #[test]
    fn another_service_or_type_is_worth_telling_only_with_shared_signals() {
        for one in [
            Comparison { service: Compared::Other, ..SAME },
            Comparison { kind: Compared::Other, ..SAME },
        ] {
            assert!(one.score() < FLOOR);
            assert!(Comparison { signals: Some(1.0), ..one }.score() >= FLOOR);
        }
    }

    #[test]
    fn the_reason_says_what_is_the_same_and_what_is_not() {
        assert_eq!(
            SAME.reason(&["container.oom_killed"]),
            "same type, service and namespace; same signal container.oom_killed"
        );
        let other = Comparison { namespace: Compared::Other, labels: Some(1.0), ..SAME };
        assert_eq!(other.reason(&[]), "same type and service; same labels; another namespace");
    }
}
