//! Telemetry for operators: log lines on stderr, as text or JSON, and [`metrics`]. Not the record
//! of an investigation, which is the journal. Messages are constant, what differs stands in fields:
//! `investigation`, `step`, `plugin`, `tool`, `call`.

pub mod metrics;

use tracing_subscriber::{EnvFilter, Layer, Registry, layer::SubscriberExt as _};

/// How log lines are written, and from which level on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Form of a line.
    pub format: Format,
    /// Least level, or directives as in `RUST_LOG`: `info`, `agentd=debug,warn`.
    pub level: String,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Log lines could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A lone word that is no level.
    #[error("no level of log lines")]
    Word,
    /// The level is neither a level nor a list of directives.
    #[error("log.level is no level (error, warn, info, debug, trace) and no list of directives")]
    Level(#[source] tracing_subscriber::filter::ParseError),
}

impl Default for Config {
    fn default() -> Self {
        Self { format: Format::Text, level: "info".to_owned() }
    }
}

// === impl Format ===

impl Format {
    /// Every form, for messages.
    pub const WORDS: [&str; 2] = ["text", "json"];

    /// Reads `text` or `json`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    /// `text` or `json`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// Whether `level` can be used.
///
/// # Errors
/// When it is neither a level nor a list of directives.
pub fn check_level(level: &str) -> Result<(), Error> {
    // A lone word would be read as the name of a module, whose lines are then all that is shown.
    if level.chars().all(|c| c.is_ascii_alphanumeric()) {
        level.parse::<tracing::level_filters::LevelFilter>().map_err(|_| Error::Word)?;
    }
    EnvFilter::try_new(level).map(drop).map_err(Error::Level)
}

/// Begins to write log lines to stderr. What was set up before stays, as in a test.
///
/// # Errors
/// When the level cannot be read.
pub fn start(config: &Config) -> Result<(), Error> {
    let filter = EnvFilter::try_new(&config.level).map_err(Error::Level)?;
    let lines = lines(config.format, std::io::stderr);
    let subscriber = Registry::default().with(lines.with_filter(filter));
    // Refused when another one is in place already, and then that one is meant to stay.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

fn lines<W>(format: Format, writer: W) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    match format {
        Format::Text => Box::new(layer),
        Format::Json => Box::new(layer.json().flatten_event(true)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(format: Format) -> String {
        let into = Written::default();
        let writer = into.clone();
        let subscriber = Registry::default().with(lines(format, move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(investigation = "investigations/1", plugin = "pods", "a call ended");
        });
        let bytes = into.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_json_line_has_the_ids_as_fields() {
        let line: serde_json::Value = serde_json::from_str(&written(Format::Json)).unwrap();
        assert_eq!(line["message"], "a call ended");
        assert_eq!(line["investigation"], "investigations/1");
        assert_eq!(line["plugin"], "pods");
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn a_text_line_has_the_ids_and_no_colours() {
        let line = written(Format::Text);
        assert!(line.contains("a call ended investigation=\"investigations/1\""), "{line}");
        assert!(!line.contains('\u{1b}'), "{line}");
    }

    #[test]
    fn levels_and_directives_are_told_from_nonsense() {
        for (level, good) in
            [("info", true), ("agentd=debug,warn", true), ("agentd=loud", false), ("info,=", false)]
        {
            assert_eq!(check_level(level).is_ok(), good, "{level}");
        }
    }
}
