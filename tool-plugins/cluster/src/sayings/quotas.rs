//! What the quota and limit checks of the server say when they refuse an object: whose rule it
//! was, what was asked for, what is used and what is allowed.

use super::between;

/// One resource that went over its ceiling.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ceiling {
    /// The resource as the rule names it, such as `limits.memory` or `pods`.
    pub resource: String,
    /// What was asked for; empty when nothing was, which can be the fault.
    pub requested: String,
    /// What is used already; empty for a `LimitRange`.
    pub used: String,
    /// What is allowed; the least instead of the most when [`QuotaRefusal::why`] is `below`.
    pub hard: String,
}

/// A creation that a quota or a limit range refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaRefusal {
    /// `ResourceQuota` or `LimitRange`.
    pub kind: &'static str,
    /// Name of the rule; a `LimitRange` is never named.
    pub name: String,
    /// `exceeded`, `unspecified` (the rule wants a request or limit that is not given), `above`,
    /// `below`, `ratio` or `unknown` (the quota has no status yet).
    pub why: &'static str,
    /// Each resource that is over.
    pub ceilings: Vec<Ceiling>,
}

/// Reads `exceeded quota: q, requested: a=1, used: a=4, limited: a=4` and its kin.
#[must_use]
pub fn quota_refusal(message: &str) -> Option<QuotaRefusal> {
    let quota = |name: &str, why, ceilings| {
        let name = name.trim().to_owned();
        Some(QuotaRefusal { kind: "ResourceQuota", name, why, ceilings })
    };
    if let Some((_, rest)) = message.split_once("exceeded quota: ") {
        let name = rest.split([',', ' ']).next().unwrap_or_default();
        return quota(name, "exceeded", ceilings(rest));
    }
    if let Some((_, rest)) = message.split_once("failed quota: ") {
        let name = rest.split([':', ',', ' ']).next().unwrap_or_default();
        return quota(name, "unspecified", unspecified(rest));
    }
    if let Some((_, rest)) = message.split_once("status unknown for quota: ") {
        return quota(rest.split([',', ' ']).next().unwrap_or_default(), "unknown", Vec::new());
    }
    limit_range(message)
}

fn ceilings(rest: &str) -> Vec<Ceiling> {
    let requested = pairs(between(rest, "requested: ", ", used: ").unwrap_or_default());
    let used = pairs(between(rest, "used: ", ", limited: ").unwrap_or_default());
    let limited = rest.split_once("limited: ").map_or("", |(_, limited)| limited);
    let of = |list: &[(String, String)], resource: &str| {
        list.iter().find(|(r, _)| r == resource).map(|(_, v)| v.clone()).unwrap_or_default()
    };
    pairs(limited.split([' ', ';', '"']).next().unwrap_or_default())
        .into_iter()
        .map(|(resource, hard)| Ceiling {
            requested: of(&requested, &resource),
            used: of(&used, &resource),
            resource,
            hard,
        })
        .collect()
}

/// `a=1,b=2`.
fn pairs(text: &str) -> Vec<(String, String)> {
    text.split(',')
        .filter_map(|pair| pair.trim().split_once('='))
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}

/// `must specify limits.cpu for: app; limits.memory for: app`, or a comma list without names.
fn unspecified(rest: &str) -> Vec<Ceiling> {
    let Some((_, list)) = rest.split_once("must specify ") else { return Vec::new() };
    list.split([';', ','])
        .filter_map(|part| part.split_whitespace().next())
        .filter(|word| word.contains('.') || matches!(*word, "cpu" | "memory"))
        .map(|word| Ceiling { resource: word.to_owned(), ..Ceiling::default() })
        .collect()
}

/// `maximum memory usage per Container is 1Gi, but limit is 2Gi`; `No limit is specified` may end
/// it instead.
fn limit_range(message: &str) -> Option<QuotaRefusal> {
    let (head, tail) = ["Container", "Pod", "PersistentVolumeClaim"]
        .iter()
        .find_map(|kind| message.split_once(&format!(" per {kind} is ")))?;
    // The sentence's last words: `maximum memory usage`, `cpu max limit to request ratio`.
    let words: Vec<&str> = head.split_whitespace().rev().take(6).collect();
    let (why, resource) = match words.as_slice() {
        ["ratio", _, _, _, _, resource, ..] => ("ratio", *resource),
        ["usage", resource, bound, ..] if bound.ends_with("maximum") => ("above", *resource),
        ["usage", resource, bound, ..] if bound.ends_with("minimum") => ("below", *resource),
        _ => return None,
    };
    // Several bounds may be told at once; the first stands for all.
    let tail = tail.split(" usage per ").next().unwrap_or(tail);
    let word = |text: &str| {
        let word = text.split([',', ' ', ']', ';']).next().unwrap_or_default();
        word.trim_end_matches('.').to_owned()
    };
    let requested = ["but limit is ", "but request is ", "but provided ratio is "]
        .iter()
        .find_map(|before| tail.split_once(before))
        .map(|(_, rest)| word(rest));
    let ceiling = Ceiling {
        resource: resource.trim_start_matches(['[', '"']).to_owned(),
        requested: requested.unwrap_or_default(),
        used: String::new(),
        hard: word(tail),
    };
    let name = String::new();
    Some(QuotaRefusal { kind: "LimitRange", name, why, ceilings: vec![ceiling] })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn a_quota_tells_name_and_amounts() {
        let said = "pods \"a-1\" is forbidden: exceeded quota: team, requested: limits.memory=1Gi,pods=1, used: limits.memory=8Gi,pods=10, limited: limits.memory=8Gi,pods=10";
        let read = quota_refusal(said).unwrap();
        assert_eq!(
            (read.kind, read.name.as_str(), read.why),
            ("ResourceQuota", "team", "exceeded")
        );
        let amounts: Vec<(&str, &str, &str, &str)> = read
            .ceilings
            .iter()
            .map(|c| (c.resource.as_str(), c.requested.as_str(), c.used.as_str(), c.hard.as_str()))
            .collect();
        assert_eq!(amounts, [("limits.memory", "1Gi", "8Gi", "8Gi"), ("pods", "1", "10", "10")]);
    }

    #[test]
    fn a_quota_may_want_what_is_not_given() {
        for said in [
            "pods \"a-1\" is forbidden: failed quota: team: must specify limits.cpu for: app; limits.memory for: app",
            "pods \"a-1\" is forbidden: failed quota: team: must specify limits.cpu,limits.memory",
        ] {
            let read = quota_refusal(said).unwrap();
            let names: Vec<&str> = read.ceilings.iter().map(|c| c.resource.as_str()).collect();
            assert_eq!(
                (read.why, names.as_slice()),
                ("unspecified", &["limits.cpu", "limits.memory"][..])
            );
        }
    }

    #[test]
    fn a_limit_range_tells_its_bound() {
        for (said, why, resource, requested, hard) in [
            (
                "pods \"a\" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi",
                "above",
                "memory",
                "2Gi",
                "1Gi",
            ),
            (
                "pods \"a\" is forbidden: [minimum cpu usage per Container is 100m, but request is 50m, maximum cpu usage per Container is 1, but limit is 4]",
                "below",
                "cpu",
                "50m",
                "100m",
            ),
            (
                "pods \"a\" is forbidden: maximum cpu usage per Pod is 2.  No limit is specified",
                "above",
                "cpu",
                "",
                "2",
            ),
            (
                "persistentvolumeclaims \"d\" is forbidden: maximum storage usage per PersistentVolumeClaim is 10Gi, but request is 50Gi",
                "above",
                "storage",
                "50Gi",
                "10Gi",
            ),
            (
                "pods \"a\" is forbidden: cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000",
                "ratio",
                "cpu",
                "4.000000",
                "2",
            ),
        ] {
            let read = quota_refusal(said).unwrap();
            let c = &read.ceilings[0];
            assert_eq!(
                (read.kind, read.why, c.resource.as_str(), c.requested.as_str(), c.hard.as_str()),
                ("LimitRange", why, resource, requested, hard),
                "{said}"
            );
        }
        assert_eq!(quota_refusal("admission webhook \"x\" denied the request: no"), None);
    }
}
