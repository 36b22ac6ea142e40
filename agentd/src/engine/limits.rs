//! What bounds the calls of one run: its deadline, its withdrawal, and what of a call may be shown.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    investigation::Investigation,
    tool::{ToolRef, ToolSpec},
};

/// With less time left than this no question is begun: an answer could not be waited for.
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// What bounds the calls of one run, and what is said with them.
pub(super) struct Limits {
    /// When the run must be over.
    pub(super) deadline: Instant,
    /// Fires when it is withdrawn.
    pub(super) cancel: CancellationToken,
    /// Who asked.
    pub(super) principal: String,
    /// Environment of the alert.
    pub(super) environment: String,
    specs: Vec<Arc<ToolSpec>>,
}

impl Limits {
    /// The bounds of an investigation that began at `began`.
    pub(super) fn new(of: &Investigation, began: Instant, cancel: CancellationToken) -> Self {
        Self {
            deadline: began + of.bounds.max_duration,
            cancel,
            principal: of.principal.clone(),
            environment: of.alert.environment.clone(),
            specs: Vec::new(),
        }
    }

    /// Whether nothing more may be begun.
    pub(super) fn over(&self) -> bool {
        self.cancel.is_cancelled() || Instant::now() + LAST_MOMENT >= self.deadline
    }

    /// Arguments as they may be shown: sensitive ones masked.
    pub(super) fn mask(&self, tool: &ToolRef, arguments: &str) -> String {
        let sensitive = self.spec(tool).map_or(&[] as &[String], |s| &s.sensitive_arguments);
        if sensitive.is_empty() {
            return arguments.to_owned();
        }
        let Ok(mut object) =
            serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(arguments)
        else {
            return "{}".to_owned();
        };
        for name in sensitive {
            if let Some(value) = object.get_mut(name) {
                *value = "***".into();
            }
        }
        serde_json::Value::Object(object).to_string()
    }

    /// Signals a tool may give.
    pub(super) fn emits(&self, tool: &ToolRef) -> Vec<String> {
        let applies = self.spec(tool).map_or(&[] as &[_], |spec| &spec.applies);
        let all: BTreeSet<String> = applies.iter().flat_map(|a| a.emits.iter().cloned()).collect();
        all.into_iter().collect()
    }

    /// Takes over the tools that can be called in this round.
    pub(super) fn offer(&mut self, specs: &[Arc<ToolSpec>]) {
        self.specs = specs.to_vec();
    }

    /// The tools that can be called in this round.
    pub(super) fn offered(&self) -> &[Arc<ToolSpec>] {
        &self.specs
    }

    fn spec(&self, tool: &ToolRef) -> Option<&Arc<ToolSpec>> {
        self.specs.iter().find(|spec| spec.id == *tool)
    }
}
