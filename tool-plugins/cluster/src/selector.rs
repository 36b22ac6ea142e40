//! Whether labels match a selector, in both of the API's forms.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::object::text_map;

/// Whether `labels` carry every pair of `wanted`. An empty `wanted` matches nothing, as for a
/// Service.
#[must_use]
pub fn pairs_match(wanted: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    !wanted.is_empty() && wanted.iter().all(|(k, v)| labels.get(k) == Some(v))
}

/// Whether `labels` match a `labelSelector` (`matchLabels` and `matchExpressions`). An empty
/// selector matches everything, a missing one nothing; an unknown operator matches nothing.
#[must_use]
pub fn matches(selector: Option<&Value>, labels: &BTreeMap<String, String>) -> bool {
    let Some(selector) = selector.filter(|s| s.is_object()) else { return false };
    let pairs = text_map(selector.get("matchLabels"));
    pairs.iter().all(|(k, v)| labels.get(k) == Some(v))
        && selector
            .get("matchExpressions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .all(|expression| expression_matches(expression, labels))
}

/// Whether one `matchExpressions` entry holds for `labels`.
#[must_use]
pub fn expression_matches(expression: &Value, labels: &BTreeMap<String, String>) -> bool {
    let text = |key| expression.get(key).and_then(Value::as_str).unwrap_or_default();
    let found = labels.get(text("key")).map(String::as_str);
    let values: Vec<&str> = expression
        .get("values")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let number = |text: Option<&str>| text.and_then(|t| t.parse::<i64>().ok());
    let limit = number(values.first().copied());
    match text("operator") {
        "In" => found.is_some_and(|v| values.contains(&v)),
        "NotIn" => found.is_none_or(|v| !values.contains(&v)),
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        "Gt" => number(found).zip(limit).is_some_and(|(v, l)| v > l),
        "Lt" => number(found).zip(limit).is_some_and(|(v, l)| v < l),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn an_empty_pair_selector_matches_nothing() {
        assert!(!pairs_match(&labels(&[]), &labels(&[("app", "a")])));
        assert!(pairs_match(&labels(&[("app", "a")]), &labels(&[("app", "a"), ("x", "y")])));
        assert!(!pairs_match(&labels(&[("app", "b")]), &labels(&[("app", "a")])));
    }

    #[test]
    fn a_label_selector_holds_all_its_parts_against_the_labels() {
        let pod = labels(&[("app", "a"), ("track", "green"), ("size", "5")]);
        for (selector, want) in [
            (json!({}), true),
            (json!({"matchLabels": {"app": "a"}}), true),
            (json!({"matchLabels": {"app": "b"}}), false),
            (
                json!({"matchExpressions": [{"key": "track", "operator": "In", "values": ["green"]}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "track", "operator": "NotIn", "values": ["green"]}]}),
                false,
            ),
            (json!({"matchExpressions": [{"key": "zone", "operator": "DoesNotExist"}]}), true),
            (json!({"matchExpressions": [{"key": "zone", "operator": "Exists"}]}), false),
            (
                json!({"matchExpressions": [{"key": "size", "operator": "Gt", "values": ["4"]}]}),
                true,
            ),
            (
                json!({"matchExpressions": [{"key": "size", "operator": "Lt", "values": ["4"]}]}),
                false,
            ),
            (
                json!({"matchExpressions": [{"key": "size", "operator": "Near", "values": ["4"]}]}),
                false,
            ),
        ] {
            assert_eq!(matches(Some(&selector), &pod), want, "{selector}");
        }
        assert!(!matches(None, &pod));
    }
}
