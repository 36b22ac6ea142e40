//! What it costs to find what the last lines of a log say, by its size: through a real API server
//! and kubelet, as the plugin `logs` does it. Prints, never judges. Needs the control plane of
//! `tests/controlplane`, root, and room for the largest log on the disk of the temporary folder.
//!
//! Usage: `cargo run --release -p agent-tests --bin bench_logs [MIB...]`, else 20 and 2048

#![expect(clippy::print_stdout, reason = "a program for people")]

use agent_tests::{
    control_plane::ControlPlane,
    large_log::{self, LINE, SAID},
};
use anyhow::Result;

const MIB: u64 = 1 << 20;

#[tokio::main]
async fn main() -> Result<()> {
    let sizes: Vec<u64> =
        std::env::args().skip(1).map(|size| size.parse()).collect::<Result<_, _>>()?;
    let sizes = if sizes.is_empty() { vec![20, 2048] } else { sizes };
    let Some(plane) = ControlPlane::shared_with_node().await? else { return Ok(()) };
    println!(
        "{:>9} {:>9} {:>12} {:>12} {:>10}  found",
        "log", "took", "asked for", "read", "memory"
    );
    let mut first = None;
    for size in sizes {
        let cost = large_log::read(plane, size * MIB).await?;
        let mib = |bytes: u64| format!("{} MiB", bytes / MIB);
        println!(
            "{:>9} {:>7} ms {:>12} {:>12} {:>10}  {}",
            mib(cost.size),
            cost.took.as_millis(),
            mib(cost.lines_asked.saturating_mul(LINE)),
            mib(cost.lines_read * LINE),
            mib(cost.peak),
            cost.findings.iter().any(|finding| finding.contains(SAID)),
        );
        for gap in &cost.gaps {
            println!("{:>9} {gap}", "gap:");
        }
        let took = cost.took.as_secs_f64();
        let (size, least, memory) = first.get_or_insert((cost.size, took, cost.peak));
        let ratio = |of: u64, to: u64| u32::try_from(of * 100 / to.max(1)).map_or(0.0, f64::from);
        println!(
            "{:>9} {:>10.2} times the first, size {:.1}, memory {:.2}",
            "",
            took / *least,
            ratio(cost.size, *size) / 100.0,
            ratio(cost.peak, *memory) / 100.0
        );
    }
    Ok(())
}
