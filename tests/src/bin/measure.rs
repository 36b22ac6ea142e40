//! Measures how good the answers are on recorded incidents: per category right, wrong, inconclusive
//! and confident-wrong, the Brier score, calls and rounds; and how verdicts stand when recordings
//! and answers are disturbed. Each variant is a run of its own, beside the plain one.
//!
//! Usage: `cargo run --release -p agent-tests --bin measure -- tests/scenarios --list`

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

use std::{path::PathBuf, process::ExitCode, time::Instant};

use agent_tests::measure::{
    case::{self, Case},
    explain,
    figures::Tally,
    investigate::{self, Pace},
    machine,
    outcome::Outcome,
    repeat, table,
    variant::{Taken, Variant},
};
use anyhow::{Context as _, Result, bail};
use clap::Parser;

/// Measures how good the answers are on recorded incidents.
#[derive(Debug, Parser)]
struct Arguments {
    /// Folders of recorded incidents, or with some below them.
    #[arg(required = true)]
    dirs: Vec<PathBuf>,
    /// Only cases whose id has this in it.
    #[arg(long)]
    only: Option<String>,
    /// A line per case.
    #[arg(long)]
    list: bool,
    /// Everything about one case: facts, relations, hypotheses.
    #[arg(long, value_name = "ID")]
    explain: Option<String>,
    /// Also with a source that does not answer; may be given several times.
    #[arg(long, value_name = "SOURCE")]
    without: Vec<Taken>,
    /// What such a source answers with; agentd tries again after 429 and 5xx, which takes long.
    #[arg(long, value_name = "STATUS", default_value_t = 403)]
    without_status: u16,
    /// Also with half of all questions failing.
    #[arg(long, value_name = "SEED")]
    fail_half: Vec<u64>,
    /// Also with facts and answers in another order.
    #[arg(long, value_name = "SEED")]
    shuffle: Vec<u64>,
    /// Also with other names for every object, and times moved by a year.
    #[arg(long, value_name = "SEED")]
    rename: Vec<u64>,
    /// Also with so many warning events that have nothing to do with it.
    #[arg(long, value_name = "NUMBER")]
    warnings: Vec<u32>,
    /// Also with text planted that speaks to the reader.
    #[arg(long)]
    plant: bool,
    /// Only this: every case twice with one memory, how many calls the second time takes.
    #[arg(long)]
    repeat: bool,
    /// Only this: every case where memory has another one behind the same alert.
    #[arg(long)]
    changed: bool,
    /// Cases at once; one a processor when not given.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    jobs: usize,
    /// Writes everything as JSON, the plain run's answers as the corpus's scorer reads them.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fails when fewer are right in the plain run; 0 to 1.
    #[arg(long, value_name = "SHARE")]
    require_right: Option<f64>,
    /// Fails when any run has a wrong answer of at least 0.7, or a wrong all-clear.
    #[arg(long)]
    forbid_confident_wrong: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match measured(Arguments::parse()).await {
        Ok(faults) if faults.is_empty() => ExitCode::SUCCESS,
        Ok(faults) => {
            faults.iter().for_each(|fault| eprintln!("not met: {fault}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("cannot measure: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Measures, and tells which demands were not met.
async fn measured(arguments: Arguments) -> Result<Vec<String>> {
    let cases = cases(&arguments)?;
    if arguments.repeat || arguments.changed {
        return remembered(&arguments, &cases).await;
    }
    let pace = Pace { at_once: arguments.jobs, keep: arguments.explain.clone() };
    let begun = Instant::now();
    let plain = investigate::all(&cases, Variant::Plain, &pace).await?;
    if let Some(id) = &arguments.explain {
        // Of several runs the last is explained.
        let last = match variants(&arguments).last() {
            Some(variant) => investigate::all(&cases, *variant, &pace).await?,
            None => plain,
        };
        let explained = last.iter().find(|outcome| outcome.id == *id);
        print!("{}", explain::text(explained.context("it was not investigated")?)?);
        return Ok(Vec::new());
    }
    if arguments.list {
        println!("{}", table::list(&plain));
    }
    print!("{}", table::summary(&plain));
    println!("wall time      {:.1} s", begun.elapsed().as_secs_f64());
    let mut runs = vec![("plain".to_owned(), plain)];
    for variant in variants(&arguments) {
        let varied = investigate::all(&cases, variant, &pace).await?;
        let (_, plain) = runs.first().context("the plain run is there")?;
        print!("\n{}", table::beside(variant, plain, &varied));
        runs.push((variant.to_string(), varied));
    }
    if let Some(file) = &arguments.json {
        let text = format!("{:#}\n", machine::json(&runs));
        std::fs::write(file, text).with_context(|| file.display().to_string())?;
    }
    Ok(faults(&arguments, &runs))
}

/// Measures what memory does, and tells what is not met.
async fn remembered(arguments: &Arguments, cases: &[Case]) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for (wanted, name) in [(arguments.repeat, "repeat"), (arguments.changed, "changed")] {
        if !wanted {
            continue;
        }
        let met = match name {
            "repeat" => repeat::twice(cases, arguments.jobs).await?,
            _ => repeat::changed(cases, arguments.jobs).await?,
        };
        if arguments.list {
            println!("{}", repeat::list(&met));
        }
        print!("{}", repeat::summary(&met));
        let flipped =
            met.iter().filter(|one| one.again.confident_wrong() && !one.alone.confident_wrong());
        faults.extend(flipped.map(|one| format!("{name}: {} is sure and wrong", one.alone.id)));
    }
    Ok(faults)
}

fn cases(arguments: &Arguments) -> Result<Vec<Case>> {
    let mut cases = case::all_in(&arguments.dirs)?;
    if let Some(part) = &arguments.only {
        cases.retain(|case| case.id.contains(part.as_str()));
    }
    if let Some(id) = &arguments.explain {
        let Some(wanted) = cases.iter().find(|case| case.id == *id) else {
            bail!("there is no case {id}");
        };
        // What it repeats has to be remembered.
        let kept = [Some(id.clone()), wanted.truth.repeats.clone()];
        cases.retain(|case| kept.contains(&Some(case.id.clone())));
    }
    if cases.is_empty() {
        bail!("no case is left");
    }
    Ok(cases)
}

fn variants(arguments: &Arguments) -> Vec<Variant> {
    let status = arguments.without_status;
    let mut variants = Vec::new();
    variants.extend(arguments.without.iter().map(|taken| Variant::Without(*taken, status)));
    variants.extend(arguments.fail_half.iter().map(|seed| Variant::FailHalf(*seed)));
    variants.extend(arguments.shuffle.iter().map(|seed| Variant::Shuffle(*seed)));
    variants.extend(arguments.rename.iter().map(|seed| Variant::Rename(*seed)));
    variants.extend(arguments.warnings.iter().map(|count| Variant::Warnings(*count)));
    variants.extend(arguments.plant.then_some(Variant::Plant));
    variants
}

/// Demands that are not met, a line each.
fn faults(arguments: &Arguments, runs: &[(String, Vec<Outcome>)]) -> Vec<String> {
    let mut faults = Vec::new();
    for (index, (name, outcomes)) in runs.iter().enumerate() {
        let tally: Tally = outcomes.iter().collect();
        if let Some(share) =
            arguments.require_right.filter(|share| index == 0 && !tally.meets(*share))
        {
            let Tally { right, cases, .. } = tally;
            faults.push(format!("{right} of {cases} are right, {share} of them were required"));
        }
        if arguments.forbid_confident_wrong && tally.confident_wrong > 0 {
            faults.push(format!("{name}: {} answers are sure and wrong", tally.confident_wrong));
        }
        for broken in outcomes.iter().filter(|outcome| !outcome.trouble.is_empty()) {
            faults.push(format!("{name}: {}: {}", broken.id, broken.trouble));
        }
    }
    faults
}
