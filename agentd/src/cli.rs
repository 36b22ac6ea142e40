//! The command line: `agentd` for people. Talks to a daemon over gRPC like any client, also where
//! the daemon is in this very process. What was asked for goes to stdout, everything else to
//! stderr; a failure is one sentence that says how to mend it.

mod args;
mod catalogue;
mod client;
mod config;
mod demo;
mod doctor;
mod episodes;
mod error;
mod eval;
mod explain;
mod feedback;
mod follow;
mod investigate;
mod json;
mod list;
mod live;
mod local;
mod out;
mod plugins;
mod reach;
mod render;
mod run;
mod scenario;
mod serve;
mod show;
mod text;
mod tools;
mod up;
mod watch;

pub use args::Cli;
pub use error::Error;
pub use eval::answer;
pub use out::harmless;

use self::{args::Command, client::Client, out::Style, reach::Reach};
use crate::config::Environment;

/// What a command ends with when it did what it was asked.
const DONE: u8 = 0;
/// What was asked for was done, and did not succeed.
const FAILED: u8 = 1;
/// When a person interrupted it: 128 and the number of the signal, as shells have it.
const INTERRUPTED: u8 = 130;

/// Does what the command line says; the number is what the process ends with.
///
/// # Errors
/// Why it was not done, and how to mend it.
pub async fn run(cli: Cli, environment: &Environment) -> Result<u8, Error> {
    let style = Style::of(environment);
    match cli.command {
        Command::Demo(args) => demo::run(args, environment, style).await,
        Command::Up(args) => up::run(&args, environment).await,
        Command::Doctor(args) => doctor::run(&args, environment, style).await,
        Command::Serve(args) => serve::run(&args, environment).await,
        Command::Investigate(args) => investigate::run(args, environment, style).await,
        Command::List(args) => list::run(&args, environment).await,
        Command::Show(args) => show::run(&args, environment, style).await,
        Command::Explain(args) => explain::run(&args, environment, style).await,
        Command::Watch(args) => watch::run(&args, environment).await,
        Command::Feedback(args) => feedback::run(&args, environment).await,
        Command::Episodes(args) => episodes::run(&args, environment, style).await,
        Command::Tools(args) => tools::run(&args, environment, style).await,
        Command::Plugins(args) => plugins::run(&args, environment, style).await,
        Command::Signals(args) => catalogue::signals(&args, environment).await,
        Command::Causes(args) => catalogue::causes(&args, environment, style).await,
        Command::Eval(args) => eval::run(args, environment).await,
        Command::Config(args) => config::run(&args, environment),
        Command::Version => {
            out::line(&format!("agentd {}", env!("CARGO_PKG_VERSION")))?;
            Ok(DONE)
        }
    }
}

/// A connection to the daemon that is meant.
async fn connect(server: &args::Server, environment: &Environment) -> Result<Client, Error> {
    Client::connect(&Reach::of(server, environment)).await
}

#[cfg(test)]
mod testing;
