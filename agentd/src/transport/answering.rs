//! A connection that must say something soon. TCP may connect to what will never answer: a process that
//! was stopped, a machine that is gone behind a queue that still takes connections. Whoever speaks
//! HTTP/2 sends its settings first (RFC 9113, 3.4); who has sent nothing in the time that a connection may
//! take is as good as not there.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

/// Idle time after which TCP probes the other side.
const TCP_PROBE: Duration = Duration::from_secs(20);

/// The connection.
#[derive(Debug)]
pub struct Answering {
    stream: TcpStream,
    /// Until the first byte came.
    patience: Option<Pin<Box<Sleep>>>,
}

/// Connects to `address`: small messages are sent at once, and TCP finds out when the other side is
/// gone.
///
/// # Errors
/// When nobody listens there.
pub async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let probing = TcpKeepalive::new().with_time(TCP_PROBE).with_interval(TCP_PROBE);
    SockRef::from(&stream).set_tcp_keepalive(&probing)?;
    Ok(stream)
}

// === impl Answering ===

impl Answering {
    /// A connection to `address` that breaks when nothing came from there within `patience`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        let stream = connect(address).await?;
        Ok(Self { stream, patience: Some(Box::pin(sleep(patience))) })
    }
}

impl AsyncRead for Answering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() || buf.filled().len() > before {
            self.patience = None;
            return read;
        }
        match self.patience.as_mut().map(|patience| patience.as_mut().poll(cx)) {
            Some(Poll::Ready(())) => {
                let said = "the connection was taken, and nothing answers on it";
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, said)))
            }
            Some(Poll::Pending) | None => Poll::Pending,
        }
    }
}

impl AsyncWrite for Answering {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        time::Instant,
    };

    use super::*;

    #[tokio::test]
    async fn what_is_dialled_sends_small_messages_at_once_and_finds_out_who_is_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let dialled = Answering::connect(address, Duration::from_secs(60)).await.unwrap().stream;
        assert!(dialled.nodelay().unwrap(), "each exchange may wait 40 ms");
        assert!(SockRef::from(&dialled).keepalive().unwrap());
        assert_eq!(SockRef::from(&dialled).tcp_keepalive_time().unwrap(), TCP_PROBE);
    }

    #[tokio::test]
    async fn who_says_nothing_is_given_up_and_who_spoke_once_may_be_silent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let patience = Duration::from_millis(50);
        // Taken by the system alone: nobody accepts it.
        let mut silent = Answering::connect(address, patience).await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(8), silent.read_u8()).await;
        let ended = ended.expect("it is waited for without end").unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);

        let mut speaks = Answering::connect(address, Duration::from_secs(60)).await.unwrap();
        let (_, _) = listener.accept().await.unwrap();
        let (mut other, _) = listener.accept().await.unwrap();
        other.write_u8(7).await.unwrap();
        assert_eq!(speaks.read_u8().await.unwrap(), 7);
        assert!(speaks.patience.is_none());
        let until = Instant::now() + Duration::from_millis(100);
        let later = tokio::time::timeout_at(until, speaks.read_u8()).await;
        assert!(later.is_err(), "no end of patience any more");
    }
}
