//! The shapes of secrets, and which of them a text can hold at all: most texts hold none of the words
//! that a shape cannot do without, and one look for all of those words is far cheaper than each shape's
//! own.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use regex::{Captures, Regex};

use super::{authorization, mixed_value, opaque_value, value, whole, worded_value};

/// Words that name a secret wherever they stand before `=` or `:`.
pub(crate) const HARD: &str = "(?:pass(?:word|wd|phrase)|pwd|(?:api|access|secret|private|account|signing|\
    encryption)[_.-]?key|client[_.-]?secret|(?:auth|access|refresh|session|bearer)[_.-]?token)";
/// Words that also name objects and parts of a language; before a bare `:` the value decides.
pub(crate) const SOFT: &str = "(?:secret|token)";
/// What every key of [`HARD`] or [`SOFT`] has in it.
const KEYED: &[&str] = &["pass", "pwd", "key", "secret", "token"];

/// The text to put in place of a match; nothing leaves it as it is.
pub(crate) type Masked = fn(&Captures<'_>) -> Option<String>;

/// A shape with what becomes of it. Group 1 is kept, group 2 is the value, group 3 is kept.
pub(crate) struct Shape {
    pub(crate) pattern: String,
    pub(crate) masked: Masked,
    /// A match has one of these in it, in whatever case. None has a bracket, as the mask does: to mask
    /// makes no new ones.
    pub(crate) needs: &'static [&'static str],
}

pub(crate) struct Rule {
    pub(crate) shape: Regex,
    pub(crate) masked: Masked,
}

/// All rules, and the words they need.
pub(crate) struct Rules {
    pub(crate) all: Vec<Rule>,
    words: Option<AhoCorasick>,
    /// By word, which rules need it: bit n is rule n.
    needed_by: Vec<u32>,
}

pub(crate) static RULES: LazyLock<Rules> = LazyLock::new(Rules::new);

impl Rules {
    fn new() -> Self {
        let (mut all, mut needed_by): (Vec<Rule>, Vec<u32>) = Default::default();
        let mut words: Vec<&str> = Vec::new();
        for Shape { pattern, masked, needs } in shapes() {
            // A test holds that every shape compiles, so nothing is dropped here.
            let Ok(shape) = Regex::new(&pattern) else { continue };
            words.extend(needs);
            needed_by.extend(needs.iter().map(|_| 1 << all.len()));
            all.push(Rule { shape, masked });
        }
        let words = AhoCorasick::builder().ascii_case_insensitive(true).build(words).ok();
        Self { all, words, needed_by }
    }

    /// The rules that `text` has what they need for.
    pub(crate) fn that_may_match(&self, text: &str) -> impl Iterator<Item = &Rule> {
        let found = self.needed(text);
        let all = self.all.iter().enumerate();
        all.filter(move |(number, _)| found & (1 << number) != 0).map(|(_, rule)| rule)
    }

    fn needed(&self, text: &str) -> u32 {
        // The two letters beyond ASCII that a shape takes for one of ASCII: a long s and a kelvin.
        let Some(words) = self.words.as_ref().filter(|_| !text.contains(['\u{17f}', '\u{212a}']))
        else {
            return u32::MAX;
        };
        let found = words.find_overlapping_iter(text);
        let needed_by = found.filter_map(|word| self.needed_by.get(word.pattern().as_usize()));
        needed_by.fold(0, |all, rules| all | rules)
    }
}

fn shape(pattern: impl Into<String>, masked: Masked, needs: &'static [&'static str]) -> Shape {
    Shape { pattern: pattern.into(), masked, needs }
}

/// Every shape, at most 32.
pub(crate) fn shapes() -> Vec<Shape> {
    let mut shapes = vec![
        // Private keys, whole, cut off at the end, or with their beginning cut off.
        shape(
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----(?s:.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----|\z)",
            whole,
            &["private key"],
        ),
        shape(
            r"(?:[A-Za-z0-9+/=]|\s|\\[nr])*-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----",
            whole,
            &["private key"],
        ),
        // Headers.
        shape(
            r#"(?i)((?:authorization)\\?["']?\s*[:=]\s*\\?["']?(?:(?:basic|bearer|token|digest|negotiate|apikey)\s+)?)([^\s"',;\\]+)"#,
            authorization,
            &["authorization"],
        ),
        shape(
            r"(?i)((?-u:\b)(?:bearer|basic)\s+)([A-Za-z0-9._~+/-]{8,}=*)",
            opaque_value,
            &["bearer", "basic"],
        ),
        shape(r#"(?i)((?:set-)?cookie\s*:\s*)([^\r\n"=]*=[^\r\n"]*)"#, value, &["cookie"]),
        // Passwords in URLs and in data source names; a port and a path are no password.
        shape(
            r#"(?i)([a-z][a-z0-9+.-]*://[^\s/:@"'<>]*:)([^\s/"'<>]+|[0-9]*[^\s@/0-9"'<>][^\s@"'<>]*)(@)"#,
            value,
            &["://"],
        ),
        shape(
            r#"([A-Za-z0-9_.-]+:)([^\s:@/()"']+)(@(?:tcp|udp|unix)\()"#,
            value,
            &["@tcp(", "@udp(", "@unix("],
        ),
        shape(r#"((?:\s-u\s+|--user[ =])[^\s:"']+:)([^\s"']+)"#, value, &["-u"]),
        shape(r"(?i)(identified by(?: password)?\s+')([^']*)(')", value, &["identified by"]),
    ];
    shapes.extend(tokens());
    shapes.extend(keyed());
    shapes
}

/// Tokens that are known by how they begin.
fn tokens() -> [Shape; 3] {
    let known = [
        "A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}",
        r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+){1,4}",
        "gh[pousr]_[A-Za-z0-9]{16,}",
        "github_pat_[A-Za-z0-9_]{20,}",
        "glpat-[A-Za-z0-9_-]{16,}",
        "xox[a-z]-[A-Za-z0-9-]{8,}",
        "xapp-[A-Za-z0-9-]{10,}",
        r"hooks\.slack\.com/services/[A-Za-z0-9/]+",
        "[srp]k_(?:live|test)_[A-Za-z0-9]{8,}",
        "AIza[A-Za-z0-9_-]{30,}",
        "npm_[A-Za-z0-9]{30,}",
        r"hv[sbr]\.[A-Za-z0-9_-]{20,}",
        "dckr_pat_[A-Za-z0-9_-]{16,}",
        r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    ];
    let beginnings = &[
        "akia",
        "asia",
        "abia",
        "acca",
        "eyj",
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "github_pat_",
        "glpat-",
        "xox",
        "xapp-",
        "hooks.slack.com",
        "k_live_",
        "k_test_",
        "aiza",
        "npm_",
        "hvs.",
        "hvb.",
        "hvr.",
        "dckr_pat_",
        "sg.",
    ];
    [
        shape(format!(r"(?-u:\b)(?:{})", known.join("|")), whole, beginnings),
        shape(r"((?-u:\b)sk-)([A-Za-z0-9_-]{20,})", mixed_value, &["sk-"]),
        shape(r#"(?i)(aws[^\r\n]{0,30}?[\s"'=:])([A-Za-z0-9/+]{40})"#, mixed_value, &["aws"]),
    ]
}

/// Values that are known by their key.
fn keyed() -> [Shape; 7] {
    let any = format!("(?:{HARD}|{SOFT})");
    let of = |pattern: String, masked: Masked| shape(pattern, masked, KEYED);
    [
        // A key and a quoted value: JSON, YAML, code; then JSON inside a JSON string.
        of(format!(r#"(?is)({any}\\?["']?\s*(?:=>|[:=]+)\s*")((?:[^"\\]|\\.)*)("|\\?\z)"#), value),
        of(
            format!(r#"(?is)({any}\\?["']?\s*(?:=>|[:=]+)\s*')((?:[^'\\]|\\.|'')*)('|\\?\z)"#),
            value,
        ),
        of(
            format!(r#"(?is)({any}\\+["']?\s*[:=]\s*\\+["'])(.*?)(\\+["']\s*(?:[,}}\]]|\z)|\z)"#),
            value,
        ),
        // A key and a bare value: settings, query strings, command lines, YAML, headers.
        of(
            format!(
                r#"(?i)({any}\\?["']?\s*=+\s*)((?:[^\s"'`,;&<>\\=]|\\[^nrt"'])(?:[^\s"'`,;&<>\\]|\\[^nrt"'])*)"#
            ),
            value,
        ),
        of(format!(r#"(?i)(--[a-z-]*{any}\s+)([^\s"'=-][^\s"']*)"#), worded_value),
        of(format!(r#"(?i)({HARD}\\?["']?\s*:\s*)([^\s"',;<>:][^\s"',;<>]*)"#), worded_value),
        of(format!(r#"(?i)({SOFT}\\?["']?\s*:\s*)([^\s"',;<>:][^\s"',;<>]*)"#), opaque_value),
    ]
}
