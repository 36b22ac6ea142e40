//! Command lines of the components, and the files that they read.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use super::{ControlPlane, certificates};

/// Addresses of Services.
const SERVICES: &str = "10.96.0.0/16";
/// Everything that is asked is recorded, once it was answered: who, what, with which result.
const AUDIT_POLICY: &str = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy",
 "omitStages": ["RequestReceived"], "rules": [{"level": "Metadata"}]}"#;

// === impl ControlPlane ===

impl ControlPlane {
    pub(super) fn write_files(&self) -> Result<()> {
        fs::write(self.file("audit-policy.json"), AUDIT_POLICY)?;
        certificates::bare_keys(&self.file("service-accounts"))?;
        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc", "10.96.0.1"];
        self.authority.server("apiserver", &names)?;
        self.authority.server("kubelet", &["127.0.0.1", "localhost"])?;
        self.authority.client(
            "kubelet-client",
            "kube-apiserver-kubelet-client",
            &["system:masters"],
        )?;
        Ok(())
    }

    pub(super) fn etcd(&self) -> Command {
        let mut command = self.programs.command("etcd");
        command.arg(flag("--data-dir", &self.file("etcd")));
        command.arg(flag("--socket", &self.file("etcd.sock")));
        command
    }

    pub(super) fn apiserver(&self) -> Command {
        let mut command = self.programs.command("apiserver");
        command.arg(format!("--etcd-servers=unix://{}", self.file("etcd.sock").display()));
        // On the loopback, where nobody but this machine comes.
        command.args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"]);
        command.arg(format!("--secure-port={}", self.address.port()));
        command.args(["--permit-port-sharing=true", "--endpoint-reconciler-type=none"]);
        for (name, file) in [
            ("--tls-cert-file", "apiserver.crt"),
            ("--tls-private-key-file", "apiserver.key"),
            ("--client-ca-file", "ca.crt"),
            ("--requestheader-client-ca-file", "ca.crt"),
            ("--kubelet-certificate-authority", "ca.crt"),
            ("--kubelet-client-certificate", "kubelet-client.crt"),
            ("--kubelet-client-key", "kubelet-client.key"),
            ("--service-account-key-file", "service-accounts.pub"),
            ("--service-account-signing-key-file", "service-accounts.key"),
            ("--audit-policy-file", "audit-policy.json"),
            ("--audit-log-path", super::audit::FILE),
            ("--cert-dir", "apiserver"),
        ] {
            command.arg(flag(name, &self.file(file)));
        }
        command.arg("--requestheader-allowed-names=front-proxy-client");
        command.arg("--service-account-issuer=https://kubernetes.default.svc.cluster.local");
        command.arg(format!("--service-cluster-ip-range={SERVICES}"));
        command.args(["--authorization-mode=Node,RBAC", "--allow-privileged=true"]);
        command.arg("--enable-admission-plugins=NodeRestriction");
        // An address that a node claims is not where its kubelet listens: see nodes.rs.
        command.arg("--kubelet-preferred-address-types=Hostname,InternalIP");
        // Blocking: an answer that a test has seen is in the log.
        command.args(["--audit-log-mode=blocking", "--profiling=false", "--v=0"]);
        command
    }

    pub(super) fn controller_manager(&self) -> Result<Command> {
        let kubeconfig =
            self.component("controller-manager", "system:kube-controller-manager", &[])?;
        let mut command = self.programs.command("controller-manager");
        command.arg(flag("--kubeconfig", &kubeconfig)).args(UNSHARED);
        command.arg(flag("--root-ca-file", &self.file("ca.crt")));
        let key = self.file("service-accounts.key");
        command.arg(flag("--service-account-private-key-file", &key));
        command.args(["--use-service-account-credentials=true", "--allocate-node-cidrs=false"]);
        // A lost node is seen after seconds, and what ran there stays to be looked at.
        command.args(["--node-monitor-period=1s", "--node-monitor-grace-period=12s"]);
        command.args(["--kube-api-qps=200", "--kube-api-burst=400"]);
        Ok(command)
    }

    pub(super) fn scheduler(&self) -> Result<Command> {
        let kubeconfig = self.component("scheduler", "system:kube-scheduler", &[])?;
        let mut command = self.programs.command("scheduler");
        command.arg(flag("--kubeconfig", &kubeconfig)).args(UNSHARED);
        command.args(["--kube-api-qps=200", "--kube-api-burst=400"]);
        Ok(command)
    }

    /// A kubeconfig for a part of the cluster.
    pub(super) fn component(&self, file: &str, user: &str, groups: &[&str]) -> Result<PathBuf> {
        let pair = self.authority.client(file, user, groups)?;
        self.kubeconfig(file, &super::identities::Proof::Certificate(pair), "default")
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// One of its kind, and asked by nobody.
const UNSHARED: [&str; 3] = ["--leader-elect=false", "--secure-port=0", "--profiling=false"];

fn flag(name: &str, value: &Path) -> String {
    format!("{name}={}", value.display())
}
