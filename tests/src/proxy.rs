//! A way in between that can go dark: connections are passed on until it does; then those that live
//! are cut, and further ones are never answered, not even with a refusal, as when a machine has gone
//! and its address with it.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::{
    io::copy_bidirectional,
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// A way to one address.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    dark: CancellationToken,
    work: Option<AbortOnDropHandle<Result<Dark>>>,
    dead: Option<Dark>,
}

/// What keeps an address silent: a queue of connections that is full, so that the system drops
/// whatever else comes.
#[derive(Debug)]
struct Dark {
    _listener: tokio::net::TcpListener,
    _waiting: Vec<TcpStream>,
}

impl Proxy {
    /// A way to `target`.
    ///
    /// # Errors
    /// When no port is free.
    pub fn to(target: SocketAddr) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind("127.0.0.1:0".parse()?)?;
        let address = socket.local_addr()?;
        // The shortest queue there is, so that it is soon full.
        let listener = socket.listen(1)?;
        let dark = CancellationToken::new();
        let told = dark.clone();
        let work = tokio::spawn(async move {
            let mut ways = JoinSet::new();
            loop {
                tokio::select! {
                    () = told.cancelled() => break,
                    accepted = listener.accept() => {
                        let (mut near, _) = accepted?;
                        ways.spawn(async move {
                            if let Ok(mut far) = TcpStream::connect(target).await {
                                let _ = copy_bidirectional(&mut near, &mut far).await;
                            }
                        });
                    }
                }
            }
            ways.shutdown().await;
            fill(listener, address).await
        });
        Ok(Self { address, dark, work: Some(AbortOnDropHandle::new(work)), dead: None })
    }

    /// Where it begins.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts what lives and answers nobody any more.
    ///
    /// # Errors
    /// When the address cannot be silenced.
    pub async fn go_dark(&mut self) -> Result<()> {
        self.dark.cancel();
        if let Some(work) = self.work.take() {
            self.dead = Some(work.await??);
        }
        Ok(())
    }
}

/// Fills the queue of a listener that accepts nobody any more.
async fn fill(listener: tokio::net::TcpListener, address: SocketAddr) -> Result<Dark> {
    let mut waiting = Vec::new();
    for _ in 0..64 {
        // One that is not answered at once is the first that the system drops.
        let tried = tokio::time::timeout(
            std::time::Duration::from_millis(200),
            TcpSocket::new_v4()?.connect(address),
        );
        match tried.await {
            Ok(Ok(held)) => waiting.push(held),
            Ok(Err(_)) | Err(_) => return Ok(Dark { _listener: listener, _waiting: waiting }),
        }
    }
    anyhow::bail!("the address still answers after 64 connections")
}
