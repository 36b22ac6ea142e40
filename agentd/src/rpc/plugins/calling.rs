//! `CallTool`: one call by hand, through the same guards as any other. What the policy would ask a
//! person about is refused here: a call by hand is no way around it.

use std::time::Duration;

use agent_proto::{tool::v1 as tool, v1 as pb};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Plugins, Problem};
use crate::{
    plugin::{CallCx, wire},
    tool::{Call, Violation},
};

/// One call by hand at most, retries included.
const LONGEST: Duration = Duration::from_secs(120);

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
    pub(super) async fn call(
        &self,
        request: pb::CallToolRequest,
    ) -> Result<pb::CallToolResponse, Problem> {
        let (plugin, name) = name_of(&request.name)?;
        let arguments = arguments(&request)?;
        let specs = self.tools.specs();
        let spec = specs.iter().find(|spec| spec.id.plugin == plugin && spec.id.tool == name);
        let spec = spec.ok_or_else(|| Problem::not_found("tool", &request.name))?;
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
            principal: String::new(),
            environment: String::new(),
        };
        let drain = async { while heard.recv().await.is_some() {} };
        let (outcome, ()) = tokio::join!(self.tools.call(cleared, cx), drain);
        Ok(match outcome {
            Ok(output) => {
                pb::CallToolResponse { result: Some(wire::result_to(&output)), failure: None }
            }
            Err(failure) => failed(wire::failure_to(&failure)),
        })
    }
}

fn failed(failure: tool::Failure) -> pb::CallToolResponse {
    pb::CallToolResponse { result: None, failure: Some(failure) }
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
