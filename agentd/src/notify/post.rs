//! One try at one receiver: reads its files anew, so that secrets can be changed without a restart,
//! signs, posts, and says what came of it. Redirects are not followed: what is signed for one
//! receiver is for no other.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{
    Certificate, Client,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
};

use super::{Template, Webhook, address, message::Message, patience::Outcome, signature, slack};

/// How long a receiver may take, in all and to be connected to.
const LIMIT: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);

/// A receiver that cannot be told anything.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("{} of receiver {receiver} cannot be read", path.display())]
    File {
        /// Whose.
        receiver: String,
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Its address is none, or not a safe one.
    #[error("the address of receiver {receiver} {said}")]
    Address {
        /// Whose.
        receiver: String,
        /// What is wrong.
        said: String,
    },
    /// The client cannot be made.
    #[error(
        "no connection can be made to receiver {receiver}; are the certificates of ca_file sound?"
    )]
    Client {
        /// Whose.
        receiver: String,
        /// Why not.
        source: reqwest::Error,
    },
}

/// Posts to one receiver.
pub(super) struct Poster {
    webhook: Webhook,
    client: Client,
}

impl Poster {
    /// A poster whose files can be read now.
    pub(super) fn new(webhook: Webhook) -> Result<Self, Error> {
        // Whoever comes first sets it; there is only this one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let failed = |source| Error::Client { receiver: webhook.name.clone(), source };
        let mut builder = Client::builder()
            .user_agent(concat!("agentd/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(LIMIT)
            .connect_timeout(CONNECT)
            .no_proxy();
        if let Some(file) = &webhook.ca_file {
            let pem = read(&webhook.name, file)?;
            builder = builder.tls_certs_only(Certificate::from_pem_bundle(&pem).map_err(failed)?);
        }
        let client = builder.build().map_err(failed)?;
        let poster = Self { webhook, client };
        poster.url()?;
        poster.file(poster.webhook.secret_file.as_deref())?;
        poster.file(poster.webhook.token_file.as_deref())?;
        Ok(poster)
    }

    pub(super) fn webhook(&self) -> &Webhook {
        &self.webhook
    }

    /// One try; `seconds` is the time that is signed.
    pub(super) async fn post(&self, message: &Message, seconds: i64) -> Result<Outcome, Error> {
        let body = match self.webhook.template {
            Template::Json => serde_json::to_vec(message),
            Template::Slack => serde_json::to_vec(&slack::post(message)),
        };
        // Plain structs of texts and numbers always have a JSON form.
        let body = body.unwrap_or_default();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut add = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        add("agentd-event", message.kind);
        add("agentd-delivery", &message.id);
        add("agentd-attempt", &message.attempt.to_string());
        add("agentd-repeat", if message.repeat { "true" } else { "false" });
        if let Some(secret) = self.file(self.webhook.secret_file.as_deref())? {
            add("agentd-signature", &signature::header(trimmed(&secret), seconds, &body));
        }
        if let Some(token) = self.file(self.webhook.token_file.as_deref())? {
            let shown = format!("Bearer {}", String::from_utf8_lossy(trimmed(&token)));
            if let Ok(mut value) = HeaderValue::from_str(&shown) {
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            }
        }
        let sent = self.client.post(self.url()?).headers(headers).body(body).send().await;
        Ok(match sent {
            Ok(answer) if answer.status().is_success() => Outcome::Delivered,
            Ok(answer) => Outcome::Answered {
                status: answer.status().as_u16(),
                retry_after: retry_after(answer.headers()),
            },
            Err(error) if error.is_connect() || error.is_builder() => Outcome::Unreached,
            Err(_) => Outcome::Unanswered,
        })
    }

    fn url(&self) -> Result<reqwest::Url, Error> {
        let of_file = self.file(self.webhook.url_file.as_deref())?;
        let text = match (&self.webhook.url, of_file) {
            (Some(url), _) => url.clone(),
            (None, text) => String::from_utf8_lossy(&text.unwrap_or_default()).into_owned(),
        };
        let wrong = |said| Error::Address { receiver: self.webhook.name.clone(), said };
        address(&text).map_err(wrong)
    }

    fn file(&self, path: Option<&Path>) -> Result<Option<Vec<u8>>, Error> {
        path.map(|path| read(&self.webhook.name, path)).transpose()
    }
}

fn read(receiver: &str, path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File {
        receiver: receiver.to_owned(),
        path: path.to_owned(),
        source,
    })
}

/// Without the line's end that editors and `echo` leave.
fn trimmed(secret: &[u8]) -> &[u8] {
    secret.trim_ascii_end()
}

/// Seconds; the form with a date is passed over.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
