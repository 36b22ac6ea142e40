//! What can go wrong on the command line, each as a sentence with how to mend it.

use std::{io, path::PathBuf};

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::local;
use crate::{app, config::Faults, reasoner::catalogue::document, telemetry};

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Settings are wrong; a line each.
    #[error("the configuration has faults:\n{0}")]
    Settings(#[from] Faults),
    /// Documents of causes or signals are wrong; a line each.
    #[error("the documents have faults:\n{0}")]
    Catalogue(#[from] document::Faults),
    /// Log lines could not be set up.
    #[error(transparent)]
    Telemetry(#[from] telemetry::Error),
    /// The address is none.
    #[error("{url:?} is no address of a daemon; it looks like http://127.0.0.1:50051")]
    Address {
        /// As it was given.
        url: String,
    },
    /// Nobody answers there.
    #[error(
        "no agentd answers at {url} ({why}): start one with `agentd serve`, or name another with \
         --server or AGENTD_URL"
    )]
    Unreachable {
        /// Where.
        url: String,
        /// Why, in a few words.
        why: String,
    },
    /// The daemon refused.
    #[error("{said}")]
    Refused {
        /// Its words, with every wrong field.
        said: String,
        /// What kind of refusal.
        code: Code,
    },
    /// The connection broke and did not come back.
    #[error(
        "agentd at {url} has not answered any more: once it is back, \
         `agentd watch {id} --after {after}` goes on"
    )]
    Lost {
        /// Where it was.
        url: String,
        /// Bare id of the investigation.
        id: String,
        /// Newest event that was seen.
        after: i32,
    },
    /// An answer that cannot be read.
    #[error("agentd sent what this client cannot read; is it of another version?")]
    Unreadable,
    /// The daemon in this process failed.
    #[error(transparent)]
    App(#[from] app::Error),
    /// Daemon and plugins could not be brought up together.
    #[error(transparent)]
    Local(#[from] local::Error),
    /// A file or directory.
    #[error("{} cannot be {what}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// `read` or `written`.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A scenario that is none.
    #[error("{} is no scenario", path.display())]
    Scenario {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Something asked for that is not there; the sentence says what there is.
    #[error("{0}")]
    Missing(String),
    /// Nobody reads stdout any more: no fault, but the end.
    #[error("stdout is closed")]
    Closed,
    /// stdout cannot be written.
    #[error("stdout cannot be written")]
    Output(#[source] io::Error),
}

// === impl Error ===

impl Error {
    /// A daemon's refusal with all its details in one text.
    #[must_use]
    pub fn refused(status: &Status) -> Self {
        let mut said = status.message().to_owned();
        if said.is_empty() {
            said = format!("the daemon refused: {:?}", status.code());
        }
        let mut wrong = Vec::new();
        if let Some(bad) = status.get_details_bad_request() {
            wrong.extend(bad.field_violations.into_iter().map(|one| (one.field, one.description)));
        }
        if let Some(unmet) = status.get_details_precondition_failure() {
            wrong.extend(unmet.violations.into_iter().map(|one| (one.subject, one.description)));
        }
        // The message of several faults is often all of them in one line, and one alone is it.
        let is_told = wrong.first().is_some_and(|(_, first)| said.contains(first));
        if is_told && wrong.len() > 1 {
            said = format!("the daemon refused it, for {} reasons:", wrong.len());
        }
        if !is_told || wrong.len() > 1 {
            for (field, description) in wrong {
                said.push_str(&format!("\n  {field}: {description}"));
            }
        }
        if status.code() == Code::Unauthenticated {
            said.push_str("; a file with the token is named by --token-file or AGENTD_TOKEN_FILE");
        } else if status.code() == Code::Unimplemented {
            said.push_str("; is --server its gRPC address, not the HTTP one, and of this version?");
        }
        Self::Refused { said, code: status.code() }
    }

    /// Nobody answers at `url`, told by the last cause, which is the one that says something.
    pub(super) fn unreachable(url: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut last = error;
        let mut why = None;
        loop {
            if let Some(known) = last.downcast_ref::<io::Error>() {
                if known.kind() == io::ErrorKind::ConnectionRefused {
                    why = Some("connection refused");
                } else if known.kind() == io::ErrorKind::TimedOut {
                    why = Some("no answer in time");
                }
            }
            match last.source() {
                Some(source) => last = source,
                None => break,
            }
        }
        let why = why.map_or_else(|| last.to_string(), str::to_owned);
        Self::Unreachable { url: url.to_owned(), why }
    }

    /// About a file.
    pub(super) fn file(
        path: impl Into<PathBuf>,
        what: &'static str,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, what, source }
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn a_refusal_tells_every_wrong_field() {
        let mut details = ErrorDetails::new();
        details.add_bad_request_violation("alert.service", "is longer than 253 characters");
        details.add_bad_request_violation("wait", "is longer than 10 minutes");
        let status =
            Status::with_error_details(Code::InvalidArgument, "the request is wrong", details);
        assert_eq!(
            Error::refused(&status).to_string(),
            "the request is wrong\n  alert.service: is longer than 253 characters\n  \
             wait: is longer than 10 minutes"
        );
    }

    #[test]
    fn what_the_message_says_already_is_not_said_twice() {
        let mut details = ErrorDetails::new();
        details.add_bad_request_violation("name", "is no name");
        let status = Status::with_error_details(Code::InvalidArgument, "name: is no name", details);
        assert_eq!(Error::refused(&status).to_string(), "name: is no name");
    }

    #[test]
    fn several_faults_that_are_the_message_are_told_one_by_one_below_a_short_head() {
        let mut details = ErrorDetails::new();
        details.add_bad_request_violation("name", "is no name");
        details.add_bad_request_violation("mode", "is no mode");
        let said = "name: is no name; mode: is no mode";
        let status = Status::with_error_details(Code::InvalidArgument, said, details);
        assert_eq!(
            Error::refused(&status).to_string(),
            "the daemon refused it, for 2 reasons:\n  name: is no name\n  mode: is no mode"
        );
    }

    #[test]
    fn a_refusal_without_words_is_told_by_its_code() {
        let said = Error::refused(&Status::new(Code::Unimplemented, "")).to_string();
        let hint = "is --server its gRPC address, not the HTTP one, and of this version?";
        assert_eq!(said, format!("the daemon refused: Unimplemented; {hint}"));
    }
}
