//! Reads a bare gRPC status, one that came instead of a failure in band. A status that gRPC never
//! makes by itself and that does not carry the plugin's own details is a leak of something behind
//! the plugin: it is told as a defect, and never becomes evidence such as "pod does not exist".

use std::error::Error as _;

use tonic::{Code, ConnectError, Status};
use tonic_types::StatusExt as _;

use super::{attempt::Fault, relay::NotSent, stack::TOO_LARGE};
use crate::tool::{Effects, Failure, FailureClass, SideEffect, ToolSpec, Violation};

/// Reason of attempts at an instance that no connection could be made to.
pub(crate) const CONNECT_FAILED: &str = "CONNECT_FAILED";

/// Reason of calls to a descriptor that an instance does not know, or not yet.
pub(crate) const MISMATCH: &str = "DESCRIPTOR_MISMATCH";

/// What `status` means when it ends a call to the tool of `spec`.
pub(crate) fn read(status: &Status, spec: &ToolSpec) -> Fault {
    let mut fault = told(status, spec).unwrap_or_else(|| bare(status, spec));
    let failure = &mut fault.failure;
    let untouched = never_sent(status) || never_taken(status);
    if spec.side_effect == SideEffect::ReadOnly || untouched {
        failure.effects = Effects::None;
    }
    fault
}

/// A refusal that the plugin itself explains with details of its own domain.
fn told(status: &Status, spec: &ToolSpec) -> Option<Fault> {
    let info = status.get_details_error_info()?;
    if info.domain != spec.id.plugin && info.domain != "agentd" {
        return None;
    }
    let class = class_of(status.code())?;
    let mut failure = Failure::ours(class, &info.reason, status.message());
    failure.code = i32::from(status.code());
    failure.domain = info.domain;
    failure.metadata = info.metadata.into_iter().collect();
    failure.retry_after = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
    if let Some(resource) = status.get_details_resource_info() {
        failure.resource = resource.resource_name;
    }
    if let Some(request) = status.get_details_bad_request() {
        failure.violations = request
            .field_violations
            .into_iter()
            .map(|wrong| Violation {
                field: wrong.field,
                description: wrong.description,
                reason: String::new(),
            })
            .collect();
    }
    failure.effects = Effects::Maybe;
    Some(Fault::sent(failure))
}

/// A status without such details.
fn bare(status: &Status, spec: &ToolSpec) -> Fault {
    use FailureClass as C;
    let (class, reason, what) = match status.code() {
        _ if never_sent(status) => (C::Transient, CONNECT_FAILED, "cannot be reached"),
        _ if never_taken(status) => (C::Transient, "NOT_TAKEN", "did not take the call"),
        Code::Unavailable => (C::Transient, "UNAVAILABLE", "is unavailable"),
        // Made on this side, from a broken connection.
        Code::Internal | Code::Unknown if status.source().is_some() => {
            (C::Transient, "CONNECTION_LOST", "lost the connection")
        }
        // Nobody here withdrew it: a server that is going away does this.
        Code::Cancelled => (C::Transient, "STREAM_RESET", "broke the call off"),
        Code::DeadlineExceeded => (C::Timeout, "PLUGIN_TIMED_OUT", "ran out of time"),
        Code::ResourceExhausted => (C::RateLimited, "PLUGIN_BUSY", "takes no more calls for now"),
        Code::OutOfRange => (C::Bug, TOO_LARGE, "sent a message beyond the limit"),
        Code::Unimplemented => (C::Config, "UNIMPLEMENTED", "does not serve calls"),
        Code::Internal | Code::Unknown => {
            (C::Bug, "PLUGIN_CRASHED", "raised or crashed; its own log has more")
        }
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::DataLoss
        | Code::Unauthenticated => {
            let said =
                "ended a call by a status that may be another's; send a Failure as the last update";
            (C::Bug, "LEAKED_STATUS", said)
        }
    };
    let why = cause(status).unwrap_or_else(|| status.message().to_owned());
    let said =
        format!("plugin {} {what}: {} ({:?})", spec.id.plugin, first_line(&why), status.code());
    let mut failure = Failure::ours(class, reason, said);
    failure.effects = Effects::Maybe;
    if status.source().is_some() { Fault::broken(failure) } else { Fault::sent(failure) }
}

/// What broke a connection on this side, in the words of whoever knows most: of TLS, or the system.
pub(crate) fn cause(status: &Status) -> Option<String> {
    let mut deepest = status.source()?;
    while let Some(below) = deepest.source() {
        deepest = below;
    }
    Some(deepest.to_string())
}

/// No connection came about, as another call found out that waited for the same one.
pub(crate) fn unreached(spec: &ToolSpec) -> Fault {
    let said = format!("plugin {} cannot be reached", spec.id.plugin);
    Fault::broken(Failure::ours(FailureClass::Transient, CONNECT_FAILED, said))
}

/// No slot of an instance behind the relay came free.
pub(crate) fn no_slot(spec: &ToolSpec) -> Fault {
    let said = format!("plugin {} has no slot parked at the relay", spec.id.plugin);
    Fault::broken(Failure::ours(FailureClass::Transient, CONNECT_FAILED, said))
}

/// The class that a code stands for (PROTOCOL 4.9).
fn class_of(code: Code) -> Option<FailureClass> {
    use FailureClass as C;
    Some(match code {
        Code::Ok => return None,
        Code::Unavailable | Code::Aborted => C::Transient,
        Code::ResourceExhausted => C::RateLimited,
        Code::InvalidArgument | Code::OutOfRange | Code::AlreadyExists => C::InvalidArgument,
        Code::NotFound => C::NotFound,
        Code::PermissionDenied | Code::Unauthenticated => C::Permission,
        Code::FailedPrecondition | Code::Unimplemented => C::Config,
        Code::Internal | Code::Unknown | Code::DataLoss => C::Bug,
        Code::DeadlineExceeded => C::Timeout,
        Code::Cancelled => C::Cancelled,
    })
}

/// Whether the connection failed, so that the request never left.
fn never_sent(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether HTTP/2 itself says that the request was not processed: a stream that was refused, one that
/// a server which is leaving did not look at any more, or a request that was still waiting when the
/// connection closed (RFC 9113, 5.4 and 8.7).
fn never_taken(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        let refused = error.downcast_ref::<h2::Error>().is_some_and(|error| {
            let left = error.is_go_away() && error.is_remote();
            error.reason() == Some(h2::Reason::REFUSED_STREAM)
                || (left && error.reason() == Some(h2::Reason::NO_ERROR))
        });
        let refused = refused || error.is::<NotSent>();
        if refused || error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::{collections::HashMap, time::Duration};

    use tonic_types::ErrorDetails;

    use super::*;
    use crate::guard::policy::tests::spec;

    #[test]
    fn a_bare_status_is_read_by_who_can_have_made_it() {
        use FailureClass as C;
        let tool = spec("look", SideEffect::Reversible);
        for (code, class, reason) in [
            (Code::Unavailable, C::Transient, "UNAVAILABLE"),
            (Code::Cancelled, C::Transient, "STREAM_RESET"),
            (Code::DeadlineExceeded, C::Timeout, "PLUGIN_TIMED_OUT"),
            (Code::ResourceExhausted, C::RateLimited, "PLUGIN_BUSY"),
            (Code::OutOfRange, C::Bug, "RESULT_TOO_LARGE"),
            (Code::Unimplemented, C::Config, "UNIMPLEMENTED"),
            (Code::Unknown, C::Bug, "PLUGIN_CRASHED"),
            (Code::NotFound, C::Bug, "LEAKED_STATUS"),
            (Code::InvalidArgument, C::Bug, "LEAKED_STATUS"),
            (Code::PermissionDenied, C::Bug, "LEAKED_STATUS"),
        ] {
            let fault = read(&Status::new(code, "pods \"a\" not found"), &tool);
            assert_eq!((fault.failure.class, fault.failure.reason.as_str()), (class, reason));
            assert_eq!(fault.failure.effects, Effects::Maybe, "{code:?}");
            assert!(fault.sent);
        }
        let reads = read(&Status::unavailable("x"), &spec("look", SideEffect::ReadOnly));
        assert_eq!(reads.failure.effects, Effects::None);
    }

    #[test]
    fn details_of_the_plugins_own_domain_are_believed_and_those_of_others_are_not() {
        let status = |domain: &str| {
            let mut details = ErrorDetails::with_error_info("POD_UNKNOWN", domain, HashMap::new());
            details.set_retry_info(Some(Duration::from_secs(3)));
            details.set_resource_info("Pod", "a-1", "", "");
            Status::with_error_details(Code::NotFound, "no such pod", details)
        };
        let tool = spec("look", SideEffect::ReadOnly);
        let own = read(&status("probe"), &tool).failure;
        assert_eq!((own.class, own.reason.as_str()), (FailureClass::NotFound, "POD_UNKNOWN"));
        assert_eq!((own.retry_after, own.resource.as_str()), (Some(Duration::from_secs(3)), "a-1"));
        use tonic_types::StatusExt as _;
        let leaked = read(&status("googleapis.com"), &tool).failure;
        assert_eq!((leaked.class, leaked.reason.as_str()), (FailureClass::Bug, "LEAKED_STATUS"));
    }
}
