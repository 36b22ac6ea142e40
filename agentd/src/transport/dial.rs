//! How connections go out by TLS: who is believed, what we show, and by which name the other side
//! must be known. Certificates can be exchanged while connections live; new ones use the new.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Error, answering, certificates};

/// Files with what going out by TLS needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Authorities that vouch for the other side; no others are believed.
    pub ca: PathBuf,
    /// Our certificates, the own one first, and their key; shown to those who ask.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// A name that a certificate must be for: one of the DNS, or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(ServerName<'static>);

/// Makes connections by TLS; clones share the certificates in force.
#[derive(Clone)]
pub struct Dialler {
    files: Files,
    config: Arc<RwLock<Arc<ClientConfig>>>,
}

// === impl Name ===

impl Name {
    /// The name that `text` is; none when no certificate can be for it.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        ServerName::try_from(text.to_owned()).ok().map(Self)
    }
}

// === impl Dialler ===

impl std::fmt::Debug for Dialler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialler").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Dialler {
    /// Reads certificates; HTTP/2 is spoken over what is dialled.
    ///
    /// # Errors
    /// What cannot be read, or does not fit together.
    pub fn load(files: Files) -> Result<Self, Error> {
        let config = Arc::new(RwLock::new(Arc::new(read(&files)?)));
        Ok(Self { files, config })
    }

    /// Reads the same files again. Connections that live keep what they began with.
    ///
    /// # Errors
    /// As [`Self::load`]; what was in force stays so.
    pub fn reload(&self) -> Result<(), Error> {
        let read = Arc::new(read(&self.files)?);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// The files it was read from.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let Files { ca, identity } = &self.files;
        let own = identity.iter().flat_map(|(cert, key)| [cert, key]);
        std::iter::once(ca).chain(own).map(PathBuf::as_path)
    }

    /// A connection to `address`, whose certificate must be for `name`.
    ///
    /// # Errors
    /// When nobody listens there, or it is not who it should be. That we were not believed is
    /// told by the first thing that is read: so TLS 1.3 has it.
    pub async fn connect(
        &self,
        address: SocketAddr,
        name: Name,
    ) -> io::Result<TlsStream<TcpStream>> {
        let stream = answering::connect(address).await?;
        let config = Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner));
        TlsConnector::from(config).connect(name.0, stream).await
    }
}

fn read(files: &Files) -> Result<ClientConfig, Error> {
    let wrong = |source| Error::Authority { path: files.ca.clone(), source };
    let mut roots = RootCertStore::empty();
    for authority in certificates(&files.ca)? {
        roots.add(authority).map_err(|error| wrong(error.into()))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.into()))?
        .with_root_certificates(roots);
    let mut config = match &files.identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let own = PrivateKeyDer::from_pem_file(key).map_err(|source| Error::Pem {
                path: key.clone(),
                what: "a private key",
                source,
            })?;
            let unfit = |source| Error::Unfit { cert: cert.clone(), key: key.clone(), source };
            builder.with_client_auth_cert(certificates(cert)?, own).map_err(unfit)?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
