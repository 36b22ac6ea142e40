//! What lies in `k8s/`, put together by kubectl as a person would have it applied.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Deserializer, Value};

use crate::{
    control_plane::{
        ControlPlane, SOON,
        namespace::{at, name_of},
        nodes::condition,
    },
    tidy::tree,
    wait::wait_until,
};

/// The Prometheus Operator's kinds, as far as an API server must know them to take ours.
const OPERATOR: [(&str, &str); 2] =
    [("ServiceMonitor", "servicemonitors"), ("PrometheusRule", "prometheusrules")];

/// The objects of one folder.
#[derive(Debug)]
pub struct Manifests {
    /// All of them.
    pub objects: Vec<Value>,
}

/// A container with the workload it belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
    /// Deployment or StatefulSet.
    pub workload: &'a Value,
    /// The container.
    pub container: &'a Value,
}

/// Where a folder or file below `k8s/` lies.
///
/// # Errors
/// When the path is no text.
pub fn path(below: &str) -> Result<String> {
    let path = tree::root().join("k8s").join(below);
    Ok(path.to_str().context("a path that is text")?.to_owned())
}

/// Makes the kinds of the Prometheus Operator known to a cluster.
///
/// # Errors
/// When it does not take them.
pub async fn know_the_operator(plane: &ControlPlane) -> Result<()> {
    let api = plane.api()?;
    for (kind, plural) in OPERATOR {
        let group = "monitoring.coreos.com";
        plane
            .apply(&format!(
                "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{ name: {plural}.{group} }}
spec:
  group: {group}
  scope: Namespaced
  names: {{ kind: {kind}, plural: {plural} }}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema: {{ type: object, x-kubernetes-preserve-unknown-fields: true }}
"
            ))
            .await?;
        let path =
            format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.{group}");
        wait_until(&format!("{kind} to be known"), SOON, async || {
            let got = api.get(&path).await.and_then(|answer| answer.good());
            let got = got.map_err(|error| format!("{error:#}"))?;
            if condition(&got, "Established") == Some("True") {
                Ok(())
            } else {
                Err(got.to_string())
            }
        })
        .await?;
    }
    Ok(())
}

// === impl Manifests ===

impl Manifests {
    /// Those of a folder below `k8s/`.
    ///
    /// # Errors
    /// When kubectl cannot put them together.
    pub async fn of(plane: &ControlPlane, folder: &str) -> Result<Self> {
        let admin = plane.kubeconfig_admin()?;
        let path = path(folder)?;
        let arguments = ["create", "--dry-run=client", "-o", "json", "-k", &path];
        let ended = plane.kubectl(&admin, &arguments).await?;
        ensure!(ended.status.success(), "{folder}: {}", ended.stderr);
        let mut objects = Vec::new();
        for document in Deserializer::from_str(&ended.stdout).into_iter::<Value>() {
            let mut document = document?;
            match document.get_mut("items").and_then(Value::as_array_mut) {
                Some(items) => objects.append(items),
                None => objects.push(document),
            }
        }
        ensure!(!objects.is_empty(), "{folder} is empty");
        Ok(Self { objects })
    }

    /// Those of a kind.
    pub fn kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.objects.iter().filter(move |object| at(object, "/kind") == kind)
    }

    /// The one of a kind with that name, or whose generated name begins so.
    ///
    /// # Errors
    /// When there is none.
    pub fn named<'a>(&'a self, kind: &'a str, name: &str) -> Result<&'a Value> {
        let hashed = format!("{name}-");
        let is = |object: &&Value| {
            let own = name_of(object);
            own == name || kind == "ConfigMap" && own.starts_with(&hashed)
        };
        self.kind(kind).find(is).with_context(|| format!("no {kind} {name}"))
    }

    /// All Deployments and StatefulSets.
    pub fn workloads(&self) -> impl Iterator<Item = &Value> {
        self.kind("StatefulSet").chain(self.kind("Deployment"))
    }

    /// All containers.
    #[must_use]
    pub fn containers(&self) -> Vec<Held<'_>> {
        let mut held = Vec::new();
        for workload in self.workloads() {
            let containers = list(at(workload, "/spec/template/spec/containers"));
            held.extend(containers.iter().map(|container| Held { workload, container }));
        }
        held
    }
}

// === impl Held ===

impl Held<'_> {
    /// Name of the program that it runs.
    #[must_use]
    pub fn program(&self) -> &str {
        at(self.container, "/command/0").as_str().unwrap_or_default().trim_start_matches('/')
    }

    /// Its variables in order; those that are looked up when a pod starts without a value.
    #[must_use]
    pub fn variables(&self) -> Vec<(&str, Option<&str>)> {
        let variable = |one| (text(one, "name"), at(one, "/value").as_str());
        list(at(self.container, "/env")).iter().map(variable).collect()
    }

    /// Its arguments.
    #[must_use]
    pub fn arguments(&self) -> Vec<&str> {
        list(at(self.container, "/args")).iter().filter_map(Value::as_str).collect()
    }

    /// Folders that Secrets are mounted at, with the Secret's name.
    #[must_use]
    pub fn secrets(&self) -> Vec<(&str, &str)> {
        let volumes = list(at(self.workload, "/spec/template/spec/volumes"));
        let mut found = Vec::new();
        for mount in list(at(self.container, "/volumeMounts")) {
            let volume = volumes.iter().find(|one| text(one, "name") == text(mount, "name"));
            let secret = volume.and_then(|one| at(one, "/secret/secretName").as_str());
            found.extend(secret.map(|secret| (text(mount, "mountPath"), secret)));
        }
        found
    }
}

/// The members of a list; none when it is no list.
#[must_use]
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}
