//! HTTP as stories need it: one request, and a receiver of webhooks that can be away.

use std::{collections::VecDeque, time::Duration};

use anyhow::{Context as _, Result, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};

/// How long a request may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A request or an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// First line and headers.
    pub head: String,
    /// What follows them.
    pub body: String,
}

// === impl Message ===

impl Message {
    /// The status of an answer; 0 when it has none.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    /// A header, by its name in small letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }
}

/// Asks `address` for `path`, with a body where one is given.
///
/// # Errors
/// When there is no answer.
pub async fn ask(address: &str, path: &str, body: Option<&str>) -> Result<Message> {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        let method = if body.is_some() { "POST" } else { "GET" };
        let body = body.unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        Ok(Message { head: head.to_owned(), body: body.to_owned() })
    };
    tokio::time::timeout(LIMIT, asked).await.context("no answer in time")?
}

/// A port that was free a moment ago, for somebody who is not there yet.
///
/// # Errors
/// When none can be had.
pub async fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}

/// Takes webhooks in.
#[derive(Debug)]
pub struct Receiver {
    port: u16,
    got: mpsc::UnboundedReceiver<Message>,
    work: JoinHandle<()>,
}

// === impl Receiver ===

impl Receiver {
    /// Listens on `port` (0 takes a free one). The first requests get no answer at all, as many as
    /// `silent` says; all others get 200.
    ///
    /// # Errors
    /// When it cannot listen there.
    pub async fn open(port: u16, silent: usize) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let port = listener.local_addr()?.port();
        let (tell, got) = mpsc::unbounded_channel();
        let work = tokio::spawn(async move {
            // Held, so that who gets no answer waits for one.
            let mut held = VecDeque::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let Ok(request) = whole(&mut stream).await else { continue };
                if held.len() < silent {
                    held.push_back(stream);
                } else {
                    let answer =
                        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    // Who left without waiting for it will come again.
                    let _ = stream.write_all(answer).await;
                }
                if tell.send(request).is_err() {
                    return;
                }
            }
        });
        Ok(Self { port, got, work })
    }

    /// Where it is.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The next request.
    ///
    /// # Errors
    /// When none comes within `limit`.
    pub async fn next(&mut self, limit: Duration) -> Result<Message> {
        let next = tokio::time::timeout(limit, self.got.recv()).await;
        next.context("no message arrives")?.context("the receiver is gone")
    }

    /// Whether nothing more has come.
    pub fn is_quiet(&mut self) -> bool {
        self.got.try_recv().is_err()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.work.abort();
    }
}

async fn whole(stream: &mut TcpStream) -> Result<Message> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let message = Message { head: head.to_owned(), body: body.to_owned() };
            let length = message.header("content-length").and_then(|word| word.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Ok(message);
            }
        }
        ensure!(stream.read_buf(&mut bytes).await? > 0, "it left in the middle");
    }
}
