//! The door for plugins that this process starts itself, where the gRPC door asks for what they do not
//! have: a name in the certificate that stands for this machine, a client's certificate, or an address
//! of the loopback. It is open on the loopback only, serves their registration and nothing else, and
//! lets in who shows the token of this run.

use std::net::SocketAddr;

use tokio_util::sync::CancellationToken;

use super::Error;
use crate::{
    config::Config,
    guard::tokens::Tokens,
    rpc::{self, plugins::Plugins},
    transport::Listener,
};

/// The door, not yet served.
pub(super) struct Door {
    pub(super) listener: Listener,
    tokens: Tokens,
}

/// Opens it, where plugins are supervised and cannot come in by the gRPC door.
///
/// # Errors
/// When the system gives no port.
pub(super) async fn listen(config: &Config, token: Option<&str>) -> Result<Option<Door>, Error> {
    let reached = config.tls().is_none() && config.grpc.listen.ip().is_loopback();
    if token.is_none() || reached {
        return Ok(None);
    }
    let listener = super::listen(SocketAddr::from(([127, 0, 0, 1], 0)), None).await?;
    Ok(Some(Door { listener, tokens: Tokens::new(true).with_supervised(token) }))
}

// === impl Door ===

impl Door {
    /// Serves it until `stop` is cancelled.
    ///
    /// # Errors
    /// When the server ends by itself.
    pub(super) async fn serve(
        self,
        plugins: Plugins,
        stop: CancellationToken,
    ) -> Result<(), Error> {
        let Self { listener, tokens } = self;
        rpc::serve_children(listener, plugins, tokens, stop.cancelled_owned()).await?;
        Ok(())
    }
}
