//! Incidents that really happen, in a namespace of a real cluster (rung 4): each is created by
//! manifests, shows its symptom through the cluster's own components, and comes with its truth.
//!
//! A manifest of `worlds/` is applied in steps, apart by lines `# then: …`; before each next step
//! what is there has become well. `NAMESPACE`, `PORT`, `OTHER`, `URL` and `AUTHORITY` are replaced.

mod symptoms;
mod truth;

use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

use crate::{
    alert::Scenario,
    control_plane::{
        ControlPlane, free_port,
        namespace::{Namespace, at, items},
    },
    denier::Denier,
    wait::wait_until,
};

/// The node that is lost in [`Incident::NodeLost`].
pub const LOST: &str = "worker-1";
/// What the webhook says in [`Incident::DenyingWebhook`].
pub const DENIAL: &str = "image registry.example/shop/payouts:2.0.0 is not signed";
/// How long a step may take to become well on a slow machine.
const WELL: Duration = Duration::from_secs(90);

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incident {
    /// A container needs more memory than its limit, again and again.
    OomLoop,
    /// A rollout to an image tag that the registry does not have.
    MissingImage,
    /// A rollout that wants a key which its ConfigMap does not have.
    MissingConfigKey,
    /// A readiness probe was moved to a port that nobody serves.
    FailingReadiness,
    /// A pod asks for more CPU than any node has.
    Unschedulable,
    /// A node's kubelet dies. Changes the whole cluster: take one of your own.
    NodeLost,
    /// A workload is scaled beyond the quota of its namespace.
    QuotaExceeded,
    /// A Service selects a label that no pod has.
    SelectorMismatch,
    /// An admission webhook refuses every new pod.
    DenyingWebhook,
}

/// An incident that happens, in a namespace. Dropping it lets the namespace be.
#[derive(Debug)]
pub struct World<'a> {
    /// What goes wrong.
    pub incident: Incident,
    /// Where.
    pub namespace: Namespace<'a>,
    /// The alert that it raises, and its cause.
    pub truth: Scenario,
    /// Answers the apiserver as long as the world is.
    _denier: Option<Denier>,
}

// === impl Incident ===

impl Incident {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::OomLoop,
        Self::MissingImage,
        Self::MissingConfigKey,
        Self::FailingReadiness,
        Self::Unschedulable,
        Self::NodeLost,
        Self::QuotaExceeded,
        Self::SelectorMismatch,
        Self::DenyingWebhook,
    ];

    /// Whether the rest of the cluster does not notice it.
    #[must_use]
    pub fn stays_in_its_namespace(self) -> bool {
        self != Self::NodeLost
    }

    fn manifest(self) -> &'static str {
        match self {
            Self::OomLoop => include_str!("worlds/oom_loop.yaml"),
            Self::MissingImage => include_str!("worlds/missing_image.yaml"),
            Self::MissingConfigKey => include_str!("worlds/missing_config_key.yaml"),
            Self::FailingReadiness => include_str!("worlds/failing_readiness.yaml"),
            Self::Unschedulable => include_str!("worlds/unschedulable.yaml"),
            Self::NodeLost => include_str!("worlds/node_lost.yaml"),
            Self::QuotaExceeded => include_str!("worlds/quota_exceeded.yaml"),
            Self::SelectorMismatch => include_str!("worlds/selector_mismatch.yaml"),
            Self::DenyingWebhook => include_str!("worlds/denying_webhook.yaml"),
        }
    }
}

// === impl World ===

impl<'a> World<'a> {
    /// Makes `incident` happen in a new namespace of a cluster with a node. Its symptom is there a
    /// little later: [`Self::visible`].
    ///
    /// # Errors
    /// When a manifest is refused, or what is to be well does not become so.
    pub async fn create(plane: &'a ControlPlane, incident: Incident) -> Result<Self> {
        let namespace = plane.namespace("shop").await?;
        let truth = truth::of(incident, namespace.name())?;
        let denier = if incident == Incident::DenyingWebhook {
            Some(Denier::start(plane.authority(), DENIAL).await?)
        } else {
            None
        };
        if incident == Incident::NodeLost {
            plane.start_kubelet(LOST).await?;
            let large = json!({ "metadata": { "labels": { "disk": "large" } } });
            namespace.api().merge(&format!("/api/v1/nodes/{LOST}"), &large).await?.good()?;
        }
        let world = Self { incident, namespace, truth, _denier: denier };
        world.happen(plane).await.with_context(|| format!("{incident:?}"))?;
        Ok(world)
    }

    async fn happen(&self, plane: &ControlPlane) -> Result<()> {
        let manifest = self.filled(plane)?;
        self.namespace.apply(include_str!("worlds/front.yaml")).await?;
        let mut first = true;
        for step in manifest.split("# then: ") {
            if !first {
                self.well().await?;
            }
            // The rest of the line says what happens.
            let step = if first { step } else { step.split_once('\n').context("a step")?.1 };
            first = false;
            self.namespace.apply(step).await?;
            if step.contains("ValidatingWebhookConfiguration") {
                self.heeded().await?;
            }
        }
        if self.incident == Incident::NodeLost {
            self.well().await?;
            plane.kill_kubelet(LOST).await?;
        }
        Ok(())
    }

    fn filled(&self, plane: &ControlPlane) -> Result<String> {
        let mut manifest = self.incident.manifest().to_owned();
        for port in ["PORT", "OTHER"] {
            manifest = manifest.replace(port, &free_port()?.to_string());
        }
        if let Some(denier) = &self._denier {
            let authority = BASE64_STANDARD.encode(plane.authority().pem());
            manifest = manifest.replace("URL", &denier.url()).replace("AUTHORITY", &authority);
        }
        Ok(manifest)
    }

    /// Waits until all Deployments have what they want.
    async fn well(&self) -> Result<()> {
        let path = format!("/apis/apps/v1/namespaces/{}/deployments", self.namespace.name());
        wait_until("workloads that are well", WELL, async || {
            let answer = self.namespace.api().get(&path).await;
            let all = answer.and_then(|answer| answer.good()).map_err(|e| format!("{e:#}"))?;
            let all = items(all);
            let behind = all.iter().find(|deployment| {
                at(deployment, "/status/observedGeneration")
                    != at(deployment, "/metadata/generation")
                    || at(deployment, "/status/readyReplicas") != at(deployment, "/spec/replicas")
            });
            behind.map_or(Ok(()), |deployment| Err(at(deployment, "/status").to_string()))
        })
        .await
    }

    /// Waits until the apiserver heeds the webhook: it reads configurations with a delay.
    async fn heeded(&self) -> Result<()> {
        let path = self.namespace.path("pods?dryRun=All");
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "asked" },
            "spec": { "containers": [{ "name": "asked", "image": "registry.example/asked" }] } });
        wait_until("a webhook that refuses", WELL, async || {
            let answer = self.namespace.api().post(&path, &pod).await;
            let answer = answer.map_err(|error| format!("{error:#}"))?;
            if answer.text.contains(DENIAL) { Ok(()) } else { Err(answer.text) }
        })
        .await
    }

    /// Waits until the symptom can be seen, and gives the object that shows it.
    ///
    /// # Errors
    /// When it does not show, with what was seen instead.
    pub async fn visible(&self) -> Result<Value> {
        symptoms::visible(self).await.with_context(|| format!("{:?}", self.incident))
    }
}
