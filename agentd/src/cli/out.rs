//! stdout: what is asked for goes there and nothing else. A reader that has gone is an end, not a
//! fault.

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};

use super::{Error, text};
use crate::config::Environment;

/// Writes a text to stdout as it is.
///
/// # Errors
/// [`Error::Closed`] when nobody reads it any more.
pub(super) fn write(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(fault)
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
    let _ = writeln!(io::stderr().lock(), "{text}");
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
