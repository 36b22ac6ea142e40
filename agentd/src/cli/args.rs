//! The words of the command line, and the manual that goes with them. No behaviour.

mod lessons;
mod serving;
mod settings;
mod tools;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::config::keys::parse_duration;
pub(super) use lessons::{Episodes, Feedback, Judged};
pub(super) use serving::{Doctor, PROMETHEUS_URL, Target, Up};
pub(super) use settings::{Server, Settings};
pub(super) use tools::{Plugins, Tools, ToolsCommand};

/// Investigates infrastructure incidents: an alert goes in, plugins are asked, a cause with its
/// evidence comes out.
#[derive(Debug, Parser)]
#[command(
    name = "agentd",
    version,
    arg_required_else_help = true,
    after_help = "Begin with `agentd demo`: a recorded incident, investigated on this machine alone."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Investigates a bundled recorded incident: no cluster, no key, no network
    #[command(after_help = "\
Starts a daemon and its plugins as separate processes on the loopback, sends it the alert of a
recorded incident, shows what happens, prints the report, stops. Ends with 0 when a cause was found.

  agentd demo                 the first bundled incident
  agentd demo --keep          leaves it serving and prints lines to try with grpcurl")]
    Demo(Demo),
    /// Runs the daemon with its plugins on this machine, against a cluster
    #[command(after_help = "\
Reads the cluster of the current context of your kubeconfig, as you; changes nothing in it. Serves
until it is interrupted; investigate from another terminal. Plugins write to DATA/plugins/*.log.
What Prometheus asks for (token, user, tenant, CA) is given as for plugin-metrics, by PROMETHEUS_*;
a store of logs as for plugin-logs, by LOKI_* or ELASTICSEARCH_*.

  agentd up
  agentd up --context staging --prometheus-url http://127.0.0.1:9090
  agentd investigate --service my-service --namespace my-namespace")]
    Up(Up),
    /// Tells what would work here, what would be blind, and how to mend it
    #[command(after_help = "\
Tries each right that the tools need by asking for one object, and looks which metrics there are.
Ends with 0 when nothing would be blind, 4 when something would, 1 on an error.

  agentd doctor
  agentd doctor --context staging --namespace my-namespace --prometheus-url http://127.0.0.1:9090
  agentd doctor --server http://127.0.0.1:50051      the plugins of a daemon that runs")]
    Doctor(Doctor),
    /// Runs the daemon alone; plugins register from elsewhere
    #[command(after_help = "\
Serves gRPC (health and reflection included) on 127.0.0.1:50051 and /healthz, /readyz, /metrics on
127.0.0.1:9464 until it is interrupted. Plugins find it by AGENTD_URL.

  agentd serve
  agentd serve --config agentd.toml --listen 0.0.0.0:50051
  AGENTD__INVESTIGATION__MAX_DURATION=2m agentd serve")]
    Serve(Settings),
    /// Investigates an alert and prints the report
    #[command(after_help = "\
Ends with 0 when a cause was found, 3 when nothing is wrong, 4 when the evidence carries no
conclusion, 1 on an error. Interrupting it ends the watching, not the work, and says how to go on.
With --snapshot everything happens in this process, and nothing is kept without --data-dir.

  agentd investigate --type high_memory --service my-service --namespace my-namespace
  agentd investigate 'a part of the orders fails' --namespace my-namespace --since 30m
  agentd investigate --service my-service --snapshot ./support-bundle --json > report.json")]
    Investigate(Investigate),
    /// Lists investigations and what they found, newest first
    List(List),
    /// Prints the report of an investigation, or how far it is
    Show(Show),
    /// Tells why this cause and not the others: evidence, arithmetic, what would decide
    #[command(after_help = "\
For each candidate cause what speaks for and against it, what it explains, what set it aside, and
how its belief comes about. Works while an investigation runs, too. As wide as the terminal.

  agentd explain 0198c0de-0000-7000-8000-000000000000
  agentd explain 0198c0de-0000-7000-8000-000000000000 --json")]
    Explain(Show),
    /// Follows the events of an investigation: number, time, what happened
    #[command(after_help = "\
A finished investigation is replayed. A broken connection is taken up again where it broke.

  agentd watch 0198c0de-0000-7000-8000-000000000000
  agentd watch 0198c0de-0000-7000-8000-000000000000 --after 41")]
    Watch(Watch),
    /// Says whether an outcome was right, what it was, and what helped
    #[command(after_help = "\
What you say is kept for good and told when the case is recalled: a case that was wrong is recalled
with the true cause, one that was right counts more. Say it again to correct it; the last counts.
--cause takes a category (see `agentd causes`), alone or with the object, or free words.

  agentd feedback 0198c0de-0000-7000-8000-000000000000 correct --resolution 'raised the limit'
  agentd feedback 0198c0de-0000-7000-8000-000000000000 wrong \\
      --cause 'category:dns_failure Deployment/my-namespace/my-resolver'
  agentd feedback 0198c0de-0000-7000-8000-000000000000 wrong --cause 'a switch in rack 4'")]
    Feedback(Feedback),
    /// Finds earlier cases: what they were, what people said of them, what helped
    #[command(after_help = "\
Without words and --like it lists all cases, newest first.

  agentd episodes 'oom my-service'
  agentd episodes --like 0198c0de-0000-7000-8000-000000000000
  agentd episodes --service my-service --patterns")]
    Episodes(Episodes),
    /// Shows the tools that plugins offer, calls one, says why one is not called
    #[command(after_help = "\
  agentd tools
  agentd tools show pods.check_pods
  agentd tools show my_plugin.my_tool --version 1.1.0
  agentd tools call pods.check_pods '{\"namespace\":\"my-namespace\"}'
  agentd tools why my_plugin.my_tool
  agentd tools watch                          who comes and goes, what is quarantined or trips")]
    Tools(Tools),
    /// Lists the instances of plugins: where they are, whether they take calls, their lease
    #[command(after_help = "\
  agentd plugins
  agentd plugins pods           with what its author should mend, and tools that were refused
  agentd plugins --json")]
    Plugins(Plugins),
    /// Lists the signals in force, what each tells and who brought it
    #[command(after_help = "\
Some are built in, the operator's directory and plugins add theirs. One that a plugin speaks and no
catalogue knows is listed too: it is shown in reports and has no weight.

  agentd signals
  agentd signals --markdown     those of this program, without a daemon")]
    Signals(Signals),
    /// Lists the causes in force and who brought them, shows one, or checks documents of your own
    #[command(after_help = "\
  agentd causes
  agentd causes show oom_killed
  agentd causes check ./causes      all faults of a directory, with file and line, without a daemon
  agentd serve --causes-dir ./causes")]
    Causes(Causes),
    /// Investigates recorded incidents whose cause is known, and scores the reports
    #[command(after_help = "\
DIR has one directory per scenario with a scenario.json: the alert and the truth. The truth never
lies where plugins look. Scenarios share one memory; one that repeats another comes after it.

  agentd eval
  agentd eval tests/scenarios --json answers.json")]
    Eval(Eval),
    /// Checks or shows the configuration
    Config(ConfigArgs),
    /// Prints the version
    Version,
}

/// `agentd demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Which bundled incident; the first when not said
    #[arg(long, value_name = "NAME")]
    pub scenario: Option<String>,
    /// Goes on serving after the report, until interrupted
    #[arg(long)]
    pub keep: bool,
    /// Where the programs of the plugins are; else beside this program, then PATH
    #[arg(long, value_name = "DIR")]
    pub plugin_dir: Option<PathBuf>,
}

/// `agentd investigate`.
#[derive(Debug, Args)]
pub struct Investigate {
    /// What is wrong, in plain words
    pub text: Option<String>,
    /// Kind of alert, such as high_memory
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Service or workload it is about
    #[arg(long)]
    pub service: Option<String>,
    /// Its namespace; searched for when not said
    #[arg(long)]
    pub namespace: Option<String>,
    /// How long it has been going on, such as 30m; else since now
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub since: Option<Duration>,
    /// A recorded cluster to look at, in one go and without a daemon
    #[arg(long, value_name = "DIR")]
    pub snapshot: Option<PathBuf>,
    /// Prints the investigation as JSON and nothing else on stdout
    #[arg(long)]
    pub json: bool,
    /// Where the programs of the plugins are, with --snapshot
    #[arg(long, value_name = "DIR", requires = "snapshot")]
    pub plugin_dir: Option<PathBuf>,
    /// Where what is found is kept and remembered, with --snapshot; else it is not
    #[arg(long, value_name = "DIR", requires = "snapshot")]
    pub data_dir: Option<PathBuf>,
    /// Your own causes and signals, with --snapshot; a daemon is told by its own flag
    #[arg(long, value_name = "DIR", requires = "snapshot")]
    pub causes_dir: Option<String>,
    /// Which daemon.
    #[command(flatten)]
    pub server: Server,
}

/// `agentd list`.
#[derive(Debug, Args)]
pub struct List {
    /// At most this many
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=500))]
    pub limit: u16,
    /// Which daemon.
    #[command(flatten)]
    pub server: Server,
}

/// `agentd show` and `agentd explain`.
#[derive(Debug, Args)]
pub struct Show {
    /// Id of the investigation
    pub id: String,
    /// Prints it as JSON
    #[arg(long)]
    pub json: bool,
    /// Which daemon.
    #[command(flatten)]
    pub server: Server,
}

/// `agentd watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// Id of the investigation
    pub id: String,
    /// Begins after this event
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub after: i32,
    /// Which daemon.
    #[command(flatten)]
    pub server: Server,
}

/// `agentd signals`.
#[derive(Debug, Args)]
pub struct Signals {
    /// Prints them as JSON
    #[arg(long)]
    pub json: bool,
    /// Prints the reference of those built in as Markdown
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
    /// Which daemon.
    #[command(flatten)]
    pub server: Server,
}

/// `agentd causes`.
#[derive(Debug, Args)]
pub struct Causes {
    /// What of them; all of them when not said.
    #[command(subcommand)]
    pub what: Option<CausesCommand>,
    /// Prints as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Prints the reference of those built in as Markdown
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
    /// Which daemon.
    #[command(flatten)]
    pub server: Server,
}

/// What of the causes.
#[derive(Debug, Subcommand)]
pub enum CausesCommand {
    /// Lists them
    List,
    /// Shows one: what it rests on, whom it blames, its document
    Show {
        /// Its id, as the list has it
        id: String,
    },
    /// Tells all faults of a directory of causes and signals, with file and line
    Check {
        /// The directory, as --causes-dir takes it
        dir: PathBuf,
    },
}

/// `agentd eval`.
#[derive(Debug, Args)]
pub struct Eval {
    /// Directory of the scenarios
    #[arg(default_value = "tests/scenarios")]
    pub dir: PathBuf,
    /// Writes the answers to a file, in the shape that the corpus's own scorer reads
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Where the programs of the plugins are; else beside this program, then PATH
    #[arg(long, value_name = "DIR")]
    pub plugin_dir: Option<PathBuf>,
    /// Your own causes and signals, to see what they change
    #[arg(long, value_name = "DIR")]
    pub causes_dir: Option<String>,
}

/// `agentd config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Which.
    #[command(subcommand)]
    pub what: ConfigCommand,
}

/// What of the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Tells all faults of file, environment and flags at once
    Check(Settings),
    /// Prints the values in force and where each was set
    Show {
        /// Prints what holds when nothing is set
        #[arg(long)]
        defaults: bool,
        /// Prints the reference of all keys as a Markdown table
        #[arg(long)]
        markdown: bool,
        /// Where settings come from.
        #[command(flatten)]
        settings: Settings,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "wants a duration with a unit, such as 30m".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_is_at_most_a_hundred_columns_wide_and_names_no_unknown_command() {
        let mut command = Cli::command();
        let names: Vec<String> =
            command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        for sub in command.get_subcommands_mut() {
            let help = sub.render_long_help().to_string();
            for line in help.lines() {
                assert!(line.chars().count() <= 100, "{line}");
                let after = line.trim().strip_prefix("agentd ");
                let Some(word) = after.and_then(|rest| rest.split(' ').next()) else { continue };
                assert!(names.iter().any(|name| name == word), "{line}");
            }
        }
    }
}
