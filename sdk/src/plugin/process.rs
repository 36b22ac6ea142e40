//! What a plugin shares with its process: signals, stdin, stderr. Resolves once, with the time
//! that running calls may still take.

use std::{io::Read as _, time::Duration};

use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

use crate::options;

/// Below the 30 s that an orchestrator usually waits before it kills.
const DRAIN: Duration = Duration::from_secs(25);
/// Without a parent nobody waits for the answers.
const ORPHAN_DRAIN: Duration = Duration::from_secs(1);

/// Text on stderr, from level INFO unless `RUST_LOG` says otherwise. Leaves tracing that was set up
/// before as it is.
pub(crate) fn start_tracing() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init();
}

/// Resolves when the process is told to stop.
pub(crate) async fn told_to_stop() -> Duration {
    tokio::select! {
        () = terminated() => {
            tracing::info!("told to stop; running calls may finish");
            DRAIN
        }
        () = orphaned() => {
            tracing::info!("stdin was closed: the parent is gone");
            ORPHAN_DRAIN
        }
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            () = interrupted() => {}
        },
        Err(_) => interrupted().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    interrupted().await;
}

async fn interrupted() {
    // Without a way to hear of it there is nothing to wait for.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Resolves when stdin ends, if a supervisor promised to hold it open.
async fn orphaned() {
    if !options::is_supervised() {
        std::future::pending::<()>().await;
    }
    let (gone, parent) = oneshot::channel::<()>();
    // A thread of its own: a read of stdin cannot be cancelled, and the runtime would wait for its
    // blocking threads at the end. This one dies with the process.
    let watcher = std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut ignored = [0_u8; 256];
        while matches!(stdin.read(&mut ignored), Ok(read) if read > 0) {}
        drop(gone);
    });
    match watcher {
        Ok(_) => {
            let _ = parent.await;
        }
        Err(_) => std::future::pending::<()>().await,
    }
}
