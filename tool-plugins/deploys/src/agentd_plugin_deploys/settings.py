"""Which repositories are read, from the environment. All faults are told together."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

_URL: Final = re.compile(r"(?:https|ssh|file)://\S+|[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^:\s]\S*")
"""What is cloned: https, ssh, file, and user@host:path. Not `ext::`, which runs a program."""


@dataclass(frozen=True)
class Source:
    """One repository: where it is, the folder in it that counts (empty: all), and its name."""

    place: str
    folder: str
    name: str
    is_url: bool


@dataclass(frozen=True)
class Settings:
    """What is read and where clones are kept; `refresh` is how many seconds a clone stays as it is;
    `synced` says that what is merged is applied, so that a change in Git is one in the cluster."""

    sources: list[Source]
    cache: Path
    refresh: float = 60.0
    synced: bool = False

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] | None = None) -> "Settings":
        """Reads DEPLOYS_REPOSITORIES, DEPLOYS_CACHE, DEPLOYS_REFRESH and DEPLOYS_SYNCED.

        Raises ValueError with every fault.
        """
        given = os.environ if variables is None else variables
        faults: list[str] = []
        sources: list[Source] = []
        for entry in re.split(r"[,\s]+", given.get("DEPLOYS_REPOSITORIES", "").strip()):
            if entry:
                try:
                    sources.append(_source(entry))
                except ValueError as fault:
                    faults.append(f"DEPLOYS_REPOSITORIES: {fault}")
        if not sources and not faults:
            faults.append(
                "DEPLOYS_REPOSITORIES: names no repository; give paths or URLs with commas between"
            )
        names = [source.name for source in sources]
        for name in sorted({name for name in names if names.count(name) > 1}):
            faults.append(f"DEPLOYS_REPOSITORIES: two are named {name}")
        text = given.get("DEPLOYS_REFRESH") or "60"
        refresh = int(text) if re.fullmatch(r"[0-9]{1,6}", text) else -1
        if refresh < 0:
            faults.append(f"DEPLOYS_REFRESH: {text!r} is no number of seconds")
        if faults:
            raise ValueError("; ".join(faults))
        home = given.get("XDG_CACHE_HOME") or str(Path(given.get("HOME") or "/tmp") / ".cache")  # noqa: S108
        cache = Path(given.get("DEPLOYS_CACHE") or Path(home) / "agentd-deploys")
        return cls(sources, cache, float(refresh), given.get("DEPLOYS_SYNCED") == "1")


def _source(entry: str) -> Source:
    place, _, folder = entry.partition("#")
    folder = folder.strip("/")
    if ".." in folder.split("/"):
        raise ValueError(f"{shown(entry)}: the folder behind # leaves the repository")
    name = re.sub(r"\.git$", "", place.rstrip("/")).replace(":", "/").rpartition("/")[2]
    name = f"{name}/{folder}" if folder else name
    if _URL.fullmatch(place):
        return Source(place, folder, name, is_url=True)
    path = Path(place)
    if "://" in place or "::" in place or place.startswith("-"):
        raise ValueError(
            f"{shown(entry)} is neither a path nor https://, ssh://, file:// or u@h:path"
        )
    if not ((path / "HEAD").is_file() or (path / ".git").exists()):
        raise ValueError(f"{place} is no Git repository")
    return Source(str(path.resolve()), folder, name, is_url=False)


def shown(place: str) -> str:
    """A place without the credentials in it."""
    parts = urlsplit(place)
    if parts.scheme and parts.netloc:
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "", ""))
    return place
