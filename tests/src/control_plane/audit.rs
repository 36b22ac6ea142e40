//! What the apiserver was asked, by whom and with which result: its own audit log, the oracle of
//! who only reads.

use std::fs;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::ControlPlane;

/// Name of the log in the cluster's folder.
pub(super) const FILE: &str = "audit.log";

/// One request that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Who asked, such as `system:serviceaccount:agentd:pods`.
    pub user: String,
    /// What for: `get`, `list`, `watch`, `create`, …
    pub verb: String,
    /// Of what, such as `pods`; empty for paths that are no resource.
    pub resource: String,
    /// Which part of it, such as `log`; empty for the whole.
    pub subresource: String,
    /// Where; empty for the whole cluster.
    pub namespace: String,
    /// Which one; empty for all.
    pub name: String,
    /// Status of the answer.
    pub code: u16,
    /// The path and query that was asked.
    pub uri: String,
}

/// A place in the log.
#[derive(Debug, Clone, Copy)]
pub struct Mark(usize);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    verb: String,
    user: User,
    #[serde(rename = "requestURI")]
    uri: String,
    #[serde(default)]
    object_ref: Object,
    #[serde(default)]
    response_status: Status,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Object {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    code: u16,
}

// === impl ControlPlane ===

impl ControlPlane {
    /// The end of the audit log as it is now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn audit_mark(&self) -> Result<Mark> {
        Ok(Mark(self.audit_text()?.len()))
    }

    /// Everything that `user` asked since `mark`, oldest first. Long requests (watches, followed
    /// logs) are there when they have begun and again when they have ended.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn audit_since(&self, mark: Mark, user: &str) -> Result<Vec<Asked>> {
        let text = self.audit_text()?;
        let new = text.get(mark.0..).context("the audit log has become shorter")?;
        let mut asked = Vec::new();
        // A line that is being written is not there yet.
        for line in new.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let line: Line = serde_json::from_str(line).with_context(|| line.to_owned())?;
            if line.user.username == user {
                asked.push(line.into());
            }
        }
        Ok(asked)
    }

    fn audit_text(&self) -> Result<String> {
        fs::read_to_string(self.file(FILE)).context("cannot read the audit log")
    }
}

// === impl Asked ===

impl From<Line> for Asked {
    fn from(line: Line) -> Self {
        Self {
            user: line.user.username,
            verb: line.verb,
            resource: line.object_ref.resource,
            subresource: line.object_ref.subresource,
            namespace: line.object_ref.namespace,
            name: line.object_ref.name,
            code: line.response_status.code,
            uri: line.uri,
        }
    }
}
