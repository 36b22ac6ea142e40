//! A plugin that is honest, and breaks exactly one rule when it is told to: what the checks are
//! checked with. Written by hand on the wire, without the SDK, direct and relay.
//!
//! `--break ID` breaks the rule of that check; `--break ID:HOW` breaks it in another way.

use std::{process::ExitCode, sync::Arc};

use clap::Parser;

mod arguments;
mod call;
mod catalog;
mod lease;
mod plugin;
mod relay;
mod serve;
mod tools;

use plugin::Plugin;

#[derive(Debug, Parser)]
struct Settings {
    /// Rule to break, such as CALL-01
    #[arg(long = "break", default_value = "")]
    fault: String,
    #[arg(long, env = "AGENTD_URL", default_value = "http://127.0.0.1:50051")]
    agentd_url: String,
    #[arg(long, env = "AGENTD_PLUGIN_TOKEN", default_value = "", hide_env_values = true)]
    token: String,
    #[arg(long, env = "PLUGIN_MODE", default_value = "direct")]
    mode: String,
    #[arg(long, env = "PLUGIN_SLOTS", default_value_t = 8)]
    slots: usize,
    #[arg(long, env = "DATABASE_PASSWORD", default_value = "", hide_env_values = true)]
    password: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    let plugin = Arc::new(Plugin::new(settings));
    match lease::live(&plugin).await {
        Ok(code) => ExitCode::from(code),
        Err(fault) => {
            plugin::say(&format!("broken-plugin: {fault:#}"));
            ExitCode::from(1)
        }
    }
}
