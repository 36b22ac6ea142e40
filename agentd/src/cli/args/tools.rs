//! The words of `agentd tools`.

use clap::{Args, Subcommand};

use super::Server;

/// `agentd tools`.
#[derive(Debug, Args)]
pub struct Tools {
    /// What of them; all of them when not said.
    #[command(subcommand)]
    pub what: Option<ToolsCommand>,
    /// Which daemon.
    #[command(flatten)]
    pub server: Server,
}

/// `agentd plugins`.
#[derive(Debug, Args)]
pub struct Plugins {
    /// Only this one, with what its author should mend
    pub name: Option<String>,
    /// Prints them as JSON
    #[arg(long)]
    pub json: bool,
    /// Which daemon.
    #[command(flatten)]
    pub server: Server,
}

/// What of the tools.
#[derive(Debug, Subcommand)]
pub enum ToolsCommand {
    /// Lists them
    List,
    /// Shows one: what it does, its arguments, risk and limits, when it is asked, what changed
    Show {
        /// PLUGIN.TOOL, as the list has it
        name: String,
        /// This version; else the newest that can be called
        #[arg(long, value_name = "V", default_value = "")]
        version: String,
    },
    /// Calls one, through all the guards; ends with 1 when the call failed
    Call {
        /// PLUGIN.TOOL, as the list has it
        name: String,
        /// Arguments: a JSON object
        #[arg(value_name = "JSON", default_value = "{}")]
        arguments: String,
        /// Continues a result that was cut, by the token it ended with
        #[arg(long, value_name = "TOKEN", default_value = "")]
        page: String,
        /// Prints the whole result, facts included, as JSON
        #[arg(long)]
        json: bool,
    },
    /// Says why one is not called, which field to change, and how its last calls went
    Why {
        /// PLUGIN.TOOL
        name: String,
    },
    /// Accepts a descriptor that changed, after looking at it with `show`
    Accept {
        /// PLUGIN.TOOL
        name: String,
        /// The digest of what was looked at, as `why` and `show` print it
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        digest: String,
    },
    /// Switches one off, for all its versions, until it is switched on again
    Disable {
        /// PLUGIN.TOOL
        name: String,
        /// Why, for those who wonder
        #[arg(long, value_name = "WORDS")]
        reason: String,
    },
    /// Switches one on again
    Enable {
        /// PLUGIN.TOOL
        name: String,
    },
    /// Follows plugins and tools: who comes and goes, what is quarantined or trips
    Watch {
        /// Ends after what has happened so far
        #[arg(long)]
        once: bool,
    },
}
