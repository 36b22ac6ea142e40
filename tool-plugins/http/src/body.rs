//! A whole answer, and what it is when it is not the JSON that was asked for.

use agent_sdk::{Failure, FailureClass};
use serde::de::DeserializeOwned;

use crate::settings::Source;

/// Most of a server's own words that is repeated.
const MAX_SAID: usize = 200;
/// A page is looked at this far.
const MAX_LOOKED: usize = 400;

/// A whole answer.
#[derive(Debug)]
pub struct Body {
    /// HTTP status.
    pub status: u16,
    /// Content.
    pub bytes: Vec<u8>,
}

// === impl Body ===

impl Body {
    /// Reads it as JSON, whatever its status.
    ///
    /// # Errors
    /// What came in its place: a page of HTML, the start of an answer, JSON of another form. A
    /// status that is no success says more: ask [`Self::said`] for its words first.
    pub fn json<T: DeserializeOwned>(&self, source: Source) -> Result<T, Failure> {
        serde_json::from_slice(&self.bytes).map_err(|error| {
            let title = source.title;
            if self.is_page() {
                let says = format!(
                    "a page of HTML came in place of an answer: most likely a proxy or login page \
                     stands before {title}"
                );
                return source.external("NOT_JSON", says);
            }
            if error.is_eof() {
                let says = format!("the answer of {title} ends after {} bytes", self.bytes.len());
                return source.external("TRUNCATED", says);
            }
            source.external("NOT_JSON", format!("the answer is not as expected: {error}"))
        })
    }

    /// The words of an answer that is no JSON, cut.
    #[must_use]
    pub fn said(&self) -> String {
        if self.is_page() {
            return "a page of HTML".to_owned();
        }
        let start = self.bytes.trim_ascii();
        short(&String::from_utf8_lossy(
            start.get(..start.len().min(MAX_LOOKED)).unwrap_or_default(),
        ))
    }

    /// Whether its status tells of a fault.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.status >= 400
    }

    fn is_page(&self) -> bool {
        self.bytes.trim_ascii_start().first() == Some(&b'<')
    }
}

impl Source {
    /// A failure with the status that a server answered with.
    #[must_use]
    pub fn refusal(
        self,
        (class, what): (FailureClass, &str),
        status: u16,
        message: impl Into<String>,
    ) -> Failure {
        let mut failure = Failure::new(class, &self.reason(what), message);
        failure.metadata.insert("status".to_owned(), status.to_string());
        failure
    }
}

/// A server's words in one line, cut.
#[must_use]
pub fn short(text: &str) -> String {
    agent_sdk::limits::cut_middle(&text.replace(['\n', '\r'], " "), MAX_SAID)
}
