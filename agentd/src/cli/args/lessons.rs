//! The words of `agentd feedback` and `agentd episodes`: what people give to memory and ask of it.

use clap::{Args, ValueEnum};

use super::Server;

/// `agentd feedback`.
#[derive(Debug, Args)]
pub struct Feedback {
    /// Id of the investigation
    pub id: String,
    /// Whether its outcome was right
    pub judgement: Judged,
    /// The true cause: 'category:NAME', 'category:NAME Kind/namespace/name', or free words
    #[arg(long, value_name = "CAUSE")]
    pub cause: Option<String>,
    /// What helped
    #[arg(long, value_name = "WORDS")]
    pub resolution: Option<String>,
    /// Anything else
    #[arg(long, value_name = "WORDS")]
    pub comment: Option<String>,
    /// Prints the answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Which daemon.
    #[command(flatten)]
    pub server: Server,
}

/// Whether an outcome was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Judged {
    /// The cause was right
    Correct,
    /// Partly right
    Partly,
    /// The cause was another one
    Wrong,
}

/// `agentd episodes`.
#[derive(Debug, Args)]
pub struct Episodes {
    /// Words to look for; all cases when neither these nor --like are given
    pub query: Option<String>,
    /// Only cases like this investigation, the most alike first
    #[arg(long, value_name = "ID")]
    pub like: Option<String>,
    /// Only cases of this service
    #[arg(long)]
    pub service: Option<String>,
    /// Only cases in this namespace
    #[arg(long)]
    pub namespace: Option<String>,
    /// Only cases of this kind of alert
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Only cases at least this alike, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub min_similarity: f64,
    /// At most this many
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub limit: u16,
    /// Shows what recurs among the cases found instead of the cases
    #[arg(long)]
    pub patterns: bool,
    /// Prints cases and patterns as JSON
    #[arg(long)]
    pub json: bool,
    /// Which daemon.
    #[command(flatten)]
    pub server: Server,
}
