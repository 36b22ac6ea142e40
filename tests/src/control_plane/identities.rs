//! Kubeconfigs: who asks the apiserver, and how they prove it. Each is a file of its own.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{ControlPlane, certificates::Pair};

/// How somebody proves who they are.
#[derive(Debug, Clone)]
pub enum Proof {
    /// By a certificate.
    Certificate(Pair),
    /// By a bearer token.
    Token(String),
}

// === impl ControlPlane ===

impl ControlPlane {
    /// The administrator, who may do everything. Never meets priority and fairness: for tests of
    /// 429 take an account.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn kubeconfig_admin(&self) -> Result<PathBuf> {
        self.kubeconfig("admin", &Proof::Certificate(self.admin.clone()), "default")
    }

    /// Somebody the apiserver knows, and who may do nothing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn kubeconfig_without_rights(&self) -> Result<PathBuf> {
        let pair = self.authority.client("nobody", "nobody", &[])?;
        self.kubeconfig("nobody", &Proof::Certificate(pair), "default")
    }

    /// A service account that is there, by a token that the apiserver made for it. What it may do
    /// is what applied manifests say.
    ///
    /// # Errors
    /// When there is no such account.
    pub async fn kubeconfig_for_service_account(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<PathBuf> {
        let token = self.token(namespace, name).await?;
        self.kubeconfig(&format!("{namespace}.{name}"), &Proof::Token(token), namespace)
    }

    /// A token of a service account, good for an hour.
    ///
    /// # Errors
    /// When there is no such account.
    pub async fn token(&self, namespace: &str, name: &str) -> Result<String> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": { "expirationSeconds": 3600 } });
        let made = self.api()?.post(&path, &request).await?.good()?;
        let token = made.pointer("/status/token").and_then(Value::as_str);
        token.map(str::to_owned).context("a TokenRequest without a token")
    }

    /// A kubeconfig `file` of somebody who proves who they are so.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn kubeconfig(&self, file: &str, proof: &Proof, namespace: &str) -> Result<PathBuf> {
        let user = match proof {
            Proof::Certificate(pair) => json!({
                "client-certificate": pair.certificate, "client-key": pair.key,
            }),
            Proof::Token(token) => json!({ "token": token }),
        };
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{ "name": "test", "cluster": {
                "server": format!("https://{}", self.address()),
                "certificate-authority": self.authority.certificate(),
            } }],
            "users": [{ "name": file, "user": user }],
            "contexts": [{ "name": "test", "context": {
                "cluster": "test", "user": file, "namespace": namespace,
            } }],
        });
        let path = self.file(&format!("{file}.kubeconfig"));
        // In place at once: another test may be reading it.
        let whole = tempfile::NamedTempFile::new_in(self.dir())?;
        fs::write(whole.path(), serde_json::to_string_pretty(&config)?)?;
        whole.persist(&path)?;
        Ok(path)
    }
}
