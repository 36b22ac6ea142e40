//! How libraries word a call that failed, by language.

use super::Runtime;
use crate::incidents::traffic::Why;

/// Whom a call went to.
#[derive(Debug, Clone)]
pub struct Target {
    /// Name or host that the caller uses.
    pub host: String,
    /// Port.
    pub port: i64,
    /// Address that the name resolves to.
    pub address: String,
    /// Path that was asked for.
    pub path: String,
    /// Milliseconds that the caller waits.
    pub timeout: i64,
    /// Whether it speaks TLS.
    pub secure: bool,
}

/// Text and stack trace.
#[derive(Debug, Clone, Default)]
pub struct Wording {
    /// One line.
    pub text: String,
    /// Lines behind it.
    pub trace: Vec<String>,
}

impl Target {
    fn url(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        let port =
            if matches!(self.port, 80 | 443) { String::new() } else { format!(":{}", self.port) };
        format!("{scheme}://{}{port}{}", self.host, self.path)
    }
}

/// A call that got no answer.
enum Broken<'a> {
    Refused,
    Timeout,
    NoHost,
    Tls(&'a str),
    Reset,
}

impl Runtime {
    /// What a program in this language says when a call to `to` failed because of `why`.
    #[must_use]
    pub fn wording(self, why: &Why, to: &Target) -> Wording {
        let broken = match why {
            Why::Status(code) => return plain(self.status(*code, to)),
            Why::Said(text) => return plain(text.clone()),
            Why::Refused => Broken::Refused,
            Why::Timeout => Broken::Timeout,
            Why::NoHost => Broken::NoHost,
            Why::Tls(text) => Broken::Tls(text),
            Why::Reset => Broken::Reset,
        };
        match self {
            Self::Java => java(&broken, to),
            Self::Python => python(&broken, to),
            Self::Go => plain(format!("Get \"{}\": {}", to.url(), go(&broken, to))),
            Self::Node => plain(node(&broken, to)),
            Self::DotNet => plain(dot_net(&broken, to)),
            Self::Ruby => plain(ruby(&broken, to)),
            Self::Php => plain(php(&broken, to)),
            Self::Rust => plain(rust(&broken, to)),
            Self::Proxy | Self::Store => plain(proxy(&broken, to)),
        }
    }

    fn status(self, code: u16, to: &Target) -> String {
        let url = to.url();
        let reason = reason(code);
        let side = if code < 500 { ("Client", "client") } else { ("Server", "server") };
        match self {
            Self::Java => format!("{code} {reason} on GET request for \"{url}\": [no body]"),
            Self::Go => format!("GET {url}: unexpected status {code} {reason}"),
            Self::Python => format!(
                "requests.exceptions.HTTPError: {code} {} Error: {reason} for url: {url}",
                side.0
            ),
            Self::Node => format!("AxiosError: Request failed with status code {code} ({url})"),
            Self::DotNet => format!(
                "System.Net.Http.HttpRequestException: Response status code does not indicate success: {code} ({reason}). {url}"
            ),
            Self::Ruby => {
                format!(
                    "Faraday::{}Error: the server responded with status {code} for {url}",
                    side.0
                )
            }
            Self::Php => {
                format!("{} error: `GET {url}` resulted in a `{code} {reason}` response", side.0)
            }
            Self::Rust => {
                format!("HTTP status {} error ({code} {reason}) for url ({url})", side.1)
            }
            Self::Proxy | Self::Store => format!("upstream {} answered {code}", to.host),
        }
    }
}

fn plain(text: String) -> Wording {
    Wording { text, trace: Vec::new() }
}

fn node(why: &Broken<'_>, to: &Target) -> String {
    let (Target { host, port, address, .. }, url) = (to, to.url());
    match why {
        Broken::Refused => format!("connect ECONNREFUSED {address}:{port} ({host})"),
        Broken::Timeout => format!("timeout of {}ms exceeded calling {url}", to.timeout),
        Broken::NoHost => format!("getaddrinfo ENOTFOUND {host}"),
        Broken::Tls(text) => format!("request to {url} failed, reason: {text}"),
        Broken::Reset => format!("socket hang up: {url} (ECONNRESET)"),
    }
}

fn dot_net(why: &Broken<'_>, to: &Target) -> String {
    let Target { host, port, .. } = to;
    let http = "System.Net.Http.HttpRequestException";
    match why {
        Broken::Refused => format!("{http}: Connection refused ({host}:{port})"),
        Broken::Timeout => {
            let (seconds, url) = (to.timeout / 1000, to.url());
            format!(
                "System.Threading.Tasks.TaskCanceledException: The request was canceled due to the configured HttpClient.Timeout of {seconds} seconds elapsing. GET {url}"
            )
        }
        Broken::NoHost => format!("{http}: Name or service not known ({host}:{port})"),
        Broken::Tls(text) => format!(
            "{http}: The SSL connection could not be established, see inner exception. {text} ({host}:{port})"
        ),
        Broken::Reset => format!(
            "System.IO.IOException: Unable to read data from the transport connection: Connection reset by peer. ({host}:{port})"
        ),
    }
}

fn ruby(why: &Broken<'_>, to: &Target) -> String {
    let (Target { host, port, address, .. }, url) = (to, to.url());
    let open = format!("Failed to open TCP connection to {host}:{port}");
    match why {
        Broken::Refused => format!(
            "Faraday::ConnectionFailed: {open} (Connection refused - connect(2) for \"{host}\" port {port})"
        ),
        Broken::Timeout => {
            format!("Net::ReadTimeout: Net::ReadTimeout with #<TCPSocket:(closed)> calling {url}")
        }
        Broken::NoHost => format!("SocketError: {open} (getaddrinfo: Name or service not known)"),
        Broken::Tls(text) => format!(
            "OpenSSL::SSL::SSLError: SSL_connect returned=1 errno=0 peeraddr={address}:{port} state=error: {text} ({host})"
        ),
        Broken::Reset => format!("Errno::ECONNRESET: Connection reset by peer {url}"),
    }
}

fn php(why: &Broken<'_>, to: &Target) -> String {
    let (Target { host, port, timeout, .. }, url) = (to, to.url());
    match why {
        Broken::Refused => format!(
            "cURL error 7: Failed to connect to {host} port {port} after 2 ms: Connection refused for {url}"
        ),
        Broken::Timeout => format!(
            "cURL error 28: Operation timed out after {timeout} milliseconds with 0 bytes received for {url}"
        ),
        Broken::NoHost => format!("cURL error 6: Could not resolve host: {host} for {url}"),
        Broken::Tls(text) => format!("cURL error 60: SSL certificate problem: {text} for {url}"),
        Broken::Reset => format!("cURL error 56: Recv failure: Connection reset by peer for {url}"),
    }
}

fn rust(why: &Broken<'_>, to: &Target) -> String {
    let said = match why {
        Broken::Refused => "tcp connect error: Connection refused (os error 111)".to_owned(),
        Broken::Timeout => "operation timed out".to_owned(),
        Broken::NoHost => {
            "dns error: failed to lookup address information: Name or service not known".to_owned()
        }
        Broken::Tls(text) => format!("invalid peer certificate: {text}"),
        Broken::Reset => "connection closed before message completed".to_owned(),
    };
    format!("error sending request for url ({}): {said}", to.url())
}

fn proxy(why: &Broken<'_>, to: &Target) -> String {
    let upstream = format!(
        "client: 10.244.3.17, server: _, request: \"GET {} HTTP/1.1\", upstream: \"{}\"",
        to.path,
        to.url()
    );
    match why {
        Broken::Refused => format!(
            "connect() failed (111: Connection refused) while connecting to upstream, {upstream}"
        ),
        Broken::Timeout => format!(
            "upstream timed out (110: Connection timed out) while reading response header from upstream, {upstream}"
        ),
        Broken::NoHost => {
            format!("{} could not be resolved (3: Host not found), {upstream}", to.host)
        }
        Broken::Tls(text) => format!(
            "upstream SSL certificate verify error: ({text}) while SSL handshaking to upstream, {upstream}"
        ),
        _ => format!(
            "recv() failed (104: Connection reset by peer) while reading response header from upstream, {upstream}"
        ),
    }
}

fn go(why: &Broken<'_>, to: &Target) -> String {
    let Target { host, port, address, .. } = to;
    match why {
        Broken::Refused => format!("dial tcp {address}:{port}: connect: connection refused"),
        Broken::Timeout => {
            "context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned()
        }
        Broken::NoHost => format!("dial tcp: lookup {host} on 10.96.0.10:53: no such host"),
        Broken::Tls(text) => format!("tls: failed to verify certificate: {text}"),
        Broken::Reset => {
            format!("read tcp 10.244.1.9:41220->{address}:{port}: read: connection reset by peer")
        }
    }
}

fn java(why: &Broken<'_>, to: &Target) -> Wording {
    let (exception, message) = match why {
        Broken::Refused => ("java.net.ConnectException", "Connection refused".to_owned()),
        Broken::Timeout => ("java.net.SocketTimeoutException", "Read timed out".to_owned()),
        Broken::NoHost => ("java.net.UnknownHostException", to.host.clone()),
        Broken::Tls(text) => ("javax.net.ssl.SSLHandshakeException", (*text).to_owned()),
        Broken::Reset => ("java.net.SocketException", "Connection reset".to_owned()),
    };
    let text = format!(
        "I/O error on GET request for \"{}\": {message}; nested exception is {exception}: {message}",
        to.url()
    );
    let trace = vec![
        format!(
            "org.springframework.web.client.ResourceAccessException: I/O error on GET request for \"{}\": {message}",
            to.url()
        ),
        "\tat org.springframework.web.client.RestTemplate.doExecute(RestTemplate.java:785)"
            .to_owned(),
        format!("Caused by: {exception}: {message}"),
        "\tat java.base/sun.nio.ch.NioSocketImpl.connect(NioSocketImpl.java:592)".to_owned(),
        "\t... 58 common frames omitted".to_owned(),
    ];
    Wording { text, trace }
}

fn python(why: &Broken<'_>, to: &Target) -> Wording {
    let Target { host, port, .. } = to;
    let pool = if to.secure { "HTTPSConnectionPool" } else { "HTTPConnectionPool" };
    let text = match why {
        Broken::Refused => format!(
            "{pool}(host='{host}', port={port}): Max retries exceeded with url: {} (Caused by NewConnectionError('<urllib3.connection.HTTPConnection object at 0x7f3a1c5d2b50>: Failed to establish a new connection: [Errno 111] Connection refused'))",
            to.path
        ),
        Broken::Timeout => format!(
            "{pool}(host='{host}', port={port}): Read timed out. (read timeout={})",
            to.timeout / 1000
        ),
        Broken::NoHost => format!(
            "{pool}(host='{host}', port={port}): Max retries exceeded with url: {} (Caused by NameResolutionError(\"Failed to resolve '{host}' ([Errno -2] Name or service not known)\"))",
            to.path
        ),
        Broken::Tls(text) => format!(
            "{pool}(host='{host}', port={port}): Max retries exceeded with url: {} (Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {text} (_ssl.c:1006)')))",
            to.path
        ),
        Broken::Reset => format!(
            "('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer')) calling {}",
            to.url()
        ),
    };
    let class = match why {
        Broken::Timeout => "requests.exceptions.ReadTimeout",
        Broken::Tls(_) => "requests.exceptions.SSLError",
        Broken::Refused | Broken::NoHost | Broken::Reset => "requests.exceptions.ConnectionError",
    };
    let trace = vec![
        "Traceback (most recent call last):".to_owned(),
        "  File \"/app/client.py\", line 88, in fetch".to_owned(),
        "    resp = self.session.get(url, timeout=self.timeout)".to_owned(),
        format!("{class}: {text}"),
    ];
    Wording { text: format!("call to {host} failed: {class}"), trace }
}

/// The reason phrase of a status.
#[must_use]
pub(super) fn reason(code: u16) -> &'static str {
    match code {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Error",
    }
}
