//! Taking calls by TLS. Handshakes run beside each other, within a time and a number, so that a
//! stranger who never finishes one, or many of them, hold up nobody. The files are looked at for each connection:
//! one that was changed counts from then on, connections that live keep what they began with.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::{
    net::TcpStream,
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::WebPkiClientVerifier,
    },
    server::TlsStream,
};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::transport::server::TcpIncoming;

use crate::{error::Error, options::TlsFiles};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes at once; a further connection takes the place of the oldest.
const HANDSHAKES: usize = 128;
/// Connections that are ready and not yet taken.
const READY: usize = 16;
/// Pause after the system gave no connection, as when no file descriptor is left.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections whose handshake is done.
pub(crate) type Incoming = ReceiverStream<io::Result<TlsStream<TcpStream>>>;

/// What differs when a file was written anew, or swapped as Kubernetes swaps a Secret.
type Stamp = Option<(SystemTime, u64)>;

/// Certificates, as the files have them.
pub(crate) struct Certificates {
    files: TlsFiles,
    held: Mutex<Held>,
}

struct Held {
    stamps: [Stamp; 3],
    config: Arc<ServerConfig>,
}

// === impl Certificates ===

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// [`Error::Settings`] with the variable whose file cannot be used.
    pub(crate) fn load(files: TlsFiles) -> Result<Self, Error> {
        let stamps = stamps(&files);
        let config = read(&files).map_err(|fault| Error::Settings(vec![fault]))?;
        Ok(Self { files, held: Mutex::new(Held { stamps, config: Arc::new(config) }) })
    }

    /// Those for a new connection. Files that changed and cannot be used, as in the moment between
    /// two writes, leave those before in force, and are read again for the next one.
    fn now(&self) -> Arc<ServerConfig> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = stamps(&self.files);
        if stamps != held.stamps {
            match read(&self.files) {
                Ok(config) => {
                    *held = Held { stamps, config: Arc::new(config) };
                    tracing::info!("certificates were read again");
                }
                Err(fault) => {
                    tracing::error!(fault, "certificates were not read again; those before count");
                }
            }
        }
        Arc::clone(&held.config)
    }
}

fn stamps(files: &TlsFiles) -> [Stamp; 3] {
    [Some(&files.cert), Some(&files.key), files.client_ca.as_ref()].map(|file| stamp(file?))
}

fn stamp(file: &PathBuf) -> Stamp {
    let about = std::fs::metadata(file).ok()?;
    Some((about.modified().ok()?, about.len()))
}

fn read(files: &TlsFiles) -> Result<ServerConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|fault| format!("PLUGIN_TLS_CERT: {fault}"))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let wrong = |fault: &dyn std::fmt::Display| {
                format!("PLUGIN_TLS_CLIENT_CA: {}: {fault}", path.display())
            };
            let mut roots = RootCertStore::empty();
            for authority in certificates("PLUGIN_TLS_CLIENT_CA", path)? {
                roots.add(authority).map_err(|fault| wrong(&fault))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(|fault| wrong(&fault))?)
        }
    };
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|fault| format!("PLUGIN_TLS_KEY: {}: {fault}", files.key.display()))?;
    let mut config =
        builder
            .with_single_cert(certificates("PLUGIN_TLS_CERT", &files.cert)?, key)
            .map_err(|fault| format!("PLUGIN_TLS_CERT: {}: {fault}", files.cert.display()))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn certificates(variable: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |fault: &dyn std::fmt::Display| format!("{variable}: {}: {fault}", path.display());
    let read = CertificateDer::pem_file_iter(path).map_err(|fault| wrong(&fault))?;
    let read: Vec<_> = read.collect::<Result<_, _>>().map_err(|fault| wrong(&fault))?;
    if read.is_empty() { Err(wrong(&"holds no certificate")) } else { Ok(read) }
}

/// Connections by TLS, for as long as the handle beside them is held.
pub(crate) fn incoming(
    connections: TcpIncoming,
    certificates: Certificates,
) -> (Incoming, AbortOnDropHandle<()>) {
    let (tell, ready) = mpsc::channel(READY);
    let work = tokio::spawn(take(connections, certificates, tell));
    (ReceiverStream::new(ready), AbortOnDropHandle::new(work))
}

async fn take(
    mut connections: TcpIncoming,
    certificates: Certificates,
    tell: mpsc::Sender<io::Result<TlsStream<TcpStream>>>,
) {
    let mut handshakes = JoinSet::new();
    // The handshakes under way, the oldest first; each can be given up.
    let mut under_way = VecDeque::new();
    while let Some(accepted) = connections.next().await {
        while handshakes.try_join_next().is_some() {}
        under_way.retain(|(_, work): &(CancellationToken, AbortHandle)| !work.is_finished());
        let stream = match accepted {
            Ok(stream) => stream,
            Err(fault) => {
                tracing::warn!(%fault, "a connection could not be taken");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Whoever has been silent for longest is the least likely to be agentd.
        if under_way.len() >= HANDSHAKES
            && let Some((oldest, _)) = under_way.pop_front()
        {
            oldest.cancel();
        }
        let (acceptor, tell) = (TlsAcceptor::from(certificates.now()), tell.clone());
        let given_up = CancellationToken::new();
        let is_given_up = given_up.clone();
        let work = handshakes.spawn(async move {
            let shaken = tokio::select! {
                biased;
                shaken = timeout(HANDSHAKE, acceptor.accept(stream)) => shaken,
                () = is_given_up.cancelled() => return,
            };
            match shaken {
                // A server that closed meanwhile takes nobody.
                Ok(Ok(stream)) => {
                    let _ = tell.send(Ok(stream)).await;
                }
                Ok(Err(fault)) => tracing::debug!(%fault, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            }
        });
        under_way.push_back((given_up, work));
    }
}

#[cfg(test)]
mod tests;
