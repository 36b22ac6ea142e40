//! An admission webhook that refuses everything it is asked about, with a reason of the test's:
//! real AdmissionReview answers over TLS that the cluster's authority vouches for. Lives in the
//! test's own runtime.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::{control_plane::certificates::Authority, web};

/// A webhook that listens. Dropping it ends it, and callers meet a closed port.
#[derive(Debug)]
pub struct Denier {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

// === impl Denier ===

impl Denier {
    /// Starts one that refuses with `reason`.
    ///
    /// # Errors
    /// When there is no certificate or port.
    pub async fn start(authority: &Authority, reason: &str) -> Result<Self> {
        let pair = authority.server("webhook", &["127.0.0.1", "localhost"])?;
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(web::chain(&pair.certificate)?, web::key(&pair)?)?;
        let tls = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let reason: Arc<str> = reason.into();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, reason) = (tls.clone(), Arc::clone(&reason));
                tokio::spawn(async move {
                    // A caller that goes away in between is none of ours.
                    let _ = serve(tls, stream, reason).await;
                });
            }
        });
        Ok(Self { address, accepting })
    }

    /// Where it listens, as a webhook configuration names it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}/validate", self.address)
    }
}

impl Drop for Denier {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(tls: TlsAcceptor, stream: TcpStream, reason: Arc<str>) -> Result<()> {
    let stream = TokioIo::new(tls.accept(stream).await?);
    let service = service_fn(|request: Request<Incoming>| {
        let reason = Arc::clone(&reason);
        async move {
            let answer = answer(request, &reason).await.unwrap_or_else(|error| {
                let mut answer = Response::new(Full::from(format!("{error:#}")));
                *answer.status_mut() = http::StatusCode::BAD_REQUEST;
                answer
            });
            Ok::<_, Infallible>(answer)
        }
    });
    hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await?;
    Ok(())
}

async fn answer(request: Request<Incoming>, reason: &str) -> Result<Response<Full<Bytes>>> {
    let body = request.into_body().collect().await?.to_bytes();
    let review: Value = serde_json::from_slice(&body)?;
    let uid = review.pointer("/request/uid").context("no review")?;
    let refused = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": { "uid": uid, "allowed": false, "status": { "code": 403, "message": reason } },
    });
    let answer = Response::builder().header("content-type", "application/json");
    Ok(answer.body(Full::from(refused.to_string()))?)
}
