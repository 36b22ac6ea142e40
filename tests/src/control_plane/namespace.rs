//! A namespace of a test's own in a cluster that others use, too, and what is looked at in it.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{ControlPlane, SOON};
use crate::{
    wait::wait_until,
    web::{Answer, Web},
};

/// How long what the kubelet does may take to be seen: it backs off, and looks once a second.
pub const VISIBLE: Duration = Duration::from_secs(60);

/// A namespace.
#[derive(Debug)]
pub struct Namespace<'a> {
    plane: &'a ControlPlane,
    api: Web,
    name: String,
}

// === impl ControlPlane ===

impl ControlPlane {
    /// Makes a namespace whose name begins with `prefix`, and waits until pods can be made in it.
    ///
    /// # Errors
    /// When it does not become usable.
    pub async fn namespace(&self, prefix: &str) -> Result<Namespace<'_>> {
        static MADE: AtomicU32 = AtomicU32::new(1);
        let name = format!("{prefix}-{}", MADE.fetch_add(1, Ordering::Relaxed));
        let api = self.api()?;
        let wanted =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        api.post("/api/v1/namespaces", &wanted).await?.good()?;
        let namespace = Namespace { plane: self, api, name };
        let account = namespace.path("serviceaccounts/default");
        wait_until("the default service account", SOON, async || {
            let answer = namespace.api.get(&account).await.map_err(|error| format!("{error:#}"))?;
            answer.good().map(drop).map_err(|error| format!("{error:#}"))
        })
        .await?;
        Ok(namespace)
    }
}

// === impl Namespace ===

impl Namespace<'_> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cluster that it is in.
    #[must_use]
    pub fn plane(&self) -> &ControlPlane {
        self.plane
    }

    /// The apiserver, asked as the administrator.
    #[must_use]
    pub fn api(&self) -> &Web {
        &self.api
    }

    /// Applies `manifest` with `NAMESPACE` in it replaced by the name.
    ///
    /// # Errors
    /// When the apiserver refuses any of it.
    pub async fn apply(&self, manifest: &str) -> Result<()> {
        self.plane.apply(&manifest.replace("NAMESPACE", &self.name)).await
    }

    /// Path of something of the core group in here, such as `pods`.
    #[must_use]
    pub fn path(&self, of: &str) -> String {
        format!("/api/v1/namespaces/{}/{of}", self.name)
    }

    /// An object or list of the core group in here.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn get(&self, of: &str) -> Result<Value> {
        self.api.get(&self.path(of)).await?.good()
    }

    /// Pods whose name begins with `prefix`.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn pods(&self, prefix: &str) -> Result<Vec<Value>> {
        let mut pods = items(self.get("pods").await?);
        pods.retain(|pod| name_of(pod).starts_with(prefix));
        Ok(pods)
    }

    /// Waits until a pod whose name begins with `prefix` is as `wanted` says, and gives it.
    ///
    /// # Errors
    /// When none is within [`VISIBLE`], with what was seen.
    pub async fn pod(
        &self,
        prefix: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        wait_until(&format!("a pod {prefix}… {what}"), VISIBLE, async || {
            let pods = self.pods(prefix).await.map_err(|error| format!("{error:#}"))?;
            let seen: Vec<String> = pods.iter().map(|pod| at(pod, "/status").to_string()).collect();
            pods.into_iter().find(&wanted).ok_or_else(|| format!("{seen:?}"))
        })
        .await
    }

    /// Waits until the first container of such a pod waits for this reason, and gives the pod.
    ///
    /// # Errors
    /// As [`Self::pod`].
    pub async fn waiting(&self, prefix: &str, reason: &str) -> Result<Value> {
        self.pod(prefix, reason, |pod| at(container(pod), "/state/waiting/reason") == reason).await
    }

    /// Waits until an event about an object whose name begins with `prefix` has `reason` and
    /// contains `text`, and gives it.
    ///
    /// # Errors
    /// When none has within [`VISIBLE`], with what was seen.
    pub async fn event(&self, prefix: &str, reason: &str, text: &str) -> Result<Value> {
        wait_until(
            &format!("an event {reason} of {prefix}… with {text:?}"),
            VISIBLE,
            async || {
                let events = self.get("events").await.map_err(|error| format!("{error:#}"))?;
                let mut events = items(events);
                events.retain(|event| {
                    at(event, "/involvedObject/name")
                        .as_str()
                        .unwrap_or_default()
                        .starts_with(prefix)
                });
                let seen: Vec<String> = events
                    .iter()
                    .map(|event| format!("{}: {}", at(event, "/reason"), at(event, "/message")))
                    .collect();
                let found = events.into_iter().find(|event| {
                    at(event, "/reason") == reason
                        && at(event, "/message").as_str().unwrap_or_default().contains(text)
                });
                found.ok_or_else(|| format!("{seen:?}"))
            },
        )
        .await
    }

    /// The log of a pod; `query` such as `previous=true&tailLines=10`.
    ///
    /// # Errors
    /// When there is no answer; a refusal is one.
    pub async fn pod_log(&self, pod: &str, query: &str) -> Result<Answer> {
        self.api.get(&self.path(&format!("pods/{pod}/log?{query}"))).await
    }

    /// Runs `kubectl` in here as the administrator, and gives what it printed.
    ///
    /// # Errors
    /// When it fails.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let kubeconfig = self.plane.kubeconfig_admin()?;
        let all = [&["--namespace", self.name.as_str()], arguments].concat();
        let ended = self.plane.kubectl(&kubeconfig, &all).await?;
        ensure!(ended.status.success(), "kubectl {arguments:?}: {}", ended.stderr);
        Ok(ended.stdout)
    }
}

/// Status of the first container of a pod; null while there is none.
#[must_use]
pub fn container(pod: &Value) -> &Value {
    at(pod, "/status/containerStatuses/0")
}

/// Name of an object.
#[must_use]
pub fn name_of(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

/// The items of a list.
#[must_use]
pub fn items(list: Value) -> Vec<Value> {
    match list {
        Value::Object(mut fields) => match fields.remove("items") {
            Some(Value::Array(items)) => items,
            Some(_) | None => Vec::new(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Vec::new()
        }
    }
}

/// What is at `pointer`; null when nothing is.
#[must_use]
pub fn at<'a>(object: &'a Value, pointer: &str) -> &'a Value {
    object.pointer(pointer).unwrap_or(&Value::Null)
}

/// Reads a value or says what is missing.
///
/// # Errors
/// When there is none at `pointer`, or it is no text.
pub fn text<'a>(object: &'a Value, pointer: &str) -> Result<&'a str> {
    let found = object.pointer(pointer).and_then(Value::as_str);
    found.with_context(|| format!("no text at {pointer} of {object}"))
}
