//! What the kubelet and the scheduler say of pods: their objects, and the events of an ordinary
//! life. What goes wrong in a story brings its own events; see [`super::mishap`].

use serde_json::{Map, Value, json};

use super::{
    clock::{Clock, EVENTS_SINCE, NOW, Sec},
    event::Happening,
    object::{Objects, Ref},
    workload::{Ended, Kind, Pod, State, Template, Workload},
};

/// Who owns a pod: kind, name and identifier.
pub type Owner = (&'static str, String, String);

/// The pod template's `spec`, as controllers hold it and pods are made from.
#[must_use]
pub fn pod_spec(workload: &Workload, template: &Template) -> Map<String, Value> {
    let mut container = Map::new();
    container.insert("name".into(), json!(workload.container));
    container.insert("image".into(), json!(template.reference()));
    if !template.command.is_empty() {
        container.insert("command".into(), json!(template.command));
    }
    if workload.port > 0 {
        let port = json!({"name": "http", "containerPort": workload.port, "protocol": "TCP"});
        container.insert("ports".into(), json!([port]));
    }
    let lists = [
        ("env", &template.env),
        ("envFrom", &template.env_from),
        ("volumeMounts", &template.mounts),
    ];
    for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        container.insert(key.into(), Value::Array(list.clone()));
    }
    container.insert("resources".into(), resources(template));
    for (key, probe) in
        [("livenessProbe", &template.liveness), ("readinessProbe", &template.readiness)]
    {
        if let Some(probe) = probe {
            container.insert(key.into(), probe.clone());
        }
    }
    container.insert("terminationMessagePath".into(), json!("/dev/termination-log"));
    container.insert("terminationMessagePolicy".into(), json!("File"));
    container.insert("imagePullPolicy".into(), json!("IfNotPresent"));
    let mut containers = vec![Value::Object(container)];
    containers.extend(template.sidecars.iter().cloned());
    let restart = if workload.kind == Kind::Job { "Never" } else { "Always" };
    let mut spec = Map::new();
    if !template.volumes.is_empty() {
        spec.insert("volumes".into(), Value::Array(template.volumes.clone()));
    }
    spec.insert("containers".into(), Value::Array(containers));
    spec.insert("restartPolicy".into(), json!(restart));
    spec.insert("terminationGracePeriodSeconds".into(), json!(30));
    spec.insert("dnsPolicy".into(), json!("ClusterFirst"));
    spec.insert("securityContext".into(), json!({}));
    spec.insert("schedulerName".into(), json!("default-scheduler"));
    spec.extend(template.spec.iter().cloned());
    spec
}

fn resources(template: &Template) -> Value {
    let mut limits = Map::new();
    let mut requests = Map::new();
    let cpu = |m: i64| if m % 1000 == 0 { (m / 1000).to_string() } else { format!("{m}m") };
    let memory =
        |mi: i64| if mi % 1024 == 0 { format!("{}Gi", mi / 1024) } else { format!("{mi}Mi") };
    for (map, c, m) in [
        (&mut limits, template.cpu_limit, template.memory_limit),
        (&mut requests, template.cpu_request, template.memory_request),
    ] {
        if c > 0 {
            map.insert("cpu".into(), json!(cpu(c)));
        }
        if m > 0 {
            map.insert("memory".into(), json!(memory(m)));
        }
    }
    let mut both = Map::new();
    for (key, map) in [("limits", limits), ("requests", requests)] {
        if !map.is_empty() {
            both.insert(key.into(), Value::Object(map));
        }
    }
    Value::Object(both)
}

/// Labels of pods of a revision.
#[must_use]
pub fn labels(workload: &Workload, hash: &str) -> Value {
    let mut labels: Map<String, Value> =
        workload.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    match workload.kind {
        Kind::Deployment => labels.insert("pod-template-hash".into(), json!(hash)),
        Kind::Job => labels.insert("batch.kubernetes.io/job-name".into(), json!(workload.name)),
        Kind::StatefulSet | Kind::DaemonSet => labels
            .insert("controller-revision-hash".into(), json!(format!("{}-{hash}", workload.name))),
    };
    Value::Object(labels)
}

/// Writes down one pod that is still there.
pub fn write(objects: &mut Objects, workload: &Workload, pod: &Pod, owner: &Owner) {
    let clock = objects.clock();
    let revision = workload.revisions.get(pod.revision);
    let template = workload.template_of(pod.revision);
    let hash = revision.map(|revision| revision.hash.clone()).unwrap_or_default();
    let mut meta = objects.meta(&Ref::new("Pod", &workload.namespace, &pod.name), pod.created, &[]);
    meta.insert("uid".into(), json!(pod.uid));
    if let Some(at) = pod.given_up().filter(|_| workload.kind != Kind::DaemonSet) {
        meta.insert("deletionTimestamp".into(), json!(clock.rfc(at + 30)));
        meta.insert("deletionGracePeriodSeconds".into(), json!(30));
    }
    let mut all = labels(workload, &hash);
    if workload.kind == Kind::StatefulSet
        && let Value::Object(all) = &mut all
    {
        all.insert("statefulset.kubernetes.io/pod-name".into(), json!(pod.name));
    }
    meta.insert("labels".into(), all);
    if !template.annotations.is_empty() {
        let notes: Map<String, Value> =
            template.annotations.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        meta.insert("annotations".into(), Value::Object(notes));
    }
    let (kind, name, uid) = owner;
    let owner_api = super::object::api_of(kind);
    meta.insert(
        "ownerReferences".into(),
        json!([{"apiVersion": owner_api, "kind": kind,
        "name": name, "uid": uid, "controller": true, "blockOwnerDeletion": true}]),
    );
    let mut spec = pod_spec(workload, &template);
    claims(workload, pod, &mut spec);
    spec.entry("serviceAccountName").or_insert_with(|| json!("default"));
    if !pod.node.is_empty() {
        spec.insert("nodeName".into(), json!(pod.node));
    }
    spec.entry("priority").or_insert_with(|| json!(0));
    spec.insert("enableServiceLinks".into(), json!(true));
    let status = status(clock, workload, &template, pod);
    objects.put("Pod", meta, json!({"spec": spec, "status": status}));
}

fn claims(workload: &Workload, pod: &Pod, spec: &mut Map<String, Value>) {
    let names = workload.claims.iter().filter_map(|c| c.pointer("/metadata/name")?.as_str());
    let volumes: Vec<Value> = names
        .map(|name| json!({"name": name, "persistentVolumeClaim": {"claimName": format!("{name}-{}", pod.name)}}))
        .collect();
    if !volumes.is_empty()
        && let Value::Array(list) = spec.entry("volumes").or_insert_with(|| json!([]))
    {
        list.extend(volumes);
    }
}

fn status(clock: Clock, workload: &Workload, template: &Template, pod: &Pod) -> Value {
    let ready = pod.ready(NOW);
    let mut status = Map::new();
    let phase = match &pod.state {
        State::Running(_) => "Running",
        State::Waiting(..) if pod.runs.is_empty() => "Pending",
        State::Waiting(..) => "Running",
        State::Unscheduled(_) => "Pending",
        State::Over(ended) if ended.exit == 0 => "Succeeded",
        State::Over(_) | State::Evicted(_) => "Failed",
    };
    status.insert("phase".into(), json!(phase));
    if let State::Evicted(message) = &pod.state {
        status.insert("reason".into(), json!("Evicted"));
        status.insert("message".into(), json!(message));
    }
    status.insert("conditions".into(), conditions(clock, workload, pod, ready));
    if !pod.node.is_empty() {
        status.insert("hostIP".into(), json!(host_ip(&pod.node)));
        status.insert("startTime".into(), json!(clock.rfc(pod.created)));
    }
    if !pod.ip.is_empty() {
        status.insert("podIP".into(), json!(pod.ip));
        status.insert("podIPs".into(), json!([{"ip": pod.ip}]));
    }
    let burst = template.cpu_limit != template.cpu_request
        || template.memory_limit != template.memory_request;
    status.insert("qosClass".into(), json!(if burst { "Burstable" } else { "Guaranteed" }));
    if !matches!(pod.state, State::Unscheduled(_) | State::Evicted(_)) {
        let own = container_status(clock, workload, template, pod);
        let others = template.sidecars.iter().map(|sidecar| sidecar_status(clock, sidecar, pod));
        let all: Vec<Value> = std::iter::once(own).chain(others).collect();
        status.insert("containerStatuses".into(), Value::Array(all));
    }
    Value::Object(status)
}

/// An address of a node that its name gives away to nobody: the same for the same name.
#[must_use]
pub fn host_ip(node: &str) -> String {
    let sum =
        node.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    format!("10.{}.{}.{}", 20 + sum % 3, sum / 7 % 250, 4 + sum / 1999 % 240)
}

fn conditions(clock: Clock, workload: &Workload, pod: &Pod, ready: bool) -> Value {
    let made = clock.rfc(pod.created);
    let condition = |kind: &str, met: bool, at: &str| {
        json!({"type": kind, "status": if met { "True" } else { "False" },
            "lastProbeTime": null, "lastTransitionTime": at})
    };
    if let State::Unscheduled(message) = &pod.state {
        let mut unmet = condition("PodScheduled", false, &made);
        add(&mut unmet, "Unschedulable", message);
        return json!([unmet]);
    }
    let since = if ready { pod.ready_from } else { pod.ready_until.min(NOW) };
    let since = if pod.ready_from == Sec::MAX { pod.created } else { since };
    let since = match (pod.warm, pod.runs.last()) {
        (Some(after), Some(&(from, _))) if ready => from + after,
        (Some(_), Some(&(_, until))) => until.min(NOW),
        _ => since,
    };
    let mut both =
        ["Ready", "ContainersReady"].map(|kind| condition(kind, ready, &clock.rfc(since)));
    if !ready {
        let over = matches!(&pod.state, State::Over(ended) if ended.exit == 0);
        let reason = if over { "PodCompleted" } else { "ContainersNotReady" };
        let message = format!("containers with unready status: [{}]", workload.container);
        both.iter_mut().for_each(|unmet| add(unmet, reason, if over { "" } else { &message }));
    }
    let [whole, containers] = both;
    let sandbox =
        condition("PodReadyToStartContainers", !pod.ip.is_empty(), &clock.rfc(pod.created + 2));
    json!([
        sandbox,
        condition("Initialized", true, &made),
        whole,
        containers,
        condition("PodScheduled", true, &made)
    ])
}

fn add(condition: &mut Value, reason: &str, message: &str) {
    if let Value::Object(condition) = condition {
        condition.insert("reason".into(), json!(reason));
        if !message.is_empty() {
            condition.insert("message".into(), json!(message));
        }
    }
}

fn container_status(clock: Clock, workload: &Workload, template: &Template, pod: &Pod) -> Value {
    let id = format!("containerd://{}{}", pod.uid.replace('-', ""), pod.uid.replace('-', ""));
    let state = match &pod.state {
        State::Running(since) => json!({"running": {"startedAt": clock.rfc(*since)}}),
        State::Waiting(reason, message) if message.is_empty() => {
            json!({"waiting": {"reason": reason}})
        }
        State::Waiting(reason, message) => {
            json!({"waiting": {"reason": reason, "message": message}})
        }
        State::Over(ended) => terminated(clock, ended, &id),
        State::Unscheduled(_) | State::Evicted(_) => json!({}),
    };
    let last = pod.last.as_ref().map_or_else(|| json!({}), |ended| terminated(clock, ended, &id));
    let running = matches!(pod.state, State::Running(_));
    let began = running || pod.last.is_some() || matches!(pod.state, State::Over(_));
    let image = template.reference();
    let digest = super::object::digest(&image);
    let mut status = json!({
        "name": workload.container, "state": state, "lastState": last, "ready": pod.ready(NOW),
        "restartCount": pod.restarts, "image": image, "started": running,
        "imageID": if began { format!("{}@sha256:{digest}", template.image) } else { String::new() },
    });
    if let (Value::Object(status), true) = (&mut status, began) {
        status.insert("containerID".into(), json!(id));
    }
    status
}

fn sidecar_status(clock: Clock, sidecar: &Value, pod: &Pod) -> Value {
    let name = sidecar.get("name").cloned().unwrap_or_default();
    let image = sidecar.get("image").cloned().unwrap_or_default();
    let running = pod.started().is_some();
    let state = if running {
        json!({"running": {"startedAt": clock.rfc(pod.created + 3)}})
    } else {
        json!({"waiting": {"reason": "ContainerCreating"}})
    };
    json!({"name": name, "image": image, "imageID": "", "state": state, "lastState": {},
        "ready": running, "restartCount": 0, "started": running})
}

fn terminated(clock: Clock, ended: &Ended, id: &str) -> Value {
    let mut inner = json!({
        "exitCode": ended.exit, "reason": ended.reason, "startedAt": clock.rfc(ended.started),
        "finishedAt": clock.rfc(ended.finished), "containerID": id,
    });
    if let (Value::Object(inner), false) = (&mut inner, ended.message.is_empty()) {
        inner.insert("message".into(), json!(ended.message));
    }
    json!({"terminated": inner})
}

/// The events of a pod's ordinary life: found a node, image there, created, started, stopped,
/// started again.
#[must_use]
pub fn life(workload: &Workload, pod: &Pod) -> Vec<Happening> {
    let object = || Ref::new("Pod", &workload.namespace, &pod.name);
    let kubelet = |reason: &'static str, message: String| {
        Happening::normal(object(), "kubelet", reason, message)
            .on(&pod.node)
            .of_container(&workload.container)
    };
    let mut all = Vec::new();
    if pod.created >= EVENTS_SINCE && !pod.node.is_empty() && workload.kind != Kind::DaemonSet {
        let message =
            format!("Successfully assigned {}/{} to {}", workload.namespace, pod.name, pod.node);
        all.push(
            Happening::normal(object(), "default-scheduler", "Scheduled", message).at(pod.created),
        );
    }
    let image = workload.template_of(pod.revision).reference();
    let container = &workload.container;
    let present = format!("Container image \"{image}\" already present on machine");
    let born = pod.created >= EVENTS_SINCE && pod.started().is_some() && pod.runs.is_empty();
    if born {
        all.push(kubelet("Pulled", present.clone()).at(pod.created + 2));
        all.push(kubelet("Created", format!("Created container: {container}")).at(pod.created + 2));
        all.push(kubelet("Started", format!("Started container {container}")).at(pod.created + 3));
    }
    // An event that was last seen more than an hour ago is gone, and counts anew.
    let kept: Vec<&(Sec, Sec)> = pod.runs.iter().filter(|run| run.0 >= EVENTS_SINCE).collect();
    if let (Some(first), Some(last)) = (kept.first(), kept.last()) {
        let times = super::dice::count(kept.len());
        for (reason, message) in [
            ("Pulled", present),
            ("Created", format!("Created container: {container}")),
            ("Started", format!("Started container {container}")),
        ] {
            all.push(kubelet(reason, message).times(first.0, last.0, times));
        }
    }
    if let Some(gone) = pod.gone {
        all.push(kubelet("Killing", format!("Stopping container {container}")).at(gone - 2));
    }
    all.iter_mut().for_each(|happening| happening.uid.clone_from(&pod.uid));
    all
}
