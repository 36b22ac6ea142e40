//! What tests of messages share: ended investigations, and a receiver on the loopback that answers
//! as it is told.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::{Template, Webhook, When};
use crate::{
    investigation::{
        Investigation,
        finding::{EndReason, Verdict},
    },
    journal::testing::{alert, concluded, id},
};

/// An investigation that came to this.
pub(super) fn ended(verdict: Verdict, end: EndReason) -> Investigation {
    let category = match verdict {
        Verdict::RootCauseFound => "oom_killed",
        Verdict::Healthy => "healthy",
        Verdict::Inconclusive => "",
    };
    let mut of = concluded(id(1), &alert("high_memory", "cart"), category, &[], 1);
    of.report.as_mut().unwrap().ended_by = end;
    of
}

/// A receiver of that name with nothing but an address.
pub(super) fn webhook(name: &str, address: SocketAddr) -> Webhook {
    Webhook {
        name: name.to_owned(),
        url: Some(format!("http://{address}/hook")),
        url_file: None,
        secret_file: None,
        token_file: None,
        ca_file: None,
        template: Template::Json,
        when: When::Finished,
        min_severity: None,
    }
}

/// How a request is answered.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reply {
    /// With that status.
    Status(u16),
    /// Never.
    Silence,
}

/// One request that came.
#[derive(Debug)]
pub(super) struct Got {
    head: String,
    /// Its body as it came.
    pub body: String,
}

impl Got {
    /// A header, by its name in small letters.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let line = |line: &'_ str| line.to_lowercase().starts_with(&format!("{name}:"));
        let found = self.head.lines().find(|it| line(it))?;
        found.split_once(':').map(|(_, value)| value.trim())
    }

    /// The body.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A receiver.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    got: mpsc::UnboundedReceiver<Got>,
}

impl Receiver {
    /// Answers with `replies` in turn, and 200 afterwards.
    pub(super) async fn open(replies: &[Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, got) = mpsc::unbounded_channel();
        let mut replies: VecDeque<Reply> = replies.iter().copied().collect();
        tokio::spawn(async move {
            let mut held = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let Some(request) = whole(&mut stream).await else { continue };
                let reply = replies.pop_front().unwrap_or(Reply::Status(200));
                if let Reply::Status(status) = reply {
                    let answer = format!(
                        "HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                    );
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
                held.push(stream);
                let _ = tell.send(request);
            }
        });
        Self { address, got }
    }

    /// The next request.
    pub(super) async fn next(&mut self) -> Got {
        let limit = Duration::from_secs(20);
        tokio::time::timeout(limit, self.got.recv()).await.expect("nothing arrives").unwrap()
    }

    /// Whether nothing more has come.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.got.try_recv().is_err()
    }
}

async fn whole(stream: &mut TcpStream) -> Option<Got> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
            });
            if body.len() >= length.unwrap_or(0_usize) {
                return Some(Got { head: head.to_owned(), body: body.to_owned() });
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
