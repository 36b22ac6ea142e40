//! What a server answered to one request, told apart by what the asker can do about it.

use std::time::Duration;

use agent_sdk::{Failure, FailureClass};
use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use serde::Deserialize;

use crate::refusal::{Asked, refused};

/// Longest part of a server's message that is passed on, bytes.
const MAX_SAID: usize = 400;

/// An answer that is not the thing asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nobody answered: refused, reset, or cut off. Worth asking again.
    Unreached(String),
    /// Nothing came within the time. Asking again would only take the time of other questions.
    Silent(String),
    /// We have nothing to prove ourselves with: a token file or a login program failed.
    NoLogin(String),
    /// The server said no.
    Refused(Refused),
    /// More bytes than are taken in.
    TooLarge(String),
}

/// A status other than success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// The HTTP status.
    pub(super) status: u16,
    /// The server's words, cut.
    pub(super) said: String,
    /// When it wants to be asked again.
    pub(super) retry_after: Option<Duration>,
    /// With 410: where a list may go on all the same.
    pub(super) go_on: Option<String>,
}

/// The API's `Status` object, as far as it matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    message: String,
    metadata: Metadata,
    details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    #[serde(rename = "continue")]
    go_on: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    retry_after_seconds: u64,
}

// === impl Trouble ===

impl Trouble {
    /// The failure that a tool tells.
    pub(super) fn failure(self, asked: Asked<'_>) -> Failure {
        match self {
            Self::Refused(r) => refused(asked, Some(r.status), &r.said, r.retry_after),
            Self::Unreached(says) | Self::TooLarge(says) => refused(asked, None, &says, None),
            Self::Silent(says) => {
                let mut failure = refused(asked, None, &says, None);
                "SOURCE_SILENT".clone_into(&mut failure.reason);
                failure
            }
            Self::NoLogin(says) => Failure::new(
                FailureClass::Permission,
                "NO_LOGIN",
                format!("{}: the API server cannot be logged in to: {says}", asked.target),
            ),
        }
    }
}

// === impl Refused ===

impl Refused {
    /// Reads a refusal; a body that is no `Status`, as proxies send, is quoted from its start.
    pub(super) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let parsed: Option<Status> = serde_json::from_slice(body).ok();
        let quoted = || {
            let text = String::from_utf8_lossy(body.get(..MAX_SAID).unwrap_or(body)).into_owned();
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let said = match &parsed {
            Some(status) if !status.message.is_empty() => status.message.clone(),
            _ => quoted(),
        };
        let header = headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.trim().parse().ok());
        let details = parsed.as_ref().and_then(|s| s.details.as_ref());
        let asked = details.map(|d| d.retry_after_seconds).filter(|seconds| *seconds > 0);
        Self {
            status: status.as_u16(),
            said: agent_sdk::limits::cut_middle(&said, MAX_SAID),
            retry_after: header.or(asked).map(Duration::from_secs),
            go_on: parsed.map(|s| s.metadata.go_on).filter(|token| !token.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_the_servers_words_and_when_to_come_back() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, http::HeaderValue::from_static("7"));
        let body = br#"{"kind":"Status","message":"slow down","details":{"retryAfterSeconds":3}}"#;
        let refused = Refused::read(StatusCode::TOO_MANY_REQUESTS, &headers, body);
        assert_eq!((refused.status, refused.said.as_str()), (429, "slow down"));
        assert_eq!(refused.retry_after, Some(Duration::from_secs(7)), "the header wins");
        let refused = Refused::read(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), body);
        assert_eq!(refused.retry_after, Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_page_of_a_proxy_is_quoted_from_its_start() {
        let body = format!("<html>\n  <b>no   backend</b>{}", "x".repeat(9000));
        let refused = Refused::read(StatusCode::BAD_GATEWAY, &HeaderMap::new(), body.as_bytes());
        assert!(refused.said.starts_with("<html> <b>no backend</b>"), "{}", refused.said);
        assert!(refused.said.len() <= MAX_SAID);
    }

    #[test]
    fn an_expired_list_may_name_where_to_go_on() {
        let body =
            br#"{"kind":"Status","code":410,"message":"too old","metadata":{"continue":"abc"}}"#;
        let refused = Refused::read(StatusCode::GONE, &HeaderMap::new(), body);
        assert_eq!(refused.go_on.as_deref(), Some("abc"));
    }
}
