//! Waiting for a condition, with a limit, telling what was seen when it did not come. The only
//! place of the tests that lets time pass.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(40);

/// Looks until `look` gives a value, at most `limit`. While it is not there, `look` gives what it
/// saw instead.
///
/// # Errors
/// When the limit is over, with `what` was wanted and what was seen last.
pub async fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        let seen = match look().await {
            Ok(there) => return Ok(there),
            Err(seen) => seen,
        };
        if Instant::now() >= end {
            bail!("{what}: not within {limit:?}; last seen: {seen}");
        }
        sleep(POLL).await;
    }
}
