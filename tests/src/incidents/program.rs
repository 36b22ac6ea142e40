//! What forms of several categories ask of programs: which of them call a workload, where a call
//! goes, and calls that get no answer. Nothing here says what is wrong.

use super::{
    clock::Sec,
    cluster::Cluster,
    dice::whole,
    event::Happening,
    object::Ref,
    traffic::{Harm, Id, Peer, Why},
    voice::{self, Runtime, Target},
};

impl Cluster {
    /// Lets `id` be a program rather than a configured proxy.
    pub fn programmed(&mut self, id: Id) {
        if self[id].runtime == Runtime::Proxy {
            self[id].runtime = Runtime::Go;
            self[id].voice = voice::draw_for(Runtime::Go, &mut self.dice);
        }
    }

    /// The address of the Service before `id`, as the controllers give it.
    #[must_use]
    pub fn service_address(&self, id: Id) -> String {
        let workload = &self[id];
        format!("10.96.{}.{}", workload.called().len() * 7 % 250, workload.created.rem_euclid(250))
    }

    /// Who calls `id` in the cluster.
    #[must_use]
    pub fn callers(&self, id: Id) -> Vec<Id> {
        let calls = self.traffic.calls.iter().filter(|call| call.to == Peer::In(id));
        calls.map(|call| call.from).collect()
    }

    /// Where calls from `from` to `to` go, and how long the caller waits.
    #[must_use]
    pub fn way(&self, from: Id, to: Peer) -> Target {
        let calls = &self.traffic.calls;
        let call = calls.iter().find(|call| call.from == from && call.to == to);
        let timeout = call.map_or(3000, |call| whole(call.timeout));
        let path = "/v1/items".to_owned();
        match to {
            Peer::In(id) => {
                let callee = &self[id];
                let port = callee.front.as_ref().map_or(callee.port, |front| front.port);
                let near = callee.namespace == self[from].namespace;
                let name = callee.called().to_owned();
                let far = format!("{name}.{}.svc.cluster.local", callee.namespace);
                let secure = matches!(port, 443 | 8443);
                let host = if near { name } else { far };
                Target { host, port, address: self.service_address(id), path, timeout, secure }
            }
            Peer::Out(place) => {
                let host = self.traffic.outside.get(place).map(|out| out.host.clone());
                let (host, address) = (host.unwrap_or_default(), "203.0.113.46".to_owned());
                Target { host, port: 443, address, path, timeout, secure: true }
            }
        }
    }

    /// From `at` on, `share` of the calls from `from` to `to` get no answer at all, not even to
    /// the first packet: nothing arrives there, and the caller waits as long as it does.
    pub fn cut_off(&mut self, (from, to): (Id, Peer), at: Sec, share: f64) {
        let text = self.unanswered(from, to);
        self.traffic.harm_call(from, to, &Harm::errors(at, share, Why::Timeout));
        self.traffic.harm_call(from, to, &Harm::errors(at, share, Why::Said(text)));
    }

    /// What `from` says when it cannot even connect to `to` in time.
    #[must_use]
    pub fn unanswered(&self, from: Id, to: Peer) -> String {
        let way = self.way(from, to);
        let Target { host, port, address, path, timeout, .. } = &way;
        let scheme = if way.secure { "https" } else { "http" };
        let url = format!("{scheme}://{host}:{port}{path}");
        match self[from].runtime {
            Runtime::Java => format!(
                "I/O error on GET request for \"{url}\": Connect timed out; nested exception is java.net.SocketTimeoutException: Connect timed out"
            ),
            Runtime::Go => format!("Get \"{url}\": dial tcp {address}:{port}: i/o timeout"),
            Runtime::Python => format!(
                "HTTPConnectionPool(host='{host}', port={port}): Max retries exceeded with url: {path} (Caused by ConnectTimeoutError(<urllib3.connection.HTTPConnection object at 0x7f61c01b3e90>, 'Connection to {host} timed out. (connect timeout={})'))",
                timeout / 1000
            ),
            Runtime::Node => format!("connect ETIMEDOUT {address}:{port} ({host})"),
            Runtime::DotNet => format!(
                "System.Net.Http.HttpRequestException: Connection timed out ({host}:{port}) ---> System.Net.Sockets.SocketException (110): Connection timed out"
            ),
            Runtime::Ruby => format!(
                "Net::OpenTimeout: Failed to open TCP connection to {host}:{port} (execution expired)"
            ),
            Runtime::Php => format!(
                "cURL error 28: Failed to connect to {host} port {port} after {timeout} ms: Timeout was reached for {url}"
            ),
            Runtime::Rust => format!(
                "error sending request for url ({url}): client error (Connect): tcp connect error: deadline has elapsed"
            ),
            Runtime::Proxy | Runtime::Store => format!(
                "upstream timed out (110: Operation timed out) while connecting to upstream, client: 10.244.3.17, server: _, request: \"GET {path} HTTP/1.1\", upstream: \"{scheme}://{address}:{port}{path}\", host: \"{host}\""
            ),
        }
    }

    /// A component says `reason` of `object`, once at each of `times`, as one counted event.
    pub fn warn(
        &mut self,
        (object, by): (&Ref, &'static str),
        (reason, message): (&'static str, String),
        (first, last, count): (Sec, Sec, i64),
    ) {
        let event = Happening::warning(object.clone(), by, reason, message);
        self.events.push(event.times(first, last, count));
    }
}
