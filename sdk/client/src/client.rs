//! The way to agentd: address, authority and token, and the generated clients over it.

use std::{fmt, sync::Arc, time::Duration};

use agent_proto::v1::agent_service_client::AgentServiceClient;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use crate::{error::Error, watch::Watch};

const CONNECT: Duration = Duration::from_secs(3);
const KEEPALIVE: Duration = Duration::from_secs(20);
/// Bytes that may wait to be read on one stream, and on the whole connection: some watches that
/// nobody reads for a while must not hold up everything else.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;

/// What the generated clients speak over: a connection that shows the token.
pub type Wire = InterceptedService<Channel, Bearer>;

/// Shows a bearer token with each request, where there is one.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

/// Where agentd is and what is shown to it. Start from [`Options::new`].
#[derive(Clone, Default)]
pub struct Options {
    /// `http://host:port` or `https://host:port`.
    pub url: String,
    /// Bearer token; empty means none.
    pub token: String,
    /// Who vouches for an agentd at `https://`, in PEM; empty means the authorities of the system.
    pub ca_pem: Vec<u8>,
}

/// A client of one agentd. Cheap to clone; it connects when it is first used, and again when a
/// connection is lost.
#[derive(Clone)]
pub struct Client {
    dial: Arc<dyn Fn() -> Channel + Send + Sync>,
    channel: Channel,
    bearer: Bearer,
}

// === impl Bearer ===

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Bearer(set)" } else { "Bearer(none)" })
    }
}

// === impl Options ===

impl Options {
    /// An agentd at `url`, without a token, with the authorities of the system.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// Shows this bearer token.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = token.into();
        self
    }

    /// Believes who this authority vouches for, in PEM.
    #[must_use]
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_pem = pem.into();
        self
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The token is a secret.
        f.debug_struct("Options").field("url", &self.url).finish_non_exhaustive()
    }
}

// === impl Client ===

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("bearer", &self.bearer).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the agentd at `url`. Whether it is there shows with the first request.
    ///
    /// # Errors
    /// [`Error::Settings`] when `url` is none.
    pub fn connect(url: &str) -> Result<Self, Error> {
        Self::connect_with(&Options::new(url))
    }

    /// As [`Self::connect`], with a token or an authority. Within a Tokio runtime, as all of this.
    ///
    /// # Errors
    /// [`Error::Settings`] with what cannot be used.
    pub fn connect_with(options: &Options) -> Result<Self, Error> {
        let wrong = |fault: &dyn fmt::Display| Error::Settings(format!("{}: {fault}", options.url));
        let mut endpoint = Endpoint::from_shared(options.url.clone())
            .map_err(|fault| wrong(&fault))?
            .connect_timeout(CONNECT)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(KEEPALIVE));
        match endpoint.uri().scheme_str() {
            Some("http") => {}
            Some("https") => {
                let tls = if options.ca_pem.is_empty() {
                    ClientTlsConfig::new().with_native_roots()
                } else {
                    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&options.ca_pem))
                };
                endpoint = endpoint.tls_config(tls).map_err(|fault| wrong(&fault))?;
            }
            Some(_) | None => return Err(wrong(&"is not http://HOST:PORT or https://HOST:PORT")),
        }
        let token = options.token.trim();
        let bearer = if token.is_empty() {
            Bearer(None)
        } else {
            let mut value = MetadataValue::try_from(format!("Bearer {token}"))
                .map_err(|_| wrong(&"the token has characters a header cannot carry"))?;
            value.set_sensitive(true);
            Bearer(Some(value))
        };
        Ok(Self::over(move || endpoint.connect_lazy(), bearer))
    }

    pub(crate) fn over(dial: impl Fn() -> Channel + Send + Sync + 'static, bearer: Bearer) -> Self {
        Self { channel: dial(), dial: Arc::new(dial), bearer }
    }

    /// Investigations: the generated client.
    #[must_use]
    pub fn agent(&self) -> AgentServiceClient<Wire> {
        AgentServiceClient::new(self.wire())
    }

    /// What the other generated clients of [`v1`](crate::v1) are made over, such as
    /// `CatalogServiceClient::new(client.wire())`.
    #[must_use]
    pub fn wire(&self) -> Wire {
        InterceptedService::new(self.channel.clone(), self.bearer.clone())
    }

    /// The events of an investigation, named `investigations/{id}` or by its bare id, from the first
    /// to the last.
    #[must_use]
    pub fn watch(&self, name: &str) -> Watch {
        Watch::new(self.clone(), name)
    }

    /// The same over a connection of its own: one that fell silent may never come to life.
    pub(crate) fn anew(&self) -> Self {
        Self { channel: (self.dial)(), ..self.clone() }
    }

    #[cfg(test)]
    pub(crate) fn anonymous() -> Bearer {
        Bearer(None)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn what_cannot_be_used_is_told_and_a_token_never_is() {
        for url in ["", "ftp://x", "127.0.0.1:1", "http://"] {
            assert!(matches!(Client::connect(url), Err(Error::Settings(_))), "{url}");
        }
        let options = Options::new("http://127.0.0.1:1").token("s3cret\n");
        let client = Client::connect_with(&options).unwrap();
        let said = format!("{options:?} {client:?}");
        assert!(!said.contains("s3cret") && said.contains("set"), "{said}");
        let odd = Options::new("http://127.0.0.1:1").token("s3\u{0}cret");
        let said = Client::connect_with(&odd).unwrap_err().to_string();
        assert!(said.contains("header") && !said.contains("cret"), "{said}");
        let unknown = Options::new("https://127.0.0.1:1").ca_pem("nothing");
        // An authority that is none is told at the latest by the first request.
        if let Ok(client) = Client::connect_with(&unknown) {
            assert!(
                client
                    .agent()
                    .get_investigation(crate::v1::GetInvestigationRequest::default())
                    .await
                    .is_err()
            );
        }
    }
}
