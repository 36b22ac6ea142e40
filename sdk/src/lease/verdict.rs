//! What agentd's answer to Register means: go on with what was accepted, or stop and say why and
//! how to mend it. Decided on codes and typed details, never on text.

use std::time::Duration;

use agent_proto::tool::v1::{RegisterResponse, ToolVerdict};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::error::Error;

/// The one revision of the contract that this SDK speaks.
pub(crate) const PROTOCOL: i32 = 1;

/// Logs every rejection and warning.
///
/// # Errors
/// When nothing is left to serve, or agentd chose a revision this SDK does not speak.
pub(crate) fn check(response: &RegisterResponse, url: &str) -> Result<(), Error> {
    if !matches!(response.protocol, 0 | PROTOCOL) {
        return Err(Error::Refused {
            url: url.to_owned(),
            reason: format!(
                "it chose revision {} of agentd.tool.v1, this plugin speaks {PROTOCOL}",
                response.protocol
            ),
            remedy: "build the plugin with a newer agent-sdk or use an older agentd".to_owned(),
        });
    }
    let (mut accepted, mut rejections) = (0, Vec::new());
    advise(&response.warnings);
    for verdict in &response.verdicts {
        let tool = verdict.tool.as_ref().map_or("", |tool| tool.tool.as_str());
        for warning in &verdict.warnings {
            tracing::warn!(tool, warning, "agentd has advice on a tool");
        }
        if verdict.accepted {
            accepted += 1;
        } else if verdict.quarantined {
            accepted += 1;
            tracing::warn!(tool, "a person must accept this tool before it is called");
        } else {
            rejections.push(format!("{tool}: {}", rejection(verdict)));
        }
    }
    if accepted == 0 && !rejections.is_empty() {
        return Err(Error::NoToolAccepted { url: url.to_owned(), rejections });
    }
    for rejected in rejections {
        tracing::error!(rejected, "agentd rejected a tool; the others are served");
    }
    Ok(())
}

/// Logs what agentd advises: on signals and causes, and on what keeps it from calling.
pub(crate) fn advise(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!(warning, "agentd has advice");
    }
}

fn rejection(verdict: &ToolVerdict) -> String {
    let Some(failure) = &verdict.rejection else { return "no reason given".to_owned() };
    let mut why = format!("{} {}", failure.reason, failure.message);
    for violation in &failure.violations {
        add(&mut why, &violation.field, &violation.description);
    }
    why
}

/// Adds a wrong field, unless the words so far tell of it already.
fn add(why: &mut String, field: &str, description: &str) {
    let wrong = format!("{field}: {description}");
    if !why.contains(&wrong) {
        why.push_str(&format!("; {wrong}"));
    }
}

/// The error to stop with, or nothing when trying again may help.
pub(crate) fn refusal(status: &Status, url: &str) -> Option<Error> {
    let remedy = match status.code() {
        Code::PermissionDenied | Code::Unauthenticated => {
            "give the plugin a registration token for its name in AGENTD_PLUGIN_TOKEN or \
             AGENTD_PLUGIN_TOKEN_FILE, or register under another name"
        }
        Code::FailedPrecondition => {
            "use an agentd and an agent-sdk that speak the same revision of agentd.tool.v1"
        }
        Code::InvalidArgument => "mend what it names, in the plugin or in its settings",
        Code::AlreadyExists => {
            "raise the version of what was changed, or stop the plugin that holds the name"
        }
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => return None,
    };
    Some(Error::Refused { url: url.to_owned(), reason: reason(status), remedy: remedy.to_owned() })
}

/// Why it is tried again, with what to look at where only a wrong address can be meant.
pub(super) fn why(status: &Status) -> String {
    let mut why = status.message().to_owned();
    if status.code() == Code::Unimplemented {
        why.push_str(
            "; nobody takes plugins there: AGENTD_URL is the gRPC address, not the HTTP one",
        );
    }
    why
}

/// agentd's words with its typed details: the reason for machines and each wrong field.
fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let mut reason = match details.error_info() {
        Some(detail) => format!("{} ({:?}, {})", status.message(), status.code(), detail.reason),
        None => format!("{} ({:?})", status.message(), status.code()),
    };
    for violation in details.bad_request().map_or(&[][..], |bad| &bad.field_violations) {
        add(&mut reason, &violation.field, &violation.description);
    }
    reason
}

/// Codes that say the lease is gone, or is not ours any more: Register decides what to do.
pub(super) fn is_lease_lost(code: Code) -> bool {
    matches!(
        code,
        Code::NotFound | Code::FailedPrecondition | Code::PermissionDenied | Code::Unauthenticated
    )
}

/// A length of time that was given; none or zero is none.
pub(super) fn span(duration: Option<prost_types::Duration>) -> Option<Duration> {
    duration.and_then(|d| Duration::try_from(d).ok()).filter(|d| !d.is_zero())
}
