//! The first question to a new instance: does it serve? Asked again, ever more slowly, until it
//! does or the instance is gone. After that its own word at each renewal counts.

use std::{sync::Weak, time::Duration};

use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Request, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{
    fault,
    instance::{Instance, Line},
    luck,
};

/// Pause after the first answer that was not SERVING; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Longest time for one answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Tells, once for each reason, that no connection comes about. Never true.
fn unreached(instance: &Weak<Instance>, status: &Status) -> bool {
    if let Some(held) = instance.upgrade()
        && let Some(why) = fault::cause(status)
        && held.cannot_be_reached(&why)
    {
        let (plugin, endpoint) = (&held.plugin, &held.endpoint);
        tracing::warn!(plugin, endpoint, why, "plugin cannot be reached; trying on");
    }
    false
}

/// Asks until the instance serves, its lease ran out, or nobody holds it any more.
pub(crate) async fn await_serving(instance: Weak<Instance>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(held) = instance.upgrade() else { return };
        if Instant::now() >= held.lease_until() {
            return;
        }
        // What parks a slot shows by that that it serves.
        let Line::Direct { channel, .. } = held.line.clone() else { return };
        drop(held);
        let mut client = HealthClient::new(channel);
        let asked = client.check(Request::new(HealthCheckRequest { service: String::new() }));
        let serving = match timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => answer.get_ref().status() == ServingStatus::Serving,
            // A plugin without the health service is taken at its word.
            Ok(Err(status)) => {
                status.code() == Code::Unimplemented || unreached(&instance, &status)
            }
            Err(_) => false,
        };
        if serving {
            if let Some(held) = instance.upgrade() {
                held.serves();
            }
            return;
        }
        sleep(pause.mul_f64(0.5 + luck::share() / 2.0)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
