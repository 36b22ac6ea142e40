//! One investigation from the client's side: ask, follow, take the report. Used by every command
//! that begins one.

use agent_proto::v1::{Alert, Event, Investigation, Verdict, event::Payload};

use super::{
    Error,
    client::Client,
    follow::{Events, Heard},
    live::View,
};

/// How following an investigation ended.
#[derive(Debug)]
pub(super) enum Followed {
    /// With its last event.
    Finished(Box<Investigation>),
    /// By the person, who watches no more; the work goes on.
    Left {
        /// Resource name of the investigation.
        name: String,
        /// Newest event that was seen.
        after: i32,
    },
}

/// Begins an investigation and follows it to its end, or until the person interrupts.
///
/// # Errors
/// When the daemon refuses, or stays away.
pub(super) async fn investigate(
    client: &Client,
    alert: Alert,
    view: &mut View,
) -> Result<Followed, Error> {
    let begun = client.investigate(alert).await?;
    let events = client.events(&begun.name, 0);
    follow(events, &begun.name, view).await
}

/// Follows events to the last one, or until the person interrupts.
///
/// # Errors
/// When the daemon refuses, or stays away.
pub(super) async fn follow(
    mut events: Events,
    name: &str,
    view: &mut View,
) -> Result<Followed, Error> {
    let followed = loop {
        let heard = tokio::select! {
            heard = events.next() => heard?,
            () = interrupted() => {
                break Followed::Left { name: name.to_owned(), after: events.after() };
            }
        };
        match heard {
            Some(Heard::Event(event)) => {
                view.event(&event)?;
                if let Some(finished) = finished(*event) {
                    break Followed::Finished(finished);
                }
            }
            Some(Heard::Broken) => view.broken()?,
            None => return Err(Error::Unreadable),
        }
    };
    view.close();
    Ok(followed)
}

fn finished(event: Event) -> Option<Box<Investigation>> {
    let Payload::Finished(finished) = event.payload? else { return None };
    finished.investigation.map(Box::new)
}

/// Resolves when the person presses ctrl-c, or never where that cannot be heard.
pub(super) async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What the process ends with: 0 cause found, 3 healthy, 4 no conclusion.
pub(super) fn exit_code(of: &Investigation) -> u8 {
    match of.report.as_ref().map(agent_proto::v1::Report::verdict) {
        Some(Verdict::RootCauseFound) => 0,
        Some(Verdict::Healthy) => 3,
        Some(Verdict::Inconclusive | Verdict::Unspecified) | None => 4,
    }
}

/// Resolves when the process is told to stop, by a person or an orchestrator.
#[cfg(unix)]
pub(super) async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            () = interrupted() => {}
        },
        Err(_) => interrupted().await,
    }
}

/// Resolves when the process is told to stop.
#[cfg(not(unix))]
pub(super) async fn terminated() {
    interrupted().await;
}
