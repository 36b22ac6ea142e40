//! How connections come in, and go out by TLS ([`dial`]): in plain text or by TLS, with client certificates where an authority for
//! them is named. Handshakes run beside each other and within a limit, so that a stranger who never
//! finishes one holds up nobody. Certificates can be exchanged while connections live.

pub mod answering;
pub mod dial;

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
    time::Duration,
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes at once; further connections wait.
const HANDSHAKES: usize = 256;
/// Connections that are ready and not yet taken.
const READY: usize = 64;
/// Pause after the system gave no connection, as when no file descriptor is left.
const PAUSE: Duration = Duration::from_millis(100);

/// Files with what TLS needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Our certificates, the own one first.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Authorities that vouch for clients; none asks clients for no certificate.
    pub client_ca: Option<PathBuf>,
}

/// Certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is missing or no PEM of the right kind.
    #[error("{} cannot be read as {what} in PEM", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// Why not.
        source: rustls::pki_types::pem::Error,
    },
    /// A file without anything in it.
    #[error("{} holds no certificate", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// They do not fit together.
    #[error("certificate {} and key {} cannot be used together", cert.display(), key.display())]
    Unfit {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// The authorities for the other side cannot be used.
    #[error("the authorities in {} cannot be used", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Certificates in force; clones share them.
#[derive(Clone)]
pub struct Tls {
    files: Files,
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

/// A door that connections come in by.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    ready: mpsc::Receiver<(Stream, SocketAddr)>,
    work: JoinHandle<()>,
}

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// In plain text.
    Plain(TcpStream),
    /// By TLS.
    Secure(Box<TlsStream<TcpStream>>),
}

// === impl Tls ===

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads certificates. `protocols` are those spoken above, most wanted first.
    ///
    /// # Errors
    /// What cannot be read, or does not fit together.
    pub fn load(files: Files, protocols: &[&[u8]]) -> Result<Self, Error> {
        let config = Arc::new(RwLock::new(Arc::new(read(&files, protocols)?)));
        Ok(Self { files, config })
    }

    /// Reads the same files again. Connections that live keep what they began with.
    ///
    /// # Errors
    /// As [`Self::load`]; what was in force stays so.
    pub fn reload(&self) -> Result<(), Error> {
        let protocols = self.now().alpn_protocols.clone();
        let protocols: Vec<&[u8]> = protocols.iter().map(Vec::as_slice).collect();
        let read = Arc::new(read(&self.files, &protocols)?);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// The files it was read from.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let Files { cert, key, client_ca } = &self.files;
        [Some(cert), Some(key), client_ca.as_ref()].into_iter().flatten().map(PathBuf::as_path)
    }

    fn now(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn read(files: &Files, protocols: &[&[u8]]) -> Result<ServerConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let unfit = |source| Error::Unfit { cert: files.cert.clone(), key: files.key.clone(), source };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unfit)?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let wrong = |source| Error::Authority { path: path.clone(), source };
            let mut roots = RootCertStore::empty();
            for authority in certificates(path)? {
                roots.add(authority).map_err(|error| wrong(error.into()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(|e| wrong(e.into()))?)
        }
    };
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| Error::Pem {
        path: files.key.clone(),
        what: "a private key",
        source,
    })?;
    let mut config = builder.with_single_cert(certificates(&files.cert)?, key).map_err(unfit)?;
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let wrong = |source| Error::Pem { path: path.to_owned(), what: "certificates", source };
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(wrong)?.collect();
    let read = read.map_err(wrong)?;
    if read.is_empty() { Err(Error::Empty { path: path.to_owned() }) } else { Ok(read) }
}

// === impl Listener ===

impl Listener {
    /// Takes connections in, by TLS where it is given.
    ///
    /// # Errors
    /// When the system does not tell the address.
    pub fn open(listener: TcpListener, tls: Option<Tls>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (tell, ready) = mpsc::channel(READY);
        let work = tokio::spawn(take(listener, tls, tell));
        Ok(Self { address, ready, work })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection that is ready to be used; `None` when there will be none.
    pub async fn next(&mut self) -> Option<(Stream, SocketAddr)> {
        self.ready.recv().await
    }

    /// As [`Self::next`], for those who poll.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Stream, SocketAddr)>> {
        self.ready.poll_recv(cx)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.work.abort();
    }
}

async fn take(listener: TcpListener, tls: Option<Tls>, tell: mpsc::Sender<(Stream, SocketAddr)>) {
    let places = Arc::new(Semaphore::new(HANDSHAKES));
    let mut handshakes = tokio::task::JoinSet::new();
    loop {
        while handshakes.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Small messages must not wait for the peer's acknowledgement (Nagle). A stream that
        // refuses this works all the same.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &tls else {
            if tell.send((Stream::Plain(stream), peer)).await.is_err() {
                return;
            }
            continue;
        };
        let (acceptor, tell) = (TlsAcceptor::from(tls.now()), tell.clone());
        handshakes.spawn(async move {
            let shaken = timeout(HANDSHAKE, acceptor.accept(stream)).await;
            drop(place);
            match shaken {
                // A door that closed meanwhile takes nobody.
                Ok(Ok(stream)) => {
                    let _ = tell.send((Stream::Secure(Box::new(stream)), peer)).await;
                }
                Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
            }
        });
    }
}

// === impl Stream ===

impl Stream {
    /// Who is at the other end.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Secure(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Secure(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Secure(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Secure(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Secure(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// Certificates of their own authority, for this machine, in files.
    fn certificates_in(folder: &Path) -> Files {
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (cert, key) = (folder.join("cert"), folder.join("key"));
        std::fs::write(&cert, own.cert.pem()).unwrap();
        std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
        Files { cert, key, client_ca: None }
    }

    #[tokio::test]
    async fn what_comes_in_and_what_is_dialled_by_tls_sends_small_messages_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let files = certificates_in(folder.path());
        let outgoing = dial::Files { ca: files.cert.clone(), identity: None };
        let dialler = dial::Dialler::load(outgoing).unwrap();
        let tls = Tls::load(files, &[b"h2"]).unwrap();
        for tls in [None, Some(tls)] {
            let is_secure = tls.is_some();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut listener = Listener::open(listener, tls).unwrap();
            let address = listener.address();
            if is_secure {
                let name = dial::Name::read("localhost").unwrap();
                let (dialled, taken) =
                    tokio::join!(dialler.connect(address, name), listener.next());
                assert!(dialled.unwrap().get_ref().0.nodelay().unwrap(), "dialled by TLS");
                assert!(taken.unwrap().0.tcp().nodelay().unwrap(), "taken by TLS");
            } else {
                let _dialled = TcpStream::connect(address).await.unwrap();
                let (taken, _) = listener.next().await.unwrap();
                assert!(taken.tcp().nodelay().unwrap(), "taken in plain text");
            }
        }
    }
}
