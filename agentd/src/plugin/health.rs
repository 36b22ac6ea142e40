//! The question to an instance: does it serve? Asked of a new one, ever more slowly, until it does;
//! then now and again, since one may say so only there. Beside it its own word at each renewal counts.

use std::{sync::Weak, time::Duration};

use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Request, Status, transport::Channel};
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
/// Pause between two questions to one that serves.
const SERVING_PAUSE: Duration = Duration::from_secs(10);
/// Longest time for one answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Tells, once for each reason, that no connection comes about.
fn unreached(instance: &Weak<Instance>, status: &Status) {
    if let Some(held) = instance.upgrade()
        && let Some(why) = fault::cause(status)
        && held.cannot_be_reached(&why)
    {
        let (plugin, endpoint) = (&held.plugin, &held.endpoint);
        tracing::warn!(plugin, endpoint, why, "plugin cannot be reached; trying on");
    }
}

/// What the question came to.
enum Answer {
    Serves,
    /// There is no such service: the plugin is taken at its word, and not asked again.
    TakenAtItsWord,
    DoesNotServe,
    /// No answer at all.
    Silence,
}

async fn ask(channel: Channel, instance: &Weak<Instance>, serves: bool) -> Answer {
    let mut client = HealthClient::new(channel);
    let asked = client.check(Request::new(HealthCheckRequest { service: String::new() }));
    match timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) if answer.get_ref().status() == ServingStatus::Serving => Answer::Serves,
        Ok(Ok(_)) => Answer::DoesNotServe,
        Ok(Err(status)) if status.code() == Code::Unimplemented => Answer::TakenAtItsWord,
        Ok(Err(status)) => {
            // Of one that served, calls and the lease tell whether it is there.
            if !serves {
                unreached(instance, &status);
            }
            Answer::Silence
        }
        Err(_) => Answer::Silence,
    }
}

/// Asks as long as somebody holds the instance and its lease lasts.
pub(crate) async fn keep_asking(instance: Weak<Instance>) {
    ask_every(SERVING_PAUSE, instance).await;
}

async fn ask_every(serving_pause: Duration, instance: Weak<Instance>) {
    let (mut pause, mut serves) = (FIRST_PAUSE, false);
    loop {
        let Some(held) = instance.upgrade() else { return };
        if Instant::now() >= held.lease_until() {
            return;
        }
        // What parks a slot shows by that that it serves.
        let Line::Direct { channel, .. } = held.line.clone() else { return };
        drop(held);
        let answer = ask(channel, &instance, serves).await;
        let Some(held) = instance.upgrade() else { return };
        match answer {
            Answer::Serves => {
                held.serves();
                serves = true;
            }
            Answer::TakenAtItsWord => return held.serves(),
            Answer::DoesNotServe => {
                held.does_not_serve();
                serves = false;
            }
            Answer::Silence => {}
        }
        drop(held);
        if serves {
            pause = FIRST_PAUSE;
            sleep(serving_pause.mul_f64(0.8 + 0.4 * luck::share())).await;
        } else {
            sleep(pause.mul_f64(0.5 + luck::share() / 2.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::sync::Arc;

    use tokio::net::TcpListener;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::transport::Server;

    use super::*;
    use crate::plugin::{
        bell::Bell,
        client,
        instance::{Before, Made, Readiness},
        news::Kind,
    };

    fn instance(address: std::net::SocketAddr, bell: &Arc<Bell>) -> Arc<Instance> {
        let made = Made {
            id: "one".to_owned(),
            plugin: "probe".to_owned(),
            version: "1.0.0".to_owned(),
            endpoint: address.to_string(),
            line: Line::Direct {
                channel: client::channel(address, None).unwrap(),
                authorization: None,
            },
            max_calls: 1,
            weight: 1,
            offers: Vec::new(),
            catalog_digest: String::new(),
            before: Before::default(),
        };
        Arc::new(Instance::new(made, Arc::clone(bell), Instant::now() + Duration::from_secs(60)))
    }

    /// Waits until its readiness is this.
    async fn becomes(instance: &Instance, bell: &Bell, wanted: Readiness) {
        let mut changes = bell.changes();
        while instance.readiness(Instant::now()) != wanted {
            timeout(Duration::from_secs(10), changes.changed()).await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn one_that_says_only_by_its_health_that_it_does_not_serve_gets_no_calls_until_it_does() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (reporter, service) = tonic_health::server::health_reporter();
        reporter.set_service_status("", tonic_health::ServingStatus::Serving).await;
        let incoming = TcpListenerStream::new(listener);
        let served = Server::builder().add_service(service).serve_with_incoming(incoming);
        let server = tokio::spawn(served);

        let bell = Arc::new(Bell::default());
        let held = instance(address, &bell);
        let asking = tokio::spawn(ask_every(Duration::from_millis(5), Arc::downgrade(&held)));
        becomes(&held, &bell, Readiness::Ready).await;
        reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
        becomes(&held, &bell, Readiness::Unready).await;
        reporter.set_service_status("", tonic_health::ServingStatus::Serving).await;
        becomes(&held, &bell, Readiness::Ready).await;
        // Quick changes are not each told; what is told first is that it takes calls.
        assert_eq!(bell.news.after(0).unwrap().first().unwrap().kind, Kind::Ready);

        // Nobody holds it any more: nobody asks any more.
        drop(held);
        timeout(Duration::from_secs(10), asking).await.unwrap().unwrap();
        server.abort();
    }
}
