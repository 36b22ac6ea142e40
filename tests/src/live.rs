//! A daemon and the bundled plugins on a real cluster, each plugin with the service account and
//! the rights that `k8s/base/rights.yaml` gives it.

use std::{collections::BTreeSet, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{
    build,
    control_plane::ControlPlane,
    fleet::{BUNDLED, Fleet},
    tidy::tree,
};

/// Where the plugins live in a cluster.
pub const NAMESPACE: &str = "agentd";

/// The user that a plugin is to the API server.
#[must_use]
pub fn account(plugin: &str) -> String {
    format!("system:serviceaccount:{NAMESPACE}:plugin-{plugin}")
}

/// Gives the plugins their accounts and rights, in a cluster that may have them already.
///
/// # Errors
/// When the cluster does not take them.
pub async fn grant(plane: &ControlPlane) -> Result<()> {
    let admin = plane.kubeconfig_admin()?;
    let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {NAMESPACE} }}\n");
    plane.apply(&namespace).await?;
    let rights = tree::root().join("k8s/base/rights.yaml");
    let file = rights.to_str().context("a path that is text")?;
    let arguments = ["--namespace", NAMESPACE, "apply", "--server-side", "-f", file];
    let ended = plane.kubectl(&admin, &arguments).await?;
    anyhow::ensure!(ended.status.success(), "kubectl apply {file}: {}", ended.stderr);
    Ok(())
}

/// What a plugin may read, as its ClusterRole in the cluster says: `pods`, `pods/log`.
///
/// # Errors
/// When there is no such role.
pub async fn granted(plane: &ControlPlane, plugin: &str) -> Result<BTreeSet<String>> {
    let path = format!("/apis/rbac.authorization.k8s.io/v1/clusterroles/agentd-plugin-{plugin}");
    let role = plane.api()?.get(&path).await?.good()?;
    let rules = role.get("rules").and_then(Value::as_array).context("a role without rules")?;
    let resources = rules.iter().filter_map(|rule| rule.get("resources")?.as_array());
    Ok(resources.flatten().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// Starts a daemon with `config` and the bundled plugins, each as its own account.
///
/// # Errors
/// When they do not come up.
pub async fn fleet(plane: &ControlPlane, config: &str) -> Result<Fleet> {
    grant(plane).await?;
    let mut fleet = Fleet::start(config).await?;
    for plugin in BUNDLED {
        let account = format!("plugin-{plugin}");
        let kubeconfig = plane.kubeconfig_for_service_account(NAMESPACE, &account).await?;
        start_plugin(&mut fleet, plugin, kubeconfig)?;
    }
    fleet.ready(&BUNDLED).await?;
    Ok(fleet)
}

/// The kubeconfig that [`fleet`] made for a plugin.
#[must_use]
pub fn kubeconfig(plane: &ControlPlane, plugin: &str) -> PathBuf {
    plane.dir().join(format!("{NAMESPACE}.plugin-{plugin}.kubeconfig"))
}

/// Starts one plugin with a kubeconfig.
///
/// # Errors
/// When it cannot be started.
pub fn start_plugin(fleet: &mut Fleet, plugin: &str, kubeconfig: PathBuf) -> Result<()> {
    let mut command = Command::new(build::programs()?.join(format!("plugin-{plugin}")));
    command.arg("--kubeconfig").arg(kubeconfig).env_remove("KUBECONFIG");
    fleet.start_stranger(plugin, command)
}
