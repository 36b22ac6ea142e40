//! Text from outside in the languages of Prometheus and Loki, whose strings are those of Go and whose
//! regular expressions are RE2: all that could end it is escaped.

use std::fmt::Write as _;

/// A text as a string of PromQL or LogQL.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => _ = write!(quoted, "\\U{:08x}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A text as a regular expression of RE2 that matches only it.
#[must_use]
pub fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len());
    for character in text.chars() {
        if r"\.+*?()|[]{}^$".contains(character) {
            literal.push('\\');
        }
        literal.push(character);
    }
    literal
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a string as Go does; `None` when it is none, or goes on after its end.
    fn unquoted(text: &str) -> Option<String> {
        let mut chars = text.strip_prefix('"')?.chars();
        let mut plain = String::new();
        loop {
            match chars.next()? {
                '"' => return chars.next().is_none().then_some(plain),
                '\n' => return None,
                '\\' => match chars.next()? {
                    'n' => plain.push('\n'),
                    'U' => {
                        let digits: String = chars.by_ref().take(8).collect();
                        plain.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                    }
                    c @ ('"' | '\\') => plain.push(c),
                    _ => return None,
                },
                c => plain.push(c),
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_is_quoted_is_one_string_that_says_it(text in any::<String>()) {
            prop_assert_eq!(unquoted(&quoted(&text)), Some(text));
        }

        #[test]
        fn a_literal_holds_no_operator_that_is_not_escaped(text in any::<String>()) {
            let mut plain = String::new();
            let literal = literal(&text);
            let mut chars = literal.chars();
            while let Some(c) = chars.next() {
                let c = if c == '\\' { chars.next().unwrap_or(c) } else {
                    let is_operator = r".+*?()|[]{}^$".contains(c);
                    prop_assert!(!is_operator);
                    c
                };
                plain.push(c);
            }
            prop_assert_eq!(plain, text);
        }
    }
}
