//! Writes incidents by seed into a folder, for measuring what the product finds.
//!
//! Usage: `generate_incidents DIR [FIRST_SEED] [SEEDS] [CATEGORY_OR_FORM]`: every form for each of
//! the seeds, one folder each. Prints what it wrote.

#![expect(clippy::print_stdout, reason = "a program for people")]

use std::{path::PathBuf, time::Instant};

use agent_tests::incidents::forms;
use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: generate_incidents DIR [FIRST_SEED] [SEEDS] [CATEGORY_OR_FORM]";
    let dir = PathBuf::from(arguments.next().context(usage)?);
    let first: u64 = arguments.next().map_or(Ok(1), |text| text.parse()).context(usage)?;
    let seeds: u64 = arguments.next().map_or(Ok(1), |text| text.parse()).context(usage)?;
    let wanted = arguments.next();
    let wanted = |form: &agent_tests::incidents::Form| {
        wanted.as_deref().is_none_or(|wanted| wanted == form.category || wanted == form.name)
    };
    let begun = Instant::now();
    let mut written = 0_u32;
    for seed in first..first + seeds {
        for form in forms::all().iter().filter(|form| wanted(form)) {
            let path = form.incident(seed).write(&dir)?;
            println!("{}", path.display());
            written += 1;
        }
    }
    println!("{written} incidents in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}
