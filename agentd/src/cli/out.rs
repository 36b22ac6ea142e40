//! stdout: what is asked for goes there and nothing else. A reader that has gone is an end, not a
//! fault.

use std::borrow::Cow;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};

use super::{Error, text};
use crate::config::Environment;

/// The text without what steers a terminal, but for how letters look: much of it comes from plugins,
/// logs and alerts.
pub fn harmless(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c.is_control() && c != '\n') {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let look = appearance(rest);
        let length = if look > 0 { look } else { first.len_utf8() };
        let (piece, behind) = rest.split_at(length);
        if look > 0 || !first.is_control() || matches!(first, '\n' | '\t') {
            kept.push_str(piece);
        }
        rest = behind;
    }
    Cow::Owned(kept)
}

/// Length of the sequence at the beginning that sets how letters look (ECMA-48 SGR); 0 when there is
/// none.
fn appearance(text: &str) -> usize {
    let Some(inner) = text.strip_prefix("\u{1b}[") else { return 0 };
    let end = inner.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(inner.len());
    if inner.get(end..).is_some_and(|rest| rest.starts_with('m')) { end + 3 } else { 0 }
}

/// Writes a text to stdout, without what steers a terminal.
///
/// # Errors
/// [`Error::Closed`] when nobody reads it any more.
pub(super) fn write(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(harmless(text).as_bytes()).and_then(|()| out.flush()).map_err(fault)
}

/// Why stdout does not take more.
pub(super) fn fault(error: io::Error) -> Error {
    if error.kind() == ErrorKind::BrokenPipe { Error::Closed } else { Error::Output(error) }
}

/// Writes a line to stdout.
///
/// # Errors
/// As [`write`].
pub(super) fn line(text: &str) -> Result<(), Error> {
    write(&format!("{text}\n"))
}

/// Writes a line to stderr; that it cannot be written is nothing to tell anybody of.
pub(super) fn aside(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", harmless(text));
}

/// Whether a person looks at stdout.
pub(super) fn is_watched() -> bool {
    io::stdout().is_terminal()
}

/// Whether a person looks at stderr.
pub(super) fn is_aside_watched() -> bool {
    io::stderr().is_terminal()
}

/// How wide the terminal is on stdout, within bounds that can be read; [`text::WIDTH`] when there is
/// none.
pub(super) fn width() -> usize {
    let terminal = console::Term::stdout();
    let size = if is_watched() { terminal.size_checked() } else { None };
    size.map_or(text::WIDTH, |(_, columns)| usize::from(columns).clamp(60, 180))
}

/// How text stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Bold and dim letters.
    Terminal,
    /// Letters alone.
    Plain,
}

// === impl Style ===

impl Style {
    /// That of stdout.
    pub(super) fn of(environment: &Environment) -> Self {
        if is_watched() && !environment.plain() { Self::Terminal } else { Self::Plain }
    }

    /// What leads.
    pub(super) fn bold(self, text: &str) -> String {
        self.wrapped("1", text)
    }

    /// What may be skipped.
    pub(super) fn dim(self, text: &str) -> String {
        self.wrapped("2", text)
    }

    fn wrapped(self, code: &str, text: &str) -> String {
        match self {
            Self::Terminal if !text.is_empty() => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Self::Terminal | Self::Plain => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_left_out_and_how_letters_look_stays() {
        let title = "\u{1b}]0;PWNED\u{7}plain\u{1b}[2K\r over\u{9b}31m";
        assert_eq!(harmless(title), "]0;PWNEDplain[2K over31m");
        let styled = Style::Terminal.bold("bold") + "\n\tnext";
        assert_eq!(harmless(&styled), styled);
        assert!(matches!(harmless("ü\n𝄞"), Cow::Borrowed(_)));
        assert_eq!(harmless("\u{1b}[1"), "[1");
    }
}
