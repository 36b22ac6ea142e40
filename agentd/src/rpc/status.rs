//! The one table from errors to gRPC status. A status carries google.rpc details: the reason with
//! domain `agentd`, all violations, when to come back, which resource. Details stay within 4 KiB
//! in all; beyond some 11 kB a status arrives without any.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use crate::{
    engine, journal, memory,
    plugin::registry::{self, contracts},
    store,
    tool::Violation,
};

/// Domain of the daemon's reasons.
pub const DOMAIN: &str = "agentd";
/// Most bytes of details.
const MAX_DETAILS: usize = 4 * 1024;
/// Most bytes of message.
const MAX_MESSAGE: usize = 2 * 1024;
/// Most preconditions that are told.
const MAX_PRECONDITIONS: usize = 5;
/// Most bytes of one text within the details.
const MAX_TEXT: usize = 512;

/// What can go wrong, by what a caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is malformed: mend it.
    Invalid,
    /// A cursor points outside of what there is.
    OutOfRange,
    /// What it names does not exist.
    NotFound,
    /// It collides with something that exists.
    Conflict,
    /// It does not fit the state of things.
    Precondition,
    /// Who asks is not known.
    Stranger,
    /// It may not be asked.
    Refused,
    /// A bound is used up: come back later.
    Exhausted,
    /// Time ran out.
    Timeout,
    /// Not now: come back later.
    Unavailable,
    /// This version does not do it.
    Unimplemented,
    /// Our fault.
    Internal,
}

impl Kind {
    /// The canonical code.
    #[must_use]
    pub fn code(self) -> Code {
        match self {
            Self::Invalid => Code::InvalidArgument,
            Self::OutOfRange => Code::OutOfRange,
            Self::NotFound => Code::NotFound,
            Self::Conflict => Code::AlreadyExists,
            Self::Precondition => Code::FailedPrecondition,
            Self::Stranger => Code::Unauthenticated,
            Self::Refused => Code::PermissionDenied,
            Self::Exhausted => Code::ResourceExhausted,
            Self::Timeout => Code::DeadlineExceeded,
            Self::Unavailable => Code::Unavailable,
            Self::Unimplemented => Code::Unimplemented,
            Self::Internal => Code::Internal,
        }
    }
}

/// A fault on its way to a client.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    kind: Kind,
    reason: &'static str,
    message: String,
    violations: Vec<Violation>,
    preconditions: Vec<Violation>,
    resource: Option<(&'static str, String)>,
    retry_after: Option<Duration>,
    metadata: BTreeMap<String, String>,
}

// === impl Problem ===

impl Problem {
    /// A problem with its stable reason, `UPPER_SNAKE_CASE`, and a sentence for people.
    #[must_use]
    pub fn new(kind: Kind, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            reason,
            message: message.into(),
            violations: Vec::new(),
            preconditions: Vec::new(),
            resource: None,
            retry_after: None,
            metadata: BTreeMap::new(),
        }
    }

    /// A malformed request, with everything that is wrong with it.
    #[must_use]
    pub fn invalid(violations: Vec<Violation>) -> Self {
        let said: Vec<String> =
            violations.iter().map(|one| format!("{}: {}", one.field, one.description)).collect();
        // Short, to leave room: the violations follow one by one in the details.
        let said = cut(&said.join("; "), MAX_TEXT);
        let mut problem = Self::new(Kind::Invalid, "INVALID_REQUEST", said);
        problem.violations = violations;
        problem
    }

    /// Something that does not exist: its type and name.
    #[must_use]
    pub fn not_found(what: &'static str, name: &str) -> Self {
        let mut problem = Self::new(Kind::NotFound, "NOT_FOUND", format!("there is no {name}"));
        problem.resource = Some((what, name.to_owned()));
        problem
    }

    /// With what must change first: the state or the field that is in the way of each.
    #[must_use]
    pub fn until(mut self, preconditions: Vec<Violation>) -> Self {
        self.preconditions = preconditions;
        self
    }

    /// With the earliest time at which asking again is of use.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// With a value named in the message.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.metadata.insert(key.to_owned(), value.to_string());
        self
    }

    fn details(&self, shown: usize) -> ErrorDetails {
        let metadata: HashMap<String, String> =
            self.metadata.iter().map(|(key, value)| (key.clone(), cut(value, MAX_TEXT))).collect();
        let mut details = ErrorDetails::with_error_info(self.reason, DOMAIN, metadata);
        if !self.violations.is_empty() {
            let mut fields: Vec<FieldViolation> = self
                .violations
                .iter()
                .take(shown)
                .map(|one| {
                    FieldViolation::new(cut(&one.field, MAX_TEXT), cut(&one.description, MAX_TEXT))
                })
                .collect();
            let hidden = self.violations.len().saturating_sub(shown);
            if hidden > 0 {
                fields.push(FieldViolation::new("…", format!("and {hidden} more")));
            }
            details.set_bad_request(fields);
        }
        for one in self.preconditions.iter().take(MAX_PRECONDITIONS) {
            let said = cut(&one.description, MAX_TEXT);
            details.add_precondition_failure_violation(&one.reason, cut(&one.field, 128), said);
        }
        if let Some((kind, name)) = &self.resource {
            details.set_resource_info(*kind, cut(name, MAX_TEXT), "", "");
        }
        if let Some(wait) = self.retry_after {
            details.set_retry_info(Some(wait));
        }
        details
    }
}

/// As many violations as fit are shown, and how many more there are.
impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        let message = cut(&problem.message, MAX_MESSAGE);
        let mut shown = problem.violations.len();
        loop {
            let details = problem.details(shown);
            let status = Status::with_error_details(problem.kind.code(), message.clone(), details);
            if shown == 0 || status.details().len() <= MAX_DETAILS {
                return status;
            }
            shown -= shown.div_ceil(4);
        }
    }
}

fn cut(text: &str, max: usize) -> String {
    text.get(..text.floor_char_boundary(max)).unwrap_or_default().to_owned()
}

impl From<registry::Error> for Problem {
    fn from(error: registry::Error) -> Self {
        use registry::Error as E;
        let kind = match &error {
            E::Invalid { .. } => Kind::Invalid,
            E::Protocol { .. } => Kind::Precondition,
            E::NotRelayed => Kind::Precondition,
            E::TooManySlots => Kind::Exhausted,
            E::NotLocal
            | E::EndpointNotAllowed { .. }
            | E::NamespaceNotAllowed { .. }
            | E::NotYourName { .. } => Kind::Refused,
            E::InstanceTaken { .. } => Kind::Conflict,
            E::TooOften { .. } | E::TooManyInstances { .. } => Kind::Exhausted,
            E::NotKept { .. } | E::Stopping => Kind::Unavailable,
            E::Contract(contracts::Error::Unknown(_)) => Kind::NotFound,
            E::Contract(contracts::Error::Stale { .. }) => Kind::Precondition,
            E::LeaseUnknown => Kind::NotFound,
        };
        let reason = error.reason();
        let problem = Self::new(kind, reason, error.to_string());
        match error {
            E::Invalid { violations } => Self { reason, ..Self::invalid(violations) },
            E::TooOften { wait, .. } => problem.retry_after(wait),
            E::TooManyInstances { .. } => problem.retry_after(Duration::from_secs(30)),
            E::NotKept { .. } | E::Stopping => problem.retry_after(Duration::from_secs(1)),
            E::Contract(_)
            | E::Protocol { .. }
            | E::NotRelayed
            | E::TooManySlots
            | E::NotLocal
            | E::EndpointNotAllowed { .. }
            | E::NamespaceNotAllowed { .. }
            | E::NotYourName { .. }
            | E::InstanceTaken { .. }
            | E::LeaseUnknown => problem,
        }
    }
}

impl Problem {
    /// A method that this version does not serve yet.
    #[must_use]
    pub fn later(what: &str) -> Self {
        Self::new(Kind::Unimplemented, "NOT_YET", what)
    }
}

impl From<store::Kind> for Kind {
    fn from(kind: store::Kind) -> Self {
        match kind {
            store::Kind::NotFound => Self::NotFound,
            store::Kind::OutOfRange => Self::OutOfRange,
            store::Kind::Conflict => Self::Conflict,
            store::Kind::Unavailable => Self::Unavailable,
            store::Kind::Internal => Self::Internal,
        }
    }
}

impl From<&journal::Error> for Problem {
    fn from(error: &journal::Error) -> Self {
        use journal::Error as E;
        let kind = Kind::from(error.kind());
        match error {
            E::NotFound { id } => Self::not_found("agentd.v1.Investigation", &id.resource()),
            E::OutOfRange { oldest, newest, .. } => {
                Self::new(kind, "SEQUENCE_OUT_OF_RANGE", error.to_string())
                    .with("oldest", oldest)
                    .with("newest", newest)
            }
            E::RequestReused { id } => Self::new(kind, "REQUEST_ID_REUSED", error.to_string())
                .with("investigation", id.resource()),
            E::Lost { source } => {
                let said = format!("{error}: {source}");
                Self::new(Kind::Unavailable, "JOURNAL_LOST", said)
                    .retry_after(Duration::from_secs(5))
            }
            E::Closed => {
                Self::new(kind, "STOPPING", error.to_string()).retry_after(Duration::from_secs(1))
            }
            E::Store(_) | E::Refused(_) | E::NotStarted { .. } | E::Undecodable { .. } => {
                Self::new(kind, "JOURNAL", error.to_string())
            }
        }
    }
}

impl From<&memory::Error> for Problem {
    fn from(error: &memory::Error) -> Self {
        use memory::Error as E;
        match error {
            E::Journal { source } => Self::from(source.as_ref()),
            E::NotFinished { id } => {
                let said = format!("{} has not ended; judge it when it has", id.resource());
                Self::new(Kind::Precondition, "NOT_FINISHED", said)
                    .with("investigation", id.resource())
            }
            E::NoReport { id } => Self::new(Kind::Precondition, "NO_REPORT", error.to_string())
                .with("investigation", id.resource()),
            E::Store { .. } => Self::new(Kind::from(error.kind()), "MEMORY", error.to_string()),
            E::Closed => Self::new(Kind::Unavailable, "STOPPING", error.to_string())
                .retry_after(Duration::from_secs(1)),
        }
    }
}

impl From<&engine::Error> for Problem {
    fn from(error: &engine::Error) -> Self {
        match error {
            engine::Error::Journal(error) => Self::from(error),
            engine::Error::Memory(error) => Self::from(error),
            engine::Error::Cause(error) => Self::invalid(vec![Violation {
                field: "actual_root_cause".to_owned(),
                description: error.to_string(),
                reason: "MALFORMED".to_owned(),
            }]),
            engine::Error::Stopping => Self::new(Kind::Unavailable, "STOPPING", error.to_string())
                .retry_after(Duration::from_secs(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn violation(at: usize, size: usize) -> Violation {
        Violation {
            field: format!("tools[{at}]"),
            description: "x".repeat(size),
            reason: "BAD".to_owned(),
        }
    }

    #[test]
    fn a_status_carries_reason_violations_resource_and_when_to_come_back() {
        let mut problem = Problem::invalid(vec![violation(0, 5), violation(1, 5)])
            .retry_after(Duration::from_secs(2))
            .with("oldest", 7);
        problem.resource = Some(("tool", "tools/a.b".to_owned()));
        let status = Status::from(problem);
        assert_eq!(status.code(), Code::InvalidArgument);
        let info = status.get_details_error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("INVALID_REQUEST", "agentd"));
        assert_eq!(info.metadata["oldest"], "7");
        assert_eq!(status.get_details_bad_request().unwrap().field_violations.len(), 2);
        assert_eq!(status.get_details_resource_info().unwrap().resource_name, "tools/a.b");
        let wait = status.get_details_retry_info().unwrap().retry_delay;
        assert_eq!(wait, Some(Duration::from_secs(2)));
    }

    #[test]
    fn details_stay_within_their_bound_and_tell_how_many_are_hidden() {
        let many = (0..500).map(|at| violation(at, 9000)).collect();
        let status = Status::from(Problem::invalid(many).with("long", "y".repeat(9000)));
        assert!(status.message().len() <= MAX_MESSAGE);
        assert!(status.details().len() <= MAX_DETAILS, "{}", status.details().len());
        let shown = status.get_details_bad_request().unwrap().field_violations;
        assert!(shown.last().unwrap().description.contains("more"), "{shown:?}");
        assert!(status.get_details_error_info().is_some());
    }

    #[test]
    fn a_message_of_many_words_leaves_room_for_why_and_when_to_come_back() {
        let problem = Problem::new(Kind::Exhausted, "TOO_MUCH", "and more ".repeat(2500));
        let status = Status::from(problem.retry_after(Duration::from_secs(3)));
        // Beyond some 11 kB in all it would arrive without any of this.
        assert!(status.message().len() <= MAX_MESSAGE, "{} bytes", status.message().len());
        assert_eq!(status.get_details_error_info().unwrap().reason, "TOO_MUCH");
        let wait = status.get_details_retry_info().unwrap().retry_delay;
        assert_eq!(wait, Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_judgement_that_cannot_be_kept_is_told_by_what_is_in_its_way() {
        use crate::{investigation::InvestigationId, memory::Error as E};
        let id = InvestigationId(uuid::Uuid::from_u128(7));
        let unknown = std::sync::Arc::new(journal::Error::NotFound { id });
        for (error, code, reason) in [
            (E::Journal { source: unknown }, Code::NotFound, "NOT_FOUND"),
            (E::NotFinished { id }, Code::FailedPrecondition, "NOT_FINISHED"),
            (E::NoReport { id }, Code::FailedPrecondition, "NO_REPORT"),
            (E::Closed, Code::Unavailable, "STOPPING"),
        ] {
            let status = Status::from(Problem::from(&error));
            assert_eq!(status.code(), code, "{reason}");
            assert_eq!(status.get_details_error_info().unwrap().reason, reason);
        }
    }

    #[test]
    fn every_refusal_of_the_registry_has_its_code_and_reason() {
        use registry::Error as E;
        for (error, code, reason) in [
            (E::Invalid { violations: vec![] }, Code::InvalidArgument, "INVALID_REGISTRATION"),
            (
                E::Protocol { plugin: "a".to_owned(), low: 3, high: 3 },
                Code::FailedPrecondition,
                "PROTOCOL_MISMATCH",
            ),
            (E::NotRelayed, Code::FailedPrecondition, "NOT_RELAYED"),
            (E::TooManySlots, Code::ResourceExhausted, "TOO_MANY_SLOTS"),
            (E::NotLocal, Code::PermissionDenied, "PEER_NOT_LOCAL"),
            (E::LeaseUnknown, Code::NotFound, "LEASE_UNKNOWN"),
            (
                E::InstanceTaken { instance_id: "i".to_owned() },
                Code::AlreadyExists,
                "INSTANCE_TAKEN",
            ),
        ] {
            let status = Status::from(Problem::from(error));
            assert_eq!(status.code(), code, "{reason}");
            assert_eq!(status.get_details_error_info().unwrap().reason, reason);
        }
    }
}
