//! Settings of a plugin process, and where they come from. The only place of the SDK that reads
//! the environment. All faults are reported together; tokens are never printed.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use crate::error::Error;

const DEFAULT_URL: &str = "http://127.0.0.1:50051";
const DEFAULT_DRAIN: Duration = Duration::from_secs(25);
const DEFAULT_CALLS: u16 = 8;

const DEFAULT_SLOTS: u16 = 8;
/// Most slots of one plugin process; agentd takes no more of one token.
const MAX_SLOTS: u16 = 64;

/// How calls reach a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// It listens, and agentd dials it.
    #[default]
    Direct,
    /// It listens nowhere: it parks slots at agentd, and calls come down these. For a plugin behind
    /// NAT, in another cluster, on a laptop.
    Relay,
}

/// How an endpoint says that TLS is served there.
const HTTPS: &str = "https://";

/// Files in PEM for serving TLS. They are looked at for each connection, and read again when they
/// changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our certificates, the own one first.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Authorities of the certificate that agentd must show; none asks it for no certificate.
    pub client_ca: Option<PathBuf>,
}

/// Settings of one plugin process. Start from [`Options::default`] and change what differs.
#[derive(Clone)]
pub struct Options {
    /// Where agentd is, `http://host:port` or `https://host:port`.
    pub agentd_url: String,
    /// File of who vouches for an agentd at `https://`, in PEM; none means the system. Read each time
    /// agentd is dialled.
    pub ca: Option<PathBuf>,
    /// What TLS is served with, and shown to an agentd that asks for a certificate, read each time;
    /// none serves plain text.
    pub tls: Option<TlsFiles>,
    /// Registration token; empty means none.
    pub token: String,
    /// How calls reach it.
    pub mode: Mode,
    /// Slots to park with [`Mode::Relay`], 1 to 64: so many calls are taken at once.
    pub slots: u16,
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What agentd dials: `host:port` or `:port`, with `https://` before it where a proxy serves TLS
    /// for the plugin; unset derives it from `listen`.
    pub advertise: Option<String>,
    /// Calls taken at once with [`Mode::Direct`]; one more is told to come back later.
    pub max_concurrent_calls: u16,
    /// How long running calls may finish after the plugin was told to stop.
    pub drain_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            agentd_url: DEFAULT_URL.to_owned(),
            ca: None,
            tls: None,
            token: String::new(),
            mode: Mode::Direct,
            slots: DEFAULT_SLOTS,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            advertise: None,
            max_concurrent_calls: DEFAULT_CALLS,
            drain_timeout: DEFAULT_DRAIN,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("agentd_url", &self.agentd_url)
            .field("ca", &self.ca)
            .field("tls", &self.tls)
            .field("token", &if self.token.is_empty() { "none" } else { "set" })
            .field("mode", &self.mode)
            .field("slots", &self.slots)
            .field("listen", &self.listen)
            .field("advertise", &self.advertise)
            .field("max_concurrent_calls", &self.max_concurrent_calls)
            .field("drain_timeout", &self.drain_timeout)
            .finish()
    }
}

impl Options {
    /// Reads `AGENTD_URL`, `AGENTD_CA_FILE`, `PLUGIN_TLS_CERT` and `PLUGIN_TLS_KEY` (files: what is
    /// shown to agentd, and what TLS is served with), `PLUGIN_TLS_CLIENT_CA` (a file),
    /// `AGENTD_PLUGIN_TOKEN` or `AGENTD_PLUGIN_TOKEN_FILE`, `PLUGIN_MODE` (`direct` or `relay`),
    /// `PLUGIN_SLOTS`, `PLUGIN_LISTEN` and `PLUGIN_ADVERTISE`.
    ///
    /// # Errors
    /// [`Error::Settings`] with every wrong variable.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_variables(environment)
    }

    /// As [`Self::from_env`], from any source of variables. An empty value counts as unset.
    ///
    /// # Errors
    /// [`Error::Settings`] with every wrong variable.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let mut options = Self::default();
        let mut faults = Vec::new();
        if let Some(url) = variable("AGENTD_URL") {
            match check_url(&url) {
                Ok(()) => options.agentd_url = url,
                Err(fault) => faults.push(format!("AGENTD_URL: {fault}")),
            }
        }
        let mut pem = |name: &str| {
            let path = variable(name)?;
            if let Err(fault) = std::fs::read(&path) {
                faults.push(format!("{name}: cannot read {path}: {fault}"));
            }
            Some(PathBuf::from(path))
        };
        options.ca = pem("AGENTD_CA_FILE");
        let (cert, key) = (pem("PLUGIN_TLS_CERT"), pem("PLUGIN_TLS_KEY"));
        if cert.is_some() != key.is_some() {
            faults.push("PLUGIN_TLS_CERT: goes with PLUGIN_TLS_KEY; give both".to_owned());
        }
        let file = |name: &str| variable(name).map(PathBuf::from);
        options.tls = cert.zip(key).map(|(cert, key)| TlsFiles {
            cert,
            key,
            client_ca: file("PLUGIN_TLS_CLIENT_CA"),
        });
        if options.tls.is_none() && variable("PLUGIN_TLS_CLIENT_CA").is_some() {
            let said = "PLUGIN_TLS_CLIENT_CA: wants PLUGIN_TLS_CERT and PLUGIN_TLS_KEY beside it";
            faults.push(said.to_owned());
        }
        match (variable("AGENTD_PLUGIN_TOKEN"), variable("AGENTD_PLUGIN_TOKEN_FILE")) {
            (Some(token), _) => options.token = token.trim().to_owned(),
            (None, Some(path)) => match std::fs::read_to_string(&path) {
                Ok(token) => options.token = token.trim().to_owned(),
                Err(fault) => {
                    faults.push(format!("AGENTD_PLUGIN_TOKEN_FILE: cannot read {path}: {fault}"));
                }
            },
            (None, None) => {}
        }
        if !options.token.bytes().all(|b| b.is_ascii_graphic()) {
            faults.push("AGENTD_PLUGIN_TOKEN: has characters a header cannot carry".to_owned());
        }
        options.take_mode(variable, &mut faults);
        if let Some(listen) = variable("PLUGIN_LISTEN") {
            match listen.parse() {
                Ok(listen) => options.listen = listen,
                Err(_) => faults.push(format!(
                    "PLUGIN_LISTEN: {listen:?} is not ADDRESS:PORT, such as 127.0.0.1:0"
                )),
            }
        }
        options.advertise = variable("PLUGIN_ADVERTISE");
        if faults.is_empty() { Ok(options) } else { Err(Error::Settings(faults)) }
    }
}

impl Options {
    fn take_mode(&mut self, variable: impl Fn(&str) -> Option<String>, faults: &mut Vec<String>) {
        match variable("PLUGIN_MODE").as_deref() {
            None | Some("direct") => {}
            Some("relay") => self.mode = Mode::Relay,
            Some(other) => faults.push(format!("PLUGIN_MODE: {other:?} is not direct or relay")),
        }
        if let Some(slots) = variable("PLUGIN_SLOTS") {
            match slots.parse() {
                Ok(slots @ 1..=MAX_SLOTS) => self.slots = slots,
                _ => faults.push(format!("PLUGIN_SLOTS: {slots:?} is not 1 to {MAX_SLOTS}")),
            }
        }
    }
}

/// Whether a supervisor holds the other end of stdin, so that its end means the parent is gone.
pub(crate) fn is_supervised() -> bool {
    environment("AGENTD_SUPERVISED").is_some_and(|value| value == "1")
}

#[expect(clippy::disallowed_methods, reason = "this file is the SDK's config: the only reader")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

pub(crate) fn check_url(url: &str) -> Result<(), String> {
    let uri: http::Uri = url.parse().map_err(|_| format!("{url:?} is not a URL"))?;
    match uri.scheme_str() {
        Some("http" | "https") if uri.authority().is_some() => Ok(()),
        _ => Err(format!("{url:?} is not http://HOST:PORT or https://HOST:PORT")),
    }
}

/// What agentd is told to dial: an explicit setting, the very address when it names one
/// interface, else the port alone, so that agentd takes the address it sees. Where it is `secure`,
/// with `https://` before it.
pub(crate) fn advertised(setting: Option<&str>, bound: SocketAddr, secure: bool) -> String {
    let place = match setting {
        Some(endpoint) => endpoint.to_owned(),
        None if bound.ip().is_unspecified() => format!(":{}", bound.port()),
        None => bound.to_string(),
    };
    if secure && !place.starts_with(HTTPS) { format!("{HTTPS}{place}") } else { place }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Options, Error> {
        Options::from_variables(|name| {
            set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
        })
    }

    #[test]
    fn nothing_set_means_the_loopback_and_a_free_port() {
        let options = read(&[]).unwrap();
        assert_eq!(options.agentd_url, "http://127.0.0.1:50051");
        assert_eq!(options.listen.to_string(), "127.0.0.1:0");
        assert_eq!((options.max_concurrent_calls, options.drain_timeout.as_secs()), (8, 25));
    }

    #[test]
    fn all_wrong_variables_are_told_at_once() {
        let error = read(&[
            ("AGENTD_URL", "ftp://x"),
            ("PLUGIN_LISTEN", "here"),
            ("PLUGIN_MODE", "sideways"),
            ("PLUGIN_SLOTS", "65"),
            ("AGENTD_CA_FILE", "/no/such/authority"),
            ("AGENTD_PLUGIN_TOKEN_FILE", "/no/such/file"),
        ])
        .unwrap_err();
        let Error::Settings(faults) = error else { unreachable!("{error}") };
        let names: Vec<_> = faults.iter().filter_map(|f| f.split(':').next()).collect();
        let rest = ["PLUGIN_MODE", "PLUGIN_SLOTS", "PLUGIN_LISTEN"];
        assert_eq!(names[..3], ["AGENTD_URL", "AGENTD_CA_FILE", "AGENTD_PLUGIN_TOKEN_FILE"]);
        assert_eq!(names[3..], rest);
    }

    #[test]
    fn a_plugin_is_dialled_unless_it_is_told_to_park_slots() {
        let options = read(&[]).unwrap();
        assert_eq!((options.mode, options.slots), (Mode::Direct, 8));
        let options = read(&[("PLUGIN_MODE", "relay"), ("PLUGIN_SLOTS", "64")]).unwrap();
        assert_eq!((options.mode, options.slots), (Mode::Relay, 64));
        for slots in ["0", "-1", "many"] {
            assert!(read(&[("PLUGIN_SLOTS", slots)]).is_err(), "{slots}");
        }
    }

    #[test]
    fn a_token_is_trimmed_and_never_printed() {
        let options = read(&[("AGENTD_PLUGIN_TOKEN", " s3cret-token\n")]).unwrap();
        assert_eq!(options.token, "s3cret-token");
        assert!(!format!("{options:?}").contains("s3cret"));
    }

    #[test]
    fn a_wildcard_address_is_advertised_by_its_port_alone() {
        for (setting, bound, expected) in [
            (None, "0.0.0.0:7001", ":7001"),
            (None, "[::]:7001", ":7001"),
            (None, "127.0.0.1:7001", "127.0.0.1:7001"),
            (Some("pods.tools:9"), "0.0.0.0:7001", "pods.tools:9"),
            (Some("https://pods.tools:9"), "0.0.0.0:7001", "https://pods.tools:9"),
        ] {
            let bound = bound.parse().unwrap();
            assert_eq!(advertised(setting, bound, false), expected);
            let secure = format!("https://{}", expected.trim_start_matches("https://"));
            assert_eq!(advertised(setting, bound, true), secure);
        }
    }

    #[test]
    fn a_certificate_is_shown_and_served_and_an_authority_alone_serves_nothing() {
        let alone = read(&[("PLUGIN_TLS_CLIENT_CA", "authority")]).unwrap_err().to_string();
        assert!(alone.contains("PLUGIN_TLS_CERT and PLUGIN_TLS_KEY"), "{alone}");
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let options = read(&[
            ("PLUGIN_TLS_CERT", path),
            ("PLUGIN_TLS_KEY", path),
            ("PLUGIN_TLS_CLIENT_CA", "authority"),
        ])
        .unwrap();
        let tls = options.tls.unwrap();
        assert_eq!((tls.key, tls.client_ca), (path.into(), Some("authority".into())));
    }
}
