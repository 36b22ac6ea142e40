//! The two ways by which calls come in, a port or parked slots, and the way out to agentd.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::transport::{
    Certificate, Channel, ClientTlsConfig, Endpoint, Identity, server::TcpIncoming,
};

use crate::{
    error::Error,
    instance::Instance,
    lease::{Dial, Keeper},
    options::{self, Options, TlsFiles},
    relay::Slots,
    secure::{self, Certificates},
    server::{Readiness, router},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Silence on a connection after which the system asks whether the other side is still there.
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(20);

/// What takes calls in; it ends with an error, or once it was told to.
pub(super) type Door = AbortOnDropHandle<Result<(), Error>>;

/// Listens, by TLS where there are certificates, and serves until `closing` is cancelled. Gives what
/// agentd is to dial.
///
/// # Errors
/// [`Error::Listen`], and [`Error::Settings`] for certificates that cannot be used.
pub(super) async fn listen(
    instance: &Arc<Instance>,
    readiness: &Readiness,
    options: &Options,
    closing: CancellationToken,
) -> Result<(String, Door), Error> {
    let certificates = options.tls.clone().map(Certificates::load).transpose()?;
    let unbound = |source| Error::Listen { address: options.listen.to_string(), source };
    let listener = TcpListener::bind(options.listen).await.map_err(unbound)?;
    let bound = listener.local_addr().map_err(unbound)?;
    let tls = certificates.is_some();
    tracing::info!(plugin = instance.catalog.plugin, address = %bound, tls, "listening");
    let endpoint = options::advertised(options.advertise.as_deref(), bound, tls);
    let router = router(Arc::clone(instance), readiness)?;
    let incoming = incoming(listener);
    let closing = closing.cancelled_owned();
    let served = tokio::spawn(async move {
        match certificates {
            None => router.serve_with_incoming_shutdown(incoming, closing).await,
            Some(certificates) => {
                let (incoming, _taking) = secure::incoming(incoming, certificates);
                router.serve_with_incoming_shutdown(incoming, closing).await
            }
        }
        .map_err(Error::Server)
    });
    Ok((endpoint, AbortOnDropHandle::new(served)))
}

fn incoming(listener: TcpListener) -> TcpIncoming {
    // Small messages must not wait for the peer's acknowledgement (Nagle).
    TcpIncoming::from(listener).with_nodelay(Some(true)).with_keepalive(Some(KEEPALIVE))
}

/// Parks slots for as long as the keeper holds a lease, until the instance drains.
pub(super) fn relay(instance: &Arc<Instance>, keeper: &Keeper, options: &Options) -> Door {
    let slots = Slots {
        instance: Arc::clone(instance),
        moorings: keeper.moorings(),
        token: options.token.clone(),
        agentd_url: options.agentd_url.clone(),
        count: options.slots.max(1),
    };
    AbortOnDropHandle::new(tokio::spawn(slots.run()))
}

/// How to reach agentd, each time with a fresh look-up, and with certificates as the files have them
/// then: they are exchanged while a plugin runs. What cannot be read leaves those before in force.
pub(super) fn dial(options: &Options) -> Result<Dial, Error> {
    let url = &options.agentd_url;
    let wrong = |fault: String| Error::Settings(vec![format!("AGENTD_URL: {fault}")]);
    options::check_url(url).map_err(wrong)?;
    let plain = endpoint(url).map_err(|fault| wrong(fault.to_string()))?;
    if !url.starts_with("https://") {
        return Ok(Box::new(move || -> Channel { plain.connect_lazy() }));
    }
    let (ca, own) = (options.ca.clone(), options.tls.clone());
    let secured = move || secured(plain.clone(), ca.as_deref(), own.as_ref());
    let last = Mutex::new(secured().map_err(wrong)?);
    Ok(Box::new(move || -> Channel {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        match secured() {
            Ok(now) => *last = now,
            Err(fault) => tracing::warn!(%fault, "certificates stay as they were read before"),
        }
        last.connect_lazy()
    }))
}

fn endpoint(url: &str) -> Result<Endpoint, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(url.to_owned())?.connect_timeout(CONNECT_TIMEOUT);
    Ok(endpoint.tcp_nodelay(true).tcp_keepalive(Some(KEEPALIVE)))
}

/// The endpoint with certificates as their files have them now.
fn secured(
    endpoint: Endpoint,
    ca: Option<&Path>,
    own: Option<&TlsFiles>,
) -> Result<Endpoint, String> {
    let pem = |path: &Path| {
        std::fs::read(path).map_err(|fault| format!("cannot read {}: {fault}", path.display()))
    };
    let mut tls = match ca {
        Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem(ca)?)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    if let Some(own) = own {
        tls = tls.identity(Identity::from_pem(pem(&own.cert)?, pem(&own.key)?));
    }
    endpoint.tls_config(tls).map_err(|fault| fault.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use tokio::net::TcpStream;
    use tokio_stream::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn small_messages_are_sent_at_once_on_what_comes_in_and_on_the_way_to_agentd() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _dialled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let taken = incoming(listener).next().await.unwrap().unwrap();
        assert!(taken.nodelay().unwrap(), "each exchange may wait 40 ms");
        assert!(endpoint("http://127.0.0.1:1").unwrap().get_tcp_nodelay());
    }
}
