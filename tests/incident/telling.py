"""What the incident web-app looks like over time: metrics and log files, derived from story.py.

What it is not: a source of facts. A kill, a restart or a share of lost calls is asked of the story, never drawn here.
Invariant: nothing is written that is later than the snapshot's now.
"""
from . import shapes as s
from .shapes import MI, Dice, Metrics, at, below, moment
from .story import API, BEGIN, BANNER_EDIT, CATALOGUE_URL, EDGE, LIVES, NODES, NOW, PODS, SALE, SECRETS, STEP, WEB, WIDGET, WORKLOADS, demand, instance, lost, memory, ready, ready_count, replaced_pods

BYTES = {"Mi": MI, "Gi": 1024 * MI}


def amount(text):
    return int(text[:-2]) * BYTES[text[-2:]]


def cores(text):
    return int(text[:-1]) / 1000 if text.endswith("m") else float(text)


# ------------------------------------------------------------------ metrics
def write_metrics(root):
    m = Metrics()
    for w in WORKLOADS:
        for p in PODS[w.name] + (replaced_pods(w) if w.rolled else []): pod_series(m, w, p)
        for t in ticks() if not w.storage else ():
            labels = {"namespace": w.ns, "deployment": w.name}
            m.put("kube_deployment_spec_replicas", "gauge", labels, t, w.replicas)
            m.put("kube_deployment_status_replicas_available", "gauge", labels, t, ready_count(t) if w is WEB else w.replicas)
    for w in WORKLOADS:
        if w.rate: requests(m, w)
    calls(m)
    for n in NODES: node_series(m, *n)
    s.write_metrics(root, m)


def ticks():
    return range(BEGIN, NOW + 1, STEP)


def pod_series(m, w, p):
    dice, box = Dice("series" + p.name), {"namespace": w.ns, "pod": p.name, "container": w.name}
    used, periods, throttled = dice.between(2000, 90000), dice.whole(20000, 900000), dice.whole(20, 400)
    if p.born > BEGIN: used, periods, throttled = 0.4, 0, 0
    was = None
    for t in ticks():
        if t < p.born + 5 or t > getattr(p, "gone", NOW): continue
        i = instance(p.name, t) if w is WEB else 0
        if i != was and was is not None and i is not None: used, periods, throttled = 0.3, 40, 2
        was = i if i is not None else was
        alive = i is not None
        if alive:
            load = demand(t) if w.ns == "shop" and w.rate else 1
            burn = dice.near(w.cores * load if w is not WEB else web_cores(p.name, t), 0.15)
            used, periods, throttled = used + burn * STEP, periods + 10 * STEP, throttled + dice.whole(0, 1 if w is not WEB or t < SALE else 4)
            m.put("container_cpu_usage_seconds", "counter", box, t, used, "_total")
            m.put("container_cpu_cfs_periods", "counter", box, t, periods, "_total")
            m.put("container_cpu_cfs_throttled_periods", "counter", box, t, throttled, "_total")
            size = memory(p.name, t) if w is WEB else dice.near(amount(w.memory) * w.share, 0.015)
            m.put("container_memory_working_set_bytes", "gauge", {**box, "node": p.node}, t, int(size) // 65536 * 65536)
        states(m, w, p, t, box, alive)


def web_cores(p, t):
    i = instance(p, t)
    warming = i > 0 and t - LIVES[p][i][0] < 30
    return (0.22 * demand(t)) + (0.2 if warming else 0)


def states(m, w, p, t, box, alive):
    for resource, unit, limit, request in (("memory", "byte", amount(w.memory), amount(w.memory_request)), ("cpu", "core", cores(w.cpu), cores(w.cpu_request))):
        m.put("kube_pod_container_resource_limits", "gauge", {**box, "resource": resource, "unit": unit}, t, limit)
        m.put("kube_pod_container_resource_requests", "gauge", {**box, "resource": resource, "unit": unit}, t, request)
    pod = {"namespace": w.ns, "pod": p.name}
    restarts, good, reason = p.restarts, True, p.last["terminated"]["reason"] if p.last else None
    if w is WEB:
        restarts, good = sum(a <= t for a, _ in LIVES[p.name]) - 1, ready(p.name, t)
        reason = "OOMKilled" if any(b <= t for _, b in LIVES[p.name]) else None
        m.put("kube_pod_container_status_waiting_reason", "gauge", {**box, "reason": "CrashLoopBackOff"}, t, 0 if alive else 1)
    m.put("kube_pod_container_status_restarts", "counter", box, t, restarts, "_total")
    if reason: m.put("kube_pod_container_status_last_terminated_reason", "gauge", {**box, "reason": reason}, t, 1)
    m.put("kube_pod_status_phase", "gauge", {**pod, "phase": "Running"}, t, 1)
    m.put("kube_pod_status_ready", "gauge", {**pod, "condition": "true"}, t, int(good))


def mean_lost(t):
    """Share of lost calls over the step that ends at t."""
    return sum(lost(t - k) for k in range(STEP)) / STEP


def rate_of(w, t):
    if w is WEB: return WEB.rate * demand(t) * (1 - mean_lost(t))
    if w is API: return WEB.rate * demand(t) * 0.35 * (1 - mean_lost(t)) + warm_ups(t)
    return w.rate * (demand(t) if w.ns == "shop" else 1)


def warm_ups(t):
    """Requests per second of containers that fill their cache just after a start."""
    return sum(20 for p in LIVES for a, _ in LIVES[p][1:] if a < t <= a + STEP)


def codes_of(w, t):
    """Shares of answers by status."""
    if w is EDGE:
        bad = mean_lost(t) * WEB.rate / EDGE.rate
        return {"404": 0.012, "499": 0.003 + 0.02 * bad, "502": 0.0003 + bad * 0.93, "504": 0.0001 + bad * 0.07}
    return {"404": 0.008, "500": 0.0006}


def median_of(w, t):
    if w is WEB: return w.median * (1 + 0.9 * max(0, (demand(t) - 1.4)))
    if w is EDGE: return w.median * (1 + 1.1 * min(1, mean_lost(t) * 3)) * (1 + 0.2 * (demand(t) - 1))
    return w.median


def requests(m, w):
    dice, box = Dice("requests" + w.name), {"namespace": w.ns, "service": w.name}
    counts, buckets, total, spent = {"200": w.rate * 9000.0}, [below(e, w.median) * w.rate * 900 for e in s.EDGES], w.rate * 900, w.rate * 900 * w.median * 1.43
    for code, share in codes_of(w, BEGIN).items(): counts[code] = w.rate * 9000 * share
    for t in ticks():
        n, median = dice.near(rate_of(w, t), 0.06) * STEP, dice.near(median_of(w, t), 0.04)
        shares = codes_of(w, t)
        for code, share in shares.items(): counts[code] += n * share
        counts["200"] += n * (1 - sum(shares.values()))
        total, spent = total + n, spent + n * median * 1.43
        for i, e in enumerate(s.EDGES): buckets[i] += n * below(e, median)
        for code, c in sorted(counts.items()): m.put("http_requests", "counter", {**box, "code": code}, t, int(c), "_total")
        for e, c in zip(s.EDGES, buckets): m.put("http_request_duration_seconds", "histogram", {**box, "le": str(e)}, t, int(c), "_bucket")
        m.put("http_request_duration_seconds", "histogram", {**box, "le": "+Inf"}, t, int(total), "_bucket")
        m.put("http_request_duration_seconds", "histogram", box, t, spent, "_sum")
        m.put("http_request_duration_seconds", "histogram", box, t, int(total), "_count")


def calls(m):
    """Calls between services, counted by the caller."""
    edges = ((EDGE, WEB, lambda t: WEB.rate * demand(t), mean_lost, "502"), (EDGE, WIDGET, lambda t: rate_of(WIDGET, t), lambda t: 0.0004, "503"), (WEB, API, lambda t: rate_of(API, t), lambda t: 0.0005, "503"))
    for caller, peer, rate, failing, code in edges:
        dice, box = Dice(f"calls {caller.name} {peer.name}"), {"namespace": "shop", "service": caller.name, "peer": peer.name}
        good, bad, spent = rate(BEGIN) * 9000, rate(BEGIN) * 9000 * failing(BEGIN), rate(BEGIN) * 9000 * peer.median * 1.5
        for t in ticks():
            n = dice.near(rate(t), 0.05) * STEP
            good, bad, spent = good + n * (1 - failing(t)), bad + n * failing(t), spent + n * dice.near(median_of(peer, t) * 1.5, 0.05)
            m.put("http_client_requests", "counter", {**box, "code": "200"}, t, int(good), "_total")
            m.put("http_client_requests", "counter", {**box, "code": code}, t, int(bad), "_total")
            m.put("http_client_request_duration_seconds_sum", "unknown", box, t, spent)
            m.put("http_client_request_duration_seconds_count", "unknown", box, t, int(good) + int(bad))


def node_series(m, name, ip, zone):
    dice, box = Dice("node" + name), {"node": name, "instance": ip + ":9100"}
    idle, user = dice.whole(900000, 990000), dice.whole(200000, 290000)
    for t in ticks():
        idle, user = idle + dice.near(5.9, 0.05) * STEP, user + dice.near(1.5, 0.1) * STEP
        for kind, yes in (("Ready", 1), ("MemoryPressure", 0), ("DiskPressure", 0)): m.put("kube_node_status_condition", "gauge", {"node": name, "condition": kind, "status": "true"}, t, yes)
        m.put("node_cpu_seconds", "counter", {**box, "mode": "idle"}, t, idle, "_total")
        m.put("node_cpu_seconds", "counter", {**box, "mode": "user"}, t, user, "_total")
        m.put("node_load1", "gauge", box, t, round(dice.near(2.1, 0.2), 2))
        m.put("node_memory_MemTotal_bytes", "gauge", box, t, 32880000 * 1024)
        m.put("node_memory_MemAvailable_bytes", "gauge", box, t, int(dice.near(17000, 0.01)) * MI)
        m.put("node_filesystem_size_bytes", "gauge", {**box, "mountpoint": "/"}, t, 102350 * MI)
        m.put("node_filesystem_avail_bytes", "gauge", {**box, "mountpoint": "/"}, t, int(61000 - (t - BEGIN) / 400) * MI)
        m.put("up", "gauge", {"job": "node-exporter", "instance": box["instance"]}, t, 1)


# ------------------------------------------------------------------ logs
def iso(t, digits=3, tail="Z", gap="T"):
    return moment(t, f"%Y-%m-%d{gap}%H:%M:%S") + "." + f"{t % 1:.9f}"[2:2 + digits] + tail


def write_logs(root):
    for p in PODS["web-app"]: web_app_logs(root, p)
    for p in PODS["edge-gateway"]: s.write_log(root, "shop", p.name, "edge-gateway", edge_lines(p))
    for w in WORKLOADS:
        if w.name in STEADY:
            for p in PODS[w.name]: s.write_log(root, w.ns, p.name, w.name, steady_lines(w, p))


def web_app_logs(root, p):
    """The kubelet keeps two instances. While it backs off both files are the last dead one, as kubectl shows it."""
    runs = LIVES[p.name]
    last = web_lines(p.name, len(runs) - 1)
    s.write_log(root, "shop", p.name, "web-app", list(last))
    s.write_log(root, "shop", p.name, "web-app", list(last) if instance(p.name, NOW) is None else web_lines(p.name, len(runs) - 2), previous=True)


def web_lines(p, nth):
    a, b = LIVES[p][nth]
    dice, out, end = Dice(f"log {p} {nth}"), [], min(b, NOW)
    def say(t, level, text, rest): out.append((t, f'{{"time":"{iso(t)}","level":"{level}","msg":"{text}",{rest}}}'))
    say(a + 0.21, "INFO", "starting web-app", '"version":"3.22.1","go":"go1.23.4","pid":1')
    say(a + 0.34, "INFO", "catalogue source", f'"url":"{CATALOGUE_URL}"')
    say(a + 0.36, "INFO", "warming catalogue cache", '"campaign":"late-november","products":48210,"pages":483')
    say(a + 6.9, "INFO", "listening", '"addr":":8080"')
    t = a + 8.0
    while t < end - 0.4:
        kind = dice.next()
        if kind < 0.72: say(t, "INFO", "request", f'"method":"GET","path":"/p/{dice.whole(10000, 99999)}","status":200,"duration_ms":{dice.whole(9, 120)}')
        elif kind < 0.78: say(t, "INFO", "request", f'"method":"GET","path":"/p/{dice.whole(10000, 99999)}","status":404,"duration_ms":{dice.whole(3, 20)}')
        elif kind < 0.82: say(t, "WARN", "duplicate product in catalogue page", f'"url":"{CATALOGUE_URL}?page={dice.whole(1, 483)}","sku":{dice.whole(10000, 99999)}')
        t += dice.between(0.9, 3.4)
    for t in range(a + 15, end, 15):
        rss = memory(p, t) / MI
        say(t + 0.05, "INFO", "catalogue cache", f'"entries":{int((rss - 62) * 218)},"resident_mb":{int(rss - 62)},"hit_ratio":0.9{dice.whole(3, 8)}')
        if rss > 0.9 * 512: say(t + 0.06, "WARN", "memory close to the limit of the container", f'"rss_mb":{int(rss)},"limit_mb":512')
    return out


def edge_lines(p):
    dice, out, t = Dice("log" + p.name), [], BEGIN + 1.0
    host = "web-app.shop.svc.cluster.local"
    address = s.service(WEB)["spec"]["clusterIP"]
    while t < NOW:
        head, page = f"time={iso(t)}", dice.whole(10000, 99999)
        share, roll = lost(int(t)), dice.next()
        if roll < 0.22: line = f'level=info msg=request method=GET path=/reviews/{page} status=200 upstream=review-widget duration_ms={dice.whole(8, 60)}'
        elif roll < 0.25: line = f"level=warn msg=\"client closed request\" method=GET path=/p/{page} status=499 duration_ms={dice.whole(900, 4000)}"
        elif dice.next() >= share: line = f"level=info msg=request method=GET path=/p/{page} status=200 upstream=web-app duration_ms={dice.whole(14, 160)}"
        elif ready_count(int(t)) and dice.next() < 0.2: line = f'level=error msg="upstream timed out" method=GET path=/p/{page} status=504 upstream={host}:80 after=3s'
        else:
            token = f' authorization="Bearer {SECRETS["bearer"]}"' if dice.next() < 0.15 else ""
            line = f'level=error msg="proxy error" method=GET path=/p/{page} status=502 upstream={host}:80 err="dial tcp {address}:80: connect: connection refused"{token}'
        out.append((t, f"{head} {line}"))
        t += dice.between(4, 26) if t < at("2025-11-28T18:21:30Z") else dice.between(2, 12)
    out.append((BANNER_EDIT + 61.4, f'time={iso(BANNER_EDIT + 61.4)} level=info msg="banner reloaded" text="Four days of offers, now with free returns"'))
    return [x for x in out if x[0] < NOW]


def python_line(d, t):
    head = iso(t, 3, "", " ").replace(".", ",")
    if d.next() < 0.04: return f"{head} WARNING product_api.store: statement took {d.whole(205, 260)} ms: products by shelf"
    return f"{head} INFO product_api.http: GET /v2/products?page={d.whole(1, 483)} 200 {d.whole(6, 28)}ms"


def postgres_line(d, t):
    head = iso(t, 3, " UTC", " ")
    if d.next() < 0.5: return f"{head} [27] LOG:  checkpoint starting: time"
    return f"{head} [27] LOG:  checkpoint complete: wrote {d.whole(90, 420)} buffers (0.{d.whole(1, 9)}%); 0 WAL file(s) added; write={d.whole(9, 41)}.{d.whole(100, 999)} s, sync=0.004 s"


def pino_line(d, t):
    text = d.one_of(("reviews rendered", "summary refreshed", "cache hit"))
    return f'{{"level":30,"time":{int(t * 1000)},"pid":1,"hostname":"review-widget","msg":"{text}","ms":{d.whole(3, 40)}}}'


def mail_line(d, t):
    head = moment(t, "%Y/%m/%d %H:%M:%S")
    if d.next() < 0.03: return f"{head} relay smtp://campaigns:{SECRETS['smtp']}@relay.fernhill.example:587 greeted in {d.whole(80, 300)} ms"
    return f"{head} delivered batch {s.digest('batch', t)[:8]} to {d.whole(80, 600)} addresses"


def spring_line(d, t):
    level, text = d.one_of((("INFO", f"Parcel {d.whole(100000, 999999)} scanned in {d.whole(4, 60)} ms"), ("INFO", "Carrier poll finished"), ("WARN", f"Carrier answered slowly: {d.whole(900, 2400)} ms")))
    return f"{iso(t, 3, '', ' ')} {level:>5} 1 --- [nio-8080-exec-{d.whole(1, 9)}] f.logistics.tracker : {text}"


def tracing_line(d, t):
    if d.next() < 0.08: return f"{iso(t, 6)} ERROR card_vault::tokens: token lookup missed, asked the second region epoch={d.whole(40, 44)}"
    return f"{iso(t, 6)}  INFO card_vault::tokens: token resolved in {d.whole(1, 9)} ms"


def access_line(d, t):
    return f'10.244.{d.whole(0, 2)}.{d.whole(3, 90)} - - [{moment(t, "%d/%b/%Y:%H:%M:%S")} +0000] "GET /i/{d.whole(1000, 9999)}.webp HTTP/1.1" 200 {d.whole(4000, 90000)} "-" "-"'


def coredns_line(d, t):
    return f'[INFO] 10.244.{d.whole(0, 2)}.{d.whole(3, 90)}:{d.whole(30000, 60000)} - {d.whole(1, 60000)} "A IN {d.one_of(("web-app", "product-api", "review-widget"))}.shop.svc.cluster.local. udp 58 false 1232" NOERROR qr,aa,rd 114 0.000{d.whole(100, 900)}s'


def klog_line(d, t):
    return f'I{moment(t, "%m%d %H:%M:%S")}.{iso(t, 6, "")[-6:]}       1 scraper.go:114] "Scraped node" node="{d.one_of(NODES)[0]}" duration="{d.whole(4, 60)}ms"'


STEADY = {"product-api": (python_line, 22), "product-db": (postgres_line, 70), "review-widget": (pino_line, 35), "mail-sender": (mail_line, 55), "parcel-tracker": (spring_line, 40),
          "card-vault": (tracing_line, 40), "image-resizer": (access_line, 30), "coredns": (coredns_line, 55), "metrics-server": (klog_line, 90)}


def steady_lines(w, p):
    line, gap = STEADY[w.name]
    dice, out, t = Dice("log" + p.name), [], max(BEGIN, p.born + 4) + 0.7
    while t < NOW - 1:
        t += dice.between(0.3, 1.7) * gap / (demand(t) if w is API else 1)
        if t < NOW: out.append((t, line(dice, t)))
    return out
