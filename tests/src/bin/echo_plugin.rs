//! A plugin that gives back what it was given, after as long as it was told to take. Built on the
//! SDK, so that it comes, goes and drains as every such plugin does.
//!
//! Usage: `echo_plugin NAME [TEMPLATE [LEDGER]]`. With a template, a file, the tool is asked on every
//! alert, with these arguments; `-` is none. A ledger is a file that gets a line with each value that is
//! heard. A value too large to be given back is hashed.

use std::{
    fs::OpenOptions,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::Write as _,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use agent_sdk::{Applies, CallCx, Entity, Failure, Observation, Output, Plugin, Scope, Spec, Tool};

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
    ledger: Option<PathBuf>,
}

/// Largest value that is given back whole, in bytes.
const WHOLE: usize = 100_000;

impl Echo {
    /// Notes that `value` was heard. One write to a file that is appended to: no line of another process
    /// comes between.
    fn note(&self, value: &serde_json::Value) -> Result<(), Failure> {
        let Some(ledger) = &self.ledger else { return Ok(()) };
        let file = OpenOptions::new().append(true).create(true).open(ledger);
        let noted = file.and_then(|mut file| file.write_all(format!("{value}\n").as_bytes()));
        noted.map_err(|error| Failure::bug("LEDGER", format!("{}: {error}", ledger.display())))
    }
}

/// A hash of `value` that is the same in every process of one build.
fn hashed(value: &serde_json::Value) -> String {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
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
        self.note(&args.value)?;
        tokio::time::sleep(Duration::from_millis(args.millis)).await;
        let pid = std::process::id();
        let said = if args.value.to_string().len() > WHOLE {
            serde_json::json!({"hash": hashed(&args.value), "pid": pid})
        } else {
            serde_json::json!({"value": args.value, "pid": pid})
        };
        let heard = Observation::new("echo.heard", Entity::new("Plugin", "", "echo"), "heard");
        Ok(Output::new(&said)?.observe(heard))
    }
}

/// How often it was asked, which stays true for a minute.
#[derive(Default)]
struct Count {
    asked: AtomicU32,
}

impl Tool for Count {
    type Args = Arguments;

    fn spec(&self) -> Spec {
        Spec::read_only("count", "Tells how often it was asked.")
            .example("nothing", "{}")
            .cached(Duration::from_secs(60), Scope::Shared)
    }

    async fn call(&self, _cx: CallCx, args: Arguments) -> Result<Output, Failure> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        tokio::time::sleep(Duration::from_millis(args.millis)).await;
        Output::new(&serde_json::json!({ "asked": asked }))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        anyhow::bail!("usage: echo_plugin NAME [TEMPLATE [LEDGER]]")
    };
    let template = arguments.next().filter(|template| template != "-");
    let template = template.map(std::fs::read_to_string).transpose()?;
    let ledger = arguments.next().map(PathBuf::from);
    let plugin = Plugin::new(&name, "1.0.0").tool(Echo { template, ledger }).tool(Count::default());
    Ok(plugin.run_from_env().await?)
}
