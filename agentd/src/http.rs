//! The HTTP door: `/healthz`, `/readyz`, `/metrics`, which only read and are open to everybody, and
//! the doors for alerts (`crate::intake::door`). What it shows it is given.

use std::{future::Future, io, net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use serde::Serialize;

use crate::{
    intake::door::{self, Doors},
    telemetry::metrics::CONTENT_TYPE,
    transport::{Listener, Stream},
};

/// Whether the daemon can do its work, as `/readyz` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// True when an investigation would be taken and could ask somebody.
    pub ready: bool,
    /// Whether a model can be asked.
    pub llm_available: bool,
    /// Whether rules plan and reason in place of a model.
    pub using_fallback: bool,
    /// Plugins that have registered.
    pub plugins: Vec<PluginReadiness>,
    /// The journal.
    pub journal: JournalReadiness,
}

/// One plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PluginReadiness {
    /// Its name.
    pub name: String,
    /// Instances under lease.
    pub instances: u32,
    /// Instances that take calls.
    pub ready: u32,
}

/// The journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JournalReadiness {
    /// `ok`, or what is wrong with it.
    pub state: String,
}

/// What the door shows.
#[derive(Clone)]
pub struct Shown {
    /// Asked anew at each `/readyz`; must not block.
    pub readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
    /// The numbers in the text form of [`CONTENT_TYPE`], asked anew at each `/metrics`.
    pub exposition: Arc<dyn Fn() -> String + Send + Sync>,
}

/// A fault of the door itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server ended by itself.
    #[error("the HTTP server ended")]
    Server(#[source] std::io::Error),
}

/// Serves until `shutdown` resolves; running requests are then finished. `alerts` opens the doors for
/// alerts.
///
/// # Errors
/// When the server ends by itself.
pub async fn serve(
    listener: Listener,
    shown: Shown,
    alerts: Option<Doors>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let open = router(shown);
    let routes = match alerts {
        Some(doors) => open.merge(door::routes(doors)),
        None => open,
    };
    axum::serve(Connections(listener), routes)
        .with_graceful_shutdown(shutdown)
        .await
        .map_err(Error::Server)
}

/// Connections as axum takes them.
struct Connections(Listener);

impl axum::serve::Listener for Connections {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Stream, SocketAddr) {
        match self.0.next().await {
            Some(connection) => connection,
            // Nothing will come any more; the server ends by its shutdown.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.0.address())
    }
}

fn router(shown: Shown) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(shown)
}

async fn readyz(State(shown): State<Shown>) -> impl IntoResponse {
    let readiness = (shown.readiness)();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}

async fn metrics(State(shown): State<Shown>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], (shown.exposition)())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
        sync::oneshot,
    };

    use super::*;

    fn shown(ready: bool) -> Shown {
        let readiness = move || Readiness {
            ready,
            llm_available: false,
            using_fallback: true,
            plugins: vec![PluginReadiness { name: "probe".to_owned(), instances: 2, ready: 1 }],
            journal: JournalReadiness { state: "ok".to_owned() },
        };
        let metrics = crate::telemetry::metrics::Metrics::new();
        let exposition = move || metrics.text();
        Shown { readiness: Arc::new(readiness), exposition: Arc::new(exposition) }
    }

    /// Head and body of the answer to one request over the loopback.
    async fn asked(shown: Shown, path: &str) -> (String, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let listener = Listener::open(listener, None).unwrap();
        let server = tokio::spawn(serve(listener, shown, None, async {
            let _ = stopped.await;
        }));
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    #[tokio::test]
    async fn being_alive_is_told_apart_from_being_ready() {
        let (head, body) = asked(shown(false), "/healthz").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(body, "ok\n");
        let (head, _) = asked(shown(false), "/readyz").await;
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    }

    #[tokio::test]
    async fn readiness_names_plugins_fallback_and_the_journal() {
        let (head, body) = asked(shown(true), "/readyz").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "ready": true, "llm_available": false, "using_fallback": true,
                "plugins": [{"name": "probe", "instances": 2, "ready": 1}],
                "journal": {"state": "ok"},
            })
        );
    }

    #[tokio::test]
    async fn metrics_are_served_in_the_form_they_claim() {
        let (head, body) = asked(shown(true), "/metrics").await;
        assert!(head.contains(CONTENT_TYPE), "{head}");
        assert!(body.ends_with("# EOF\n"), "{body}");
    }
}
