#!/usr/bin/env python3
"""Replay one scenario as a read-only Kubernetes API (plus a Prometheus HTTP API).  Stdlib only.

  kube_replay.py --scenario s010 --port 8001 --prom-port 9095 --kubeconfig KC [--prometheus auto|real|builtin|off]
  kube_replay.py --scenario s010 --dump-metrics > metrics.om       (plain OpenMetrics, time-shifted)
  kube_replay.py --scenario s010 --dump-logs DIR                   (plain time-shifted logs)

Every time stamp is shifted at load time so that the alert's fired_at is `now - 5 min`.
`--write-alert FILE` writes the (shifted) alert that an investigation should be started with.
"""
import argparse, base64, copy, gzip, json, lzma, os, re, shutil, signal, socket, subprocess, sys, tempfile, threading, time, urllib.parse, urllib.request
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HERE = os.path.dirname(os.path.abspath(__file__))
SCENARIOS = os.path.join(HERE, "..", "scenarios")
UTC = timezone.utc
MON = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

# ------------------------------------------------------------------ time shifting
RX = re.compile(
    r"(?P<iso>\b(?P<iy>20\d\d)(?P<is1>[-/])(?P<im>\d\d)(?P=is1)(?P<id>\d\d)(?P<isep>[T ])(?P<ih>\d\d):(?P<imi>\d\d):(?P<ise>\d\d))"
    r"|(?P<ngx>\b(?P<nd>\d\d)/(?P<nm>[A-Z][a-z]{2})/(?P<ny>20\d\d):(?P<nh>\d\d):(?P<nmi>\d\d):(?P<ns>\d\d))"
    r"|(?P<red>\b(?P<rd>\d\d) (?P<rm>[A-Z][a-z]{2}) (?P<ry>20\d\d) (?P<rh>\d\d):(?P<rmi>\d\d):(?P<rs>\d\d))"
    r"|(?P<kl>(?<=[IWEF])(?P<km>\d\d)(?P<kd>\d\d) (?P<kh>\d\d):(?P<kmi>\d\d):(?P<ks>\d\d)(?=\.\d{6}))"
    r"|(?P<net>(?<=\[)(?P<th>\d\d):(?P<tm>\d\d):(?P<tsx>\d\d)(?= (?:INF|WRN|ERR|FTL|DBG)\]))"
    r"|(?P<ep>(?<=\"time\":)\d{13}\b)")


class Shift:
    def __init__(self, delta, year):
        self.d, self.year = timedelta(seconds=delta), year
        self.cache = {}

    def text(self, s):
        return RX.sub(self._sub, s) if self.d else s

    def _sub(self, m):
        k = m.group(0)
        v = self.cache.get(k)
        if v is None:
            v = self._calc(m)
            if len(self.cache) > 200000: self.cache.clear()
            self.cache[k] = v
        return v

    def _calc(self, m):
        g = m.groupdict()
        try:
            if g["iso"]:
                t = datetime(int(g["iy"]), int(g["im"]), int(g["id"]), int(g["ih"]), int(g["imi"]), int(g["ise"])) + self.d
                return t.strftime(f"%Y{g['is1']}%m{g['is1']}%d{g['isep']}%H:%M:%S")
            if g["ngx"]:
                t = datetime(int(g["ny"]), MON.index(g["nm"]) + 1, int(g["nd"]), int(g["nh"]), int(g["nmi"]), int(g["ns"])) + self.d
                return t.strftime("%d/") + MON[t.month - 1] + t.strftime("/%Y:%H:%M:%S")
            if g["red"]:
                t = datetime(int(g["ry"]), MON.index(g["rm"]) + 1, int(g["rd"]), int(g["rh"]), int(g["rmi"]), int(g["rs"])) + self.d
                return t.strftime("%d ") + MON[t.month - 1] + t.strftime(" %Y %H:%M:%S")
            if g["kl"]:
                t = datetime(self.year, int(g["km"]), int(g["kd"]), int(g["kh"]), int(g["kmi"]), int(g["ks"])) + self.d
                return t.strftime("%m%d %H:%M:%S")
            if g["net"]:
                t = datetime(self.year, 6, 15, int(g["th"]), int(g["tm"]), int(g["tsx"])) + self.d
                return t.strftime("%H:%M:%S")
            return str(int(g["ep"]) + int(self.d.total_seconds() * 1000))
        except ValueError:
            return m.group(0)


# ------------------------------------------------------------------ resources
#        group, version, plural, kind, namespaced, shortnames
RES = [("", "v1", "namespaces", "Namespace", 0, ["ns"]), ("", "v1", "nodes", "Node", 0, ["no"]), ("", "v1", "pods", "Pod", 1, ["po"]), ("", "v1", "services", "Service", 1, ["svc"]),
       ("", "v1", "endpoints", "Endpoints", 1, ["ep"]), ("", "v1", "configmaps", "ConfigMap", 1, ["cm"]), ("", "v1", "secrets", "Secret", 1, []), ("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", 1, ["pvc"]),
       ("", "v1", "persistentvolumes", "PersistentVolume", 0, ["pv"]), ("", "v1", "events", "Event", 1, ["ev"]), ("", "v1", "serviceaccounts", "ServiceAccount", 1, ["sa"]), ("", "v1", "resourcequotas", "ResourceQuota", 1, ["quota"]),
       ("", "v1", "limitranges", "LimitRange", 1, ["limits"]), ("", "v1", "replicationcontrollers", "ReplicationController", 1, ["rc"]),
       ("apps", "v1", "deployments", "Deployment", 1, ["deploy"]), ("apps", "v1", "replicasets", "ReplicaSet", 1, ["rs"]), ("apps", "v1", "statefulsets", "StatefulSet", 1, ["sts"]), ("apps", "v1", "daemonsets", "DaemonSet", 1, ["ds"]),
       ("apps", "v1", "controllerrevisions", "ControllerRevision", 1, []),
       ("batch", "v1", "jobs", "Job", 1, []), ("batch", "v1", "cronjobs", "CronJob", 1, ["cj"]), ("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", 1, ["hpa"]),
       ("networking.k8s.io", "v1", "ingresses", "Ingress", 1, ["ing"]), ("networking.k8s.io", "v1", "ingressclasses", "IngressClass", 0, []), ("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", 1, ["netpol"]),
       ("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", 1, ["pdb"]), ("storage.k8s.io", "v1", "storageclasses", "StorageClass", 0, ["sc"]), ("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", 1, []),
       ("rbac.authorization.k8s.io", "v1", "roles", "Role", 1, []), ("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", 1, []), ("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", 0, []),
       ("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", 0, []),
       ("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", 0, []), ("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", 0, []),
       ("coordination.k8s.io", "v1", "leases", "Lease", 1, []), ("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", 0, ["pc"]), ("events.k8s.io", "v1", "events", "Event", 1, ["ev"]),
       ("cert-manager.io", "v1", "certificates", "Certificate", 1, ["cert"])]
BYKEY = {(g, v, p): (k, n) for g, v, p, k, n, _ in RES}
FIELDS = {"pods": {"spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork", "status.phase", "status.podIP", "status.nominatedNodeName"},
          "events": {"involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid", "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason", "reportingComponent", "source", "type"},
          "secrets": {"type"}, "namespaces": {"status.phase"}, "nodes": {"spec.unschedulable"}, "replicasets": {"status.replicas"}, "jobs": {"status.successful"}}
USER = "system:serviceaccount:ops:investigator"


class ApiErr(Exception):
    def __init__(self, code, reason, message, details=None):
        self.code, self.reason, self.message, self.details = code, reason, message, details

    def status(self):
        s = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message, "reason": self.reason, "code": self.code}
        if self.details: s["details"] = self.details
        return s


REASON = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed", 409: "Conflict", 410: "Expired", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout"}


def path_get(o, p):
    for k in p.split("."):
        if not isinstance(o, dict) or k not in o: return None
        o = o[k]
    return o


def parse_labels(sel):
    """-> list of predicates over a label dict"""
    out, i, parts, depth, cur = [], 0, [], 0, ""
    for ch in sel:
        if ch == "(": depth += 1
        if ch == ")": depth -= 1
        if ch == "," and depth == 0: parts.append(cur); cur = ""
        else: cur += ch
    if cur: parts.append(cur)
    for p in (x.strip() for x in parts):
        m = re.match(r"^(\S+)\s+(in|notin)\s+\(([^)]*)\)$", p)
        if m:
            vs = {v.strip() for v in m[3].split(",")}
            out.append((lambda k, vs, neg: (lambda l: (l.get(k) not in vs) if neg else l.get(k) in vs))(m[1], vs, m[2] == "notin")); continue
        m = re.match(r"^([A-Za-z0-9._/-]+)\s*(==|=|!=)\s*([A-Za-z0-9._-]*)$", p)
        if m:
            out.append((lambda k, v, neg: (lambda l: (l.get(k) != v) if neg else l.get(k) == v))(m[1], m[3], m[2] == "!=")); continue
        m = re.match(r"^(!?)([A-Za-z0-9./_-]+)$", p)
        if m:
            out.append((lambda k, neg: (lambda l: (k not in l) if neg else k in l))(m[2], bool(m[1]))); continue
        raise ApiErr(400, "BadRequest", f"unable to parse requirement: found '{p}'")
    return out


class World:
    """The scenario's objects, logs and metrics, shifted in time."""
    def __init__(self, path, now=None, shift=True, extra_faults=(), biglogs=True):
        self.dir = path
        with open(os.path.join(path, "scenario.json")) as f: raw = f.read()
        meta = json.loads(raw)
        self.fired0 = datetime.strptime(meta["alert"]["fired_at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        now = now or datetime.now(UTC)
        self.delta = int((now - timedelta(minutes=5) - self.fired0).total_seconds()) if shift else 0
        self.sh = Shift(self.delta, self.fired0.year)
        self.meta = json.loads(self.sh.text(raw))
        self.objs = {}                                  # (group, plural) -> {(ns, name): obj}
        kinds = {}
        for g, v, p, k, n, _ in RES: kinds.setdefault((f"{g}/{v}" if g else v, k), (g, p))
        kd = os.path.join(path, "kube")
        self.rv = 0
        for fn in sorted(os.listdir(kd)):
            with open(os.path.join(kd, fn)) as f:
                for o in json.loads(self.sh.text(f.read())):
                    key = kinds.get((o["apiVersion"], o["kind"]))
                    if key is None: raise SystemExit(f"{fn}: unknown kind {o['apiVersion']} {o['kind']}")
                    self.objs.setdefault(key, {})[(o["metadata"].get("namespace", ""), o["metadata"]["name"])] = o
                    self.rv = max(self.rv, int(o["metadata"]["resourceVersion"]))
        self.rv += 17
        self.faults = [dict(f) for f in self.meta.get("source_faults", [])] + list(extra_faults)
        self.lock = threading.Lock()
        self.logcache = {}
        self.big = {}
        if biglogs: self._biglogs()

    def fault(self, target):
        for f in self.faults:
            if f["target"] == target:
                with self.lock:
                    if f.get("count") is not None:
                        if f["count"] <= 0: continue
                        f["count"] -= 1
                return f
        return None

    # ---- logs
    def _biglogs(self):
        for root, _, files in os.walk(os.path.join(self.dir, "logs")):
            for fn in files:
                if fn.endswith(".gen.json"):
                    import biglog
                    with open(os.path.join(root, fn)) as f: spec = json.load(f)
                    rel = os.path.relpath(os.path.join(root, fn[:-len(".gen.json")]), os.path.join(self.dir, "logs"))
                    t = tempfile.NamedTemporaryFile(prefix="replay-biglog-", delete=False)
                    biglog.generate(spec, self.fired0 + timedelta(seconds=self.delta), t); t.close()
                    self.big[rel] = t.name

    def log_path(self, ns, pod, c, prev):
        rel = f"{ns}/{pod}/{c}{'.previous' if prev else ''}.log"
        if rel in self.big: return rel, self.big[rel], True
        base = os.path.join(self.dir, "logs", rel)
        for p in (base, base + ".gz"):
            if os.path.exists(p): return rel, p, False
        return rel, None, False

    def log_lines(self, ns, pod, c, prev):
        rel, p, big = self.log_path(ns, pod, c, prev)
        if p is None: return None
        with self.lock:
            if rel not in self.logcache:
                with (gzip.open(p, "rb") if p.endswith(".gz") else open(p, "rb")) as f: txt = f.read().decode("utf-8", "replace")
                self.logcache[rel] = (txt if big else self.sh.text(txt)).splitlines()
            return self.logcache[rel]

    # ---- metrics
    def openmetrics(self, extend=0):
        """Yield OpenMetrics lines, shifted; series alive at the end are extended by `extend` seconds."""
        p = os.path.join(self.dir, "metrics.om.xz")
        with lzma.open(p, "rt") as f: lines = f.read().splitlines()
        ends = max((int(l.rsplit(" ", 1)[1]) for l in lines if l and l[0] != "#"), default=0)
        cur, hist, typ = None, [], "gauge"
        def tail():
            if not extend or not hist or hist[-1][0] != ends or len(hist) < 12: return
            step = hist[-1][0] - hist[-2][0]
            rate = (hist[-1][1] - hist[-11][1]) / (hist[-1][0] - hist[-11][0]) if counter else 0
            whole = all(v == int(v) for _, v in hist[-3:])
            for k in range(1, extend // step + 1):
                v = hist[-1][1] + max(0, rate) * step * k if counter else hist[-(1 + k % 8)][1]
                yield f"{cur}{int(v) if whole else round(v, 6)} {hist[-1][0] + step * k + self.delta}"
        counter = False
        for l in lines:
            if not l: continue
            if l[0] == "#":
                yield from tail(); hist = []; cur = None
                if l.startswith("# TYPE"):
                    _, _, nm, typ = l.split(" ", 3)
                yield l
                continue
            head, val, ts = l.rsplit(" ", 2)
            head += " "
            if head != cur:
                yield from tail(); cur, hist = head, []
                counter = typ in ("counter", "histogram") or typ == "unknown"
            hist.append((int(ts), float(val)))
            yield f"{head}{val} {int(ts) + self.delta}"

    def close(self):
        for p in self.big.values():
            try: os.unlink(p)
            except OSError: pass


# ------------------------------------------------------------------ kube API
def discovery_group(g):
    v = {}
    for gg, vv, p, k, n, sn in RES:
        if gg == g: v.setdefault(vv, []).append((p, k, n, sn))
    return v

def groups():
    seen = []
    for r in RES:
        if r[0] and r[0] not in seen: seen.append(r[0])
    return seen + ["authorization.k8s.io"]

VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]

def resource_list(g, v):
    out = []
    if g == "authorization.k8s.io":
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{g}/{v}", "resources": [{"name": "selfsubjectaccessreviews", "singularName": "selfsubjectaccessreview", "namespaced": False, "kind": "SelfSubjectAccessReview", "verbs": ["create"]}]}
    for gg, vv, p, k, n, sn in RES:
        if (gg, vv) != (g, v): continue
        out.append({"name": p, "singularName": k.lower(), "namespaced": bool(n), "kind": k, "verbs": VERBS, **({"shortNames": sn} if sn else {}), **({"categories": ["all"]} if p in ("pods", "services", "deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs") else {})})
        if p == "pods":
            out.append({"name": "pods/log", "singularName": "", "namespaced": True, "kind": "Pod", "verbs": ["get"]})
            out.append({"name": "pods/eviction", "singularName": "", "namespaced": True, "group": "policy", "version": "v1", "kind": "Eviction", "verbs": ["create"]})
        if p in ("deployments", "replicasets", "statefulsets"):
            out.append({"name": p + "/scale", "singularName": "", "namespaced": True, "group": "autoscaling", "version": "v1", "kind": "Scale", "verbs": ["get", "patch", "update"]})
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{g}/{v}" if g else v, "resources": out}

def aggregated(g_list, ver="v2"):
    items = []
    for g in g_list:
        vs = []
        for v in (discovery_group(g) or {"v1": None}):
            rl = []
            for r in resource_list(g, v)["resources"]:
                if "/" in r["name"]: continue
                e = {"resource": r["name"], "responseKind": {"group": g, "version": v, "kind": r["kind"]}, "scope": "Namespaced" if r["namespaced"] else "Cluster", "singularResource": r["singularName"], "verbs": r["verbs"]}
                if r.get("shortNames"): e["shortNames"] = r["shortNames"]
                if r.get("categories"): e["categories"] = r["categories"]
                subs = [{"subresource": x["name"].split("/")[1], "responseKind": {"group": x.get("group", ""), "version": x.get("version", "v1"), "kind": x["kind"]}, "verbs": x["verbs"]} for x in resource_list(g, v)["resources"] if x["name"].startswith(r["name"] + "/")]
                if subs: e["subresources"] = subs
                rl.append(e)
            vs.append({"version": v, "resources": rl, "freshness": "Current"})
        items.append({"metadata": {"name": g, "creationTimestamp": None} if g else {"creationTimestamp": None}, "versions": vs})
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/" + ver, "metadata": {}, "items": items}


def to_events_v1(o):
    n = {"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": o["metadata"], "eventTime": None, "reason": o["reason"], "regarding": o["involvedObject"], "note": o["message"], "type": o["type"],
         "deprecatedSource": o["source"], "deprecatedFirstTimestamp": o["firstTimestamp"], "deprecatedLastTimestamp": o["lastTimestamp"], "deprecatedCount": o["count"], "reportingController": o["reportingComponent"]}
    return n


class Kube(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True      # headers and body are two writes; without this each answer waits 40 ms
    server_version = "kube-replay"
    def log_message(self, *a): pass
    @property
    def w(self): return self.server.world
    @property
    def o(self): return self.server.opts

    def send(self, code, obj, ctype="application/json"):
        b = obj if isinstance(obj, bytes) else json.dumps(obj).encode() + b"\n"
        self.send_response(code)
        self.send_header("Content-Type", ctype); self.send_header("Content-Length", str(len(b)))
        if code == 429: self.send_header("Retry-After", "1")
        self.end_headers()
        if self.command != "HEAD": self.wfile.write(b)

    def body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            out = b""
            while True:
                n = int(self.rfile.readline().split(b";")[0], 16)
                if n == 0: self.rfile.readline(); return out
                out += self.rfile.read(n); self.rfile.readline()
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def handle_any(self):
        u = urllib.parse.urlsplit(self.path)
        q = {k: v[-1] for k, v in urllib.parse.parse_qs(u.query, keep_blank_values=True).items()}
        data = self.body() if self.command not in ("GET", "HEAD") else b""
        self.server.note(self, u, data)
        if self.o.latency_ms: time.sleep(self.o.latency_ms / 1000)
        try:
            if self.o.token and self.headers.get("Authorization") != "Bearer " + self.o.token: raise ApiErr(401, "Unauthorized", "Unauthorized")
            self.route(u.path.rstrip("/") or "/", q, data)
        except ApiErr as e:
            self.send(e.code, e.status())
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def route(self, p, q, data):
        accept = self.headers.get("Accept", "")
        if p in ("/healthz", "/livez", "/readyz"): return self.send(200, b"ok", "text/plain")
        if p == "/version": return self.send(200, {"major": "1", "minor": "31", "gitVersion": "v1.31.4", "gitCommit": "0" * 40, "gitTreeState": "clean", "buildDate": "2024-12-10T12:00:00Z", "goVersion": "go1.22.9", "compiler": "gc", "platform": "linux/amd64"})
        agg = re.search(r"g=apidiscovery\.k8s\.io;v=(v2beta1|v2);as=APIGroupDiscoveryList", accept) if not self.o.no_aggregated else None
        if p == "/api":
            if agg: return self.send(200, aggregated([""], agg[1]), f"application/json;g=apidiscovery.k8s.io;v={agg[1]};as=APIGroupDiscoveryList")
            return self.send(200, {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
        if p == "/apis":
            if agg: return self.send(200, aggregated(groups(), agg[1]), f"application/json;g=apidiscovery.k8s.io;v={agg[1]};as=APIGroupDiscoveryList")
            return self.send(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": [self.group(g) for g in groups()]})
        m = re.match(r"^/apis/([^/]+)$", p)
        if m and m[1] in groups(): return self.send(200, dict(self.group(m[1]), kind="APIGroup", apiVersion="v1"))
        if p == "/api/v1": return self.send(200, resource_list("", "v1"))
        m = re.match(r"^/apis/([^/]+)/([^/]+)$", p)
        if m and (m[2] in discovery_group(m[1]) or m[1] == "authorization.k8s.io"): return self.send(200, resource_list(m[1], m[2]))
        if p == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" and self.command == "POST":
            b = json.loads(data or b"{}"); a = b.get("spec", {}).get("resourceAttributes", {})
            b["status"] = {"allowed": a.get("verb") in ("get", "list", "watch") and (a.get("resource") != "secrets" or self.o.secrets == "allow")}
            return self.send(201, b)
        if p.startswith("/openapi"): raise ApiErr(404, "NotFound", "the server could not find the requested resource")
        m = re.match(r"^/(?:api/(?P<v0>v1)|apis/(?P<g>[^/]+)/(?P<v>[^/]+))(?P<watch>/watch)?(?:/namespaces/(?P<ns>[^/]+))?/(?P<res>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>.+))?$", p)
        m0 = re.match(r"^/api/v1(?P<watch>/watch)?/namespaces(?:/(?P<name>[^/]+))?(?:/(?P<sub>status|finalize))?$", p)
        if m0: g, v, ns, res, name, sub, wt = "", "v1", "", "namespaces", m0["name"], m0["sub"], m0["watch"]
        elif m: g, v, ns, res, name, sub, wt = m["g"] or "", m["v0"] or m["v"], m["ns"] or "", m["res"], m["name"], m["sub"], m["watch"]
        else: raise ApiErr(404, "NotFound", "the server could not find the requested resource")
        if (g, v, res) not in BYKEY: raise ApiErr(404, "NotFound", "the server could not find the requested resource")
        kind, nsd = BYKEY[(g, v, res)]
        conv = to_events_v1 if g == "events.k8s.io" else (lambda o: o)
        store = self.w.objs.get(("", "events") if g == "events.k8s.io" else (g, res), {})
        what = f'{res}.{g}' if g else res
        if res == "secrets" and self.o.secrets == "deny":
            raise ApiErr(403, "Forbidden", f'{what} is forbidden: User "{USER}" cannot {"get" if name else "list"} resource "{res}" in API group "{g}"' + (f' in the namespace "{ns}"' if ns else " at the cluster scope"), {"kind": res, "group": g})
        tgt = "logs" if sub == "log" else res
        f = self.w.fault(tgt)
        if f:
            if f.get("hang"): time.sleep(f["hang"])
            if f.get("status"):
                msg = f.get("message", "injected fault")
                raise ApiErr(f["status"], REASON.get(f["status"], "InternalError"), msg % name if "%s" in msg else msg, {"kind": res, "name": name or ""})
        def one():
            o = store.get((ns if nsd else "", name))
            if o is None: raise ApiErr(404, "NotFound", f'{what} "{name}" not found', {"name": name, "kind": res, **({"group": g} if g else {})})
            return o
        if self.command in ("GET", "HEAD"):
            if name and sub == "log" and res == "pods": return self.logs(one(), q)
            if name and sub == "scale": return self.send(200, self.scale(one()))
            if name and sub not in (None, "status"): raise ApiErr(404, "NotFound", "the server could not find the requested resource")
            watch = wt or q.get("watch") in ("true", "1")
            if name and not watch: return self.send(200, conv(one()))
            items = [o for (n, nm), o in sorted(store.items()) if (not ns or n == ns) and (not name or nm == name)]
            if q.get("labelSelector"):
                ps = parse_labels(q["labelSelector"]); items = [o for o in items if all(pr(o["metadata"].get("labels") or {}) for pr in ps)]
            if q.get("fieldSelector"):
                for part in filter(None, q["fieldSelector"].split(",")):
                    mm = re.match(r"^([\w.]+?)(!=|==|=)(.*)$", part)
                    if not mm: raise ApiErr(400, "BadRequest", f"invalid selector: '{part}'; can't understand '{part}'")
                    if mm[1] not in FIELDS.get(res, set()) | {"metadata.name", "metadata.namespace"}: raise ApiErr(400, "BadRequest", f'field label not supported: {mm[1]}')
                    def val(o, k=mm[1]):
                        if res == "events" and k == "source": return o.get("source", {}).get("component", "")
                        x = path_get(o, k)
                        return "" if x is None else str(x).lower() if isinstance(x, bool) else str(x)
                    items = [o for o in items if (val(o) == mm[3]) != (mm[2] == "!=")]
            if watch: return self.watch(items, q, conv, kind, g, v)
            return self.list(items, q, conv, kind, g, v, accept)
        return self.mutate(g, v, ns, res, name, sub, kind, store, q, data, one)

    def group(self, g):
        vs = [{"groupVersion": f"{g}/{x}", "version": x} for x in (discovery_group(g) or ["v1"])]
        return {"name": g, "versions": vs, "preferredVersion": vs[0]}

    def list(self, items, q, conv, kind, g, v, accept):
        start, total = 0, len(items)
        if q.get("continue"):
            try:
                c = json.loads(base64.urlsafe_b64decode(q["continue"] + "==")); start = int(c["start"])
            except Exception: raise ApiErr(400, "BadRequest", "continue key is not valid: invalid continue token")
            if time.time() - c["t"] > self.o.continue_ttl: raise ApiErr(410, "Expired", "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.")
        lim = int(q.get("limit") or 0)
        page = items[start:start + lim] if lim else items[start:]
        meta = {"resourceVersion": str(self.w.rv)}
        if lim and start + lim < total:
            meta["continue"] = base64.urlsafe_b64encode(json.dumps({"v": "meta.k8s.io/v1", "rv": self.w.rv, "start": start + lim, "t": time.time()}).encode()).decode().rstrip("=")
            if not (q.get("labelSelector") or q.get("fieldSelector")): meta["remainingItemCount"] = total - start - lim
        out = []
        for o in page:
            o = conv(o)
            if kind: o = {k: x for k, x in o.items() if k not in ("apiVersion", "kind")}
            out.append(o)
        self.send(200, {"kind": kind + "List", "apiVersion": f"{g}/{v}" if g else v, "metadata": meta, "items": out})

    def watch(self, items, q, conv, kind, g, v):
        rv = q.get("resourceVersion")
        if rv and rv != "0" and rv.isdigit() and int(rv) < 1000: raise ApiErr(410, "Expired", f"too old resource version: {rv} ({self.w.rv})")
        self.send_response(200); self.send_header("Content-Type", "application/json"); self.send_header("Transfer-Encoding", "chunked"); self.end_headers()
        def put(e):
            b = json.dumps(e).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(b), b)); self.wfile.flush()
        init = q.get("sendInitialEvents") == "true"
        if init or not rv or rv == "0":
            for o in items: put({"type": "ADDED", "object": conv(o)})
        bm = {"type": "BOOKMARK", "object": {"kind": kind, "apiVersion": f"{g}/{v}" if g else v, "metadata": {"resourceVersion": str(self.w.rv), "creationTimestamp": None}}}
        if init:
            b = copy.deepcopy(bm); b["object"]["metadata"]["annotations"] = {"k8s.io/initial-events-end": "true"}; put(b)
        end = time.time() + min(float(q.get("timeoutSeconds") or 1800), 3600)
        nxt = time.time() + 30
        while time.time() < end and not self.server.stopping:
            time.sleep(min(.25, max(0, end - time.time())))
            if q.get("allowWatchBookmarks") == "true" and time.time() > nxt: put(bm); nxt = time.time() + 30
        self.wfile.write(b"0\r\n\r\n")

    def logs(self, pod, q):
        m, spec, st = pod["metadata"], pod["spec"], pod.get("status", {})
        names = [c["name"] for c in spec["containers"]]; inits = [c["name"] for c in spec.get("initContainers", [])]
        c = q.get("container")
        if not c:
            if len(names) > 1: raise ApiErr(400, "BadRequest", "a container name must be specified for pod %s, choose one of: [%s]%s" % (m["name"], " ".join(names), " or one of the init containers: [%s]" % " ".join(inits) if inits else ""))
            c = names[0]
        if c not in names + inits: raise ApiErr(400, "BadRequest", f"container {c} is not valid for pod {m['name']}")
        prev = q.get("previous") in ("true", "1")
        cs = next((x for x in st.get("containerStatuses", []) + st.get("initContainerStatuses", []) if x["name"] == c), None)
        if not spec.get("nodeName"): return self.send(200, b"", "text/plain")
        if prev and not (cs and cs.get("lastState", {}).get("terminated")): raise ApiErr(400, "BadRequest", f'previous terminated container "{c}" in pod "{m["name"]}" not found')
        wait = (cs or {}).get("state", {}).get("waiting", {}).get("reason")
        if not prev and wait and wait != "CrashLoopBackOff":
            why = {"ContainerCreating": "ContainerCreating", "PodInitializing": "PodInitializing"}.get(wait)
            raise ApiErr(400, "BadRequest", f'container "{c}" in pod "{m["name"]}" is waiting to start: ' + (why or ("trying and failing to pull image" if "Image" in wait else wait)))
        node = self.w.objs.get(("", "nodes"), {}).get(("", spec["nodeName"]))
        if node and any(x["type"] == "Ready" and x["status"] == "Unknown" for x in node["status"]["conditions"]):
            ip = node["status"]["addresses"][0]["address"]
            raise ApiErr(500, "InternalError", f'Get "https://{ip}:10250/containerLogs/{m["namespace"]}/{m["name"]}/{c}": dial tcp {ip}:10250: connect: no route to host')
        lines = self.w.log_lines(m["namespace"], m["name"], c, prev) or []
        since = None
        if q.get("sinceSeconds"): since = datetime.now(UTC) - timedelta(seconds=int(q["sinceSeconds"]))
        elif q.get("sinceTime"):
            try: since = datetime.fromisoformat(q["sinceTime"].replace("Z", "+00:00"))
            except ValueError: raise ApiErr(400, "BadRequest", "invalid sinceTime")
        if since:
            key = since.strftime("%Y-%m-%dT%H:%M:%S"); lo, hi = 0, len(lines)
            while lo < hi:
                mid = (lo + hi) // 2
                if lines[mid][:19] < key: lo = mid + 1
                else: hi = mid
            lines = lines[lo:]
        if q.get("tailLines") is not None:
            n = int(q["tailLines"]); lines = lines[-n:] if n > 0 else []
        if q.get("timestamps") not in ("true", "1"): lines = [l.split(" ", 1)[1] if " " in l else "" for l in lines]
        b = ("\n".join(lines) + "\n").encode() if lines else b""
        if q.get("limitBytes"): b = b[:int(q["limitBytes"])]
        self.send(200, b, "text/plain")

    def scale(self, o):
        return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {k: o["metadata"][k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")},
                "spec": {"replicas": o["spec"].get("replicas", 0)}, "status": {"replicas": o["status"].get("replicas", 0), "selector": ",".join(f"{k}={v}" for k, v in o["spec"]["selector"]["matchLabels"].items())}}

    def mutate(self, g, v, ns, res, name, sub, kind, store, q, data, one):
        body = None
        try: body = json.loads(data) if data else None
        except ValueError: body = data.decode("utf-8", "replace")
        self.server.journal({"time": datetime.now(UTC).isoformat(), "method": self.command, "path": self.path, "group": g, "resource": res, "namespace": ns, "name": name, "subresource": sub,
                             "dry_run": "dryRun" in q, "content_type": self.headers.get("Content-Type"), "user_agent": self.headers.get("User-Agent"), "body": body})
        if self.o.mutations == "deny":
            verb = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[self.command]
            raise ApiErr(403, "Forbidden", f'{res}{"." + g if g else ""} "{name or ""}" is forbidden: User "{USER}" cannot {verb} resource "{res}{"/" + sub if sub else ""}" in API group "{g}" in the namespace "{ns}"', {"kind": res, "name": name or ""})
        apply = self.o.mutations == "apply" and "dryRun" not in q
        if self.command == "POST":
            if sub == "eviction":
                one(); return self.send(201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})
            o = body if isinstance(body, dict) else {}
            o.setdefault("metadata", {}).update({"uid": "00000000-0000-4000-8000-%012x" % self.w.rv, "resourceVersion": str(self.w.rv), "creationTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")})
            return self.send(201, o)
        if name is None: raise ApiErr(405, "MethodNotAllowed", "collection writes are not replayed")
        o = copy.deepcopy(one())
        if self.command == "DELETE":
            o["metadata"]["deletionTimestamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"); o["metadata"]["deletionGracePeriodSeconds"] = 30
            if apply: store.pop((o["metadata"].get("namespace", ""), name), None)
            return self.send(200, o)
        ct = (self.headers.get("Content-Type") or "").split(";")[0]
        if ct == "application/json-patch+json":
            for op in body or []:
                cur = o; parts = [x.replace("~1", "/").replace("~0", "~") for x in op["path"].strip("/").split("/")]
                for k in parts[:-1]: cur = cur[int(k)] if isinstance(cur, list) else cur.setdefault(k, {})
                k = parts[-1]
                if isinstance(cur, list):
                    if op["op"] == "remove": cur.pop(int(k))
                    elif op["op"] == "add" and k == "-": cur.append(op["value"])
                    elif op["op"] == "add": cur.insert(int(k), op["value"])
                    else: cur[int(k)] = op["value"]
                elif op["op"] == "remove": cur.pop(k, None)
                elif op["op"] != "test": cur[k] = op["value"]
        elif self.command == "PUT" and sub != "scale": o = body
        elif isinstance(body, dict):
            if ct == "application/apply-patch+yaml" or sub == "scale": body = {k: x for k, x in body.items() if k in ("spec", "metadata")}
            if sub == "scale": body = {"spec": {"replicas": body.get("spec", {}).get("replicas")}}
            merge(o, body)
        o["metadata"]["resourceVersion"] = str(self.w.rv + 1)
        if apply:
            self.w.rv += 1; store[(o["metadata"].get("namespace", ""), name)] = o
        self.send(200, self.scale(o) if sub == "scale" else o)


def merge(a, b):
    for k, v in b.items():
        if v is None: a.pop(k, None)
        elif isinstance(v, dict) and isinstance(a.get(k), dict): merge(a[k], v)
        elif isinstance(v, list) and isinstance(a.get(k), list) and all(isinstance(x, dict) and "name" in x for x in v + a[k]):
            for x in v:
                for y in a[k]:
                    if y["name"] == x["name"]: merge(y, x); break
                else: a[k].append(x)
        else: a[k] = v


class Srv(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    stopping = False
    def __init__(self, addr, h, world, opts):
        self.world, self.opts, self.jl = world, opts, threading.Lock()
        super().__init__(addr, h)
    def journal(self, e):
        if self.opts.journal:
            with self.jl, open(self.opts.journal, "a") as f: f.write(json.dumps(e) + "\n")
    def note(self, h, u, data):
        if self.opts.access_log:
            with self.jl, open(self.opts.access_log, "a") as f: f.write(json.dumps({"t": time.time(), "method": h.command, "path": u.path, "query": u.query, "ua": h.headers.get("User-Agent")}) + "\n")


# ------------------------------------------------------------------ Prometheus side
class Prom(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_version = "prom-replay"
    def log_message(self, *a): pass

    def send(self, code, obj, ctype="application/json"):
        b = obj if isinstance(obj, bytes) else json.dumps(obj).encode()
        self.send_response(code); self.send_header("Content-Type", ctype); self.send_header("Content-Length", str(len(b))); self.end_headers()
        if self.command != "HEAD": self.wfile.write(b)

    def any(self):
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0)) if self.command == "POST" else b""
        s = self.server
        s.note(self, urllib.parse.urlsplit(self.path), data)
        f = s.world.fault("metrics")
        try:
            if f:
                if f.get("hang"): time.sleep(f["hang"])
                if f.get("status"): return self.send(f["status"], {"status": "error", "errorType": "internal", "error": f.get("message", "injected fault")})
            if s.upstream:
                req = urllib.request.Request(s.upstream + self.path, data=data or None, method=self.command, headers={k: v for k, v in self.headers.items() if k.lower() in ("content-type", "accept")})
                try: r = urllib.request.urlopen(req, timeout=60)
                except urllib.error.HTTPError as e: r = e
                return self.send(r.status if hasattr(r, "status") else r.code, r.read(), r.headers.get("Content-Type", "application/json"))
            u = urllib.parse.urlsplit(self.path)
            q = urllib.parse.parse_qs(u.query)
            if data and "x-www-form-urlencoded" in self.headers.get("Content-Type", ""):
                for k, v in urllib.parse.parse_qs(data.decode()).items(): q.setdefault(k, []).extend(v)
            code, out = s.engine.http(u.path, q)
            self.send(code, out, "text/plain" if isinstance(out, bytes) else "application/json")
        except (BrokenPipeError, ConnectionResetError): self.close_connection = True
    do_GET = do_POST = do_HEAD = any


def free_port():
    s = socket.socket(); s.bind(("127.0.0.1", 0)); p = s.getsockname()[1]; s.close(); return p


def start_real_prometheus(world, extend, keep=None):
    d = tempfile.mkdtemp(prefix="replay-prom-")
    om = os.path.join(d, "metrics.om")
    with open(om, "w") as f:
        for l in world.openmetrics(extend): f.write(l + "\n")
    r = subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", om, os.path.join(d, "data")], capture_output=True, text=True)
    if r.returncode: raise RuntimeError("promtool: " + r.stderr[-800:])
    os.unlink(om)
    cfg = os.path.join(d, "prometheus.yml")
    with open(cfg, "w") as f: f.write("global: {scrape_interval: 1h}\n")
    port = free_port()
    with open(os.path.join(d, "log"), "w") as lf:
        pr = subprocess.Popen(["prometheus", f"--config.file={cfg}", f"--storage.tsdb.path={d}/data", f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=1y", "--log.level=warn"], stdout=lf, stderr=lf)
    url = f"http://127.0.0.1:{port}"
    for _ in range(150):
        try:
            if urllib.request.urlopen(url + "/-/ready", timeout=2).status == 200: return pr, url, d
        except Exception: time.sleep(.1)
        if pr.poll() is not None: break
    pr.terminate()
    raise RuntimeError("prometheus did not start: " + open(os.path.join(d, "log")).read()[-800:])


def parse_fault(s):
    """target=STATUS[:COUNT] or target=hang:SECONDS[:COUNT]"""
    t, v = s.split("=", 1); parts = v.split(":")
    f = {"target": t}
    if parts[0] == "hang": f["hang"] = float(parts[1]); rest = parts[2:]
    else: f["status"] = int(parts[0]); f["message"] = "injected fault"; rest = parts[1:]
    if rest: f["count"] = int(rest[0])
    return f


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--scenario", required=True, help="directory, or id of one in ../scenarios (s001)")
    ap.add_argument("--host", default="127.0.0.1"); ap.add_argument("--port", type=int, default=0); ap.add_argument("--prom-port", type=int, default=0)
    ap.add_argument("--prometheus", choices=["auto", "real", "builtin", "off"], default="auto")
    ap.add_argument("--journal", help="mutating requests are appended here as JSON lines"); ap.add_argument("--access-log")
    ap.add_argument("--mutations", choices=["record", "apply", "deny"], default="record"); ap.add_argument("--secrets", choices=["deny", "allow"], default="deny")
    ap.add_argument("--token"); ap.add_argument("--kubeconfig"); ap.add_argument("--write-alert"); ap.add_argument("--ready-file", help="JSON with the ports once serving")
    ap.add_argument("--fault", action="append", default=[], help="target=STATUS[:COUNT] | target=hang:SECONDS[:COUNT]; target: logs, metrics or a resource plural")
    ap.add_argument("--no-shift", action="store_true"); ap.add_argument("--now", help="pretend now is this RFC3339 time"); ap.add_argument("--no-aggregated", action="store_true", help="serve legacy discovery only")
    ap.add_argument("--latency-ms", type=float, default=0); ap.add_argument("--continue-ttl", type=float, default=300); ap.add_argument("--metrics-extend", type=int, default=1800, help="continue the series this many seconds into the future")
    ap.add_argument("--dump-metrics", action="store_true"); ap.add_argument("--dump-logs")
    o = ap.parse_args()
    d = o.scenario if os.path.isdir(o.scenario) else os.path.join(SCENARIOS, o.scenario)
    now = datetime.fromisoformat(o.now.replace("Z", "+00:00")) if o.now else None
    w = World(d, now, not o.no_shift, [parse_fault(f) for f in o.fault], biglogs=not o.dump_metrics)
    if o.dump_metrics:
        try:
            for l in w.openmetrics(o.metrics_extend): sys.stdout.write(l + "\n")
        except BrokenPipeError: pass
        return
    if o.dump_logs:
        for root, _, files in os.walk(os.path.join(d, "logs")):
            for fn in files:
                ns, pod = os.path.relpath(root, os.path.join(d, "logs")).split(os.sep)
                c = re.sub(r"(\.previous)?\.log(\.gz|\.gen\.json)?$", "", fn); prev = ".previous." in fn
                out = os.path.join(o.dump_logs, ns, pod); os.makedirs(out, exist_ok=True)
                with open(os.path.join(out, c + (".previous" if prev else "") + ".log"), "w") as f: f.write("\n".join(w.log_lines(ns, pod, c, prev)) + "\n")
        w.close(); return
    k = Srv((o.host, o.port), Kube, w, o)
    info = {"scenario": w.meta["id"], "kube": f"http://{o.host}:{k.server_address[1]}", "pid": os.getpid(), "shift_seconds": w.delta}
    prom = real = tmp = None
    if o.prometheus != "off":
        prom = Srv((o.host, o.prom_port), Prom, w, o); prom.upstream = None
        mode = o.prometheus
        if mode == "auto": mode = "real" if shutil.which("prometheus") and shutil.which("promtool") else "builtin"
        if mode == "real":
            real, prom.upstream, tmp = start_real_prometheus(w, o.metrics_extend)
        else:
            sys.path.insert(0, HERE)
            import promql
            prom.engine = promql.Engine(w.openmetrics(o.metrics_extend))
        info.update(prometheus=f"http://{o.host}:{prom.server_address[1]}", prometheus_mode=mode)
    if o.kubeconfig:
        with open(o.kubeconfig, "w") as f:
            json.dump({"apiVersion": "v1", "kind": "Config", "current-context": "replay", "clusters": [{"name": "replay", "cluster": {"server": info["kube"]}}], "contexts": [{"name": "replay", "context": {"cluster": "replay", "user": "investigator"}}],
                       "users": [{"name": "investigator", "user": {"token": o.token} if o.token else {}}]}, f)
    if o.write_alert:
        with open(o.write_alert, "w") as f: json.dump(w.meta["alert"], f, indent=1)
    stop = threading.Event()
    for s in (signal.SIGINT, signal.SIGTERM): signal.signal(s, lambda *a: stop.set())
    for s in (k, prom):
        if s: threading.Thread(target=s.serve_forever, daemon=True).start()
    if o.ready_file:
        with open(o.ready_file + ".tmp", "w") as f: json.dump(info, f)
        os.replace(o.ready_file + ".tmp", o.ready_file)
    print(json.dumps(info), flush=True)
    stop.wait()
    k.stopping = True
    if real:
        real.terminate()
        try: real.wait(10)
        except subprocess.TimeoutExpired: real.kill()
    if tmp: shutil.rmtree(tmp, ignore_errors=True)
    w.close()


if __name__ == "__main__":
    main()
