//! `CallTool`: one call by hand, through the same guards as any other. What the policy would ask a
//! person about is refused here: a call by hand is no way around it.

use std::time::Duration;

use agent_proto::{tool::v1 as tool, v1 as pb};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Plugins, Problem};
use crate::{
    plugin::{CallCx, CallUpdate, wire},
    rpc::status::Kind,
    tool::{Call, Violation},
};

/// One call by hand at most, retries included.
const LONGEST: Duration = Duration::from_secs(120);

/// Lines of progress and of the log that are passed on.
const LINES: usize = 50;

/// Plugin and tool of a resource name.
pub(super) fn name_of(given: &str) -> Result<(&str, &str), Problem> {
    let bare = given.strip_prefix("tools/").unwrap_or(given);
    bare.split_once('.').ok_or_else(|| {
        Problem::invalid(vec![Violation {
            field: "name".to_owned(),
            description: "give \"tools/{plugin}.{tool}\"".to_owned(),
            reason: "BAD_NAME".to_owned(),
        }])
    })
}

// === impl Plugins ===

impl Plugins {
    /// Why a tool cannot be called: what stands in its way and the command that mends it, or that
    /// nobody offers it.
    fn uncallable(&self, (plugin, tool): (&str, &str), given: &str) -> Problem {
        let Some(mut found) = self.registry.in_the_way(plugin, tool) else {
            return Problem::not_found("tool", given);
        };
        // What it says of itself is in no call's way before there is anybody to call.
        let claims = ["NOT_READ_ONLY", "APPROVAL_REQUIRED"];
        found.retain(|one| !claims.contains(&one.reason.as_str()));
        let why: Vec<&str> = found.iter().map(|one| one.description.as_str()).collect();
        let why = if why.is_empty() { "it is coming or going".to_owned() } else { why.join("; ") };
        let name = format!("{plugin}.{tool}");
        // What a person decides comes with the command that does it.
        let has_command =
            |one: &Violation| ["QUARANTINED", "DISABLED"].contains(&one.reason.as_str());
        let more = if found.iter().any(has_command) {
            String::new()
        } else {
            format!("; see agentd tools why {name}")
        };
        let said = format!("{name} cannot be called now: {why}{more}");
        Problem::new(Kind::Precondition, "TOOL_NOT_CALLABLE", said)
            .with("tool", format!("tools/{name}"))
            .until(found)
    }

    pub(super) async fn call(
        &self,
        request: pb::CallToolRequest,
        principal: String,
    ) -> Result<pb::CallToolResponse, Problem> {
        let (plugin, name) = name_of(&request.name)?;
        let arguments = arguments(&request)?;
        let specs = self.tools.specs();
        let spec = specs.iter().find(|spec| spec.id.plugin == plugin && spec.id.tool == name);
        let spec = spec.ok_or_else(|| self.uncallable((plugin, name), &request.name))?;
        let call = Call {
            tool: spec.id.clone(),
            arguments,
            idempotency_key: Uuid::new_v4(),
            investigation: String::new(),
            step: String::new(),
            page_token: request.page_token.clone(),
        };
        let cleared = match self.policy.clear(call, spec) {
            Ok(cleared) => cleared,
            Err(refusal) => return Ok(failed(wire::failure_to(&refusal))),
        };
        let cancel = CancellationToken::new();
        // A caller who hangs up withdraws the call.
        let _withdrawn = cancel.clone().drop_guard();
        let (updates, mut heard) = mpsc::channel(32);
        let cx = CallCx {
            deadline: Instant::now() + LONGEST,
            cancel,
            updates,
            principal,
            environment: String::new(),
        };
        let listen = async {
            let mut lines = Vec::new();
            while let Some(update) = heard.recv().await {
                if let CallUpdate::Progressed { message, .. } = update
                    && !message.is_empty()
                    && lines.len() < LINES
                {
                    lines.push(message);
                }
            }
            lines
        };
        let (outcome, lines) = tokio::join!(self.tools.call(cleared, cx), listen);
        let answer = match outcome {
            Ok(output) => pb::CallToolResponse {
                result: Some(wire::result_to(&output)),
                ..pb::CallToolResponse::default()
            },
            Err(failure) => failed(wire::failure_to(&failure)),
        };
        Ok(pb::CallToolResponse { lines, ..answer })
    }
}

fn failed(failure: tool::Failure) -> pb::CallToolResponse {
    pb::CallToolResponse { failure: Some(failure), ..pb::CallToolResponse::default() }
}

/// The arguments as JSON text; none are an empty object.
fn arguments(request: &pb::CallToolRequest) -> Result<String, Problem> {
    let refused = |field: &str, description: String, reason: &str| {
        Problem::invalid(vec![Violation {
            field: field.to_owned(),
            description,
            reason: reason.to_owned(),
        }])
    };
    if request.mode() == tool::CallMode::DryRun {
        let says = "dry runs come with the tools that change something".to_owned();
        return Err(refused("mode", says, "UNSUPPORTED_MODE"));
    }
    let given = request.arguments_json.trim();
    if given.is_empty() {
        return Ok("{}".to_owned());
    }
    match serde_json::from_str::<serde_json::Value>(given) {
        Ok(serde_json::Value::Object(_)) => Ok(given.to_owned()),
        Ok(_) => {
            let says = "must be a JSON object, such as {\"namespace\":\"shop\"}".to_owned();
            Err(refused("arguments_json", says, "NOT_AN_OBJECT"))
        }
        Err(error) => Err(refused("arguments_json", format!("is not JSON: {error}"), "NOT_JSON")),
    }
}
