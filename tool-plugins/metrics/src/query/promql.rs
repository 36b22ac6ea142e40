//! Writes questions as PromQL. Text from outside stands in quotes with all that could end them
//! escaped, or nowhere: a word that is no identifier is refused where only an identifier can be.
//! Grammar: <https://prometheus.io/docs/prometheus/latest/querying/basics/>.

use std::time::Duration;

use plugin_http::quote::{literal, quoted};

use super::{Condition, Fold, Function, Matcher, Query, Selector};

/// A question as PromQL.
#[must_use]
pub fn render(query: &Query) -> String {
    match query {
        Query::Instant(of) => selector(of),
        Query::Over { function, selector: of, window } => {
            let function = match function {
                Function::Rate => "rate",
                Function::Increase => "increase",
                Function::Average => "avg_over_time",
                Function::Max => "max_over_time",
                Function::Count => "count_over_time",
                Function::Last => "last_over_time",
            };
            format!("{function}({}[{}])", selector(of), span(*window))
        }
        Query::By { fold, labels, of } => {
            let fold = match fold {
                Fold::Sum => "sum",
                Fold::Average => "avg",
                Fold::Max => "max",
                Fold::Count => "count",
            };
            let labels: Vec<&str> =
                labels.iter().map(String::as_str).filter(|l| is_label(l)).collect();
            format!("{fold} by ({}) ({})", labels.join(", "), render(of))
        }
        Query::Quantile { q, of } => format!("histogram_quantile({q}, {})", render(of)),
        Query::Share { part, whole } => format!("({}) / ({})", render(part), render(whole)),
    }
}

/// A selector as PromQL; a metric name that is no identifier is matched as a value.
#[must_use]
pub fn selector(of: &Selector) -> String {
    let mut parts: Vec<String> = Vec::new();
    let plain = is_metric(&of.metric);
    if !plain && !of.metric.is_empty() {
        parts.push(format!("__name__={}", quoted(&of.metric)));
    }
    parts.extend(of.matchers.iter().map(matcher));
    let name = if plain { of.metric.as_str() } else { "" };
    if plain && parts.is_empty() {
        return name.to_owned();
    }
    format!("{name}{{{}}}", parts.join(","))
}

fn matcher(of: &Matcher) -> String {
    if !is_label(&of.label) {
        // No series can have it; leaving the condition out would ask for more than was meant.
        return "__no_such_label__=\"1\"".to_owned();
    }
    let (operator, value) = match &of.condition {
        Condition::Is(value) => ("=", value.clone()),
        Condition::IsNot(value) => ("!=", value.clone()),
        Condition::OneOf(values) => ("=~", one_of(values)),
        Condition::StartsWith(prefix) => ("=~", format!("{}.*", literal(prefix))),
        Condition::HostIn(namespace) => ("=~", host_in(namespace)),
    };
    format!("{}{operator}{}", of.label, quoted(&value))
}

/// A window or offset as PromQL writes it: whole milliseconds, seconds where they are whole.
#[must_use]
pub fn span(window: Duration) -> String {
    let millis = window.as_millis();
    if millis.is_multiple_of(1000) { format!("{}s", millis / 1000) } else { format!("{millis}ms") }
}

/// A regular expression that matches exactly one of `values`.
fn one_of(values: &[String]) -> String {
    values.iter().map(|value| literal(value)).collect::<Vec<_>>().join("|")
}

/// Hosts of a namespace: `name.namespace`, `name.namespace.svc…`, as URL or with a port.
fn host_in(namespace: &str) -> String {
    let namespace = literal(namespace);
    format!("([a-z+]+://)?[^/:.]+[.]{namespace}([.]svc([.][^/:]*)?)?(:[0-9]+)?(/.*)?")
}

/// Whether a word may stand as a metric name.
#[must_use]
pub fn is_metric(word: &str) -> bool {
    is_identifier(word, true)
}

/// Whether a word may stand as a label name.
#[must_use]
pub fn is_label(word: &str) -> bool {
    is_identifier(word, false)
}

fn is_identifier(word: &str, colons: bool) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':');
    !word.is_empty() && word.chars().all(fits) && !word.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_written_as_people_write_them() {
        let minute = Duration::from_secs(60);
        let buckets = Selector::new("d_bucket").with("ns", "a");
        let table = [
            (Query::Instant(Selector::new("up")), "up"),
            (
                Query::rate(Selector::new("a_total"), minute).by(Fold::Sum, &["x", "y"]),
                "sum by (x, y) (rate(a_total[60s]))",
            ),
            (
                Query::rate(buckets, minute).by(Fold::Sum, &["le"]).quantile(0.95),
                "histogram_quantile(0.95, sum by (le) (rate(d_bucket{ns=\"a\"}[60s])))",
            ),
            (
                Query::Instant(Selector::new("a")).share_of(Query::Instant(Selector::new("b"))),
                "(a) / (b)",
            ),
            (
                Query::Instant(
                    Selector::new("a")
                        .matching("x", Condition::OneOf(vec!["a.b".to_owned(), "c|d".to_owned()])),
                ),
                r#"a{x=~"a\\.b|c\\|d"}"#,
            ),
            (
                Query::Instant(Selector::new("a.b").matching("x", Condition::IsNot(String::new()))),
                r#"{__name__="a.b",x!=""}"#,
            ),
        ];
        for (query, expected) in table {
            assert_eq!(render(&query), expected);
        }
    }

    #[test]
    fn text_from_outside_cannot_leave_its_quotes() {
        let hostile = "x\"} or up{a=\"\n\\\"; # {{}}\u{0}";
        let rendered = selector(&Selector::new("m").with("ns", hostile));
        assert_eq!(rendered, "m{ns=\"x\\\"} or up{a=\\\"\\n\\\\\\\"; # {{}}\\U00000000\"}");
        // A label that is no identifier is not written, and matches nothing.
        let label = Selector::new("m").with("a=\"\"} or up{b", "x");
        assert_eq!(selector(&label), "m{__no_such_label__=\"1\"}");
    }
}
