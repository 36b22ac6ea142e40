//! The command. Ends with 0 when all MUSTs passed, 1 when one failed, 2 when it could not run.

use std::{io::Write as _, process::ExitCode};

use clap::Parser as _;
use plugin_check::{options::Options, report, run};

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    match check(&options).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            // A report of an earlier run must not be taken for that of this one.
            if let Err(fault) = report::write_error(&format!("{error:#}"), &options) {
                let _ = writeln!(std::io::stderr(), "plugin-check: {fault:#}");
            }
            // Nowhere left to tell it when stderr is gone.
            let _ = writeln!(std::io::stderr(), "plugin-check: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn check(options: &Options) -> anyhow::Result<bool> {
    options.check()?;
    let report = run::run(options).await?;
    report::write(&report, options)?;
    Ok(report.is_passed())
}
