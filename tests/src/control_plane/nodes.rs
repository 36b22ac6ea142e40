//! Nodes: real kubelets over the simulated runtime of `tests/controlplane/runtime.go`, whose
//! containers obey their command (`script.go` has the words), and kwok's, which only look alive.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{ControlPlane, SOON, free_port, programs::Programs};
use crate::{rung, wait::wait_until};

/// The node that pods of tests run on. The apiserver reaches a kubelet by the name of its node, as
/// no kubelet may claim an address of the loopback: logs can be had from this node only.
pub const NODE: &str = "localhost";
/// What kwok's nodes and the pods that want to be there carry.
pub const KWOK: &str = "kwok.x-k8s.io/node";

/// Whether kubelets can run here; says aloud when not.
#[must_use]
pub fn can_run_kubelets() -> bool {
    let root = rustix::process::geteuid().is_root();
    // The kubelet listens to the kernel for processes that ran out of memory.
    let can = root && fs::File::open("/dev/kmsg").is_ok();
    if !can {
        rung::skip("rung 4 (kubelet)", "not root with /dev/kmsg", "run the tests as root");
    }
    can
}

// === impl ControlPlane ===

impl ControlPlane {
    /// Starts the kubelet of node `name`, and waits until the node is ready and takes pods.
    ///
    /// # Errors
    /// When it does not come up, with its log.
    pub async fn start_kubelet(&self, name: &str) -> Result<()> {
        let groups = ["system:nodes"];
        let kubeconfig = self.component(name, &format!("system:node:{name}"), &groups)?;
        let folder = self.file(name);
        fs::create_dir_all(&folder)?;
        let mut command = self.programs.command("kubelet");
        command.arg("--kubeconfig").arg(kubeconfig).args(["--node-name", name]);
        command.arg("--tls-cert-file").arg(self.file("kubelet.crt"));
        command.arg("--tls-private-key-file").arg(self.file("kubelet.key"));
        command.args(["--port", &free_port()?.to_string()]).arg("--root-dir").arg(folder);
        self.run(&format!("kubelet-{name}"), command)?;
        let ready = self.node_ready(name).await;
        ready.with_context(|| self.log(&format!("kubelet-{name}")))
    }

    /// The file that the log of a pod's container `main` is in, in the runtime's form; of its first
    /// run on [`NODE`]. What is appended is part of the log. The kubelet moves the log of a
    /// container that runs away when it is large.
    #[must_use]
    pub fn log_of(&self, pod: &Value) -> PathBuf {
        let of = |name: &str| pod.pointer(name).and_then(Value::as_str).unwrap_or_default();
        let (namespace, name) = (of("/metadata/namespace"), of("/metadata/name"));
        let folder = format!("{namespace}_{name}_{}", of("/metadata/uid"));
        self.file(NODE).join("logs").join(folder).join("main/0.log")
    }

    /// Kills the kubelet of a node as `kill -9` does: the node is lost after about 12 seconds.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill_kubelet(&self, name: &str) -> Result<()> {
        self.kill(&format!("kubelet-{name}")).await
    }

    /// Starts kwok and lets it look after `count` nodes `kwok-0`, `kwok-1`, … that take only pods
    /// which tolerate the taint [`KWOK`]; `false` after having said aloud that there is no kwok.
    ///
    /// # Errors
    /// When the nodes do not become ready.
    pub async fn start_kwok(&self, count: usize) -> Result<bool> {
        let Some(kwok) = Programs::kwok() else { return Ok(false) };
        let mut command = Command::new(&kwok);
        command.arg("--config").arg(kwok.with_file_name("kwok-stages.yaml"));
        command.arg("--kubeconfig").arg(self.component("kwok", "kwok", &["system:masters"])?);
        command.arg(format!("--manage-nodes-with-label-selector={KWOK}"));
        // Leases, as a controller-manager looks here that soon takes a node for lost, and a name:
        // without them a node loses its address after a minute.
        command.args(["--node-lease-duration-seconds=20", "--node-name=localhost"]);
        command.args(["--node-ip=127.0.0.1", "--cidr=10.250.0.0/16"]);
        command.arg(format!("--server-address=127.0.0.1:{}", free_port()?));
        command.env("HOME", self.dir());
        self.run("kwok", command)?;
        let api = self.api()?;
        for number in 0..count {
            let made = api.post("/api/v1/nodes", &kwok_node(number)).await?;
            made.good()?;
        }
        for number in 0..count {
            let ready = self.node_ready(&format!("kwok-{number}")).await;
            ready.with_context(|| self.log("kwok"))?;
        }
        Ok(true)
    }

    /// Waits until the cluster has heard of a node after `since`, and takes it for ready again: an
    /// API server that comes back has not heard of any for as long as it was away.
    ///
    /// # Errors
    /// When that does not happen.
    pub async fn node_heard_of(&self, name: &str, since: Timestamp) -> Result<()> {
        let api = self.api()?;
        let lease =
            format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{name}");
        wait_until(&format!("node {name} that is heard of"), SOON, async || {
            let answer = api.get(&lease).await.and_then(|answer| answer.good());
            let lease = answer.map_err(|error| format!("{error:#}"))?;
            let renewed = lease.pointer("/spec/renewTime").and_then(Value::as_str);
            let renewed = renewed.and_then(|at| at.parse::<Timestamp>().ok());
            if renewed.is_some_and(|at| at > since) { Ok(()) } else { Err(lease.to_string()) }
        })
        .await?;
        self.node_ready(name).await
    }

    async fn node_ready(&self, name: &str) -> Result<()> {
        let api = self.api()?;
        let what = format!("node {name} that is ready and takes pods");
        wait_until(&what, SOON, async || {
            let answer = api.get(&format!("/api/v1/nodes/{name}")).await;
            let node = answer.and_then(|answer| answer.good()).map_err(|e| format!("{e:#}"))?;
            let ready = condition(&node, "Ready") == Some("True");
            let taken = node.pointer("/spec/taints").and_then(Value::as_array);
            let barred = taken.is_some_and(|taints| {
                taints.iter().any(|taint| {
                    let key = taint.get("key").and_then(Value::as_str).unwrap_or_default();
                    key.starts_with("node.kubernetes.io/")
                })
            });
            if ready && !barred { Ok(()) } else { Err(node.to_string()) }
        })
        .await
    }
}

/// Status of a condition of any object that has conditions.
#[must_use]
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    let found = conditions.iter().find(|one| one.get("type").and_then(Value::as_str) == Some(kind));
    found?.get("status")?.as_str()
}

fn kwok_node(number: usize) -> Value {
    let name = format!("kwok-{number}");
    let room = json!({ "cpu": "32", "memory": "256Gi", "pods": "250" });
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": name, "labels": {
            KWOK: "", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
        } },
        "spec": { "taints": [{ "key": KWOK, "effect": "NoSchedule" }] },
        "status": { "allocatable": room, "capacity": room },
    })
}
