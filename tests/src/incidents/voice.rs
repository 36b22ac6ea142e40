//! How programs write log lines: in which language they are written, in which layout, and how
//! their libraries word what goes wrong on a call.

mod layout;
pub mod stores;
mod wording;

pub use layout::Line;
pub use wording::{Target, Wording};

use super::dice::Dice;

/// How grave a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Level {
    Debug,
    #[default]
    Info,
    Warn,
    Error,
    Fatal,
}

/// What a program is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Runtime {
    Java,
    #[default]
    Go,
    Python,
    Node,
    DotNet,
    Ruby,
    Php,
    Rust,
    /// A reverse proxy that is configured, not programmed.
    Proxy,
    /// A database, cache or broker.
    Store,
}

/// The layout of a program's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Voice {
    Logback,
    Log4j,
    Logstash,
    Zap,
    Logrus,
    Klog,
    #[default]
    Slog,
    GoStd,
    PyStd,
    PyJson,
    Structlog,
    Pino,
    Winston,
    NodePlain,
    DotNetConsole,
    Serilog,
    RubyLogger,
    Monolog,
    Tracing,
    TracingJson,
    Nginx,
    EnvoyJson,
    Postgres,
    Mysql,
    Redis,
    Kafka,
    Rabbit,
    Mongo,
    Plain,
}

const JAVA: [Voice; 3] = [Voice::Logback, Voice::Log4j, Voice::Logstash];
const GO: [Voice; 5] = [Voice::Zap, Voice::Logrus, Voice::Klog, Voice::Slog, Voice::GoStd];
const PYTHON: [Voice; 3] = [Voice::PyStd, Voice::PyJson, Voice::Structlog];
const NODE: [Voice; 3] = [Voice::Pino, Voice::Winston, Voice::NodePlain];
const DOT_NET: [Voice; 2] = [Voice::DotNetConsole, Voice::Serilog];
const RUST: [Voice; 2] = [Voice::Tracing, Voice::TracingJson];
const PROXY: [Voice; 2] = [Voice::Nginx, Voice::EnvoyJson];

/// A language and a layout that goes with it.
pub fn draw(dice: &mut Dice) -> (Runtime, Voice) {
    let runtime = match dice.below(12) {
        0..=2 => Runtime::Java,
        3..=5 => Runtime::Go,
        6..=7 => Runtime::Python,
        8 => Runtime::Node,
        9 => Runtime::DotNet,
        10 => dice.pick(&[Runtime::Ruby, Runtime::Php]),
        _ => Runtime::Rust,
    };
    (runtime, draw_for(runtime, dice))
}

/// A layout that goes with `runtime`.
pub fn draw_for(runtime: Runtime, dice: &mut Dice) -> Voice {
    match runtime {
        Runtime::Java => dice.pick(&JAVA),
        Runtime::Go => dice.pick(&GO),
        Runtime::Python => dice.pick(&PYTHON),
        Runtime::Node => dice.pick(&NODE),
        Runtime::DotNet => dice.pick(&DOT_NET),
        Runtime::Ruby => Voice::RubyLogger,
        Runtime::Php => Voice::Monolog,
        Runtime::Rust => dice.pick(&RUST),
        Runtime::Proxy => dice.pick(&PROXY),
        Runtime::Store => Voice::Plain,
    }
}

impl Voice {
    /// What a store that writes so is called in its clients' metrics.
    #[must_use]
    pub fn system(self) -> &'static str {
        const SYSTEMS: [(Voice, &str); 6] = [
            (Voice::Postgres, "postgresql"),
            (Voice::Mysql, "mysql"),
            (Voice::Redis, "redis"),
            (Voice::Kafka, "kafka"),
            (Voice::Rabbit, "rabbitmq"),
            (Voice::Mongo, "mongodb"),
        ];
        SYSTEMS.iter().find(|(voice, _)| *voice == self).map_or("other", |(_, name)| name)
    }

    /// Whether a request is a line by itself (status, path), as with proxies.
    #[must_use]
    pub fn is_access(self) -> bool {
        matches!(self, Self::Nginx | Self::EnvoyJson)
    }
}
