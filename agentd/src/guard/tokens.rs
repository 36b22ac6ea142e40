//! Who may speak: bearer tokens of callers, plugins and senders of alerts. Only their SHA-256 is
//! known here. A name may have two at a time, so that one can be changed while both are valid; the
//! file is read again when it changes. Roles come later.
//!
//! A file of tokens has one on a line: who it is for, a name, the digest.
//! ```text
//! # printf %s "$TOKEN" | sha256sum
//! webhook  alertmanager  9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//! ```
//!
//! The name of a plugin's token is what it may register: `pods`, `pods,logs`, or `*` for all.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use sha2::{Digest as _, Sha256};

use crate::tool::is_plugin_name;

/// Tokens that one name may have at a time.
const AT_A_TIME: usize = 2;

/// What a token lets in to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pass {
    /// The services for clients.
    Caller,
    /// The registration of plugins.
    Plugin,
    /// The doors for alerts.
    Webhook,
}

/// All kinds, with their word in the file.
const PASSES: [(Pass, &str); 3] =
    [(Pass::Caller, "caller"), (Pass::Plugin, "plugin"), (Pass::Webhook, "webhook")];

/// Who was let in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Who {
    /// Nobody was asked for a token.
    #[default]
    Anybody,
    /// A plugin that this very process supervises.
    Supervised,
    /// Who holds a token.
    Named {
        /// The name it has in the file.
        name: Arc<str>,
        /// Its SHA-256.
        token: [u8; 32],
    },
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No token was shown.
    #[error("no bearer token was sent, and one is needed here")]
    Missing,
    /// A token was shown that is not valid here.
    #[error("the bearer token is not valid here")]
    Wrong,
}

/// One line that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub said: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    pass: Pass,
    name: String,
    digest: [u8; 32],
}

/// The tokens in force; clones share them.
#[derive(Clone, Default)]
pub struct Tokens {
    entries: Arc<RwLock<Vec<Entry>>>,
    /// Nobody is let in without one, even while there is none.
    demanded: bool,
    /// One of a plugin that this very process supervises; valid beside those of the file.
    supervised: Option<[u8; 32]>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

// === impl Who ===

impl Who {
    /// The name of the token that was shown, if one was asked for.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Named { name, .. } => Some(name),
            Self::Anybody | Self::Supervised => None,
        }
    }

    /// Whether both are one holder: of one token, whatever it is called by now, or of one name, whose
    /// token was changed.
    #[must_use]
    pub fn is_holder(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Named { name, token }, Self::Named { name: other, token: shown }) => {
                name == other || token == shown
            }
            (one, other) => one == other,
        }
    }

    /// Whether a plugin that showed this may register as `plugin`.
    #[must_use]
    pub fn may_be(&self, plugin: &str) -> bool {
        self.name().is_none_or(|names| names.split(',').any(|name| name == "*" || name == plugin))
    }
}

// === impl Refused ===

impl Refused {
    /// What to do about it.
    #[must_use]
    pub fn mend(self) -> &'static str {
        match self {
            Self::Missing => "send a header \"authorization\": Bearer, a space and the token",
            Self::Wrong => "check that its SHA-256 stands in the file of auth.tokens_file",
        }
    }
}

// === impl Tokens ===

impl Tokens {
    /// None yet. Where they are `demanded` nobody is let in without one; elsewhere a kind of door
    /// that has no tokens is open.
    #[must_use]
    pub fn new(demanded: bool) -> Self {
        Self { entries: Arc::default(), demanded, supervised: None }
    }

    /// The same, where plugins may show this token too, whatever the file says. It opens doors and
    /// closes none.
    #[must_use]
    pub fn with_supervised(self, token: Option<&str>) -> Self {
        let supervised = token.map(|token| Sha256::digest(token.as_bytes()).into());
        Self { supervised, ..self }
    }

    /// Puts the tokens of a file in force, in place of all before.
    ///
    /// # Errors
    /// Everything that is wrong with it; those before stay in force then.
    pub fn set(&self, file: &str) -> Result<(), Vec<Fault>> {
        let read = read(file)?;
        *self.entries.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// What plugins may register by the tokens in force, as the file has it.
    #[must_use]
    pub fn plugins(&self) -> Vec<String> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let own = entries.iter().filter(|entry| entry.pass == Pass::Plugin);
        own.map(|entry| entry.name.clone()).collect()
    }

    /// Whether tokens are asked for at a door of that kind.
    fn needed(&self, pass: Pass) -> bool {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        self.demanded || entries.iter().any(|entry| entry.pass == pass)
    }

    /// Lets in who shows a valid token in the header `authorization`, by name. Where there are no
    /// tokens of that kind, and none are demanded, everybody is let in, without a name.
    ///
    /// # Errors
    /// When no token is shown, or none that is valid here.
    pub fn pass(&self, pass: Pass, header: Option<&str>) -> Result<Who, Refused> {
        if !self.needed(pass) {
            return Ok(Who::Anybody);
        }
        let token = header.and_then(bearer).ok_or(Refused::Missing)?;
        let shown: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let of_ours = self.supervised.filter(|_| pass == Pass::Plugin);
        if of_ours.is_some_and(|digest| same(&digest, &shown)) {
            return Ok(Who::Supervised);
        }
        let mut found = None;
        // All are compared, whole: how long it takes tells nothing of which one is near.
        for entry in self.entries.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if same(&entry.digest, &shown) && entry.pass == pass {
                found = Some(Who::Named { name: entry.name.as_str().into(), token: shown });
            }
        }
        found.ok_or(Refused::Wrong)
    }
}

/// Compared to the end, wherever they differ.
fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// The token in a header `authorization`, whatever case the scheme is in (RFC 9110, 11.1).
pub(crate) fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

fn read(file: &str) -> Result<Vec<Entry>, Vec<Fault>> {
    let (mut entries, mut faults): (Vec<Entry>, _) = (Vec::new(), Vec::new());
    for (line, text) in (1..).zip(file.lines()) {
        let text = text.split('#').next().unwrap_or_default().trim();
        if text.is_empty() {
            continue;
        }
        match entry(text) {
            Ok(entry) => {
                let of = |other: &&Entry| other.pass == entry.pass && other.name == entry.name;
                if entries.iter().filter(of).count() >= AT_A_TIME {
                    let said = format!("{} has {AT_A_TIME} tokens already; remove one", entry.name);
                    faults.push(Fault { line, said });
                }
                // Whichever were taken, somebody would be refused and not know why.
                let other = entries.iter().find(|other| is_same_token(other, &entry));
                if let Some(other) = other {
                    let said = format!(
                        "the token of {} is that of {} too; give each its own, or one line that names \
                         both, such as plugin pods,logs",
                        entry.name, other.name
                    );
                    faults.push(Fault { line, said });
                }
                entries.push(entry);
            }
            Err(said) => faults.push(Fault { line, said }),
        }
    }
    if faults.is_empty() { Ok(entries) } else { Err(faults) }
}

/// Whether one token stands there under two names.
fn is_same_token(one: &Entry, other: &Entry) -> bool {
    one.pass == other.pass && one.digest == other.digest && one.name != other.name
}

fn entry(text: &str) -> Result<Entry, String> {
    let mut words = text.split_whitespace();
    let (Some(kind), Some(name), Some(digest), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("wants three words: caller, plugin or webhook; a name; a SHA-256".to_owned());
    };
    let pass = PASSES.iter().find(|(_, word)| *word == kind).map(|(pass, _)| *pass);
    let pass = pass.ok_or_else(|| format!("{kind:?} is none of caller, plugin, webhook"))?;
    if pass == Pass::Plugin && !name.split(',').all(|name| name == "*" || is_plugin_name(name)) {
        return Err(format!(
            "{name:?} names no plugin; a plugin's token says what it may register: pods, or \
             pods,logs, or * for all"
        ));
    }
    let digest = hexadecimal(digest)
        .ok_or_else(|| format!("of {name}: not a SHA-256 as 64 hexadecimal digits"))?;
    Ok(Entry { pass, name: name.to_owned(), digest })
}

fn hexadecimal(text: &str) -> Option<[u8; 32]> {
    let text = text.strip_prefix("sha256:").unwrap_or(text);
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    fn line(kind: &str, name: &str, token: &str) -> String {
        let digest: String =
            Sha256::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{kind} {name} {digest}\n")
    }

    fn named(name: &str, token: &str) -> Who {
        Who::Named { name: name.into(), token: Sha256::digest(token.as_bytes()).into() }
    }

    #[test]
    fn a_holder_stays_one_when_its_token_or_its_name_is_changed() {
        let one = named("pods", "one");
        assert!(one.is_holder(&named("pods,logs", "one")) && one.is_holder(&named("pods", "two")));
        assert!(!one.is_holder(&named("logs", "two")) && !one.is_holder(&Who::Supervised));
    }

    #[test]
    fn a_token_lets_in_to_its_own_kind_of_door_and_no_other() {
        let tokens = Tokens::default();
        tokens.set(&(line("webhook", "am", "one") + &line("caller", "ann", "two"))).unwrap();
        assert_eq!(tokens.pass(Pass::Webhook, Some("Bearer one")), Ok(named("am", "one")));
        assert_eq!(tokens.pass(Pass::Webhook, Some("bearer two")), Err(Refused::Wrong));
        assert_eq!(tokens.pass(Pass::Webhook, Some("Basic one")), Err(Refused::Missing));
        assert_eq!(tokens.pass(Pass::Webhook, None), Err(Refused::Missing));
        assert_eq!(tokens.pass(Pass::Plugin, None), Ok(Who::Anybody));
    }

    #[test]
    fn the_token_of_a_plugin_is_good_for_the_plugins_it_names() {
        let tokens = Tokens::default();
        let lines =
            [("pods,logs", "one"), ("*", "two")].map(|(of, token)| line("plugin", of, token));
        tokens.set(&lines.concat()).unwrap();
        let who =
            |token: &str| tokens.pass(Pass::Plugin, Some(&format!("Bearer {token}"))).unwrap();
        for (token, plugin, may) in [
            ("one", "pods", true),
            ("one", "logs", true),
            ("one", "metrics", false),
            ("one", "pods,logs", false),
            ("two", "metrics", true),
        ] {
            assert_eq!(who(token).may_be(plugin), may, "{token} {plugin}");
        }
        assert!(Who::Anybody.may_be("pods") && Who::Supervised.may_be("pods"));
        let faults = tokens.set(&line("plugin", "plugin-pods", "x")).unwrap_err();
        assert!(faults[0].said.contains("pods,logs, or * for all"), "{faults:?}");
    }

    #[test]
    fn where_tokens_are_demanded_an_emptied_file_opens_nothing() {
        let tokens = Tokens::new(true);
        tokens.set("# all gone\n").unwrap();
        assert_eq!(tokens.pass(Pass::Plugin, None), Err(Refused::Missing));
        assert_eq!(tokens.pass(Pass::Plugin, Some("Bearer x")), Err(Refused::Wrong));
    }

    #[test]
    fn two_tokens_of_a_name_are_valid_at_a_time_and_a_changed_file_ends_the_old_one() {
        let tokens = Tokens::default();
        let (old, new) = (line("caller", "ann", "old"), line("caller", "ann", "new"));
        let passes =
            |token: &str| tokens.pass(Pass::Caller, Some(&format!("Bearer {token}"))).is_ok();
        tokens.set(&format!("# both\n{old}\n{new}")).unwrap();
        assert!(passes("old") && passes("new"));
        tokens.set(&new).unwrap();
        assert!(!passes("old") && passes("new"));
    }

    #[test]
    fn every_bad_line_is_told_and_what_was_valid_stays_so() {
        let tokens = Tokens::default();
        tokens.set(&line("caller", "ann", "one")).unwrap();
        let third: String =
            ["a", "b", "c"].iter().map(|token| line("plugin", "pods", token)).collect();
        let twice = line("plugin", "pods", "a") + &line("plugin", "logs", "a");
        let faults = tokens.set(&twice).unwrap_err();
        assert!(faults[0].line == 2 && faults[0].said.contains("pods,logs"), "{faults:?}");
        let faults = tokens.set(&format!("caller ann 12\nking ann {}\n{third}", "0".repeat(64)));
        let lines: Vec<usize> = faults.unwrap_err().iter().map(|fault| fault.line).collect();
        assert_eq!(lines, [1, 2, 5]);
        assert!(tokens.pass(Pass::Caller, Some("Bearer one")).is_ok());
    }
}
