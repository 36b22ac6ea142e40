//! How each incident shows. What is waited for are the cluster's own words.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{DENIAL, Incident, LOST, World};
use crate::{
    control_plane::{
        namespace::{VISIBLE, at, container, items},
        nodes::condition,
    },
    wait::wait_until,
};

pub(super) async fn visible(world: &World<'_>) -> Result<Value> {
    let here = &world.namespace;
    match world.incident {
        Incident::OomLoop => {
            here.pod("invoice-printer", "that loops", |pod| {
                let container = container(pod);
                at(container, "/state/waiting/reason") == "CrashLoopBackOff"
                    && at(container, "/lastState/terminated/reason") == "OOMKilled"
            })
            .await
        }
        Incident::MissingImage => here.waiting("basket", "ImagePullBackOff").await,
        Incident::MissingConfigKey => here.waiting("mailer", "CreateContainerConfigError").await,
        Incident::FailingReadiness => {
            // Not that of the probe before, which may have come before the container served.
            let path = format!("/apis/apps/v1/namespaces/{}/deployments/search", here.name());
            let deployment = here.api().get(&path).await?.good()?;
            let port = deployment
                .pointer("/spec/template/spec/containers/0/readinessProbe/httpGet/port")
                .context("a port of the probe")?;
            let words = format!("127.0.0.1:{port}: connect: connection refused");
            here.event("search", "Unhealthy", &words).await
        }
        Incident::Unschedulable => {
            here.event("forecaster", "FailedScheduling", "Insufficient cpu").await
        }
        Incident::NodeLost => lost(world).await,
        Incident::QuotaExceeded => here.event("checkout", "FailedCreate", "exceeded quota").await,
        Incident::SelectorMismatch => without_endpoints(world, "seating").await,
        Incident::DenyingWebhook => here.event("payouts", "FailedCreate", DENIAL).await,
    }
}

/// The node is not heard of, and a pod on it counts as not ready.
async fn lost(world: &World<'_>) -> Result<Value> {
    let here = &world.namespace;
    here.pod("archive", "that is not ready", |pod| condition(pod, "Ready") == Some("False"))
        .await?;
    wait_until("a node that is not heard of", VISIBLE, async || {
        let answer = here.api().get(&format!("/api/v1/nodes/{LOST}")).await;
        let node = answer.and_then(|answer| answer.good()).map_err(|e| format!("{e:#}"))?;
        match condition(&node, "Ready") {
            Some("Unknown") => Ok(node),
            Some(_) | None => Err(at(&node, "/status/conditions").to_string()),
        }
    })
    .await
}

/// The Service is there, and no endpoint is behind it.
async fn without_endpoints(world: &World<'_>, service: &str) -> Result<Value> {
    let here = &world.namespace;
    let path = format!(
        "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices?labelSelector=kubernetes.io/service-name%3D{service}",
        here.name()
    );
    wait_until("a Service without endpoints", VISIBLE, async || {
        let answer = here.api().get(&path).await;
        let slices = answer.and_then(|answer| answer.good()).map_err(|e| format!("{e:#}"))?;
        let some =
            |slice: &Value| at(slice, "/endpoints").as_array().is_some_and(|all| !all.is_empty());
        let text = slices.to_string();
        let all = items(slices);
        let empty = all.iter().all(|slice| !some(slice));
        all.into_iter().next().filter(|_| empty).ok_or(text)
    })
    .await
}
