"""What happens in the incident web-app: who runs, one simulation of the failing containers, and the cluster's objects and events.

What it is not: numbers and log lines over time; those are derived from here in telling.py. Shapes of objects are in shapes.py.
Invariant: LIVES is the one truth about starts and kills; state, restarts, readiness, events, metrics and logs all follow from it.
"""
from dataclasses import dataclass, field
from types import SimpleNamespace

from . import shapes as s
from .shapes import MI, Dice, at, stamp

DAY, STEP = 86400, 30
FIRED, NOW = at("2025-11-28T18:42:00Z"), at("2025-11-28T18:47:00Z")
BEGIN = NOW - 65 * 60
SALE = at("2025-11-28T18:12:00Z")
INNOCENT_ROLLOUT, OTHER_ROLLOUT, BANNER_EDIT = at("2025-11-28T18:04:10Z"), at("2025-11-28T17:55:30Z"), at("2025-11-28T18:33:20Z")
LIMIT = 512 * MI
BACK_OFF = (0, 10, 20, 40, 80, 160, 300, 300)
READY_AFTER = 8
SECRETS = {"url": "Brisk-Lantern-48", "bearer": "sgw.9f27c1d4e85b4a06b3d8.edge", "smtp": "quiet!Harbor72"}
CATALOGUE_URL = f"http://webapp-ro:{SECRETS['url']}@product-api.shop.svc.cluster.local/v2/products"
NODES = (("fern-w1", "10.20.0.11", "fen-1a"), ("fern-w2", "10.20.1.12", "fen-1b"), ("fern-w3", "10.20.2.13", "fen-1c"))


@dataclass
class Workload:
    ns: str
    name: str
    tag: str
    replicas: int
    created: int
    memory: str = "512Mi"
    memory_request: str = "128Mi"
    cpu: str = "500m"
    cpu_request: str = "100m"
    share: float = 0.4                     # usual share of the memory limit
    cores: float = 0.05
    rate: float = 0.0                      # requests per second; 0 = serves no HTTP
    median: float = 0.02                   # seconds
    rolled: int = 0
    old_tag: str = ""
    revision: int = 1
    port: int = 8080
    probes: bool = True
    storage: str = ""
    settings: str = ""
    env: dict = field(default_factory=dict)
    labels: dict = field(default_factory=dict)
    restart: tuple = ()                    # (when, exit code, reason) of one old restart of the first pod

    def image(self, tag=None):
        return f"{s.REGISTRY}/{self.ns}/{self.name}:{tag or self.tag}"


def days_ago(n):
    return BEGIN - n * DAY - 4000


WEB = Workload("shop", "web-app", "3.22.1", 3, days_ago(17), memory_request="320Mi", cpu="1", cpu_request="250m", rate=55, median=0.03, revision=9, settings="web-app-settings")
EDGE = Workload("shop", "edge-gateway", "7.4.0", 2, days_ago(41), cpu="1", cpu_request="200m", share=0.3, cores=0.16, rate=80, median=0.036, settings="shop-banner")
API = Workload("shop", "product-api", "11.0.3", 2, days_ago(29), memory="1Gi", memory_request="512Mi", cpu="1", share=0.45, cores=0.12, rate=21, median=0.011, restart=(days_ago(3), 1, "Error"))
WIDGET = Workload("shop", "review-widget", "2.14.2", 2, days_ago(52), memory="384Mi", rate=18, median=0.014, rolled=INNOCENT_ROLLOUT, old_tag="2.14.1", revision=8)
DB = Workload("shop", "product-db", "16.6", 1, days_ago(120), memory="4Gi", memory_request="2Gi", cpu="2", cpu_request="1", share=0.55, cores=0.3, port=5432, probes=False, storage="40Gi")
OTHERS = [
    Workload("marketing", "mail-sender", "5.3.1", 2, days_ago(60), rolled=OTHER_ROLLOUT, old_tag="5.3.0", revision=4),
    Workload("logistics", "parcel-tracker", "1.19.4", 2, days_ago(33), memory="1Gi", memory_request="512Mi", share=0.6, rate=12, median=0.06),
    Workload("payments", "card-vault", "0.48.0", 2, days_ago(76), memory="256Mi", share=0.25, rate=9, median=0.008),
    Workload("media", "image-resizer", "2.0.9", 2, days_ago(25), memory="768Mi", share=0.5, cores=0.25, rate=25, median=0.045, restart=(days_ago(6), 137, "OOMKilled")),
    Workload("kube-system", "coredns", "v1.11.3", 2, days_ago(150), memory="170Mi", memory_request="70Mi", share=0.2, labels={"k8s-app": "kube-dns"}),
    Workload("kube-system", "metrics-server", "v0.7.2", 1, days_ago(150), memory="200Mi", share=0.3),
]
WORKLOADS = [EDGE, WEB, API, WIDGET, DB] + OTHERS


# ------------------------------------------------------------------ the one simulation: lives of the failing containers
def life(name, first_kill):
    """[(start, end)] of the container's instances; the last may end after NOW, which nobody has seen yet."""
    dice, out, start, end = Dice(name), [], WEB.created + 8, first_kill
    for wait in BACK_OFF:
        out.append((start, end))
        start = end + wait + 1
        if start > NOW: break
        end = start + dice.whole(96, 138)
    return out


def lives():
    names = pod_names(WEB, WEB.image())
    firsts = ("2025-11-28T18:21:40Z", "2025-11-28T18:23:50Z", "2025-11-28T18:26:40Z")
    return {n: life(n, at(k)) for n, k in zip(names, firsts)}


def instance(p, t):
    return next((i for i, (a, b) in enumerate(LIVES[p]) if a <= t < b), None)


def ready(p, t):
    i = instance(p, t)
    return i is not None and (i == 0 or t >= LIVES[p][i][0] + READY_AFTER)


def ready_count(t):
    return sum(ready(p, t) for p in LIVES)


def memory(p, t):
    """Working set of a failing container, None while it does not run. Level, then growing with the sale; after a kill it warms up faster."""
    i = instance(p, t)
    if i is None: return None
    a, b = LIVES[p][i]
    wobble = (Dice(f"{p}{int(t)}").next() - 0.5) * 5 * MI
    if i == 0:
        grown = 0 if t < SALE else ((t - SALE) / (b - SALE)) ** 0.92
        return min(LIMIT - 0.3 * MI, (299 + 212.5 * grown) * MI + wobble)
    u = (t - a) / (b - a)
    return min(LIMIT - 0.3 * MI, (84 + 427 * (1 - (1 - u) ** 1.8)) * MI + wobble)


def demand(t):
    """Load against the usual: the sale doubles it within eight minutes."""
    return 1 + 1.05 * min(1, max(0, (t - SALE) / 480))


def lost(t):
    """Share of calls to web-app that fail in this second, seen by the caller."""
    n = ready_count(t)
    base = (1.0, 0.34, 0.04, 0.0006)[n]
    just_killed = any(b <= t < b + 2 for p in LIVES for _, b in LIVES[p] if b <= NOW)
    return min(1, base + (1 / (n + 1) if just_killed else 0))


# ------------------------------------------------------------------ objects
def pod_names(w, image):
    if w.storage: return [f"{w.name}-{i}" for i in range(w.replicas)]
    h = s.letters(9, w.name, image)
    return [f"{w.name}-{h}-{s.letters(5, w.name, image, i)}" for i in range(w.replicas)]


def pods_of(number, w):
    out, image = [], w.image()
    for i, name in enumerate(pod_names(w, image)):
        host, host_ip, _ = NODES[(i + number) % 3]
        born = (w.rolled or w.created) + 3 + 9 * i
        p = SimpleNamespace(name=name, node=host, host_ip=host_ip, ip=f"10.244.{(i + number) % 3}.{20 + 4 * number + i}", image=image, born=born, since=born + 9, ready=True, restarts=0, last={},
                            state={"running": {"startedAt": stamp(born + 3)}}, container_id=s.container_id(name, 0), labels={"app": w.name, "pod-template-hash": s.letters(9, w.name, image)},
                            owner=s.owner("apps/v1", "ReplicaSet", w.ns, f"{w.name}-{s.letters(9, w.name, image)}"))
        if w.storage: p.owner, p.labels = s.owner("apps/v1", "StatefulSet", w.ns, w.name), {"app": w.name, "statefulset.kubernetes.io/pod-name": name}
        if w.restart and i == 0:
            when, code, reason = w.restart
            p.restarts, p.since, p.container_id = 1, when + 12, s.container_id(name, 1)
            p.last, p.state = terminated(name, 0, born + 3, when, code, reason), {"running": {"startedAt": stamp(when + 2)}}
        if w is WEB: suffer(p)
        out.append(p)
    return out


def terminated(name, nth, started, finished, code, reason):
    return {"terminated": {"exitCode": code, "reason": reason, "startedAt": stamp(started), "finishedAt": stamp(finished), "containerID": s.container_id(name, nth)}}


def suffer(p):
    """The state of a failing pod at NOW, from its life."""
    runs = LIVES[p.name]
    dead = [i for i, (_, b) in enumerate(runs) if b <= NOW]
    alive = instance(p.name, NOW)
    p.restarts = len(runs) - 1
    p.last = terminated(p.name, dead[-1], *runs[dead[-1]], 137, "OOMKilled")
    p.ready = ready(p.name, NOW)
    if alive is None:
        wait = {10: "10s", 20: "20s", 40: "40s", 80: "1m20s", 160: "2m40s", 300: "5m0s"}[BACK_OFF[len(runs) - 1]]
        p.since, p.container_id = runs[-1][1] + 1, s.container_id(p.name, dead[-1])
        p.state = {"waiting": {"reason": "CrashLoopBackOff", "message": f"back-off {wait} restarting failed container={WEB.name} pod={p.name}_{WEB.ns}({s.uid('Pod', WEB.ns, p.name)})"}}
    else:
        a = runs[alive][0]
        p.since, p.container_id, p.state = (a + READY_AFTER if p.ready else runs[alive - 1][1] + 1), s.container_id(p.name, alive), {"running": {"startedAt": stamp(a)}}


def write_cluster(root):
    kinds = {}
    def put(o): kinds.setdefault(o["kind"], []).append(o)
    for name, ip, zone in NODES: put(s.node(name, ip, zone, days_ago(150), NOW))
    spaces = sorted({w.ns for w in WORKLOADS} | {"default"})
    for ns in spaces:
        put({"apiVersion": "v1", "kind": "Namespace", "metadata": s.meta("Namespace", "", ns, days_ago(160), labels={"kubernetes.io/metadata.name": ns}), "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}})
        put({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": s.meta("ServiceAccount", ns, "default", days_ago(160))})
        put(s.config_map(ns, "kube-root-ca.crt", {"ca.crt": "-----BEGIN CERTIFICATE-----\nMIIBplaceholderRootCa==\n-----END CERTIFICATE-----\n"}, days_ago(160), manager="kube-controller-manager"))
    for w in WORKLOADS:
        pods = PODS[w.name]
        for p in pods: put(s.pod(w, p))
        if w.storage:
            put(s.stateful_set(w, w.image()))
            for p in pods: put(s.claim(w, f"data-{p.name}"))
        else:
            good = sum(p.ready for p in pods)
            short = None if good == w.replicas else unavailable_since()
            put(s.deployment(w, w.image(), w.revision, w.rolled or w.created, good, short))
            put(s.replica_set(w, w.image(), w.revision, w.rolled or w.created, w.replicas, good))
            if w.old_tag: put(s.replica_set(w, w.image(w.old_tag), w.revision - 1, w.created, 0, 0))
        put(s.service(w))
        for o in s.endpoints(w, pods): put(o)
    put(s.config_map("shop", "web-app-settings", {"LOG_LEVEL": "info", "CACHE_TTL": "6h", "CAMPAIGN_FEED": "on"}, days_ago(63)))
    put(s.config_map("shop", "shop-banner", {"BANNER_TEXT": "Four days of offers", "BANNER_COLOUR": "amber"}, days_ago(41), BANNER_EDIT, "kubectl-edit"))
    put({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": s.meta("ResourceQuota", "marketing", "object-counts", days_ago(90)), "spec": {"hard": {"pods": "60"}}, "status": {"hard": {"pods": "60"}, "used": {"pods": "2"}}})
    put({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": s.meta("NetworkPolicy", "payments", "only-known-callers", days_ago(76)),
         "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}, {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}]}]}})
    put(scaler())
    for e in events(): put(e)
    for kind, objects in kinds.items(): s.write_objects(root, kind, objects)


def unavailable_since():
    """When fewer than 75 % of the replicas were ready and it stayed so until NOW."""
    t = NOW
    while ready_count(t) < 3: t -= 1
    return t + 1


def scaler():
    created = days_ago(25)
    def told(kind, status, reason, message): return {"type": kind, "status": status, "lastTransitionTime": stamp(created + 60), "reason": reason, "message": message}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": s.meta("HorizontalPodAutoscaler", "media", "image-resizer", created),
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "image-resizer"}, "minReplicas": 2, "maxReplicas": 6, "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 300}}}]},
            "status": {"currentReplicas": 2, "desiredReplicas": 2, "observedGeneration": 1, "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 248, "averageValue": "248m"}}}],
                       "conditions": [told("AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size"), told("ScalingLimited", "False", "DesiredWithinRange", "the desired count is within the acceptable range"),
                                      told("ScalingActive", "True", "ValidMetricFound", "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)")]}}


# ------------------------------------------------------------------ events
def events():
    out = []
    for p in PODS["web-app"]:
        runs = LIVES[p.name]
        began = [a for a, _ in runs[1:]]
        waits = [(runs[i][1], (runs[i + 1][0] if i + 1 < len(runs) else NOW)) for i in range(len(runs)) if runs[i][1] <= NOW and i]
        out.append(s.event("shop", "Pod", p.name, "BackOff", f"Back-off restarting failed container web-app in pod {p.name}_shop({s.uid('Pod', 'shop', p.name)})", waits[0][0] + 1,
                           max(a + 1 + (b - a - 2) // 12 * 12 for a, b in waits), sum(1 + (b - a - 2) // 12 for a, b in waits), p.node, box="web-app", warning=True))
        for reason, message, late in (("Pulled", f'Container image "{p.image}" already present on machine', 0), ("Created", "Created container: web-app", 0), ("Started", "Started container web-app", 1)):
            out.append(s.event("shop", "Pod", p.name, reason, message, began[0] + late, began[-1] + late, len(began), p.node, box="web-app"))
        out.append(s.event("shop", "Pod", p.name, "Unhealthy", f'Readiness probe failed: Get "http://{p.ip}:8080/readyz": dial tcp {p.ip}:8080: connect: connection refused', began[0] + 4, began[-1] + 4, len(began), p.node, box="web-app", warning=True))
    for w in WORKLOADS:
        if w.rolled: out += rollout(w)
    tracker, vault = PODS["parcel-tracker"][1], PODS["card-vault"][0]
    out.append(s.event("logistics", "Pod", tracker.name, "Unhealthy", f'Readiness probe failed: Get "http://{tracker.ip}:8080/readyz": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
                       NOW - 6 * 3600, NOW - 1000, 11, tracker.node, box="parcel-tracker", warning=True))
    out.append(s.event("payments", "Pod", vault.name, "DNSConfigForming", "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: 10.20.0.2 10.20.0.3 10.20.0.4",
                       vault.born + 40, NOW - 75, 52210, vault.node, warning=True))
    return out


def rollout(w):
    out, t, new, old = [], w.rolled, s.letters(9, w.name, w.image()), s.letters(9, w.name, w.image(w.old_tag))
    def scaled(way, h, a, b, late): return s.event(w.ns, "Deployment", w.name, "ScalingReplicaSet", f"Scaled {way} replica set {w.name}-{h} from {a} to {b}", t + late, component="deployment-controller")
    out += [scaled("up", new, 0, 1, 0), scaled("down", old, 2, 1, 11), scaled("up", new, 1, 2, 11), scaled("down", old, 1, 0, 21)]
    for i, p in enumerate(PODS[w.name]):
        told = (("Scheduled", f"Successfully assigned {w.ns}/{p.name} to {p.node}", 0, "default-scheduler"), ("Pulled", f'Successfully pulled image "{p.image}" in 1.{4 + i}s. Image size: 61204480 bytes.', 2, "kubelet"),
                ("Created", f"Created container: {w.name}", 2, "kubelet"), ("Started", f"Started container {w.name}", 3, "kubelet"))
        out += [s.event(w.ns, "Pod", p.name, r, m, p.born + late, host=p.node if c == "kubelet" else None, component=c, box=w.name if c == "kubelet" else None) for r, m, late, c in told]
        gone = pod_names(w, w.image(w.old_tag))[i]
        out.append(s.event(w.ns, "Pod", gone, "Killing", f"Stopping container {w.name}", t + 11 + 10 * i, host=NODES[i][0], box=w.name))
    return out


def replaced_pods(w):
    """Pods of the revision before a rollout: gone from the API, still in the metrics."""
    return [SimpleNamespace(name=n, node=NODES[i][0], born=w.created, gone=w.rolled + 11 + 10 * i, restarts=0, last={}) for i, n in enumerate(pod_names(w, w.image(w.old_tag)))]


LIVES = lives()
PODS = {w.name: pods_of(i, w) for i, w in enumerate(WORKLOADS)}
