//! Sentences and commands of the cause catalogue. `{name}` is replaced; a part in square brackets
//! is dropped when something in it is unknown, so that no sentence has holes.

use std::collections::BTreeMap;

/// Values for the placeholders of one cause: `kind`, `namespace`, `name`, `container`,
/// `statement`, `what` (the strongest signal in words), `quote`, `count`, `percent`, `since`, the
/// attributes of its evidence as `attr.KEY`, and the strongest statement of a signal as
/// `said.SIGNAL`.
pub type Values = BTreeMap<String, String>;

/// Fills a template.
#[must_use]
pub fn fill(template: &str, values: &Values) -> String {
    let mut filled = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some(open) = rest.find('[') {
        let (before, from) = rest.split_at(open);
        filled.push_str(&replace(before, values).0);
        let Some(close) = from.find(']') else {
            rest = from;
            break;
        };
        let (part, after) = from.split_at(close);
        let (text, whole) = replace(part.trim_start_matches('['), values);
        if whole {
            filled.push_str(&text);
        }
        rest = after.trim_start_matches(']');
    }
    filled.push_str(&replace(rest, values).0);
    filled
}

/// Fills a template of a command, where square brackets are part of the command. People paste what
/// comes out into a shell, and values come from logs and events: one that is more than a plain word
/// is quoted, so that nothing in it is carried out.
#[must_use]
pub fn fill_command(template: &str, values: &Values) -> String {
    let words = values.iter().map(|(key, value)| (key.clone(), word(value))).collect();
    replace(template, &words).0
}

/// A value as one word of a POSIX shell.
fn word(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._:/@%+=,-".contains(c);
    if value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', "'\\''"))
}

/// Replaces placeholders; the flag tells whether all were known and not empty. A brace that opens no
/// placeholder, as in a path `{.status}` or in JSON, is a command's own.
fn replace(text: &str, values: &Values) -> (String, bool) {
    let mut out = String::with_capacity(text.len());
    let mut whole = true;
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('{') {
        out.push_str(before);
        // `%{http_code}` and `${VAR}` are the command's own, too.
        let own = before.ends_with(['%', '$']);
        match from.split_once('}').filter(|(key, _)| !own && is_placeholder(key)) {
            None => {
                out.push('{');
                rest = from;
            }
            Some((key, after)) => {
                match values.get(key).filter(|value| !value.is_empty()) {
                    Some(value) => out.push_str(value),
                    None => whole = false,
                }
                rest = after;
            }
        }
    }
    out.push_str(rest);
    (out, whole)
}

fn is_placeholder(key: &str) -> bool {
    let named = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.chars().all(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_parts_are_dropped_whole() {
        let values: Values = [("name", "cart"), ("attr.limit", "512Mi"), ("quote", "")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
        for (template, text) in [
            ("{name} is killed", "cart is killed"),
            ("{name}[ at {attr.limit}][ ({quote})][, {nothing}].", "cart at 512Mi."),
            ("a [b", "a [b"),
            ("{", "{"),
            ("{na me} {name", "{na me} {name"),
        ] {
            assert_eq!(fill(template, &values), text);
        }
    }

    #[test]
    fn a_command_keeps_its_brackets_and_braces() {
        let values = Values::from([("name".to_owned(), "cart".to_owned())]);
        for (command, filled) in [
            (
                "kubectl get pods {name} -o jsonpath='{.status.a[*].b}'",
                "kubectl get pods cart -o jsonpath='{.status.a[*].b}'",
            ),
            ("curl -w '%{http_code}' {name} ${HOME}", "curl -w '%{http_code}' cart ${HOME}"),
            (
                r#"kubectl patch job {name} -p '{"spec":{"suspend":true}}'"#,
                r#"kubectl patch job cart -p '{"spec":{"suspend":true}}'"#,
            ),
        ] {
            assert_eq!(fill_command(command, &values), filled);
        }
    }

    #[test]
    fn nothing_that_a_log_says_is_carried_out_by_the_shell_it_is_pasted_into() {
        for said in ["$(touch x)", "`id`", "a; rm b", "a | b", "it's", "a\nb", "a && b", "$HOME"] {
            let values = Values::from([("attr.verb".to_owned(), said.to_owned())]);
            let filled = fill_command("printf %s {attr.verb}", &values);
            let run = std::process::Command::new("sh").arg("-c").arg(&filled).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&run.stdout), said, "{filled}");
        }
        let values = Values::from([("name".to_owned(), "web-1.a:80/x".to_owned())]);
        assert_eq!(fill_command("get {name}", &values), "get web-1.a:80/x");
    }
}
