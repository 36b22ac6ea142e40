//! Which Prometheus is meant, as arguments of the command line and variables of the environment.
//! Secrets stand in files that are named here; they are read anew for each call, so that a token
//! may be rotated, and are never printed.

use std::{fmt, fs, path::PathBuf};

use agent_sdk::{Failure, FailureClass};
use reqwest::{Url, header::HeaderValue};

/// Longest secret that is read, bytes.
const MAX_SECRET: usize = 64 * 1024;

/// Which Prometheus is meant and how to be let in.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Settings {
    /// Address of a Prometheus, or of what answers its API: Thanos, Mimir, VictoriaMetrics. With a
    /// path prefix where it has one. Wins over metrics.om of a --snapshot.
    #[arg(long, value_name = "URL", env = "PROMETHEUS_URL")]
    pub prometheus_url: Option<String>,
    /// File with a bearer token; read anew for each call.
    #[arg(long, value_name = "FILE", env = "PROMETHEUS_TOKEN_FILE")]
    pub prometheus_token_file: Option<PathBuf>,
    /// User for basic authentication.
    #[arg(
        long,
        value_name = "NAME",
        env = "PROMETHEUS_USER",
        requires = "prometheus_password_file"
    )]
    pub prometheus_user: Option<String>,
    /// File with the password of --prometheus-user.
    #[arg(
        long,
        value_name = "FILE",
        env = "PROMETHEUS_PASSWORD_FILE",
        requires = "prometheus_user"
    )]
    pub prometheus_password_file: Option<PathBuf>,
    /// Tenant, for servers that keep several apart.
    #[arg(long, value_name = "TENANT", env = "PROMETHEUS_TENANT")]
    pub prometheus_tenant: Option<String>,
    /// Header that carries the tenant.
    #[arg(
        long,
        value_name = "HEADER",
        env = "PROMETHEUS_TENANT_HEADER",
        default_value = "X-Scope-OrgID"
    )]
    pub prometheus_tenant_header: String,
    /// File with the certificates (PEM) that sign the server's; in place of the system's.
    #[arg(long, value_name = "FILE", env = "PROMETHEUS_CA_FILE")]
    pub prometheus_ca_file: Option<PathBuf>,
}

/// A value that is never shown.
#[derive(Clone)]
pub(super) struct Secret {
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
    pub(super) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// A server's words without the secret, which some repeat.
    pub(super) fn masked(&self, said: &[u8]) -> Vec<u8> {
        let mut text = String::from_utf8_lossy(said).into_owned();
        for part in &self.parts {
            text = text.replace(part.as_str(), "[secret]");
        }
        text.into_bytes()
    }
}

// === impl Settings ===

impl Settings {
    /// The base of all requests, ending in a slash; `None` when no Prometheus is named.
    ///
    /// # Errors
    /// CONFIG when it is no address of a web server. The message does not repeat the address: it
    /// may hold a password.
    pub fn base(&self) -> Result<Option<Url>, Failure> {
        let Some(text) = self.prometheus_url.as_deref().map(str::trim).filter(|t| !t.is_empty())
        else {
            return Ok(None);
        };
        let mut url = Url::parse(text)
            .map_err(|error| config(&format!("--prometheus-url is no URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(config("--prometheus-url must begin with http:// or https:// and a host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(config(
                "--prometheus-url carries a user or password, which shows in lists of processes; \
                 give --prometheus-user and --prometheus-password-file instead",
            ));
        }
        url.set_query(None);
        url.set_fragment(None);
        let path = url.path().trim_end_matches('/');
        let path = path.strip_suffix("/api/v1").unwrap_or(path);
        let path = format!("{path}/");
        url.set_path(&path);
        Ok(Some(url))
    }

    /// What is sent as `Authorization`, read now.
    ///
    /// # Errors
    /// CONFIG when the file cannot be read or both ways are given.
    pub(super) fn authorization(&self) -> Result<Option<Secret>, Failure> {
        match (&self.prometheus_token_file, &self.prometheus_user) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => {
                Err(config("give a bearer token or a user for Prometheus, not both"))
            }
            (Some(file), None) => secret("Bearer", vec![content(file)?]).map(Some),
            (None, Some(user)) => {
                let Some(file) = &self.prometheus_password_file else {
                    return Err(config("--prometheus-user needs --prometheus-password-file"));
                };
                let password = content(file)?;
                let pair = base64(format!("{user}:{password}").as_bytes());
                secret("Basic", vec![pair, password]).map(Some)
            }
        }
    }
}

fn content(file: &PathBuf) -> Result<String, Failure> {
    let text = fs::read_to_string(file)
        .map_err(|error| config(&format!("{} cannot be read: {error}", file.display())))?;
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_SECRET {
        return Err(config(&format!("{} holds no secret of a usable size", file.display())));
    }
    Ok(text.to_owned())
}

/// The first of `parts` is what is sent.
fn secret(scheme: &str, parts: Vec<String>) -> Result<Secret, Failure> {
    let sent = parts.first().map_or("", String::as_str);
    let mut header = HeaderValue::from_str(&format!("{scheme} {sent}"))
        .map_err(|_| config("the secret for Prometheus holds what no header can carry"))?;
    header.set_sensitive(true);
    Ok(Secret { header, parts })
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

pub(super) fn config(message: &str) -> Failure {
    Failure::new(FailureClass::Config, "PROMETHEUS_CONFIG", message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn at(url: &str) -> Settings {
        Settings { prometheus_url: Some(url.to_owned()), ..Settings::default() }
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
        let token = Settings { prometheus_token_file: Some(file.clone()), ..Settings::default() };
        let secret = token.authorization().unwrap().unwrap();
        assert_eq!(secret.header().to_str().unwrap(), "Bearer hunter2");
        assert!(!format!("{secret:?} {:?} {token:?}", secret.header()).contains("hunter2"));
        let basic = Settings {
            prometheus_user: Some("me".to_owned()),
            prometheus_password_file: Some(file),
            ..Settings::default()
        };
        let header = basic.authorization().unwrap().unwrap().header();
        assert_eq!(header.to_str().unwrap(), "Basic bWU6aHVudGVyMg==");
        let missing =
            Settings { prometheus_token_file: Some("/nowhere".into()), ..Settings::default() };
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
