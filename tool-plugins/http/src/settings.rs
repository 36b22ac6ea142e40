//! Which server is meant, and how to be let in. Secrets stand in files that are named here; they are
//! read anew for each call, so that a token may be rotated, and are never printed.

use std::{fmt, fs, path::PathBuf};

use agent_sdk::{Failure, FailureClass};
use reqwest::{Url, header::HeaderValue};

/// Longest secret that is read, bytes.
const MAX_SECRET: usize = 64 * 1024;

/// A kind of server, for the words of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// What people call it: `Prometheus`.
    pub title: &'static str,
    /// How its flags begin: `prometheus`.
    pub flag: &'static str,
    /// How the reasons of its failures begin: `PROMETHEUS`.
    pub code: &'static str,
    /// The end of an address that people copy with it and that requests add: `/api/v1`.
    pub api: &'static str,
    /// The field by which a query says how long it may take; empty where there is none.
    pub patience: &'static str,
}

/// Which server is meant and how to be let in.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What kind it is.
    pub source: Source,
    /// Where it answers, with a path prefix where it has one.
    pub url: Option<String>,
    /// File with a bearer token.
    pub token_file: Option<PathBuf>,
    /// File with a key that is sent as `ApiKey`.
    pub api_key_file: Option<PathBuf>,
    /// User for basic authentication.
    pub user: Option<String>,
    /// File with the user's password.
    pub password_file: Option<PathBuf>,
    /// Tenant.
    pub tenant: Option<String>,
    /// Header that carries the tenant.
    pub tenant_header: Option<String>,
    /// File with the certificates (PEM) that sign the server's.
    pub ca_file: Option<PathBuf>,
}

/// A value that is never shown.
#[derive(Clone)]
pub struct Secret {
    header: HeaderValue,
    /// What of it must not come back in a server's words.
    parts: Vec<String>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Secret {
    /// The value, to be sent.
    pub(crate) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// A server's words without the secret, which some repeat.
    pub(crate) fn masked(&self, said: &[u8]) -> Vec<u8> {
        let mut text = String::from_utf8_lossy(said).into_owned();
        for part in &self.parts {
            text = text.replace(part.as_str(), "[secret]");
        }
        text.into_bytes()
    }
}

// === impl Source ===

impl Source {
    /// The reason of a failure: `PROMETHEUS_TIMEOUT`.
    #[must_use]
    pub fn reason(self, what: &str) -> String {
        format!("{}_{what}", self.code)
    }

    /// What is asked for cannot be had as it is set up.
    #[must_use]
    pub fn config(self, message: &str) -> Failure {
        Failure::new(FailureClass::Config, &self.reason("CONFIG"), message)
    }

    /// The server failed.
    #[must_use]
    pub fn external(self, what: &str, message: impl Into<String>) -> Failure {
        Failure::external(&self.reason(what), message)
    }
}

// === impl Settings ===

impl Settings {
    /// The base of all requests, ending in a slash; `None` when no server is named.
    ///
    /// # Errors
    /// CONFIG when it is no address of a web server. The message does not repeat the address: it
    /// may hold a password.
    pub fn base(&self) -> Result<Option<Url>, Failure> {
        let Some(text) = self.url.as_deref().map(str::trim).filter(|t| !t.is_empty()) else {
            return Ok(None);
        };
        let (flag, config) = (self.source.flag, |says: String| self.source.config(&says));
        let mut url =
            Url::parse(text).map_err(|error| config(format!("--{flag}-url is no URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(config(format!(
                "--{flag}-url must begin with http:// or https:// and a host"
            )));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(config(format!(
                "--{flag}-url carries a user or password, which shows in lists of processes; give \
                 --{flag}-user and --{flag}-password-file instead"
            )));
        }
        url.set_query(None);
        url.set_fragment(None);
        let path = url.path().trim_end_matches('/');
        let path = path.strip_suffix(self.source.api).unwrap_or(path).trim_end_matches('/');
        let path = format!("{path}/");
        url.set_path(&path);
        Ok(Some(url))
    }

    /// What is sent as `Authorization`, read now.
    ///
    /// # Errors
    /// CONFIG when the file cannot be read or more than one way is given.
    pub fn authorization(&self) -> Result<Option<Secret>, Failure> {
        match (&self.token_file, &self.api_key_file, &self.user) {
            (None, None, None) => Ok(None),
            (Some(file), None, None) => self.secret("Bearer", vec![self.content(file)?]).map(Some),
            (None, Some(file), None) => self.secret("ApiKey", vec![self.content(file)?]).map(Some),
            (None, None, Some(user)) => {
                let Some(file) = &self.password_file else {
                    let flag = self.source.flag;
                    let says = format!("--{flag}-user needs --{flag}-password-file");
                    return Err(self.source.config(&says));
                };
                let password = self.content(file)?;
                let pair = base64(format!("{user}:{password}").as_bytes());
                self.secret("Basic", vec![pair, password]).map(Some)
            }
            _ => {
                let says =
                    format!("give one way to be let in by {}, not several", self.source.title);
                Err(self.source.config(&says))
            }
        }
    }

    fn content(&self, file: &PathBuf) -> Result<String, Failure> {
        let config = |says: String| self.source.config(&says);
        let text = fs::read_to_string(file)
            .map_err(|error| config(format!("{} cannot be read: {error}", file.display())))?;
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_SECRET {
            return Err(config(format!("{} holds no secret of a usable size", file.display())));
        }
        Ok(text.to_owned())
    }

    /// The first of `parts` is what is sent.
    fn secret(&self, scheme: &str, parts: Vec<String>) -> Result<Secret, Failure> {
        let sent = parts.first().map_or("", String::as_str);
        let mut header = HeaderValue::from_str(&format!("{scheme} {sent}")).map_err(|_| {
            let says =
                format!("the secret for {} holds what no header can carry", self.source.title);
            self.source.config(&says)
        })?;
        header.set_sensitive(true);
        Ok(Secret { header, parts })
    }
}

/// Base64 of RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32| {
        let place = usize::try_from(bits & 63).unwrap_or(0);
        DIGITS.get(place).map_or('=', |d| char::from(*d))
    };
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |i: usize| chunk.get(i).map_or(0, |b| u32::from(*b));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        text.push(digit(bits >> 18));
        text.push(digit(bits >> 12));
        text.push(if chunk.len() > 1 { digit(bits >> 6) } else { '=' });
        text.push(if chunk.len() > 2 { digit(bits) } else { '=' });
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const SOURCE: Source = Source {
        title: "Prometheus",
        flag: "prometheus",
        code: "PROMETHEUS",
        api: "/api/v1",
        patience: "timeout",
    };

    fn at(url: &str) -> Settings {
        Settings {
            source: SOURCE,
            url: Some(url.to_owned()),
            token_file: None,
            api_key_file: None,
            user: None,
            password_file: None,
            tenant: None,
            tenant_header: None,
            ca_file: None,
        }
    }

    #[test]
    fn addresses_are_taken_with_and_without_their_ends() {
        for (given, base) in [
            ("http://p:9090", "http://p:9090/"),
            ("https://p/prometheus/", "https://p/prometheus/"),
            ("http://p/x/api/v1/", "http://p/x/"),
            ("http://p/?a=b#c", "http://p/"),
        ] {
            assert_eq!(at(given).base().unwrap().unwrap().as_str(), base);
        }
        assert!(at(" ").base().unwrap().is_none());
    }

    #[test]
    fn a_password_in_the_address_is_refused_and_not_repeated() {
        for url in ["http://me:hunter2@p:9090", "ftp://hunter2", "http://hunter2:x:y"] {
            let failure = at(url).base().unwrap_err();
            assert_eq!(failure.class, FailureClass::Config);
            assert!(!failure.message.contains("hunter2"), "{}", failure.message);
        }
    }

    #[test]
    fn secrets_are_read_from_files_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        fs::write(&file, "hunter2\n").unwrap();
        let token = Settings { token_file: Some(file.clone()), ..at("") };
        let secret = token.authorization().unwrap().unwrap();
        assert_eq!(secret.header().to_str().unwrap(), "Bearer hunter2");
        assert!(!format!("{secret:?} {:?} {token:?}", secret.header()).contains("hunter2"));
        let basic =
            Settings { user: Some("me".to_owned()), password_file: Some(file.clone()), ..at("") };
        let header = basic.authorization().unwrap().unwrap().header();
        assert_eq!(header.to_str().unwrap(), "Basic bWU6aHVudGVyMg==");
        let key = Settings { api_key_file: Some(file.clone()), ..at("") };
        assert_eq!(
            key.authorization().unwrap().unwrap().header().to_str().unwrap(),
            "ApiKey hunter2"
        );
        let both = Settings { token_file: Some(file), ..key };
        assert_eq!(both.authorization().unwrap_err().reason, "PROMETHEUS_CONFIG");
        let missing = Settings { token_file: Some("/nowhere".into()), ..at("") };
        assert_eq!(missing.authorization().unwrap_err().class, FailureClass::Config);
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
