//! What a line tells of settings: which one is wrong, which one was taken over and from what to
//! what. Also the short details of other mechanisms.

/// Settings that a program says it took over while it ran.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reload {
    /// Name of the setting; empty when the line names none.
    pub setting: String,
    /// Value before; empty when not told.
    pub old: String,
    /// Value now; empty when not told.
    pub new: String,
}

/// The detail that a signal carries as its attribute.
pub(super) fn detail(signal: &str, text: &str) -> Option<(&'static str, String)> {
    let lower = text.to_ascii_lowercase();
    match signal {
        "log.tls_failure" => {
            let why = if ["expired", "not yet valid", "notafter"].iter().any(|w| lower.contains(w))
            {
                "expired"
            } else if [
                "unknown authority",
                "self signed",
                "self-signed",
                "pkix",
                "unable to verify",
            ]
            .iter()
            .any(|w| lower.contains(w))
            {
                "untrusted"
            } else if ["altname", "valid for", "hostname", "doesn't match"]
                .iter()
                .any(|w| lower.contains(w))
            {
                "wrong_name"
            } else {
                "handshake"
            };
            Some(("why", why.to_owned()))
        }
        "log.dns_failure" => crate::peer::unresolved(text).map(|host| ("host", host)),
        "log.config_error" => setting(text).map(|setting| ("setting", setting)),
        "log.pool_exhausted" => {
            let of_server = super::words::is_of_server(text);
            Some(("pool", if of_server { "server" } else { "own" }.to_owned()))
        }
        "log.upstream_error" => {
            let status = [
                ("bad gateway", "502"),
                ("service unavailable", "503"),
                ("gateway timeout", "504"),
            ];
            let found = status.iter().find(|(words, _)| lower.contains(words));
            found.map(|(_, status)| ("status", (*status).to_owned()))
        }
        _ => super::rules::stores::detail(signal, &lower)
            .or_else(|| super::rules::load::detail(signal, &lower)),
    }
}

/// The setting a complaint names: a word in capitals with underscores, a flag, or what is quoted.
fn setting(text: &str) -> Option<String> {
    let apart =
        |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ',' | ';' | '(' | ')' | '=');
    let shaped = |word: &&str| {
        let word = word.trim_matches([':', '.']);
        let env = word.len() > 3
            && word.contains('_')
            && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        env || word.starts_with("--") && word.len() > 4
    };
    if let Some(word) = text.split(apart).find(shaped) {
        return Some(word.trim_matches([':', '.']).to_owned());
    }
    let quoted = ['"', '\'', '`'].iter().find_map(|mark| {
        let inside = text.split(*mark).nth(1)?;
        let fits =
            !inside.is_empty() && inside.len() <= 80 && !inside.contains(char::is_whitespace);
        fits.then(|| inside.to_owned())
    });
    quoted.or_else(|| {
        let dotted = |word: &&str| {
            let word = word.trim_matches([':', '.']);
            word.contains('.')
                && !word.contains('/')
                && word.bytes().all(|b| {
                    b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_')
                })
                && !word.contains("..")
        };
        text.split(apart).find(dotted).map(|w| w.trim_matches([':', '.']).to_owned())
    })
}

/// Whether a program looked for a variable of its environment that is not there. Any other key that
/// a program misses is a fault of its code or of what it was given.
pub(super) fn misses_a_variable(text: &str) -> bool {
    let Some(at) = text.find("KeyError") else { return false };
    let quoted = |part: &str| {
        ['\'', '"'].iter().any(|mark| {
            part.split(*mark).nth(1).is_some_and(|key| {
                key.len() > 3
                    && key
                        .bytes()
                        .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
            })
        })
    };
    let (before, after) = text.split_at(at);
    // Python tells the key behind the name, Ruby before it.
    after.lines().next().is_some_and(quoted)
        || before.lines().next_back().is_some_and(|line| line.contains("not found") && quoted(line))
}

/// What a line of settings taken over is about.
const ABOUT: &[&str] = &[
    "config",
    "setting",
    "flag",
    "feature",
    "option",
    "parameter",
    "limit",
    "property",
    "toggle",
    "policy",
    "threshold",
    "timeout",
    "pool size",
    "max_",
    "maxmemory",
    "rule",
];
/// What it says became of it.
const CHANGE: &[&str] = &[
    "reloaded",
    "reloading",
    "changed",
    "updated",
    "applied",
    "switched",
    "overridden",
    "now ",
    "set to",
    "taken over",
    "picked up",
    "hot reload",
    "refreshed",
];
/// Whole sayings that need no values beside them.
const SPOKEN: &[&str] = &[
    "config reloaded",
    "configuration reloaded",
    "settings reloaded",
    "config updated",
    "configuration updated",
    "configuration changed",
    "config changed",
    "settings updated",
    "reloaded config",
    "reloaded settings",
    "reloading config",
    "configuration applied",
    "config applied",
    "settings applied",
    "flags updated",
    "feature flags reloaded",
    "applied new config",
    "new configuration applied",
    "config file changed",
];

/// Whether a line says that settings were taken over, and which. It must speak of settings, flags
/// or limits and of a change; a table or a cache that is refreshed is no setting.
#[must_use]
pub fn reload(message: &str) -> Option<Reload> {
    let lower = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|w| lower.contains(w));
    if !says(CHANGE) || !says(ABOUT) {
        return None;
    }
    if let Some(reload) = arrow(message).or_else(|| from_to(message)).or_else(|| old_new(message)) {
        return Some(reload);
    }
    says(SPOKEN).then(|| {
        let (setting, new) = assigned(message).unwrap_or_default();
        Reload { setting, old: String::new(), new }
    })
}

/// `setting: old -> new`, `setting old → new`, `setting (old => new)`.
fn arrow(message: &str) -> Option<Reload> {
    let (before, after) = ["->", "→", "=>"].iter().find_map(|mark| message.split_once(mark))?;
    let new = value(after.split_whitespace().next()?)?;
    let mut words = before
        .split(|c: char| c.is_whitespace() || matches!(c, '=' | '(' | ':'))
        .filter(|w| !w.is_empty());
    let old = value(words.next_back()?)?;
    let setting = words.rev().map(clean).find(|w| is_setting(w)).unwrap_or_default();
    Some(Reload { setting, old, new })
}

/// `setting changed from old to new`.
fn from_to(message: &str) -> Option<Reload> {
    let (before, after) = message.split_once(" from ")?;
    let (old, rest) = after.split_once(" to ")?;
    let old = value(old.trim()).filter(|_| old.split_whitespace().count() <= 3)?;
    let new = value(rest.split_whitespace().next()?)?;
    let setting = before.split_whitespace().rev().map(clean).find(|w| is_setting(w));
    Some(Reload { setting: setting.unwrap_or_default(), old, new })
}

/// `setting=x old=1 new=2`.
fn old_new(message: &str) -> Option<Reload> {
    let field = |names: &[&str]| {
        message.split_whitespace().find_map(|word| {
            let (key, value) = word.split_once('=')?;
            names.contains(&key).then(|| clean(value))
        })
    };
    let new = field(&["new", "new_value", "to", "after"])?;
    let old = field(&["old", "old_value", "from", "before", "previous"])?;
    let setting = field(&["setting", "key", "name", "option", "param", "flag", "property"]);
    Some(Reload { setting: setting.unwrap_or_default(), old, new })
}

/// The first `setting=value` or `setting: value` of a line that names no old value.
fn assigned(message: &str) -> Option<(String, String)> {
    message.split_whitespace().find_map(|word| {
        let (key, value) = word.split_once('=')?;
        let (key, value) = (clean(key), clean(value));
        (is_setting(&key) && !value.is_empty()).then_some((key, value))
    })
}

fn clean(word: &str) -> String {
    word.trim_matches(|c: char| {
        matches!(c, '"' | '\'' | '`' | ',' | ';' | ':' | '(' | ')' | '[' | ']')
    })
    .to_owned()
}

fn value(word: &str) -> Option<String> {
    let value = clean(word);
    (!value.is_empty() && value.len() <= 120).then_some(value)
}

/// Not a word of the sentence but a name.
fn is_setting(word: &str) -> bool {
    const SENTENCE: &[&str] = &[
        "changed",
        "updated",
        "config",
        "configuration",
        "setting",
        "settings",
        "reloaded",
        "value",
        "flag",
        "option",
        "parameter",
        "was",
        "has",
        "been",
        "is",
        "now",
        "the",
        "of",
        "switched",
        "set",
        "applied",
        "new",
        "feature",
        "key",
        "limit",
        "property",
    ];
    word.len() >= 2
        && word.starts_with(|c: char| c.is_ascii_alphabetic())
        && !SENTENCE.contains(&word.to_ascii_lowercase().as_str())
}
