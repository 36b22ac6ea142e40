//! Whether a secret stands in a report, in any usual encoding.
//!
//! What it is not: redaction. It knows the secret that it looks for.

use serde_json::Value;

/// How many of the secrets stand in the value: plain, URL-encoded, Base64, escaped for JSON or HTML;
/// inside its JSON text or in its texts taken together.
#[must_use]
pub fn leaked(report: &Value, secrets: &[String]) -> usize {
    let raw = format!("{report}\n{}", flat(report));
    secrets.iter().filter(|s| forms(s).iter().any(|f| raw.contains(f.as_str()))).count()
}

/// All texts of a value: the members of an object with a blank, those of a list with a line end
/// between them.
fn flat(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(members) => members.values().map(flat).collect::<Vec<_>>().join(" "),
        Value::Array(items) => items.iter().map(flat).collect::<Vec<_>>().join("\n"),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn forms(secret: &str) -> [String; 6] {
    [
        secret.to_owned(),
        percent_encoded(secret, false),
        percent_encoded(secret, true),
        base64(secret.as_bytes()),
        json_escaped(secret),
        secret.replace('&', "&amp;"),
    ]
}

/// Everything but letters, digits and `_.-~` as `%XX`; a blank as `+` in forms.
fn percent_encoded(text: &str, form: bool) -> String {
    text.bytes()
        .map(|b| match b {
            b' ' if form => "+".to_owned(),
            b if b.is_ascii_alphanumeric() || b"_.-~".contains(&b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

/// Base64 in the standard alphabet without padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word =
            (0..3).fold(0_u32, |w, k| w << 8 | u32::from(chunk.get(k).copied().unwrap_or(0)));
        for k in 0..=chunk.len() {
            let six = usize::try_from(word >> (18 - 6 * k) & 63).unwrap_or(0);
            out.extend(ALPHABET.get(six).map(|b| char::from(*b)));
        }
    }
    out
}

/// As inside a JSON string of plain ASCII.
fn json_escaped(text: &str) -> String {
    let quoted = Value::String(text.to_owned()).to_string();
    let inner = quoted.strip_prefix('"').and_then(|q| q.strip_suffix('"')).unwrap_or_default();
    let escaped = |c: char| match c {
        c if c.is_ascii() => c.to_string(),
        c => c.encode_utf16(&mut [0; 2]).iter().map(|u| format!("\\u{u:04x}")).collect(),
    };
    inner.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{base64, leaked, percent_encoded};

    #[test]
    fn base64_is_written_without_padding() {
        let cases = [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, coded) in cases {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn a_blank_is_a_plus_in_forms_only() {
        assert_eq!(percent_encoded("a b/ü", false), "a%20b%2F%C3%BC");
        assert_eq!(percent_encoded("a b/ü", true), "a+b%2F%C3%BC");
    }

    #[test]
    fn a_secret_is_seen_wherever_it_stands() {
        let secret = ["Plum \"7\" & é".to_owned()];
        let leaks = [
            json!({"a": ["x Plum \"7\" & é y"]}),
            json!("Plum%20%227%22%20%26%20%C3%A9"),
            json!("Plum+%227%22+%26+%C3%A9"),
            json!({"k": base64(secret[0].as_bytes())}),
            json!("Plum \"7\" &amp; é"),
            json!("Plum \\\"7\\\" & \\u00e9"),
        ];
        for report in leaks {
            assert_eq!(leaked(&report, &secret), 1, "{report}");
        }
        assert_eq!(leaked(&json!("Plum 7"), &secret), 0);
    }
}
