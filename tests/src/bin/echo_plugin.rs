//! A plugin that gives back what it was given, after as long as it was told to take. Built on the
//! SDK, so that it comes, goes and drains as every such plugin does.
//!
//! Usage: `echo_plugin NAME [TEMPLATE]`. With a template, a file, the tool is asked on every alert,
//! with these arguments.

use std::time::Duration;

use agent_sdk::{Applies, CallCx, Entity, Failure, Observation, Output, Plugin, Spec, Tool};

/// What the tool takes.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Arguments {
    /// Given back unchanged.
    #[serde(default)]
    value: serde_json::Value,
    /// How long it takes, in milliseconds.
    #[serde(default)]
    millis: u64,
}

struct Echo {
    template: Option<String>,
}

impl Tool for Echo {
    type Args = Arguments;

    fn spec(&self) -> Spec {
        let spec = Spec::read_only("echo", "Gives back what it is given.")
            .timeout(Duration::from_secs(20))
            .example("nothing", "{}");
        match &self.template {
            Some(template) => spec.applies(Applies::from_start(template).emits(&["echo.heard"])),
            None => spec,
        }
    }

    async fn call(&self, _cx: CallCx, args: Arguments) -> Result<Output, Failure> {
        tokio::time::sleep(Duration::from_millis(args.millis)).await;
        let said = serde_json::json!({"value": args.value, "pid": std::process::id()});
        let heard = Observation::new("echo.heard", Entity::new("Plugin", "", "echo"), "heard");
        Ok(Output::new(&said)?.observe(heard))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else { anyhow::bail!("usage: echo_plugin NAME [TEMPLATE]") };
    let template = arguments.next().map(std::fs::read_to_string).transpose()?;
    Ok(Plugin::new(&name, "1.0.0").tool(Echo { template }).run_from_env().await?)
}
