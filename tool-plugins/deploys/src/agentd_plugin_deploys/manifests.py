"""What changed between two texts of one manifest: images, replicas, variables and the rest, by the
object it belongs to. Pure: texts in, changes out. The texts are strangers': bounded, and read by
the safe loader only."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from agentd_plugin.redact import redact, redact_value

WORKLOADS: Final = frozenset(
    ["Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "Rollout", "ReplicaSet"]
)
_MOST_NODES: Final = 20_000
_MOST_CHANGES: Final = 40
_REST: Final = "(the rest)"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_VALUE_LINE: Final = re.compile(
    r"^\s*-?\s*(image|tag|newTag|targetRevision|version|replicas|replicaCount):\s*[\"']?([^\s\"'#]+)",
    re.MULTILINE,
)

_NAMED: Final = re.compile(r"\bname[\"']?:\s*[\"']?([\w.-]+)")
_VALUED: Final = re.compile(r"(\bvalue[\"']?:\s*[\"']?)([^\"'\n}]+)")

Key = tuple[str, str, str]
"""Kind, namespace and name."""


@dataclass
class Change:
    """How one object was changed: `settings` are paths with what they were and are, as text."""

    kind: str
    namespace: str
    name: str
    how: str
    labels: dict[str, str] = field(default_factory=dict)
    settings: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def images(self) -> list[tuple[str, str]]:
        """Images that changed: old and new."""
        return [pair for path, pair in self.settings.items() if _field(path) == "image"]

    @property
    def fields(self) -> list[str]:
        """What kinds of settings were changed, in the words of the catalogue."""
        return sorted({_field(path) for path in self.settings})

    @property
    def replicas(self) -> tuple[str, str] | None:
        """How many are wanted, when that was changed."""
        for path, pair in self.settings.items():
            if _field(path) == "replicas":
                return pair
        return None


def compare(path: str, old: str, new: str) -> list[Change]:
    """The changes between two texts of one file; an empty text means that it was not there."""
    before, after = _objects(path, old), _objects(path, new)
    if before is None or after is None:
        return _compare_lines(path, old, new)
    changes = []
    for key in sorted({*before, *after}):
        left, right = before.get(key), after.get(key)
        # Never compared as they are: aliases upon aliases have leaves without end.
        leaves = _flat(left, key[0] == "Secret"), _flat(right, key[0] == "Secret")
        same = leaves[0] == leaves[1] and _REST not in leaves[0]
        if left is not None and right is not None and same:
            continue
        how = "created" if left is None else "removed" if right is None else "edited"
        change = Change(*key, how=how, labels=_labels(right or left))
        if how == "edited":
            _collect(change, *leaves)
        changes.append(change)
    return changes


def holds_secret(text: str) -> bool:
    """Whether a Secret's values stand in it; they are base64, which no mask knows."""
    return re.search(r"(?m)^[\s\"'-]*kind[\"']?\s*:\s*[\"']?Secret\b", text) is not None


def masked_diff(diff: str) -> str:
    """A diff with the values of variables masked whose names say that they are secrets: `name: X` and
    `value: Y` on one line or on two, which no mask of single lines sees."""
    name, lines = "", []
    for line in diff.split("\n"):
        found = _NAMED.search(line)
        name = found.group(1) if found else name
        lines.append(
            _VALUED.sub(
                lambda f, n=name: f"{f.group(1)}{redact_value(n, f.group(2))}",  # type: ignore[misc]
                line,
            )
        )
    return "\n".join(lines)


def _collect(change: Change, before: dict[str, str], after: dict[str, str]) -> None:
    for path in sorted({*before, *after}):
        left, right = before.get(path, ""), after.get(path, "")
        if left != right and len(change.settings) < _MOST_CHANGES:
            hidden = change.kind == "Secret" and path.startswith(("data.", "stringData."))
            # Here and not on the way out alone: a statement names no key before its value.
            told = (redact_value(path, left), redact_value(path, right))
            change.settings[path] = ("", "changed") if hidden else told


def _objects(path: str, text: str) -> dict[Key, Any] | None:
    """The objects of a file; nothing when it is no YAML, as a template is not."""
    if not text.strip():
        return {}
    try:
        documents = list(yaml.load_all(text, Loader=_LOADER))
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    found: dict[Key, Any] = {}
    for document in documents:
        items = document.get("items") if _is(document, "kind", "List") else [document]
        for item in items if isinstance(items, list) else []:
            if isinstance(item, dict):
                found[_key(path, item)] = item
    return found


def _key(path: str, item: dict[Any, Any]) -> Key:
    about = item.get("metadata")
    about = about if isinstance(about, dict) else {}
    if isinstance(item.get("kind"), str) and about.get("name"):
        return item["kind"], str(about.get("namespace") or ""), str(about["name"])
    # Values of a chart, a kustomization: named by where it stands.
    return str(item.get("kind") or "Values"), "", path


def _is(item: Any, key: str, value: str) -> bool:
    return isinstance(item, dict) and item.get(key) == value


def _labels(item: Any) -> dict[str, str]:
    about = item.get("metadata") if isinstance(item, dict) else None
    labels = about.get("labels") if isinstance(about, dict) else None
    return {str(k): str(v) for k, v in labels.items()} if isinstance(labels, dict) else {}


def _flat(item: Any, secret: bool) -> dict[str, str]:
    """Every leaf by its path; list items by their name where they have one. What a Secret holds only
    as a mark, to see that it was changed."""
    flat: dict[str, str] = {}
    if item is None:
        return flat
    for count, (path, value) in enumerate(_leaves("", item)):
        if count > _MOST_NODES:
            flat[_REST] = "not compared"
            break
        hidden = secret and path.startswith(("data.", "stringData."))
        flat[path] = f"#{hash(value) & 0xFFFF:04x}" if hidden else value
    return flat


def _leaves(path: str, value: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    if depth > 40:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}" if path else str(key), inner, depth + 1)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            if isinstance(inner, dict) and inner.keys() == {"name", "value"}:
                # A variable: its value stands behind its name, for people and for masks.
                yield from _leaves(f"{path}.{inner['name']}", inner["value"], depth + 1)
                continue
            name = inner.get("name") if isinstance(inner, dict) else None
            mark = str(name) if isinstance(name, str) else str(number)
            yield from _leaves(f"{path}[{mark}]", inner, depth + 1)
    else:
        yield path, "" if value is None else str(value)


def _field(path: str) -> str:
    """The kind of setting behind a path, in the words of the catalogue's `workload.rolled_out`."""
    last = re.split(r"[.\[]", path)[-1].rstrip("]").lower()
    if last in ("image", "tag", "newtag", "digest", "targetrevision", "chartversion"):
        return "image"
    if last in ("replicas", "replicacount"):
        return "replicas"
    words = (
        ("env", "env"),
        ("resources", "resources"),
        ("probe", "probes"),
        ("command", "command"),
        ("args", "command"),
        ("volume", "volumes"),
        ("affinity", "scheduling"),
        ("nodeselector", "scheduling"),
        ("toleration", "scheduling"),
        ("dns", "dns"),
        ("restartedat", "restart"),
    )
    lowered = path.lower()
    return next((word for part, word in words if part in lowered), "other")


def _compare_lines(path: str, old: str, new: str) -> list[Change]:
    """What a template tells by its lines alone."""
    if old == new:
        return []
    how = "created" if not old else "removed" if not new else "edited"
    change = Change("Template", "", path, how=how)
    left, right = _VALUE_LINE.findall(old), _VALUE_LINE.findall(new)
    if how == "edited" and [name for name, _ in left] == [name for name, _ in right]:
        for number, ((name, was), (_, now)) in enumerate(zip(left, right, strict=True)):
            if was != now:
                change.settings[f"[{number}].{name}"] = (redact(was), redact(now))
    return [change]
