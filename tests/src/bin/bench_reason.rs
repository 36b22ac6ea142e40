//! What the engine's own thinking costs, apart from the asking: plans, facts taken in and weighed,
//! on the recorded incident with the most evidence; and how time and memory grow with a hundred
//! thousand observations in one case. Prints, never judges, but for a bound that is given.
//!
//! Usage: `cargo run --release -p agent-tests --bin bench_reason [-- tests/scenarios]`

#![expect(clippy::print_stdout, reason = "a program for people")]

use std::{path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use agent_tests::{
    measure::{
        case,
        investigate::{self, Pace},
        swollen::{Lie, swollen},
        thinking::{Gathered, Thought},
        variant::Variant,
    },
    staged,
};
use agentd::reasoner::catalogue::Catalogue;
use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use tokio::{process::Command, time::timeout};

/// What the engine's own thinking costs.
#[derive(Debug, Parser)]
struct Arguments {
    /// Folders of recorded incidents; those of the project when not given.
    dirs: Vec<PathBuf>,
    /// How often the thinking is repeated.
    #[arg(long, default_value_t = 50)]
    rounds: usize,
    /// Observations of the large cases.
    #[arg(long, value_delimiter = ',', default_value = "10000,30000,100000")]
    sizes: Vec<usize>,
    /// A large case that takes longer is left, seconds.
    #[arg(long, default_value_t = 120)]
    patience: u64,
    /// Fails when the median of the thinking takes longer, milliseconds.
    #[arg(long)]
    most_ms: Option<f64>,
    /// Only this incident.
    #[arg(long)]
    case: Option<String>,
    /// Only one large case, as numbers: for this program itself, so that each has its own memory.
    #[arg(long, hide = true)]
    one: Option<Lie>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let catalogue = Arc::new(Catalogue::embedded()?);
    let (id, gathered) = largest(&arguments).await?;
    if let (Some(lie), Some(size)) = (arguments.one, arguments.sizes.first()) {
        println!("{}", one(&gathered, &catalogue, *size, lie));
        return Ok(());
    }
    let median = on_a_recorded_one(&id, &gathered, &catalogue, arguments.rounds);
    for lie in [Lie::Spread, Lie::Heaped] {
        on_large_ones(&id, lie, &arguments).await?;
    }
    if let Some(most) = arguments.most_ms {
        let taken = millis(median);
        ensure!(taken <= most, "the thinking takes {taken:.1} ms, at most {most} ms were allowed");
    }
    Ok(())
}

/// The incident with the most evidence, investigated.
async fn largest(arguments: &Arguments) -> Result<(String, Gathered)> {
    let dirs = match arguments.dirs.as_slice() {
        [] => vec![staged::scenarios()],
        some => some.to_vec(),
    };
    let mut best: Option<(String, Gathered)> = None;
    let mut cases = case::all_in(&dirs)?;
    cases.retain(|case| arguments.case.as_ref().is_none_or(|only| *only == case.id));
    for case in &cases {
        let pace = Pace { at_once: 1, keep: Some(case.id.clone()) };
        let outcomes = investigate::all(std::slice::from_ref(case), Variant::Plain, &pace).await?;
        let Some(gathered) = outcomes.into_iter().find_map(|outcome| outcome.gathered) else {
            continue;
        };
        let most = best.as_ref().map_or(0, |(_, known)| known.observations());
        if gathered.observations() > most {
            best = Some((case.id.clone(), *gathered));
        }
    }
    best.context("no incident could be investigated")
}

/// A part of the thinking.
type Part = fn(&Thought) -> Duration;

/// Prints what the thinking of one investigation takes; gives its median.
fn on_a_recorded_one(
    id: &str,
    gathered: &Gathered,
    catalogue: &Arc<Catalogue>,
    rounds: usize,
) -> Duration {
    let calls: usize = gathered.rounds.iter().map(Vec::len).sum();
    println!(
        "{id}: {} observations from {calls} calls in {} rounds; all plans and weighings of it, {rounds} times",
        gathered.observations(),
        gathered.rounds.len(),
    );
    let thoughts: Vec<Thought> = (0..rounds).map(|_| gathered.thought(catalogue)).collect();
    println!("{:<10}{:>12}{:>12}", "", "median", "slowest");
    let parts: [(&str, Part); 4] = [
        ("plan", |thought| thought.plan),
        ("take in", |thought| thought.absorb),
        ("weigh", |thought| thought.assess),
        ("all", |thought| thought.all()),
    ];
    let mut all = Duration::ZERO;
    for (name, part) in parts {
        let mut taken: Vec<Duration> = thoughts.iter().map(part).collect();
        taken.sort_unstable();
        let median = taken.get(taken.len() / 2).copied().unwrap_or_default();
        let slowest = taken.last().copied().unwrap_or_default();
        println!("{name:<10}{:>9.2} ms{:>9.2} ms", millis(median), millis(slowest));
        all = median;
    }
    all
}

/// One large case, thought through once.
struct Large {
    observations: usize,
    taken: Duration,
    kib: usize,
}

async fn on_large_ones(id: &str, lie: Lie, arguments: &Arguments) -> Result<()> {
    let place = match lie {
        Lie::Spread => "each copy in namespaces of its own",
        Lie::Heaped => "all in the alerted namespaces",
    };
    println!("\nthe same many times over, {place}; taken in and weighed once");
    println!(
        "{:>12}{:>14}{:>14}{:>12}{:>12}{:>14}",
        "observations", "time", "memory", "time x", "n log n x", "memory x"
    );
    let mut before: Option<Large> = None;
    for size in &arguments.sizes {
        let Some(large) = apart(id, *size, lie, arguments).await? else {
            println!("{size:>12}  left after {} s", arguments.patience);
            break;
        };
        println!("{}", line(&large, before.as_ref()));
        before = Some(large);
    }
    Ok(())
}

/// One large case in a process of its own; `None` when it takes too long.
async fn apart(id: &str, size: usize, lie: Lie, arguments: &Arguments) -> Result<Option<Large>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(&arguments.dirs).args(["--case", id, "--sizes", &size.to_string()]);
    command.args(["--one", lie.as_str()]).stdout(Stdio::piped()).kill_on_drop(true);
    let child = command.spawn()?;
    let patience = Duration::from_secs(arguments.patience);
    let Ok(output) = timeout(patience, child.wait_with_output()).await else { return Ok(None) };
    let output = output?;
    ensure!(output.status.success(), "the case of {size} ended with {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut words = text.split_whitespace();
    let mut next = || words.next().context("a number is missing");
    Ok(Some(Large {
        observations: next()?.parse()?,
        taken: Duration::from_micros(next()?.parse()?),
        kib: next()?.parse()?,
    }))
}

/// Thinks one large case through; observations, microseconds and KiB in one line.
fn one(base: &Gathered, catalogue: &Arc<Catalogue>, size: usize, lie: Lie) -> String {
    let before = memory("VmRSS:");
    let gathered = swollen(base, size, lie);
    let taken = gathered.thought(catalogue).all();
    let kib = memory("VmHWM:").saturating_sub(before);
    format!("{} {} {kib}", gathered.observations(), taken.as_micros())
}

fn line(large: &Large, before: Option<&Large>) -> String {
    let Large { observations, taken, kib } = large;
    let mut text =
        format!("{observations:>12}{:>11.0} ms{:>10.0} MiB", millis(*taken), ratio(*kib, 1024));
    if let Some(before) = before {
        let n_log_n = |n: usize| ratio(n, 1) * ratio(n, 1).ln();
        let time = taken.as_secs_f64() / before.taken.as_secs_f64().max(1e-9);
        let wanted = n_log_n(*observations) / n_log_n(before.observations);
        text.push_str(&format!("{time:>12.1}{wanted:>12.1}{:>14.1}", ratio(*kib, before.kib)));
    }
    text
}

/// Memory of this process in KiB, by the system's name for it; 0 where it does not tell.
fn memory(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

fn millis(taken: Duration) -> f64 {
    taken.as_secs_f64() * 1e3
}

fn ratio(one: usize, other: usize) -> f64 {
    let number = |n: usize| u32::try_from(n).map_or(f64::INFINITY, f64::from);
    number(one) / number(other).max(1.0)
}
