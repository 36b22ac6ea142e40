//! What the command is told.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};

use crate::spec::Spec;

/// How calls reach the plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// The command dials the plugin.
    Direct,
    /// The plugin parks slots.
    Relay,
    /// One after the other; needs --exec.
    Both,
}

/// How much is asked of the plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Asked {
    /// What the smallest honest plugin keeps to, with nothing but generated stubs.
    Basic,
    /// Every MUST; asked of a plugin that changes anything, and of the bundled ones.
    Full,
}

/// Form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people.
    Table,
    /// For machines.
    Json,
    /// For CI.
    Junit,
}

/// Plays agentd to a plugin in any language and says which rules of the contract it breaks.
///
/// Starts the plugin itself with --exec, waits for one that you start with the variables it prints,
/// or dials one with --target. Ends with 0 when all MUSTs passed, 1 when one failed, 2 when the
/// checks could not run.
#[derive(Debug, Clone, Parser)]
#[command(version)]
pub struct Options {
    /// How calls reach the plugin
    #[arg(long, value_enum, default_value_t = Mode::Direct)]
    pub mode: Mode,
    /// Address to play agentd on, when somebody else starts the plugin
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Dials a direct plugin that need not register: catalog, calls, errors, cancel and limits only
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["exec", "mode"])]
    pub target: Option<String>,
    /// Token to present to the plugin of --target
    #[arg(long, value_name = "TOKEN", requires = "target")]
    pub caller_token: Option<String>,
    /// Calls beyond the examples of the descriptors; the README of this command describes the file
    #[arg(long, value_name = "FILE.yaml")]
    pub fixtures: Option<PathBuf>,
    /// Lets tools act that change something; else they are dry-run at most
    #[arg(long)]
    pub allow_mutations: bool,
    /// Only these checks, by id or group, such as CAT,CALL-03
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Checks that must have been looked at, in one mode at least; one that was skipped fails the run
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    pub require: Vec<String>,
    /// How much is asked
    #[arg(long, value_enum, default_value_t = Asked::Full)]
    pub level: Asked,
    /// A SHOULD that failed counts as well
    #[arg(long)]
    pub strict: bool,
    /// Form of the report
    #[arg(long, value_enum, default_value_t = Form::Table)]
    pub report: Form,
    /// File for the report, instead of stdout
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Draws of the run, such as which wrong arguments are tried; drawn and told when not given
    #[arg(long)]
    pub seed: Option<u64>,
    /// Longest time of one check, and of waiting for a plugin that somebody else starts, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    /// Slots that a relay plugin is told to park
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub slots: u16,
    /// The plugin and its arguments; must come last
    #[arg(long, value_name = "CMD", num_args = 1.., allow_hyphen_values = true)]
    pub exec: Vec<String>,
}

impl Options {
    pub(crate) fn limit(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    pub(crate) fn is_basic(&self) -> bool {
        self.level == Asked::Basic
    }

    /// Whether `--only` leaves a check in.
    pub(crate) fn is_chosen(&self, id: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| names(only, id))
    }

    /// The checks that `--require` names.
    pub(crate) fn required(&self) -> Vec<&'static str> {
        let is_named = |id: &str| self.require.iter().any(|word| names(word, id));
        Spec::all().iter().map(|entry| entry.id.as_str()).filter(|id| is_named(id)).collect()
    }

    /// Faults of the options together.
    ///
    /// # Errors
    /// What is wrong and how to mend it.
    pub fn check(&self) -> anyhow::Result<()> {
        let given = |option, words: &[String]| {
            let known = |word: &String| Spec::all().iter().any(|entry| names(word, &entry.id));
            match words.iter().find(|word| !known(word)) {
                Some(word) => Err(anyhow::anyhow!(
                    "{option}: there is no check {word}; groups and ids look like CAT and CALL-03"
                )),
                None => Ok(()),
            }
        };
        given("--only", &self.only)?;
        given("--require", &self.require)?;
        let target = self.target.as_deref();
        let is_address = |given: &str| {
            given
                .rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        if let Some(target) = target.filter(|given| !is_address(given)) {
            anyhow::bail!("--target: {target} is no address; it looks like 127.0.0.1:7001");
        }
        anyhow::ensure!(
            self.mode != Mode::Both || !self.exec.is_empty(),
            "--mode both: needs --exec, since the plugin is started once for each mode"
        );
        Ok(())
    }
}

/// Whether `only` is the check or its group.
fn names(only: &str, id: &str) -> bool {
    let only = only.trim().to_ascii_uppercase();
    only == id || id.split('-').next() == Some(only.as_str())
}

impl Mode {
    /// The word of `PLUGIN_MODE`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relay => "relay",
            Self::Both => "both",
        }
    }
}
