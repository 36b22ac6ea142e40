"""From commits to what was deployed: which changes are about a service, and what they tell."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

from agentd_plugin import Entity, Observation

from .git import Commit, Repository
from .manifests import WORKLOADS, Change, compare

_MANIFEST: Final = re.compile(r"\.(?:ya?ml|json|tpl)$", re.IGNORECASE)
_NAME_LABELS: Final = ("app.kubernetes.io/name", "app.kubernetes.io/instance", "app", "k8s-app")
_MOST_SETTINGS: Final = 12
_MOST_FILES: Final = 400


@dataclass(frozen=True)
class Deploy:
    """One change of one object by one commit."""

    repository: str
    commit: Commit
    path: str
    change: Change

    @property
    def time(self) -> datetime:
        """When it was committed or merged."""
        return datetime.fromtimestamp(self.commit.time, timezone.utc)

    def to_json(self) -> dict[str, Any]:
        """For people and models."""
        change = self.change
        return {
            "repository": self.repository,
            "commit": self.commit.id[:12],
            "time": self.time.isoformat().replace("+00:00", "Z"),
            "author": self.commit.author,
            "subject": self.commit.subject[:200],
            "path": self.path,
            "object": {"kind": change.kind, "namespace": change.namespace, "name": change.name},
            "how": change.how,
            "changed": {
                path: f"{old} -> {new}"
                for path, (old, new) in list(change.settings.items())[:_MOST_SETTINGS]
            },
        }


async def deploys_of(
    repository: Repository, commits: Iterable[Commit], service: str, namespace: str
) -> list[Deploy]:
    """What `commits` changed of `service` in `namespace`; either may be empty, for all."""
    touched: list[tuple[Commit, str]] = []
    folder = repository.source.folder
    for commit in commits:
        for path in commit.paths:
            inside = not folder or path.startswith(f"{folder}/")
            if inside and _MANIFEST.search(path) and len(touched) < _MOST_FILES:
                touched.append((commit, path))
    wanted = [(c.id, path) for c, path in touched] + [(c.parent, path) for c, path in touched]
    texts = await repository.blobs(wanted)
    deploys = []
    for commit, path in touched:
        old, new = texts.get((commit.parent, path), ""), texts.get((commit.id, path), "")
        for change in compare(path, old, new):
            if _is_about(change, path, repository, service, namespace):
                deploys.append(Deploy(repository.name, commit, path, change))
    return deploys


def _is_about(
    change: Change, path: str, repository: Repository, service: str, namespace: str
) -> bool:
    if namespace and change.namespace and change.namespace != namespace:
        return False
    if not service:
        return True
    if change.name == service or any(change.labels.get(k) == service for k in _NAME_LABELS):
        return True
    # Where it stands: apps/web/values.yaml, base/web.yaml, web-config.yaml. Names of objects of
    # another service in the same file do not count.
    parts = path.split("/")
    stem = parts[-1].partition(".")[0]
    if service in parts[:-1] or stem == service or repository.name.rpartition("/")[2] == service:
        return True
    return change.kind in ("ConfigMap", "Secret") and change.name.startswith(f"{service}-")


def observation(deploy: Deploy, service: str, namespace: str, synced: bool) -> Observation:
    """The typed fact. Where what is merged is applied (`synced`) it is a change of the cluster, in the
    words of agentd's catalogue; else only one of what the cluster should be."""
    change, commit = deploy.change, deploy.commit
    kind, name = change.kind, change.name
    if kind in ("Values", "Template", "Kustomization"):
        # Of which kind the workload is, is not said here.
        kind, name = "Deployment", service or name
    what = "code" if change.images else "settings"
    attributes: dict[str, object] = {
        "repository": deploy.repository,
        "commit": commit.id[:12],
        "author": commit.author,
        "path": deploy.path,
        "how": change.how,
        "fields": ",".join(change.fields),
        "what": what,
    }
    for old, new in change.images[:1]:
        attributes |= {"image_old": old, "image_new": new}
    for path, (old, new) in list(change.settings.items())[:_MOST_SETTINGS]:
        attributes[f"change.{path}"] = f"{old} -> {new}"
    signal = _signal(change, synced)
    if signal.endswith("scaled") and change.replicas is not None:
        old, new = change.replicas
        attributes |= {"from": old, "to": new}
        if old.isdigit() and new.isdigit():
            attributes["direction"] = "up" if int(new) > int(old) else "down"
    if signal == "config.changed":
        attributes["keys"] = ",".join(p.partition(".")[2] for p in change.settings)
        attributes["manager"] = f"git:{commit.author}"
    return Observation(
        signal=signal,
        subject=Entity(kind, change.namespace or namespace, name),
        statement=statement(deploy),
        start_time=deploy.time,
        end_time=deploy.time,
        attributes=attributes,
        quote=commit.subject[:300],
    )


def _signal(change: Change, synced: bool) -> str:
    only_scaled = change.replicas is not None and change.fields == ["replicas"]
    if synced and change.how == "edited":
        if only_scaled:
            return "workload.scaled"
        # A template: labels of the workload itself do not replace its pods.
        template = any(".template." in f".{path}" for path in change.settings)
        if change.kind in WORKLOADS and template:
            return "workload.rolled_out"
        if change.kind in ("ConfigMap", "Secret"):
            return "config.changed"
    if only_scaled:
        return "deploys.scaled"
    if change.images:
        return "deploys.image_changed"
    return "deploys.manifest_changed"


def statement(deploy: Deploy) -> str:
    """One line for people."""
    change, commit = deploy.change, deploy.commit
    object_name = f"{change.kind} {change.name}"
    told = [
        f"{path} {old or 'nothing'} -> {new or 'nothing'}" for path, (old, new) in _main(change)
    ]
    did = {"created": "added", "removed": "removed", "edited": "changed"}[change.how]
    more = f": {', '.join(told)}" if told else ""
    when = deploy.time.strftime("%Y-%m-%d %H:%M")
    by = f"commit {commit.id[:8]} of {deploy.repository} by {commit.author} at {when} UTC"
    return f"{by} {did} {object_name}{more}"


def _main(change: Change) -> list[tuple[str, tuple[str, str]]]:
    """The settings that say most, first images."""

    def weight(item: tuple[str, tuple[str, str]]) -> tuple[bool, str]:
        return (
            not re.search(r"(?i)(?:image|tag|newtag|replicas?|replicacount)$", item[0]),
            item[0],
        )

    return sorted(change.settings.items(), key=weight)[:3]
