#!/usr/bin/env python3
"""Writes agentd/incidents/web-app, the recorded incident that `agentd demo` investigates. Stdlib only.

  make_web_app_incident.py            write it anew
  make_web_app_incident.py --check    exit 1 and say what differs from what is there (archives are compared by their content)
  make_web_app_incident.py --minutes  print the story minute by minute

The story: a sale begins, the catalogue cache of one unchanged version needs more memory than the container's limit allows,
the kernel kills it, again and again. Everything else (states, events, metrics, logs, the caller's errors) is derived from one
simulation of the containers' lives (incident/story.py), so that no two sources can contradict each other.
What it is not: a measure. The scenarios in tests/scenarios are; this one is for showing and for smoke tests.
All names, hosts and secrets are made up.
"""
import gzip, json, lzma, os, shutil, sys, tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from incident import shapes, story, telling

HOME = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "agentd", "incidents", "web-app")


def truth():
    pods = [{"kind": "Pod", "namespace": "shop", "name": p} for p in story.LIVES]
    return {
        "id": "web-app", "title": "A sale outgrows the memory limit of the web application", "difficulty": "easy",
        "alert": {"type": "high_memory", "service": "web-app", "namespace": "shop", "severity": "critical",
                  "description": "Containers of web-app have come within 5% of their memory limit for 20 minutes and restart; part of the product pages fails.",
                  "labels": {"cluster": "fernhill-prod", "alertname": "ContainerMemoryNearLimit", "team": "storefront"}, "fired_at": shapes.stamp(story.FIRED)},
        "root_cause": "web-app is OOMKilled again and again: since the sale began at 18:12 the catalogue cache of the unchanged version 3.22.1 needs more than the container's 512Mi memory limit, so all three pods crash loop and edge-gateway answers 502.",
        "category": "oom_killed", "culprit": {"kind": "Deployment", "namespace": "shop", "name": "web-app"}, "culprit_accept": pods,
        "must_mention": [["OOMKilled", "OOM", "out of memory"], ["512Mi", "memory limit", "limit"]],
        "must_not_claim": ["memory leak", "bad deploy", "image pull", "liveness probe", "review-widget caused", "product-api is down", "node pressure"],
        "must_not_leak": list(story.SECRETS.values()), "expected_severity": "P2", "category_accept": ["oom_killed"]}


def write_all(root):
    story.write_cluster(root)
    telling.write_logs(root)
    telling.write_metrics(root)
    for name, content in (("scenario.json", truth()), ("snapshot.json", {"taken_at": shapes.stamp(story.NOW)})):
        shapes.write(os.path.join(root, name), (json.dumps(content, indent=2) + "\n").encode())


def content(path):
    with open(path, "rb") as f: raw = f.read()
    return gzip.decompress(raw) if path.endswith(".gz") else lzma.decompress(raw) if path.endswith(".xz") else raw


def files(root):
    return {os.path.relpath(os.path.join(d, f), root) for d, _, names in os.walk(root) for f in names}


def check():
    with tempfile.TemporaryDirectory() as fresh:
        write_all(fresh)
        differing = sorted(files(fresh) ^ files(HOME)) + [f for f in sorted(files(fresh) & files(HOME)) if content(os.path.join(fresh, f)) != content(os.path.join(HOME, f))]
    for f in differing: print("differs:", f)
    return 1 if differing else 0


def minutes():
    for t in range(story.SALE - 180, story.NOW + 1, 60):
        sizes = [story.memory(p, t) for p in story.LIVES]
        kills = sum(t - 60 < b <= t for p in story.LIVES for _, b in story.LIVES[p])
        print(shapes.moment(t, "%H:%M"), "Mi:", *(f"{int(x / shapes.MI):4}" if x else "   -" for x in sizes), f" ready {story.ready_count(t)}/3  kills {kills}  load x{story.demand(t):.2f}  calls lost {telling.mean_lost(t):6.1%}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]: sys.exit(check())
    if sys.argv[1:] == ["--minutes"]: sys.exit(minutes())
    shutil.rmtree(HOME, ignore_errors=True)
    write_all(HOME)
