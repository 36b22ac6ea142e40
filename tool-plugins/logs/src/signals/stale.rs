//! Lines that say that data has grown too old: whoever should have brought it did not. Telling are
//! two words together, what it is about and what became of it, as each program says it its own way.

/// What is made anew by somebody again and again.
const DATA: &[&str] = &[
    "snapshot",
    "dataset",
    "data set",
    "data file",
    "stale data",
    "data is",
    "data are",
    "feed",
    "extract",
    "export",
    "import",
    "catalog",
    "price",
    "rates",
    "rate table",
    "search index",
    "model",
    "materialized view",
    "materialised view",
    "lookup table",
    "report",
    "partition",
    "refresh",
    "successful run",
    "last run",
    "last sync",
    "last load",
    "batch",
];

/// What became of it.
const OLD: &[&str] = &[
    "is stale",
    "are stale",
    "stale data",
    "stale snapshot",
    "stale dataset",
    "stale feed",
    "stale price",
    "stale rates",
    "stale index",
    "stale model",
    "stale read model",
    "too stale",
    "staleness",
    "freshness",
    "not fresh",
    "out of date",
    "out-of-date",
    "outdated",
    "too old",
    "older than",
    "too long ago",
    "expired",
    "exceeds max age",
    "exceeds maximum age",
    "exceeded max age",
    "max age exceeded",
    "has not been refreshed",
    "has not been updated",
    "was not refreshed",
    "was not updated",
    "not updated since",
    "not refreshed since",
    "no new data since",
    "is missing for today",
    "not found for today",
];

/// The same words about what nobody brings: sessions and proofs, versions, a database's own view.
const OTHER: &[&str] = &[
    "token",
    "certificate",
    "x509",
    "session",
    "cookie",
    "password",
    "credential",
    "lease",
    "licence",
    "license",
    "snapshot too old",
    "file handle",
    "element reference",
    "deadline",
    "request expired",
    "message expired",
    "cache entry",
    "client version",
    "resourceversion",
    "resource version",
    "offset",
    "lock",
    "connection",
    "api key",
];

/// Whether a line says that data it needs is too old.
pub(super) fn speaks(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    says(OLD) && says(DATA) && !says(OTHER)
}
