"""Shapes that any recorded cluster has, for ../make_web_app_incident.py: API objects, OpenMetrics, log files.

What it is not: a story. Nothing here knows which service fails or when; every name and time is passed in.
Invariant: the same calls give the same bytes. Ids are digests of names, numbers come from one seeded generator,
archives carry no time stamp.
"""
import datetime, gzip, hashlib, json, lzma, math, os, random

MI = 1 << 20
LETTERS = "bcdfghjklmnpqrstvwxz2456789"
EDGES = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REGISTRY = "registry.fernhill.example"
PORT = 8080


def at(text):
    """'2025-11-28T18:12:00Z' as seconds since 1970."""
    return int(datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc).timestamp())


def moment(seconds, form="%Y-%m-%dT%H:%M:%S"):
    return datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc).strftime(form)


def stamp(seconds):
    return moment(seconds) + "Z"


def digest(*parts):
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def uid(*parts):
    h = digest("uid", *parts)
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:32]}"


def letters(n, *parts):
    h = int(digest("letters", *parts), 16)
    return "".join(LETTERS[h // 27**k % 27] for k in range(n))


def version_of(seconds):
    """resourceVersion: grows with time, as etcd's revision does."""
    return str(61_000_000 + (int(seconds) - at("2025-01-01T00:00:00Z")) // 3)


def meta(kind, ns, name, created, changed=None, **more):
    out = {"name": name, **({"namespace": ns} if ns else {}), "uid": uid(kind, ns, name),
           "resourceVersion": version_of(changed or created), "creationTimestamp": stamp(created)}
    return {**out, **more}


def owner(api, kind, ns, name):
    return [{"apiVersion": api, "kind": kind, "name": name, "uid": uid(kind, ns, name), "controller": True, "blockOwnerDeletion": True}]


def managed(manager, api, when, fields):
    return [{"manager": manager, "operation": "Update", "apiVersion": api, "time": stamp(when), "fieldsType": "FieldsV1", "fieldsV1": fields}]


SPEC_FIELDS = {"f:metadata": {"f:labels": {}}, "f:spec": {"f:selector": {}, "f:template": {"f:spec": {"f:containers": {}}}}}


def probe(path, delay, period):
    return {"httpGet": {"path": path, "port": PORT, "scheme": "HTTP"}, "initialDelaySeconds": delay, "timeoutSeconds": 1,
            "periodSeconds": period, "successThreshold": 1, "failureThreshold": 3}


def container(w, image):
    out = {"name": w.name, "image": image}
    if w.port: out["ports"] = [{"name": "http", "containerPort": w.port, "protocol": "TCP"}]
    if w.env: out["env"] = [{"name": k, "value": v} for k, v in w.env.items()]
    if w.settings: out["envFrom"] = [{"configMapRef": {"name": w.settings}}]
    out["resources"] = {"limits": {"cpu": w.cpu, "memory": w.memory}, "requests": {"cpu": w.cpu_request, "memory": w.memory_request}}
    if w.probes: out.update(livenessProbe=probe("/healthz", 15, 20), readinessProbe=probe("/readyz", 3, 5))
    if w.storage: out["volumeMounts"] = [{"name": "data", "mountPath": "/var/lib/data"}]
    return {**out, "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent"}


def pod_spec(w, image):
    return {"containers": [container(w, image)], "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler", "securityContext": {}}


def template(w, image, labels):
    return {"metadata": {"creationTimestamp": None, "labels": labels}, "spec": pod_spec(w, image)}


def condition(kind, good, when, reason=None, message=None, probe_time=True):
    out = {"type": kind, "status": "True" if good else "False"}
    if probe_time: out["lastProbeTime"] = None
    out["lastTransitionTime"] = stamp(when)
    if reason: out["reason"] = reason
    if message: out["message"] = message
    return out


def container_id(*parts):
    return "containerd://" + digest("container", *parts)


def image_id(image):
    return image.rsplit(":", 1)[0] + "@sha256:" + digest("image", image)


def pod(w, p):
    """One pod. `p` says name, node, ip, born, ready (bool), since (of ready), state, last, restarts, labels, owner, image."""
    kube = {"name": "kube-api-access-" + letters(5, p.name), "projected": {"sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}], "defaultMode": 420}}
    volumes = [kube] + ([{"name": "data", "persistentVolumeClaim": {"claimName": f"data-{p.name}"}}] if w.storage else [])
    box = container(w, p.image)
    box.setdefault("volumeMounts", []).append({"name": kube["name"], "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"})
    spec = {"volumes": volumes, **pod_spec(w, p.image), "containers": [box], "serviceAccountName": "default", "serviceAccount": "default", "nodeName": p.node,
            "tolerations": [{"key": f"node.kubernetes.io/{k}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300} for k in ("not-ready", "unreachable")],
            "priority": 0, "enableServiceLinks": True, "preemptionPolicy": "PreemptLowerPriority"}
    why = () if p.ready else ("ContainersNotReady", f"containers with unready status: [{w.name}]")
    status = {"phase": "Running", "conditions": [
        condition("PodReadyToStartContainers", True, p.born + 2), condition("Initialized", True, p.born),
        condition("Ready", p.ready, p.since, *why), condition("ContainersReady", p.ready, p.since, *why), condition("PodScheduled", True, p.born)],
        "hostIP": p.host_ip, "podIP": p.ip, "podIPs": [{"ip": p.ip}], "startTime": stamp(p.born), "qosClass": "Burstable",
        "containerStatuses": [{"name": w.name, "state": p.state, "lastState": p.last, "ready": p.ready, "restartCount": p.restarts, "image": p.image,
                               "imageID": image_id(p.image), "containerID": p.container_id, "started": "running" in p.state}]}
    m = meta("Pod", w.ns, p.name, p.born, max(p.born, p.since), labels=p.labels, ownerReferences=p.owner)
    if not w.storage: m["generateName"] = p.name[:-5]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": m, "spec": spec, "status": status}


def replica_set(w, image, revision, created, replicas, ready):
    h = letters(9, w.name, image)
    labels = {"app": w.name, "pod-template-hash": h}
    status = {"replicas": replicas, "observedGeneration": 2 if revision > 1 else 1}
    if replicas: status["fullyLabeledReplicas"] = replicas
    if ready: status.update(readyReplicas=ready, availableReplicas=ready)
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": meta("ReplicaSet", w.ns, f"{w.name}-{h}", created, labels=labels, ownerReferences=owner("apps/v1", "Deployment", w.ns, w.name), generation=2 if revision > 1 else 1,
                             annotations={"deployment.kubernetes.io/desired-replicas": str(w.replicas), "deployment.kubernetes.io/max-replicas": str(w.replicas + 1), "deployment.kubernetes.io/revision": str(revision)}),
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template(w, image, labels)}, "status": status}


def deployment(w, image, revision, rolled, ready, unavailable_since):
    good = ready == w.replicas
    status = {"observedGeneration": revision, "replicas": w.replicas, "updatedReplicas": w.replicas}
    if ready: status.update(readyReplicas=ready, availableReplicas=ready)
    if not good: status["unavailableReplicas"] = w.replicas - ready
    h = letters(9, w.name, image)
    def told(kind, ok, since, reason, message):
        return {"type": kind, "status": "True" if ok else "False", "lastUpdateTime": stamp(since), "lastTransitionTime": stamp(since), "reason": reason, "message": message}
    status["conditions"] = [
        told("Progressing", True, rolled + 25, "NewReplicaSetAvailable", f'ReplicaSet "{w.name}-{h}" has successfully progressed.'),
        told("Available", good, w.created + 25, "MinimumReplicasAvailable", "Deployment has minimum availability.") if good else
        told("Available", False, unavailable_since, "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")]
    return {"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": meta("Deployment", w.ns, w.name, w.created, max(rolled, unavailable_since or 0), labels={"app": w.name, **w.labels}, annotations={"deployment.kubernetes.io/revision": str(revision)},
                             generation=revision, managedFields=managed("argocd-controller", "apps/v1", rolled, SPEC_FIELDS)),
            "spec": {"selector": {"matchLabels": {"app": w.name}}, "template": template(w, image, {"app": w.name}), "replicas": w.replicas,
                     "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600}, "status": status}


def stateful_set(w, image):
    revision = f"{w.name}-{letters(10, w.name, 'revision')}"
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "creationTimestamp": None}, "status": {"phase": "Pending"},
             "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": w.storage}}, "storageClassName": "block-ssd", "volumeMode": "Filesystem"}}
    n = w.replicas
    return {"apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": meta("StatefulSet", w.ns, w.name, w.created, labels={"app": w.name}, generation=1, managedFields=managed("argocd-controller", "apps/v1", w.created, SPEC_FIELDS)),
            "spec": {"selector": {"matchLabels": {"app": w.name}}, "template": template(w, image, {"app": w.name}), "replicas": n, "serviceName": w.name, "podManagementPolicy": "OrderedReady",
                     "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}, "revisionHistoryLimit": 10, "volumeClaimTemplates": [claim]},
            "status": {"observedGeneration": 1, "replicas": n, "readyReplicas": n, "availableReplicas": n, "currentReplicas": n, "updatedReplicas": n,
                       "currentRevision": revision, "updateRevision": revision, "collisionCount": 0}}


def claim(w, name):
    volume = "pvc-" + uid("PersistentVolumeClaim", w.ns, name)
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": w.storage}}, "storageClassName": "block-ssd", "volumeMode": "Filesystem", "volumeName": volume}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta("PersistentVolumeClaim", w.ns, name, w.created, labels={"app": w.name}, finalizers=["kubernetes.io/pvc-protection"]),
            "spec": spec, "status": {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": w.storage}}}


def service(w):
    ip = f"10.96.{int(digest(w.name)[:2], 16) % 250 + 1}.{int(digest(w.name)[2:4], 16) % 250 + 1}"
    fields = {"f:spec": {f"f:{k}": {} for k in ("clusterIP", "clusterIPs", "internalTrafficPolicy", "ipFamilies", "ipFamilyPolicy", "ports", "selector", "sessionAffinity", "type")}}
    port = 80 if w.port == PORT else w.port
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta("Service", w.ns, w.name, w.created, labels={"app": w.name}, managedFields=managed("argocd-controller", "v1", w.created, fields)),
            "spec": {"ports": [{"name": "http" if w.probes else "tcp", "protocol": "TCP", "port": port, "targetPort": w.port}], "selector": {"app": w.name}, "clusterIP": ip, "clusterIPs": [ip], "type": "ClusterIP",
                     "sessionAffinity": "None", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster"}, "status": {"loadBalancer": {}}}


def endpoints(w, pods):
    """The Endpoints object and the EndpointSlice of a Service, from the readiness of its pods."""
    def target(p): return {"kind": "Pod", "namespace": w.ns, "name": p.name, "uid": uid("Pod", w.ns, p.name)}
    ports = [{"name": "http" if w.probes else "tcp", "port": w.port, "protocol": "TCP"}]
    subset = {}
    for key, ready in (("addresses", True), ("notReadyAddresses", False)):
        some = [{"ip": p.ip, "nodeName": p.node, "targetRef": target(p)} for p in pods if p.ready == ready]
        if some: subset[key] = some
    changed = max(p.since for p in pods)
    old = {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta("Endpoints", w.ns, w.name, w.created, changed, annotations={"endpoints.kubernetes.io/last-change-trigger-time": stamp(changed)}),
           "subsets": [{**subset, "ports": ports}]}
    name = f"{w.name}-{letters(5, w.name, 'slice')}"
    new = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
           "metadata": meta("EndpointSlice", w.ns, name, w.created, changed, generateName=w.name + "-", ownerReferences=owner("v1", "Service", w.ns, w.name),
                            labels={"kubernetes.io/service-name": w.name, "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}),
           "endpoints": [{"addresses": [p.ip], "conditions": {"ready": p.ready, "serving": p.ready, "terminating": False}, "nodeName": p.node, "targetRef": target(p)} for p in pods], "ports": ports}
    return old, new


def node(name, ip, zone, created, now):
    beat = stamp(now - 14)
    def told(kind, status, reason, message):
        return {"type": kind, "status": status, "lastHeartbeatTime": beat, "lastTransitionTime": stamp(created + 40), "reason": reason, "message": message}
    n = int(ip.split(".")[2])
    return {"apiVersion": "v1", "kind": "Node",
            "metadata": meta("Node", "", name, created, now - 14, annotations={"node.alpha.kubernetes.io/ttl": "0", "volumes.kubernetes.io/controller-managed-attach-detach": "true"},
                             labels={"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "topology.kubernetes.io/zone": zone, "topology.kubernetes.io/region": zone[:-1], "node.kubernetes.io/instance-type": "m8.xlarge"}),
            "spec": {"podCIDR": f"10.244.{n}.0/24", "podCIDRs": [f"10.244.{n}.0/24"], "providerID": "metal://" + name},
            "status": {"capacity": {"cpu": "8", "memory": "32880000Ki", "pods": "110", "ephemeral-storage": "102350Mi"}, "allocatable": {"cpu": "7890m", "memory": "31541166Ki", "pods": "110", "ephemeral-storage": "94311Mi"},
                       "conditions": [told("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"), told("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                                      told("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"), told("Ready", "True", "KubeletReady", "kubelet is posting ready status")],
                       "addresses": [{"type": "InternalIP", "address": ip}, {"type": "Hostname", "address": name}], "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
                       "nodeInfo": {"machineID": digest("machine", name)[:32], "systemUUID": uid("system", name), "bootID": uid("boot", name), "kernelVersion": "6.1.0-40-amd64", "osImage": "Debian GNU/Linux 12 (bookworm)",
                                    "containerRuntimeVersion": "containerd://1.7.28", "kubeletVersion": "v1.31.4", "kubeProxyVersion": "v1.31.4", "operatingSystem": "linux", "architecture": "amd64"}}}


def event(ns, kind, name, reason, message, first, last=None, count=1, host=None, component="kubelet", box=None, warning=False):
    """An Event as the kubelet or a controller writes it; equal ones are one object with a count."""
    last = last or first
    about = {"kind": kind, "namespace": ns, "name": name, "uid": uid(kind, ns, name), "apiVersion": "apps/v1" if kind == "Deployment" else "v1", "resourceVersion": version_of(first)}
    if box: about["fieldPath"] = f"spec.containers{{{box}}}"
    title = f"{name}.{digest('event', ns, name, reason, message, first)[:16]}"
    return {"apiVersion": "v1", "kind": "Event", "metadata": meta("Event", ns, title, first, last), "involvedObject": about, "reason": reason, "message": message,
            "source": {"component": component, **({"host": host} if host else {})}, "firstTimestamp": stamp(first), "lastTimestamp": stamp(last), "count": count,
            "type": "Warning" if warning else "Normal", "eventTime": None, "reportingComponent": component, "reportingInstance": host or ""}


def config_map(ns, name, entries, created, changed=None, manager="argocd-controller"):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("ConfigMap", ns, name, created, changed, managedFields=managed(manager, "v1", changed or created, {"f:data": {"f:" + k: {} for k in entries}})), "data": entries}


# ------------------------------------------------------------------ numbers
class Dice:
    """Random numbers that stay the same over versions of Python: only random() is used."""
    def __init__(self, seed): self.next = random.Random(seed).random
    def between(self, low, high): return low + (high - low) * self.next()
    def whole(self, low, high): return int(self.between(low, high + 1))
    def one_of(self, some): return some[int(self.next() * len(some))]
    def near(self, value, share): return value * (1 + share * (self.next() + self.next() - 1))


class Metrics:
    """Series by family, in the order of their labels' first use; written as OpenMetrics."""
    def __init__(self): self.families = {}

    def put(self, family, kind, labels, when, value, suffix=""):
        key = family + suffix + "{" + ",".join(f'{k}="{v}"' for k, v in sorted(labels.items())) + "}"
        self.families.setdefault((family, kind), {}).setdefault(key, []).append((when, value))

    def text(self):
        out = []
        for (family, kind), series in sorted(self.families.items()):
            out += [f"# HELP {family} {family.replace('_', ' ')}.", f"# TYPE {family} {kind}"]
            for key, points in series.items():
                out += [f"{key} {plain(v)} {when}" for when, v in points]
        return "\n".join(out + ["# EOF"]) + "\n"


def plain(v):
    return str(int(v)) if v == int(v) else f"{v:.2f}"


def below(edge, median, spread=0.85):
    """Share of requests that take at most `edge` seconds, of a log-normal with this median."""
    return 0.5 * (1 + math.erf(math.log(edge / median) / (spread * math.sqrt(2))))


# ------------------------------------------------------------------ files
def write(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f: f.write(content)


def write_objects(root, kind, objects):
    objects.sort(key=lambda o: (o["metadata"].get("namespace", ""), o["metadata"]["name"]))
    lines = ",\n".join(json.dumps(o, separators=(",", ":")) for o in objects)
    write(os.path.join(root, "kube", kind.lower() + ".json"), f"[\n{lines}\n]\n".encode())


def write_log(root, ns, name, box, lines, previous=False):
    """`lines`: (time, text). Each gets the kubelet's stamp; a long file is packed."""
    lines.sort(key=lambda x: x[0])
    text = "".join(f"{moment(t)}.{int(t % 1 * 1e9):09d}Z {line}\n" for t, line in lines).encode()
    path = os.path.join(root, "logs", ns, name, box + (".previous" if previous else "") + ".log")
    if len(text) > 6000: write(path + ".gz", gzip.compress(text, 9, mtime=0))
    else: write(path, text)


def write_metrics(root, metrics):
    write(os.path.join(root, "metrics.om.xz"), lzma.compress(metrics.text().encode(), preset=9 | lzma.PRESET_EXTREME))
