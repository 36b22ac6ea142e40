//! What the controllers make of a workload: Deployments with their ReplicaSets, StatefulSets,
//! DaemonSets and Jobs with a status that fits their pods, Services with endpoints.

use serde_json::{Map, Value, json};

use super::{
    clock::{Clock, MIN, NOW, Sec},
    kubelet::{self, Owner},
    object::{Edit, Objects, Ref},
    workload::{Front, Kind, Pod, Revision, Workload},
};

/// Pods that a controller may not make.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Since when.
    pub at: Sec,
    /// How many pods are missing.
    pub missing: usize,
    /// What the API server answers.
    pub message: String,
}

/// Writes down a workload, its pods, its Service and endpoints.
pub fn write(objects: &mut Objects, workload: &Workload) {
    let uid = objects.uid();
    let owners: Vec<Owner> = match workload.kind {
        Kind::Deployment => replica_sets(objects, workload, &uid),
        kind @ (Kind::StatefulSet | Kind::DaemonSet | Kind::Job) => {
            let owner = (kind.name(), workload.name.clone(), uid.clone());
            workload.revisions.iter().map(|_| owner.clone()).collect()
        }
    };
    controller(objects, workload, &uid);
    for pod in workload.present() {
        if let Some(owner) = owners.get(pod.revision) {
            kubelet::write(objects, workload, pod, owner);
        }
    }
    if let Some(front) = &workload.front {
        service(objects, workload, front);
    }
}

fn selector(workload: &Workload) -> Map<String, Value> {
    workload.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect()
}

fn template(workload: &Workload, revision: &Revision, labels: Value) -> Value {
    let mut meta = json!({"creationTimestamp": null, "labels": labels});
    if let (Value::Object(meta), false) = (&mut meta, revision.template.annotations.is_empty()) {
        let notes: Map<String, Value> =
            revision.template.annotations.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
        meta.insert("annotations".into(), Value::Object(notes));
    }
    json!({"metadata": meta, "spec": kubelet::pod_spec(workload, &revision.template)})
}

fn replica_sets(objects: &mut Objects, workload: &Workload, uid: &str) -> Vec<Owner> {
    let mut owners = Vec::new();
    for (at, revision) in workload.revisions.iter().enumerate() {
        let name = format!("{}-{}", workload.name, revision.hash);
        let named = Ref::new("ReplicaSet", &workload.namespace, &name);
        let mut meta = objects.meta(&named, revision.at, &[]);
        let own = meta.get("uid").and_then(Value::as_str).unwrap_or_default().to_owned();
        let labels = kubelet::labels(workload, &revision.hash);
        meta.insert("labels".into(), labels.clone());
        let wanted = workload.replicas.to_string();
        meta.insert(
            "annotations".into(),
            json!({"deployment.kubernetes.io/desired-replicas": wanted,
            "deployment.kubernetes.io/revision": (at + 1).to_string()}),
        );
        meta.insert(
            "ownerReferences".into(),
            json!([{"apiVersion": "apps/v1", "kind": "Deployment",
            "name": workload.name, "uid": uid, "controller": true, "blockOwnerDeletion": true}]),
        );
        meta.insert("generation".into(), json!(2));
        let pods: Vec<&Pod> = workload.active().filter(|pod| pod.revision == at).collect();
        let ready = pods.iter().filter(|pod| pod.ready(NOW)).count();
        let mut status = json!({"replicas": pods.len(), "observedGeneration": 2});
        if let (Value::Object(status), true) = (&mut status, !pods.is_empty()) {
            status.insert("fullyLabeledReplicas".into(), json!(pods.len()));
            if ready > 0 {
                status.insert("readyReplicas".into(), json!(ready));
                status.insert("availableReplicas".into(), json!(ready));
            }
        }
        let current = at + 1 == workload.revisions.len();
        let refused = workload.refused.as_ref().filter(|_| current);
        if let (Value::Object(status), Some(refused)) = (&mut status, refused) {
            let failure = replica_failure(objects.clock(), refused);
            status.insert("conditions".into(), json!([failure]));
        }
        let wanted = pods.len() + refused.map_or(0, |refused| refused.missing);
        let body = json!({"spec": {"replicas": wanted, "selector": {"matchLabels": labels},
            "template": template(workload, revision, labels.clone())}, "status": status});
        objects.put("ReplicaSet", meta, body);
        owners.push(("ReplicaSet", name, own));
    }
    owners
}

/// Who changed the workload's spec when: its revisions, and the last scaling.
fn edits(workload: &Workload) -> Vec<Edit> {
    let fields = ["f:spec.f:template.f:spec.f:containers"];
    let mut edits: Vec<Edit> = workload
        .revisions
        .iter()
        .map(|revision| Edit::new(revision.at, revision.by, &fields))
        .collect();
    // A manager has one entry with its latest time.
    edits.reverse();
    let mut seen = Vec::new();
    edits.retain(|edit| {
        !seen.contains(&edit.by) && {
            seen.push(edit.by);
            true
        }
    });
    edits.reverse();
    if let Some((at, _)) = workload.scaled {
        edits.push(Edit::new(at, "kube-controller-manager", &["f:spec.f:replicas"]));
    }
    edits
}

fn controller(objects: &mut Objects, workload: &Workload, uid: &str) {
    let clock = objects.clock();
    let kind = workload.kind.name();
    let named = Ref::new(kind, &workload.namespace, &workload.name);
    let mut meta = objects.meta(&named, workload.created, &edits(workload));
    meta.insert("uid".into(), json!(uid));
    meta.insert("labels".into(), Value::Object(selector(workload)));
    let generation = workload.revisions.len();
    let mut notes: Map<String, Value> =
        workload.annotations.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    if workload.kind == Kind::Deployment {
        notes.insert("deployment.kubernetes.io/revision".into(), json!(generation.to_string()));
    }
    if !notes.is_empty() {
        meta.insert("annotations".into(), Value::Object(notes));
    }
    meta.insert("generation".into(), json!(generation));
    if let Some(cron) = &workload.cron {
        meta.insert(
            "ownerReferences".into(),
            json!([{"apiVersion": "batch/v1", "kind": "CronJob",
            "name": cron, "uid": super::object::digest(cron).get(..32), "controller": true}]),
        );
    }
    let Some(revision) = workload.revisions.last() else { return };
    let mut labels = selector(workload);
    if workload.kind == Kind::Job {
        labels.insert("batch.kubernetes.io/job-name".into(), json!(workload.name));
    }
    let inner = template(workload, revision, Value::Object(labels));
    let body = match workload.kind {
        Kind::Deployment => deployment(clock, workload, inner),
        Kind::StatefulSet => stateful_set(workload, inner),
        Kind::DaemonSet => daemon_set(workload, inner),
        Kind::Job => json!({"spec": {"parallelism": 1, "completions": 1, "backoffLimit": 4,
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}},
            "template": inner}, "status": workload.job}),
    };
    objects.put(kind, meta, body);
}

fn deployment(clock: Clock, workload: &Workload, inner: Value) -> Value {
    let generation = workload.revisions.len();
    let newest = generation.saturating_sub(1);
    let all = workload.active().count();
    let updated = workload.active().filter(|pod| pod.revision == newest).count();
    let ready = workload.ready(NOW);
    let mut status = Map::new();
    status.insert("observedGeneration".into(), json!(generation));
    for (key, value) in [
        ("replicas", all),
        ("updatedReplicas", updated),
        ("readyReplicas", ready),
        ("availableReplicas", ready),
        ("unavailableReplicas", all.max(workload.replicas) - ready.min(all.max(workload.replicas))),
    ] {
        if value > 0 {
            status.insert(key.into(), json!(value));
        }
    }
    let rolled = workload.revisions.last().map_or(workload.created, |revision| revision.at);
    status.insert("conditions".into(), progress(clock, workload, rolled));
    json!({"spec": {"replicas": workload.replicas, "selector": {"matchLabels": selector(workload)},
        "template": inner, "strategy": {"type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}, "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600}, "status": status})
}

fn progress(clock: Clock, workload: &Workload, rolled: Sec) -> Value {
    let newest = workload.revisions.len().saturating_sub(1);
    let hash = workload.revisions.last().map(|revision| revision.hash.clone()).unwrap_or_default();
    let set = format!("ReplicaSet \"{}-{hash}\"", workload.name);
    let done =
        workload.pods.iter().filter(|pod| pod.revision == newest && pod.ready_from < NOW).count();
    let needed = workload.replicas - workload.replicas / 4;
    let ready = workload.ready(NOW);
    let (available, since) = if ready >= needed.min(workload.replicas) {
        (true, workload.pods.iter().map(|pod| pod.ready_from).filter(|&at| at < NOW).max())
    } else {
        let fell = workload.pods.iter().map(Pod::fell).filter(|&at| at < NOW).max();
        let gone = workload.pods.iter().filter_map(|pod| pod.gone).max();
        (false, fell.or(gone))
    };
    let since = clock.rfc(since.unwrap_or(rolled));
    let available = if available {
        json!({"type": "Available", "status": "True", "lastUpdateTime": since, "lastTransitionTime": since,
            "reason": "MinimumReplicasAvailable", "message": "Deployment has minimum availability."})
    } else {
        json!({"type": "Available", "status": "False", "lastUpdateTime": since, "lastTransitionTime": since,
            "reason": "MinimumReplicasUnavailable", "message": "Deployment does not have minimum availability."})
    };
    let (met, reason, message, at) = if done >= workload.replicas {
        (
            "True",
            "NewReplicaSetAvailable",
            format!("{set} has successfully progressed."),
            rolled + 30,
        )
    } else if rolled + 10 * MIN < NOW {
        (
            "False",
            "ProgressDeadlineExceeded",
            format!("{set} has timed out progressing."),
            rolled + 10 * MIN,
        )
    } else {
        ("True", "ReplicaSetUpdated", format!("{set} is progressing."), rolled + 5)
    };
    let progressing = json!({"type": "Progressing", "status": met, "lastUpdateTime": clock.rfc(at),
        "lastTransitionTime": clock.rfc(at), "reason": reason, "message": message});
    match &workload.refused {
        Some(refused) => json!([available, replica_failure(clock, refused), progressing]),
        None => json!([available, progressing]),
    }
}

fn replica_failure(clock: Clock, refused: &Refused) -> Value {
    let at = clock.rfc(refused.at);
    json!({"type": "ReplicaFailure", "status": "True", "lastTransitionTime": at,
        "reason": "FailedCreate", "message": refused.message})
}

fn stateful_set(workload: &Workload, inner: Value) -> Value {
    let newest = workload.revisions.len().saturating_sub(1);
    let hash =
        |at: usize| workload.revisions.get(at).map(|r| format!("{}-{}", workload.name, r.hash));
    let updated = workload.present().filter(|pod| pod.revision == newest).count();
    let all = workload.present().count();
    let done = updated == workload.replicas;
    let current = if done { newest } else { newest.saturating_sub(1) };
    json!({"spec": {"replicas": workload.replicas, "selector": {"matchLabels": selector(workload)},
        "template": inner, "serviceName": workload.called(), "podManagementPolicy": "OrderedReady",
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        "revisionHistoryLimit": 10, "volumeClaimTemplates": workload.claims},
        "status": {"observedGeneration": workload.revisions.len(), "replicas": all,
        "readyReplicas": workload.ready(NOW), "availableReplicas": workload.ready(NOW),
        "currentReplicas": if done { all } else { all - updated.min(all) }, "updatedReplicas": updated,
        "currentRevision": hash(current), "updateRevision": hash(newest), "collisionCount": 0}})
}

fn daemon_set(workload: &Workload, inner: Value) -> Value {
    let (all, ready) = (workload.present().count(), workload.ready(NOW));
    let mut status = json!({"currentNumberScheduled": all, "numberMisscheduled": 0,
        "desiredNumberScheduled": all, "numberReady": ready, "observedGeneration": workload.revisions.len(),
        "updatedNumberScheduled": all, "numberAvailable": ready});
    if let (Value::Object(status), true) = (&mut status, ready < all) {
        status.insert("numberUnavailable".into(), json!(all - ready));
    }
    json!({"spec": {"selector": {"matchLabels": selector(workload)}, "template": inner,
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
        "revisionHistoryLimit": 10}, "status": status})
}

/// A Service with what the endpoint controllers make of its selector.
fn service(objects: &mut Objects, workload: &Workload, front: &Front) {
    let chosen = front.selector.as_ref().unwrap_or(&workload.labels);
    let matching = chosen.iter().all(|label| workload.labels.contains(label));
    let pods: Vec<&Pod> = if matching {
        workload.present().filter(|pod| !pod.ip.is_empty()).collect()
    } else {
        Vec::new()
    };
    let edits: Vec<Edit> = front
        .edited
        .iter()
        .map(|(at, by)| Edit::new(*at, by, &["f:spec.f:ports", "f:spec.f:selector"]))
        .collect();
    let named = |kind: &str, name: &str| Ref::new(kind, &workload.namespace, name);
    let mut meta = objects.meta(&named("Service", &front.name), workload.created, &edits);
    let uid = meta.get("uid").cloned().unwrap_or_default();
    meta.insert("labels".into(), Value::Object(selector(workload)));
    let select: Map<String, Value> =
        chosen.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    let address =
        format!("10.96.{}.{}", front.name.len() * 7 % 250, workload.created.rem_euclid(250));
    let body = json!({"spec": {"ports": [{"name": "http", "protocol": "TCP", "port": front.port,
        "targetPort": front.target}], "selector": select, "clusterIP": address, "clusterIPs": [address],
        "type": "ClusterIP", "sessionAffinity": "None", "ipFamilies": ["IPv4"],
        "internalTrafficPolicy": "Cluster"}, "status": {"loadBalancer": {}}});
    objects.put("Service", meta, body);
    endpoints(objects, workload, front, &pods);
    slices(objects, workload, front, (&pods, uid));
}

fn target(workload: &Workload, pod: &Pod) -> Value {
    json!({"kind": "Pod", "namespace": workload.namespace, "name": pod.name, "uid": pod.uid})
}

/// The port at the pods, where the target can be found there.
fn pod_port(workload: &Workload, front: &Front) -> Option<i64> {
    let named = || front.target.as_str().filter(|name| *name == "http").map(|_| workload.port);
    front.target.as_i64().or_else(named)
}

fn endpoints(objects: &mut Objects, workload: &Workload, front: &Front, pods: &[&Pod]) {
    let meta = objects.meta(
        &Ref::new("Endpoints", &workload.namespace, &front.name),
        workload.created,
        &[],
    );
    let address = |pod: &&&Pod| json!({"ip": pod.ip, "nodeName": pod.node, "targetRef": target(workload, pod)});
    let ready: Vec<Value> =
        pods.iter().filter(|pod| pod.ready(NOW)).map(|pod| address(&pod)).collect();
    let unready: Vec<Value> =
        pods.iter().filter(|pod| !pod.ready(NOW)).map(|pod| address(&pod)).collect();
    let Some(port) = pod_port(workload, front).filter(|_| !pods.is_empty()) else {
        objects.put("Endpoints", meta, json!({}));
        return;
    };
    let mut subset = json!({"ports": [{"name": "http", "port": port, "protocol": "TCP"}]});
    if let Value::Object(subset) = &mut subset {
        for (key, list) in [("addresses", ready), ("notReadyAddresses", unready)] {
            if !list.is_empty() {
                subset.insert(key.into(), Value::Array(list));
            }
        }
    }
    objects.put("Endpoints", meta, json!({"subsets": [subset]}));
}

fn slices(
    objects: &mut Objects,
    workload: &Workload,
    front: &Front,
    (pods, uid): (&[&Pod], Value),
) {
    let ending = objects.uid().get(..5).unwrap_or("x7k2p").to_owned();
    let name = format!("{}-{ending}", front.name);
    let mut meta =
        objects.meta(&Ref::new("EndpointSlice", &workload.namespace, &name), workload.created, &[]);
    meta.insert(
        "labels".into(),
        json!({"kubernetes.io/service-name": front.name,
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}),
    );
    meta.insert(
        "ownerReferences".into(),
        json!([{"apiVersion": "v1", "kind": "Service",
        "name": front.name, "uid": uid, "controller": true, "blockOwnerDeletion": true}]),
    );
    let list: Vec<Value> = pods
        .iter()
        .map(|pod| {
            let ready = pod.ready(NOW);
            json!({"addresses": [pod.ip], "conditions": {"ready": ready, "serving": ready,
                "terminating": false}, "nodeName": pod.node, "targetRef": target(workload, pod)})
        })
        .collect();
    let ports = pod_port(workload, front).map_or_else(
        || json!([]),
        |port| json!([{"name": "http", "port": port, "protocol": "TCP"}]),
    );
    objects.put(
        "EndpointSlice",
        meta,
        json!({"addressType": "IPv4", "endpoints": list, "ports": ports}),
    );
}
