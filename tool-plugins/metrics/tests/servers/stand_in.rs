//! A stand-in for Prometheus that answers as one does, but for the faults a test places to the byte.
//! HTTP/1.1 by hand, one request a connection.
#![allow(clippy::unwrap_used, unreachable_pub, dead_code, reason = "tests")]

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// The first sample of the stand-in, and the distance of samples, seconds.
pub const FROM: i64 = 1_735_812_000;
/// The stand-in's present: the last sample.
pub const NOW: &str = "2025-01-02T11:00:00Z";

/// What a request is answered with.
#[derive(Debug, Clone)]
pub enum Reply {
    /// As Prometheus would.
    Well,
    /// A status with headers and a body.
    Status(u16, &'static str, String),
    /// So many bytes of the right answer, then the end of the connection.
    Cut(usize),
    /// The head of an answer, and then nothing more.
    HeadOnly,
    /// Nothing, ever.
    Silence,
    /// The connection is closed.
    Closed,
}

/// What was asked: the path, and all of the request.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    pub raw: String,
}

impl Asked {
    /// Whether samples are asked for as they are.
    pub fn is_raw(&self) -> bool {
        self.path.starts_with("/api/v1/query") && self.raw.contains("%5B10800s%5D")
    }
}

/// A stand-in that runs as long as it is held.
pub struct StandIn {
    pub url: String,
    pub asked: Arc<Mutex<Vec<Asked>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl StandIn {
    /// Serves; `reply` says how the nth request of its kind is answered.
    pub async fn serve(reply: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, reply) = (asked.clone(), Arc::new(reply));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, reply) = (log.clone(), reply.clone());
                tokio::spawn(async move { _ = answer(stream, &log, &*reply).await });
            }
        });
        Self { url, asked, serving }
    }

    /// How many requests came.
    pub fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Whether some request holds `text`.
    pub fn heard(&self, text: &str) -> bool {
        self.asked.lock().unwrap().iter().any(|asked| asked.raw.contains(text))
    }
}

async fn answer(
    mut stream: TcpStream,
    log: &Mutex<Vec<Asked>>,
    reply: &(dyn Fn(&Asked, usize) -> Reply + Send + Sync),
) -> std::io::Result<()> {
    let raw = request(&mut stream).await?;
    let path = raw.split(' ').nth(1).unwrap_or_default().to_owned();
    let asked = Asked { path, raw };
    let earlier = {
        let mut log = log.lock().unwrap();
        log.push(asked.clone());
        log.iter().filter(|a| a.is_raw() == asked.is_raw()).count() - 1
    };
    let well = |body: &str| {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    match reply(&asked, earlier) {
        Reply::Well => stream.write_all(well(&right(&asked)).as_bytes()).await?,
        Reply::Status(status, headers, body) => {
            let length = body.len();
            let text = format!(
                "HTTP/1.1 {status} X\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
            );
            stream.write_all(text.as_bytes()).await?;
        }
        Reply::Cut(bytes) => {
            let text = well(&right(&asked));
            let head = text.find("\r\n\r\n").unwrap() + 4;
            let end = text.len().min(head + bytes);
            stream.write_all(&text.as_bytes()[..end]).await?;
        }
        Reply::HeadOnly => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{").await?;
            std::future::pending::<()>().await;
        }
        Reply::Silence => std::future::pending::<()>().await,
        Reply::Closed => {}
    }
    stream.shutdown().await
}

async fn request(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0_u8; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .find(|(key, _)| key.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, value)| value.parse().unwrap_or(0));
            if body.len() >= length {
                return Ok(text);
            }
        }
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            return Ok(text);
        }
        bytes.extend_from_slice(&chunk[..read]);
    }
}

/// The answer of a Prometheus with two metrics of one namespace.
pub fn right(asked: &Asked) -> String {
    let success = |data: &str| format!(r#"{{"status":"success","data":{data}}}"#);
    let foreign = asked.raw.contains("__name__%21%3D");
    if asked.path.starts_with("/api/v1/labels") {
        return success(r#"["__name__","namespace","service","code"]"#);
    }
    if asked.path.starts_with("/api/v1/label/") {
        let names = r#"["http_requests_total","queue_messages_ready"]"#;
        return success(if foreign { "[]" } else { names });
    }
    if asked.path.starts_with("/api/v1/series") {
        return success("[]");
    }
    if asked.path.starts_with("/api/v1/metadata") {
        return success(r#"{"http_requests_total":[{"type":"counter","help":"","unit":""}]}"#);
    }
    if asked.is_raw() {
        return success(&matrix(asked));
    }
    if asked.raw.contains("last_over_time") {
        return success(
            r#"{"resultType":"vector","result":[
            {"metric":{"__name__":"http_requests_total"},"value":[1,"2"]},
            {"metric":{"__name__":"queue_messages_ready"},"value":[1,"1"]}]}"#,
        );
    }
    success(r#"{"resultType":"vector","result":[{"metric":{},"value":[1,"20"]}]}"#)
}

/// An hour at 30 s: from the fortieth minute on `front` answers 503 for a third of its requests.
pub fn matrix(asked: &Asked) -> String {
    let mut series = Vec::new();
    let mut add = |name: &str, labels: &str, value: &dyn Fn(i64) -> i64| {
        if !asked.raw.contains(name) {
            return;
        }
        let mut values = String::new();
        for step in 0..121 {
            write!(values, "[{},\"{}\"],", FROM + 30 * step, value(step)).unwrap();
        }
        let values = values.trim_end_matches(',');
        series.push(format!(
            r#"{{"metric":{{"__name__":"{name}","namespace":"shop",{labels}}},"values":[{values}]}}"#
        ));
    };
    let late = |step: i64| (step - 80).max(0);
    let requests = "http_requests_total";
    add(requests, r#""service":"front","code":"200""#, &|s| 1000 + 300 * s - 100 * late(s));
    add(requests, r#""service":"front","code":"503""#, &|s| 100 * late(s));
    add("queue_messages_ready", r#""service":"broker""#, &|s| 5 + s % 3);
    format!(r#"{{"resultType":"matrix","result":[{}]}}"#, series.join(","))
}
