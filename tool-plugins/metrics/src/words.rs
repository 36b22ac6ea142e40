//! Names as words: the parts of a metric's or object's name, and how alike two names are.
//! No names of any cluster stand here.

/// The parts of a metric name in lower case.
#[must_use]
pub fn parts(name: &str) -> Vec<&str> {
    name.split(['_', ':', '.']).filter(|part| !part.is_empty()).collect()
}

/// Whether one of the parts of a metric name is one of `words`.
#[must_use]
pub fn has_part(name: &str, words: &[&str]) -> bool {
    parts(name).iter().any(|part| words.contains(part))
}

/// What pods of one workload have in common: the name without the random ends that controllers
/// give (`web-7d9f8c5b6-x2x8k`, `agent-x2x8k`, `db-0`).
#[must_use]
pub fn stem(pod: &str) -> &str {
    let cut = |name: &str, fits: fn(&str) -> bool| -> Option<usize> {
        let (stem, end) = name.rsplit_once('-')?;
        fits(end).then_some(stem.len())
    };
    if let Some(at) = cut(pod, |end| !end.is_empty() && end.bytes().all(|b| b.is_ascii_digit())) {
        return pod.get(..at).unwrap_or(pod);
    }
    let five = |end: &str| end.len() == 5 && drawn(end);
    let hash = |end: &str| (7..=10).contains(&end.len()) && drawn(end);
    let Some(at) = cut(pod, five) else { return pod };
    let first = pod.get(..at).unwrap_or(pod);
    match cut(first, hash) {
        Some(at) => first.get(..at).unwrap_or(first),
        None => first,
    }
}

/// Whether an end of a name was drawn at random: Kubernetes leaves out vowels, so that no words
/// arise; others at least mix in digits.
fn drawn(end: &str) -> bool {
    let digit = end.bytes().any(|b| b.is_ascii_digit());
    let vowel = end.contains(['a', 'e', 'i', 'o', 'u', 'y']);
    (digit || !vowel) && end.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// Parts of names that say only what kind of thing it is.
const KINDS: &[&str] = &[
    "group",
    "consumer",
    "consumers",
    "queue",
    "queues",
    "cg",
    "topic",
    "topics",
    "default",
    "v1",
    "v2",
    "prod",
    "stream",
    "dlq",
    "svc",
    "service",
];

/// The telling words of an object's name.
fn telling(name: &str) -> Vec<String> {
    name.split(|c: char| !c.is_ascii_alphanumeric())
        .map(str::to_ascii_lowercase)
        .filter(|word| word.len() > 1 && !KINDS.contains(&word.as_str()))
        .collect()
}

/// Share of the telling words of `name` that `other` has, too, in some form of them ("render" and
/// "renderer").
#[must_use]
pub fn likeness(name: &str, other: &str) -> f64 {
    let (own, others) = (telling(name), telling(other));
    if own.is_empty() || others.is_empty() {
        return 0.0;
    }
    let found = own.iter().filter(|word| others.iter().any(|o| same_root(word, o))).count();
    let real = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    real(found) / real(own.len())
}

fn same_root(a: &str, b: &str) -> bool {
    let shared = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let longest = a.len().max(b.len());
    a == b || (shared >= 4 && longest - shared <= 3)
}

/// Whether `word` stands in `text` as a whole word of a setting.
#[must_use]
pub fn mentions(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    word.len() >= 3 && text.split(|c| !part(c)).any(|found| found == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_name_without_its_random_ends_is_its_workloads() {
        for (pod, expected) in [
            ("web-7d9f8c5b6-x2x8k", "web"),
            ("big-web-7d9f8c5b6d-x2x8k", "big-web"),
            ("node-agent-x2x8k", "node-agent"),
            ("log-collector-x2x8k", "log-collector"),
            ("api-build", "api-build"),
            ("db-0", "db"),
            ("my-db-12", "my-db"),
            ("lone", "lone"),
        ] {
            assert_eq!(stem(pod), expected, "{pod}");
        }
    }

    #[test]
    fn names_are_alike_by_their_telling_words() {
        assert!(likeness("invoice.render", "invoice-renderer") > 0.99);
        assert!(likeness("orders-consumer-group", "order-worker") > 0.99);
        assert!(likeness("mail", "invoice-renderer") < 0.01);
        assert!(likeness("queue", "queue") < 0.01, "a kind of thing tells nothing");
    }

    #[test]
    fn a_setting_mentions_whole_words_only() {
        assert!(mentions("topics=a,orders.v2", "orders.v2"));
        assert!(!mentions("reorders", "orders"));
    }
}
