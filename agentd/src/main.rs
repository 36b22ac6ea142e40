//! The program: reads the command line, does what it says, ends with its number.

use std::process::ExitCode;

use agentd::{
    cli::{self, Cli},
    config::Environment,
};
use anyhow::Context as _;
use clap::Parser as _;

/// What the process ends with when it did not do what it was asked.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            tell(&error);
            ExitCode::from(FAILED)
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("threads cannot be started")?;
    match runtime.block_on(cli::run(cli, &Environment::of_process())) {
        // A reader that has seen enough, such as `head`.
        Err(cli::Error::Closed) => Ok(0),
        ended => Ok(ended?),
    }
}

/// The sentence and what it comes from, each told once.
#[expect(clippy::print_stderr, reason = "the program's last words belong there")]
fn tell(error: &anyhow::Error) {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !said.contains(&cause) {
            let joint = if said.is_empty() { "agentd: " } else { ": " };
            said.push_str(joint);
            said.push_str(&cause);
        }
    }
    eprintln!("{}", cli::harmless(&said));
}
