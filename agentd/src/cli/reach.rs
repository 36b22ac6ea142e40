//! How a daemon is reached: its address, who vouches for it, and what shows who we are. Flags come
//! before the environment.

use std::path::{Path, PathBuf};

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use super::{Error, args::Server, client::CONNECT};
use crate::config::Environment;

/// A connection that shows our token with every question.
pub(super) type Connection = InterceptedService<Channel, Bearer>;

/// Everything needed to reach a daemon.
#[derive(Debug, Clone, Default)]
pub(super) struct Reach {
    /// Its address.
    pub(super) url: String,
    ca_file: Option<PathBuf>,
    token_file: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
}

/// Shows a token, if there is one.
#[derive(Debug, Clone, Default)]
pub(super) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

// === impl Reach ===

impl Reach {
    /// The daemon on this machine that a test or a supervised run has.
    pub(super) fn plain(url: &str) -> Self {
        Self { url: url.to_owned(), ..Self::default() }
    }

    /// As flags and environment have it.
    pub(super) fn of(server: &Server, environment: &Environment) -> Self {
        let file = |flag: &Option<PathBuf>, name: &str| {
            flag.clone().or_else(|| environment.get(name).map(PathBuf::from))
        };
        let cert = file(&server.client_cert_file, "AGENTD_CLIENT_CERT_FILE");
        let key = file(&server.client_key_file, "AGENTD_CLIENT_KEY_FILE");
        Self {
            url: server.server.clone().unwrap_or_else(|| environment.url().to_owned()),
            ca_file: file(&server.ca_file, "AGENTD_CA_FILE"),
            token_file: file(&server.token_file, "AGENTD_TOKEN_FILE"),
            identity: cert.zip(key),
        }
    }

    /// Where to connect to.
    ///
    /// # Errors
    /// When the address is none, or a file cannot be read.
    pub(super) fn endpoint(&self) -> Result<Endpoint, Error> {
        let url = &self.url;
        let full = if url.contains("://") { url.clone() } else { format!("http://{url}") };
        let wrong = || Error::Address { url: url.clone() };
        let uri: http::Uri = full.parse().map_err(|_| wrong())?;
        let secure = uri.scheme_str() == Some("https");
        if !secure && uri.scheme_str() != Some("http") || uri.port().is_none() {
            return Err(wrong());
        }
        let endpoint = Endpoint::from(uri).connect_timeout(CONNECT).tcp_nodelay(true);
        if !secure {
            return Ok(endpoint);
        }
        let mut tls = ClientTlsConfig::new();
        tls = match &self.ca_file {
            Some(file) => tls.ca_certificate(Certificate::from_pem(read(file)?)),
            None => tls.with_native_roots(),
        };
        if let Some((cert, key)) = &self.identity {
            tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
        }
        endpoint.tls_config(tls).map_err(|source| Error::unreachable(url, &source))
    }

    /// What shows who we are.
    ///
    /// # Errors
    /// When the file of the token cannot be read.
    pub(super) fn bearer(&self) -> Result<Bearer, Error> {
        let Some(file) = &self.token_file else { return Ok(Bearer::default()) };
        let token = String::from_utf8_lossy(&read(file)?).trim().to_owned();
        let value: Result<MetadataValue<Ascii>, _> = format!("Bearer {token}").parse();
        let mut value = value.map_err(|_| Error::File {
            path: file.clone(),
            what: "shown",
            source: std::io::Error::other("it holds what no header can carry"),
        })?;
        value.set_sensitive(true);
        Ok(Bearer(Some(value)))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File {
        path: path.to_owned(),
        what: "read",
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port_and_may_lack_the_scheme() {
        for (url, good) in [
            ("http://127.0.0.1:50051", true),
            ("127.0.0.1:50051", true),
            ("localhost:1", true),
            ("localhost", false),
            ("https://a:1", true),
            ("ftp://a:1", false),
            ("", false),
        ] {
            assert_eq!(Reach::plain(url).endpoint().is_ok(), good, "{url}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let environment: Environment =
            [("AGENTD_TOKEN_FILE", "/nowhere/token")].into_iter().collect();
        let server = Server::default();
        let said = Reach::of(&server, &environment).bearer().map(|_| ()).unwrap_err().to_string();
        assert!(said.contains("/nowhere/token"), "{said}");
    }
}
