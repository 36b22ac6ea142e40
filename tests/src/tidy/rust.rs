//! Rust source as the rules see it: comments and literals blanked, test-only items taken out.
//! A scanner of tokens, not a parser; lines stay where they were.

/// `text` with the content of comments, strings and characters blanked. Line breaks stay.
#[must_use]
pub fn blanked(text: &str) -> String {
    Scanner { rest: text, out: String::with_capacity(text.len()) }.run()
}

/// `text` without items under `#[cfg(test)]`; their lines stay as empty ones. Give it [`blanked`]
/// text, or text of which nothing in a literal looks like an item.
#[must_use]
pub fn production(text: &str) -> String {
    without_tests(text, true)
}

/// How many lines of blanked `text` are not for tests only.
#[must_use]
pub fn production_lines(text: &str) -> usize {
    without_tests(text, false).trim_end().lines().count()
}

fn without_tests(text: &str, keep_lines: bool) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(MARK) {
        out.push_str(rest.get(..at).unwrap_or_default());
        let item = rest.get(at + MARK.len()..).unwrap_or_default();
        rest = after_item(item);
        let taken = item.len() - rest.len();
        if keep_lines {
            let lines = item.get(..taken).unwrap_or_default().matches('\n').count();
            out.extend(std::iter::repeat_n('\n', lines));
        }
    }
    out.push_str(rest);
    out
}

/// What follows the item at the beginning of `text`, its attributes included.
fn after_item(text: &str) -> &str {
    let (mut braces, mut others) = (0_usize, 0_usize);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' | '[' => others += 1,
            ')' | ']' => others = others.saturating_sub(1),
            '{' => braces += 1,
            '}' => {
                braces = braces.saturating_sub(1);
                if braces == 0 {
                    let end = text.get(at + 1..).unwrap_or_default();
                    // `use a::{b};` goes on behind the brace.
                    return end.strip_prefix(';').unwrap_or(end);
                }
            }
            ';' if braces == 0 && others == 0 => return text.get(at + 1..).unwrap_or_default(),
            _ => {}
        }
    }
    ""
}

/// Names of modules declared under `#[cfg(test)]`, such as `tests` in `#[cfg(test)] mod tests;`.
#[must_use]
pub fn modules_for_tests(blanked: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in blanked.split("#[cfg(test)]").skip(1) {
        let words: Vec<&str> = part.split_whitespace().take(6).collect();
        let Some(at) = words.iter().position(|word| *word == "mod") else { continue };
        if let Some(name) = words.get(at + 1).and_then(|word| word.strip_suffix(';')) {
            found.push(name.to_owned());
        }
    }
    found
}

struct Scanner<'a> {
    rest: &'a str,
    out: String,
}

impl Scanner<'_> {
    fn run(mut self) -> String {
        while let Some(letter) = self.rest.chars().next() {
            if self.rest.starts_with("//") {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.blank(end);
            } else if self.rest.starts_with("/*") {
                let end = end_of_comment(self.rest);
                self.blank(end);
            } else if let Some(end) = self.literal() {
                self.blank(end);
            } else {
                // A whole word at once, so that the r of `for` is not taken for a raw string.
                let word = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(0);
                self.keep(word.max(letter.len_utf8()));
            }
        }
        self.out
    }

    /// Length of the literal that begins here, if one does.
    fn literal(&self) -> Option<usize> {
        let rest = self.rest;
        let body = rest.trim_start_matches(['b', 'c']);
        let prefix = rest.len() - body.len();
        if prefix > 1 {
            return None;
        }
        if let Some(raw) = body.strip_prefix('r') {
            let hashes = raw.len() - raw.trim_start_matches('#').len();
            let quoted = raw.get(hashes..)?.strip_prefix('"')?;
            let close = format!("\"{}", "#".repeat(hashes));
            let inside = quoted.find(&close).map_or(quoted.len(), |at| at + close.len());
            return Some(prefix + 1 + hashes + 1 + inside);
        }
        if let Some(quoted) = body.strip_prefix('"') {
            return Some(prefix + 1 + end_of_quoted(quoted, '"'));
        }
        let quoted = body.strip_prefix('\'')?;
        let mut letters = quoted.chars();
        let first = letters.next()?;
        // 'a' and '\n' are characters, 'a is a lifetime.
        (first == '\\' || letters.next() == Some('\''))
            .then(|| prefix + 1 + end_of_quoted(quoted, '\''))
    }

    fn keep(&mut self, bytes: usize) {
        let (kept, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        self.out.push_str(kept);
        self.rest = rest;
    }

    fn blank(&mut self, bytes: usize) {
        let (blanked, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        self.out.extend(blanked.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        self.rest = rest;
    }
}

fn end_of_quoted(text: &str, close: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if letter == '\\' {
            escaped = true;
        } else if letter == close {
            return at + letter.len_utf8();
        }
    }
    text.len()
}

fn end_of_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth = depth.saturating_sub(1);
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_lines_stay() {
        for (text, expected) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("x\"y", 'q', b"z", 'a)"#, "f(      ,    ,     , 'a)"),
            ("for r in r#\"x \" y\"# {}", "for r in            {}"),
            ("let c = '\\n'; let l: &'static str;", "let c =     ; let l: &'static str;"),
        ] {
            assert_eq!(blanked(text), expected, "{text}");
        }
    }

    #[test]
    fn items_for_tests_are_no_production_code() {
        let text = "a();\n#[cfg(test)]\nmod fake;\nb();\n#[cfg(test)]\n#[allow(x)]\nmod tests { fn c() {} }\nd();";
        let left = production(text);
        assert!(left.contains("a()") && left.contains("b()") && left.contains("d()"), "{left}");
        assert!(!left.contains("fake") && !left.contains("c()"), "{left}");
        assert_eq!(modules_for_tests(text), ["fake"]);
        assert_eq!(modules_for_tests("#[cfg(test)]\npub(crate) mod fake;"), ["fake"]);
    }
}
