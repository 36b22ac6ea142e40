//! What is asked of a plugin on a stage: its tools, arguments that fit them, requests, and the state
//! of the world behind it.

use agent_proto::tool::v1::{CallContext, CallLimits, CallMode, SideEffect, ToolDescriptor};
use serde_json::Value;

use super::{CALL, Stage};
use crate::{
    agentd::tool_ref,
    fixtures::{Arguments, Probe},
    later::CallRequest,
    schema::Schema,
    verdict::{Stop, cut, skip},
};

impl Stage {
    pub(crate) fn tool(&self, name: &str) -> Result<&ToolDescriptor, Stop> {
        match self.catalog.tools.iter().find(|tool| tool.name == name) {
            Some(tool) => Ok(tool),
            None => skip(format!("fixtures name the tool {name}, which the catalog has not")),
        }
    }

    pub(crate) fn read_only(&self) -> impl Iterator<Item = &ToolDescriptor> {
        self.catalog.tools.iter().filter(|tool| tool.side_effect() == SideEffect::ReadOnly)
    }

    /// Tools that change something.
    pub(crate) fn changing(&self) -> impl Iterator<Item = &ToolDescriptor> {
        self.catalog.tools.iter().filter(|tool| tool.side_effect() != SideEffect::ReadOnly)
    }

    /// The examples of one tool, or what the fixtures put in their place.
    pub(crate) fn examples(&self, tool: &ToolDescriptor) -> Vec<Arguments> {
        let told =
            self.fixtures().tools.get(&tool.name).and_then(|fixture| fixture.examples.clone());
        let read = |json: &str| serde_json::from_str(json).ok();
        told.unwrap_or_else(|| {
            tool.examples.iter().filter_map(|example| read(&example.arguments_json)).collect()
        })
    }

    /// Valid arguments of one tool: its examples, those of the fixtures, or made from the schema.
    pub(crate) fn good(&self, tool: &ToolDescriptor) -> Vec<Arguments> {
        let mut good = self.examples(tool);
        if let Some(fixture) = self.fixtures().tools.get(&tool.name) {
            good.extend(fixture.calls.iter().cloned());
        }
        if good.is_empty()
            && let Ok(schema) = Schema::of_arguments(&tool.input_schema_json)
        {
            good.extend(schema.made());
        }
        good
    }

    /// Calls of read-only tools that are harmless, a few for each tool.
    pub(crate) fn harmless(&self) -> Vec<CallRequest> {
        let calls = self.read_only().flat_map(|tool| {
            self.good(tool).into_iter().take(4).map(|arguments| self.ask(tool, &arguments))
        });
        calls.collect()
    }

    /// A request to act.
    pub(crate) fn ask(&self, tool: &ToolDescriptor, arguments: &Arguments) -> CallRequest {
        let mut reference = tool_ref(&self.catalog.plugin, tool);
        if self.agentd.is_none() {
            // Nobody registered, so the plugin learnt no digest.
            reference.digest.clear();
            reference.version.clear();
        }
        CallRequest {
            call_id: uuid::Uuid::new_v4().to_string(),
            tool: Some(reference),
            arguments_json: Value::Object(arguments.clone()).to_string(),
            mode: CallMode::Execute.into(),
            idempotency_key: uuid::Uuid::new_v4().to_string(),
            attempt: 1,
            limits: Some(CallLimits { timeout: CALL.try_into().ok(), ..CallLimits::default() }),
            context: Some(CallContext {
                principal: "plugin-check".to_owned(),
                ..CallContext::default()
            }),
            ..CallRequest::default()
        }
    }

    /// The call that fixtures say runs long.
    pub(crate) fn slow(&self) -> Result<CallRequest, Stop> {
        let Some((name, arguments)) = self.fixtures().first(|tool| tool.slow.as_ref()) else {
            return skip(
                "needs fixtures: tools.NAME.slow, arguments of a call that runs for 10 s or longer",
            );
        };
        Ok(self.ask(self.tool(name)?, arguments))
    }

    /// Reads the state of the world behind the plugin.
    pub(crate) async fn state(&self) -> Result<Value, Stop> {
        match &self.fixtures().state {
            None => skip("needs fixtures: state, where the state behind the plugin is read"),
            Some(Probe::Command { command }) => {
                let Some((program, arguments)) = command.split_first() else {
                    return skip("fixtures: state.command is empty");
                };
                let ran = tokio::process::Command::new(program).args(arguments).output().await;
                match ran {
                    Ok(output) if output.status.success() => {
                        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                        Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
                    }
                    Ok(output) => {
                        skip(format!("fixtures: state.command ended with {}", output.status))
                    }
                    Err(fault) => skip(format!("fixtures: state.command: {fault}")),
                }
            }
            Some(Probe::Tool { tool, arguments, at }) => {
                let seen = self.call(self.ask(self.tool(tool)?, arguments)).await;
                let read: Option<Value> = serde_json::from_str(&seen.json()).ok();
                match read.as_ref().and_then(|value| value.pointer(at)) {
                    Some(state) => Ok(state.clone()),
                    None => skip(format!(
                        "fixtures: state.tool answers nothing at {at:?}: {}",
                        cut(&seen.json(), 200)
                    )),
                }
            }
        }
    }
}
