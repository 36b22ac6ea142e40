//! The words that deny, open and close a denial, or join clauses. Lists only, in small letters.

/// Denies what follows within a few words of the same clause.
pub(super) const DENIED_BEFORE: &[&str] = &[
    "not",
    "no",
    "never",
    "without",
    "none",
    "neither",
    "nor",
    "cannot be",
    "isn't",
    "wasn't",
    "aren't",
    "weren't",
    "didn't",
    "doesn't",
    "ruled out",
    "rules out",
    "ruling out",
    "rule out",
    "rather than",
    "instead of",
    "unrelated",
    "excluded",
    "excludes",
    "unlikely",
    "absence of",
    "dismissed",
    "free of",
];

/// Counted as a denial too when a text is judged as a whole.
pub(super) const DENIED_TOO: &[&str] =
    &["unaffected", "healthy", "fine", "exclude", "excluding", "fault-free", "innocent"];

/// Denies what came at most three words earlier; the start of a longer word will do.
pub(super) const DENIED_AFTER: &[&str] = &[
    "ruled out",
    "is not",
    "was not",
    "are not",
    "were not",
    "isn't",
    "wasn't",
    "unlikely",
    "excluded",
    "not the cause",
    "not involved",
    "unaffected",
    "healthy",
    "is fine",
    "are fine",
    "dismissed",
];

/// Words that may precede the one which opens a denial.
pub(super) const LEADS: &[&str] = &[
    "and",
    "or",
    "also",
    "it",
    "this",
    "that",
    "there",
    "the",
    "a",
    "an",
    "root",
    "cause",
    "fault",
    "problem",
    "incident",
    "is",
    "are",
    "was",
    "were",
    "be",
    "been",
    "we",
    "i",
    "have",
    "has",
    "had",
    "can",
    "could",
    "should",
    "clearly",
    "certainly",
    "found",
    "saw",
    "see",
    "seem",
    "seems",
    "look",
    "looks",
];

/// Opens a clause or a list of what the cause is not, as whole words. "not" is looked at apart.
pub(super) const OPENERS: &[&str] = &[
    "isn't",
    "wasn't",
    "aren't",
    "weren't",
    "no evidence",
    "no sign",
    "no signs",
    "no indication",
    "no indications",
    "no trace",
    "no traces",
    "no hint",
    "no hints",
    "no proof",
    "no symptom",
    "no symptoms",
    "neither",
    "nor",
    "ruled out",
    "rules out",
    "ruling out",
    "rule out",
    "excluded",
    "excludes",
    "excluding",
    "exclude",
    "dismissed",
    "dismisses",
    "dismissing",
    "dismiss",
    "discarded",
    "discards",
    "discarding",
    "discard",
    "rather than",
    "unrelated",
    "other than",
    "as opposed to",
    "unlikely",
    "considered",
    "candidate",
    "candidates",
    "alternative",
    "alternatives",
    "hypothesis",
    "hypotheses",
    "possible cause",
    "possible causes",
];

/// "rejected" and its like open a denial only before one of [`REJECTED`], of which the start will do.
pub(super) const REJECTING: &[&str] = &["reject ", "rejected ", "rejecting "];

/// What is rejected when a report speaks of its own reasoning.
pub(super) const REJECTED: &[&str] = &["hypothes", "candidate", "alternative", "cause", "idea"];

/// What may follow "not" in a finding ("not found", "not ready"): then it is no denial of a cause.
/// The start of a longer word will do.
pub(super) const NOT_IS_A_FINDING: &[&str] = &[
    "found",
    "ready",
    "set",
    "present",
    "served",
    "updated",
    "able",
    "enough",
    "exist",
    "match",
    "respond",
    "answer",
    "reach",
    "available",
    "accept",
    "allow",
    "resolv",
    "start",
    "listen",
    "mounted",
    "created",
    "permitted",
    "valid",
    "yet",
    "offered",
];

/// Closes a list of what the cause is not, at the very end of a clause.
pub(super) const CLOSERS: &[&str] = &[
    "ruled out",
    "excluded",
    "dismissed",
    "discarded",
    "unlikely",
    "not the root cause",
    "not the cause",
    "not involved",
    "not to blame",
    "unaffected",
    "unrelated",
];

/// A clause with one of these makes a statement and is no bare item of a list.
pub(super) const VERBS: &[&str] = &[
    "is", "are", "was", "were", "has", "have", "had", "does", "do", "did", "can", "cannot", "fail",
    "fails", "failed", "stay", "stays", "get", "gets", "cause", "causes", "caused", "make",
    "makes", "made",
];

/// Words between blanks that part clauses.
pub(super) const JOINERS: &[&str] = &[
    "and", "or", "but", "because", "since", "so", "while", "whereas", "although", "though", "as",
    "instead",
];

/// Those joiners after which a list of denials is over.
pub(super) const TURNS: &[&str] =
    &["but", "because", "since", "so", "while", "whereas", "although", "though", "as", "instead"];
