//! A stand-in for a store of logs: answers of the shape that Loki's and Elasticsearch's documentation
//! gives, and faults placed to the byte. NOT a real server. HTTP/1.1 by hand, one request a connection.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    unreachable_pub,
    dead_code,
    reason = "tests"
)]

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// What a request is answered with.
#[derive(Debug, Clone)]
pub enum Reply {
    /// 200 with this body.
    Well(String),
    /// A status with headers and a body.
    Status(u16, &'static str, String),
    /// So many bytes of this body, then the end of the connection.
    Cut(usize, String),
    /// So many bytes of nothing, without an end.
    Endless,
    /// The head of an answer, and then nothing more.
    HeadOnly,
    /// Nothing, ever.
    Silence,
    /// The connection is closed.
    Closed,
}

/// A stand-in that runs as long as it is held.
pub struct StandIn {
    pub url: String,
    pub asked: Arc<Mutex<Vec<String>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl StandIn {
    /// Serves; `reply` is told the whole request, decoded, and how many came before.
    pub async fn serve(reply: impl Fn(&str, usize) -> Reply + Send + Sync + 'static) -> Self {
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

    pub fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Whether some request holds `text`.
    pub fn heard(&self, text: &str) -> bool {
        self.asked.lock().unwrap().iter().any(|asked| asked.contains(text))
    }
}

async fn answer(
    mut stream: TcpStream,
    log: &Mutex<Vec<String>>,
    reply: &(dyn Fn(&str, usize) -> Reply + Send + Sync),
) -> std::io::Result<()> {
    let raw = decoded(&request(&mut stream).await?);
    let earlier = {
        let mut log = log.lock().unwrap();
        log.push(raw.clone());
        log.len() - 1
    };
    let head = |status: u16, headers: &str, length: usize| {
        format!(
            "HTTP/1.1 {status} X\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
        )
    };
    match reply(&raw, earlier) {
        Reply::Well(body) => {
            stream.write_all(format!("{}{body}", head(200, "", body.len())).as_bytes()).await?;
        }
        Reply::Status(status, headers, body) => {
            let text = format!("{}{body}", head(status, headers, body.len()));
            stream.write_all(text.as_bytes()).await?;
        }
        Reply::Cut(bytes, body) => {
            stream.write_all(head(200, "", body.len()).as_bytes()).await?;
            stream.write_all(&body.as_bytes()[..bytes.min(body.len())]).await?;
        }
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await?;
            loop {
                stream.write_all(&[b' '; 65536]).await?;
            }
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

/// A request with the escapes of its address read.
fn decoded(raw: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = raw.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|h| std::str::from_utf8(h).ok());
        match (first, hex.and_then(|h| u8::from_str_radix(h, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A line of a pod's container.
#[derive(Debug, Clone)]
pub struct Line {
    pub pod: &'static str,
    pub time: jiff::Timestamp,
    pub text: String,
}

/// What a Loki answers that holds `lines` of the namespace `shop`, container `app`.
pub fn loki(raw: &str, lines: &[Line]) -> Reply {
    if raw.starts_with("GET /loki/api/v1/labels") {
        let labels = json!(["app", "container", "namespace", "pod", "service_name"]);
        return Reply::Well(json!({"status": "success", "data": labels}).to_string());
    }
    let field = |name: &str| {
        let (_, rest) = raw.split_once(&format!("{name}=")).unwrap();
        rest.split(['&', ' ']).next().unwrap().parse::<i128>().unwrap()
    };
    let (start, end, limit) = (field("start"), field("end"), field("limit"));
    let is_of = |line: &Line| {
        let (_, rest) = raw.split_once("pod=").unwrap();
        let pattern = rest.trim_start_matches('~').trim_start_matches('"');
        let value = pattern.split('"').next().unwrap();
        value.strip_suffix(".+").map_or(line.pod == value, |stem| line.pod.starts_with(stem))
    };
    let mut fits: Vec<&Line> = lines
        .iter()
        .filter(|l| is_of(l) && (start..end).contains(&l.time.as_nanosecond()))
        .collect();
    fits.sort_by_key(|line| std::cmp::Reverse(line.time));
    fits.truncate(usize::try_from(limit).unwrap());
    let streams: Vec<Value> = fits
        .iter()
        .map(|line| {
            json!({"stream": {"namespace": "shop", "pod": line.pod, "container": "app"},
                "values": [[line.time.as_nanosecond().to_string(), line.text]]})
        })
        .collect();
    let data = json!({"resultType": "streams", "result": streams, "stats": {"summary": {}}});
    Reply::Well(json!({"status": "success", "data": data}).to_string())
}

/// What an Elasticsearch answers that holds `lines` as Filebeat writes them.
pub fn elasticsearch(raw: &str, lines: &[Line]) -> Reply {
    if raw.contains("/_field_caps") {
        let keyword = json!({"keyword": {"type": "keyword", "searchable": true}});
        let fields = json!({"@timestamp": {"date": {"type": "date"}},
            "kubernetes.namespace": keyword, "kubernetes.pod.name": keyword,
            "kubernetes.container.name": keyword});
        return Reply::Well(json!({"indices": ["filebeat-1"], "fields": fields}).to_string());
    }
    let (_, body) = raw.split_once("\r\n\r\n").unwrap();
    let query: Value = serde_json::from_str(body).unwrap();
    let filter = &query["query"]["bool"]["filter"];
    let at = |edge: &str| filter[0]["range"]["@timestamp"][edge].as_str().unwrap().parse().unwrap();
    let (from, to): (jiff::Timestamp, jiff::Timestamp) = (at("gte"), at("lte"));
    let pod = &filter[1]["bool"]["should"][0]["bool"]["filter"][1];
    let name = |how: &str| pod[how]["kubernetes.pod.name"]["value"].as_str();
    let is_of = |line: &Line| {
        name("term")
            .map_or_else(|| line.pod.starts_with(name("prefix").unwrap()), |n| line.pod == n)
    };
    let mut fits: Vec<&Line> =
        lines.iter().filter(|l| is_of(l) && (from..=to).contains(&l.time)).collect();
    fits.sort_by_key(|line| std::cmp::Reverse(line.time));
    fits.truncate(usize::try_from(query["size"].as_u64().unwrap()).unwrap());
    let hits: Vec<Value> = fits
        .iter()
        .enumerate()
        .map(|(number, line)| {
            json!({"_index": "filebeat-1", "_id": format!("{}-{number}", line.time), "_source":
                {"@timestamp": line.time.to_string(), "message": line.text, "kubernetes":
                    {"pod": {"name": line.pod}, "container": {"name": "app"}}}})
        })
        .collect();
    let shards = json!({"total": 1, "successful": 1, "skipped": 0, "failed": 0});
    let found = json!({"took": 1, "timed_out": false, "_shards": shards, "hits": {"hits": hits}});
    Reply::Well(found.to_string())
}
