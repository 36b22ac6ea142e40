//! Logs that are larger than anybody would read.

use agent_tests::{
    control_plane::ControlPlane,
    large_log::{self, Cost, LINE, SAID},
};

const MIB: u64 = 1 << 20;

#[tokio::test]
async fn what_the_end_of_a_large_log_says_is_found_and_costs_no_more_when_it_is_larger() {
    let Some(plane) = ControlPlane::shared_with_node().await.unwrap() else { return };
    for size in [20 * MIB, 60 * MIB] {
        let cost: Cost = large_log::read(plane, size).await.unwrap();
        assert!(cost.size >= size, "{cost:?}");
        assert!(cost.findings.iter().any(|finding| finding.contains(SAID)), "{cost:?}");
        // Asked for from its end, never the whole of what does not fit.
        assert!(cost.lines_asked * LINE <= 24 * MIB, "{cost:?}");
        assert!(cost.lines_read <= cost.lines_asked, "{cost:?}");
        // Line by line: what was read is not held.
        assert!(cost.peak - cost.idle < 16 * MIB, "{cost:?}");
    }
}
