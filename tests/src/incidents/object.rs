//! Kubernetes objects as JSON: metadata, identifiers and who changed which field when. One list
//! per kind, as a recording holds them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    clock::{Clock, DAY, Sec},
    dice::Dice,
};

/// All objects that are written down, by the file's name.
#[derive(Debug)]
pub struct Objects {
    clock: Clock,
    dice: Dice,
    lists: BTreeMap<String, Vec<Value>>,
}

/// Names an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ref {
    /// Kind, such as `Deployment`.
    pub kind: String,
    /// Namespace; empty for objects of the whole cluster.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Ref {
    /// Names an object.
    #[must_use]
    pub fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// As the truth writes it: no namespace is null.
    #[must_use]
    pub fn value(&self) -> Value {
        let space = if self.namespace.is_empty() { Value::Null } else { json!(self.namespace) };
        json!({"kind": self.kind, "namespace": space, "name": self.name})
    }
}

/// One change of an object, as `managedFields` tells it.
#[derive(Debug, Clone)]
pub struct Edit {
    /// When.
    pub at: Sec,
    /// By which program, such as `helm` or `kubectl-edit`.
    pub by: &'static str,
    /// Which fields: paths with dots, such as `f:data.f:LOG_LEVEL`.
    pub fields: Vec<String>,
}

impl Edit {
    /// A change of `fields` (paths with dots) by the program `by`.
    #[must_use]
    pub fn new(at: Sec, by: &'static str, fields: &[&str]) -> Self {
        Self { at, by, fields: fields.iter().map(|&field| field.to_owned()).collect() }
    }
}

impl Objects {
    /// None yet.
    #[must_use]
    pub fn new(clock: Clock, dice: Dice) -> Self {
        Self { clock, dice, lists: BTreeMap::new() }
    }

    /// Drops a whole list, as if the reader may not see that kind.
    pub fn hide(&mut self, list: &str) {
        self.lists.retain(|name, _| name != list);
    }

    /// Takes one object away.
    pub fn remove(&mut self, object: &Ref) {
        if let Some(all) = self.lists.get_mut(&object.kind.to_lowercase()) {
            all.retain(|o| !is(o, object));
        }
    }

    /// The lists with their names.
    #[must_use]
    pub fn lists(&self) -> &BTreeMap<String, Vec<Value>> {
        &self.lists
    }

    /// Whether `object` is among them.
    #[must_use]
    pub fn holds(&self, object: &Ref) -> bool {
        let list = object.kind.to_lowercase();
        self.lists.get(&list).is_some_and(|all| all.iter().any(|o| is(o, object)))
    }

    /// The story's time.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// A new identifier.
    pub fn uid(&mut self) -> String {
        self.dice.uid()
    }

    /// The version counter as it stood at `at`: it grows with time.
    #[must_use]
    pub fn version(&self, at: Sec) -> String {
        (220_000_000 + at * 7).max(1000).to_string()
    }

    /// Metadata of an object made at `created` with the changes `edits`.
    pub fn meta(&mut self, named: &Ref, created: Sec, edits: &[Edit]) -> Map<String, Value> {
        let mut meta = Map::new();
        meta.insert("name".into(), json!(named.name));
        if !named.namespace.is_empty() {
            meta.insert("namespace".into(), json!(named.namespace));
        }
        meta.insert("uid".into(), json!(self.uid()));
        let last = edits.iter().map(|edit| edit.at).max().unwrap_or(created);
        meta.insert("resourceVersion".into(), json!(self.version(last.max(created))));
        meta.insert("creationTimestamp".into(), json!(self.clock.rfc(created)));
        if !edits.is_empty() {
            let fields: Vec<Value> = edits.iter().map(|edit| managed(self.clock, edit)).collect();
            meta.insert("managedFields".into(), Value::Array(fields));
        }
        meta
    }

    /// Puts an object together and adds it. `body` is everything beside apiVersion, kind and
    /// metadata.
    pub fn put(&mut self, kind: &str, meta: Map<String, Value>, body: Value) {
        let mut object = Map::new();
        object.insert("apiVersion".into(), json!(api_of(kind)));
        object.insert("kind".into(), json!(kind));
        object.insert("metadata".into(), Value::Object(meta));
        if let Value::Object(rest) = body {
            object.extend(rest);
        }
        self.lists.entry(kind.to_lowercase()).or_default().push(Value::Object(object));
    }

    /// A namespace with its default account, long there.
    pub fn namespace(&mut self, name: &str) {
        let made = -DAY * self.dice.between(90, 600);
        let mut meta = self.meta(&Ref::new("Namespace", "", name), made, &[]);
        meta.insert("labels".into(), json!({"kubernetes.io/metadata.name": name}));
        let body = json!({"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
        self.put("Namespace", meta, body);
        let meta = self.meta(&Ref::new("ServiceAccount", name, "default"), made, &[]);
        self.put("ServiceAccount", meta, json!({}));
        let edits = [Edit::new(made, "kube-controller-manager", &["f:data.f:ca.crt"])];
        let meta = self.meta(&Ref::new("ConfigMap", name, "kube-root-ca.crt"), made, &edits);
        let pem = "-----BEGIN CERTIFICATE-----\nMIIBinvented==\n-----END CERTIFICATE-----\n";
        self.put("ConfigMap", meta, json!({"data": {"ca.crt": pem}}));
    }
}

fn is(value: &Value, object: &Ref) -> bool {
    let text = |key: &str| value.pointer(key).and_then(Value::as_str).unwrap_or_default();
    text("/metadata/name") == object.name && text("/metadata/namespace") == object.namespace
}

/// The version of the API that objects of `kind` are written in.
#[must_use]
pub fn api_of(kind: &str) -> &'static str {
    match kind {
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "ControllerRevision" => {
            "apps/v1"
        }
        "Job" | "CronJob" => "batch/v1",
        "HorizontalPodAutoscaler" => "autoscaling/v2",
        "PodDisruptionBudget" => "policy/v1",
        "NetworkPolicy" | "Ingress" | "IngressClass" => "networking.k8s.io/v1",
        "Role" | "ClusterRole" | "RoleBinding" | "ClusterRoleBinding" => {
            "rbac.authorization.k8s.io/v1"
        }
        "StorageClass" | "CSIDriver" | "VolumeAttachment" => "storage.k8s.io/v1",
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => {
            "admissionregistration.k8s.io/v1"
        }
        "Certificate" | "Issuer" | "ClusterIssuer" | "CertificateRequest" => "cert-manager.io/v1",
        "EndpointSlice" => "discovery.k8s.io/v1",
        "Lease" => "coordination.k8s.io/v1",
        _ => "v1",
    }
}

fn managed(clock: Clock, edit: &Edit) -> Value {
    let mut tree = Map::new();
    for path in &edit.fields {
        // The root certificate's key has a dot of its own.
        let parts: Vec<&str> = match path.strip_prefix("f:data.") {
            Some(key) => vec!["f:data", key],
            None => path.split('.').collect(),
        };
        grow(&mut tree, &parts);
    }
    json!({
        "manager": edit.by, "operation": "Update", "apiVersion": "v1",
        "time": clock.rfc(edit.at), "fieldsType": "FieldsV1", "fieldsV1": tree,
    })
}

fn grow(tree: &mut Map<String, Value>, path: &[&str]) {
    let Some((first, rest)) = path.split_first() else { return };
    let inner = tree.entry((*first).to_owned()).or_insert_with(|| json!({}));
    if let Value::Object(inner) = inner {
        grow(inner, rest);
    }
}

/// 64 hexadecimal digits that stand for `text`: not a real digest, and always the same.
#[must_use]
pub fn digest(text: &str) -> String {
    Dice::new(0).fork(text).hex(64)
}
