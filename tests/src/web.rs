//! Requests to a server over HTTP/1, with TLS or without, on a connection each: nothing is kept
//! that would outlive the test that asked or the server that was killed. No redirects, no retries.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::control_plane::certificates::Pair;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server, and as whom it is asked.
#[derive(Debug, Clone)]
pub struct Web {
    address: String,
    tls: Option<Arc<ClientConfig>>,
    token: Option<String>,
}

/// An answer of any status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body; what is not UTF-8 is replaced.
    pub text: String,
}

// === impl Answer ===

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.text).with_context(|| format!("no JSON: {}", self.text))
    }

    /// The body of a success as JSON.
    ///
    /// # Errors
    /// When it is none, with what was said instead.
    pub fn good(&self) -> Result<Value> {
        if !self.status.is_success() {
            bail!("{}: {}", self.status, self.text);
        }
        self.json()
    }
}

// === impl Web ===

impl Web {
    /// A server at `host:port` without TLS.
    #[must_use]
    pub fn plain(address: &str) -> Self {
        Self { address: address.to_owned(), tls: None, token: None }
    }

    /// A server at `host:port` that shows a certificate of `authority` (PEM); asked with the
    /// certificate of `client`, or as nobody.
    ///
    /// # Errors
    /// When a certificate cannot be read.
    pub fn trusting(address: &str, authority: &str, client: Option<&Pair>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
        let config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots);
        let config = match client {
            Some(pair) => config.with_client_auth_cert(chain(&pair.certificate)?, key(pair)?)?,
            None => config.with_no_client_auth(),
        };
        Ok(Self { address: address.to_owned(), tls: Some(Arc::new(config)), token: None })
    }

    /// The same server, asked with this bearer token.
    #[must_use]
    pub fn bearing(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// What is at `path`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, None).await
    }

    /// Posts `body`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(Method::POST, path, Some(("application/json", body.to_string()))).await
    }

    /// Posts text of this media type.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post_text(&self, path: &str, kind: &str, text: String) -> Result<Answer> {
        self.send(Method::POST, path, Some((kind, text))).await
    }

    /// Puts `body`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(Method::PUT, path, Some(("application/json", body.to_string()))).await
    }

    /// Merges `body` into what is at `path`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn merge(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(Method::PATCH, path, Some(("application/merge-patch+json", body.to_string())))
            .await
    }

    /// Deletes what is at `path`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.send(Method::DELETE, path, None).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, String)>,
    ) -> Result<Answer> {
        let what = format!("{method} {path} at {}", self.address);
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(header::HOST, &self.address);
        request = request.header(header::USER_AGENT, "agent-tests");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let bytes = match body {
            Some((kind, text)) => {
                request = request.header(header::CONTENT_TYPE, kind);
                Bytes::from(text)
            }
            None => Bytes::new(),
        };
        let request = request.body(Full::new(bytes))?;
        match tokio::time::timeout(PATIENCE, self.exchange(request)).await {
            Ok(answer) => answer.context(what),
            Err(_) => bail!("{what}: no answer within {PATIENCE:?}"),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer> {
        let stream = TcpStream::connect(&self.address).await?;
        let Some(tls) = &self.tls else { return exchange(stream, request).await };
        let host = self.address.rsplit_once(':').context("host:port is wanted")?.0;
        let name = ServerName::try_from(host.to_owned())?;
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?;
        exchange(stream, request).await
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Answer> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let talk = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        anyhow::Ok(Answer { status, text: String::from_utf8_lossy(&body).into_owned() })
    };
    // The connection is driven here rather than in a task of its own: it ends with the answer.
    let mut driven = std::pin::pin!(async {
        let _ = connection.await;
    });
    let mut talk = std::pin::pin!(talk);
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            answer = &mut talk => return answer,
            () = &mut driven, if open => open = false,
        }
    }
}

/// The certificates of a file.
///
/// # Errors
/// When it cannot be read.
pub fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)?.collect();
    Ok(chain?)
}

/// The key of a pair.
///
/// # Errors
/// When it cannot be read.
pub fn key(pair: &Pair) -> Result<PrivateKeyDer<'static>> {
    Ok(PrivateKeyDer::from_pem_file(&pair.key)?)
}

/// Text as part of a query of a URL.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut all = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            all.push(char::from(byte));
        } else {
            all.push_str(&format!("%{byte:02X}"));
        }
    }
    all
}
