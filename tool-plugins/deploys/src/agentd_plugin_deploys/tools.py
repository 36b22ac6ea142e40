"""The tools of the plugin."""

import asyncio
import re
import time
from datetime import datetime, timezone
from typing import Annotated, Final

from agentd_plugin import Applies, Failure, Output, Plugin, Polarity, Usage

from .deploys import Deploy, deploys_of, observation, statement
from .git import Commit, Repository
from .manifests import holds_secret, masked_diff
from .settings import Settings

VERSION: Final = "0.1.0"
_MOST_COMMITS: Final = 300
_MOST_DIFF: Final = 48 * 1024
_OWN: Final = (
    ("image_changed", "A commit changed which image or chart a service should run"),
    ("manifest_changed", "A commit changed how a service should run, but not its image"),
    ("scaled", "A commit changed only how many replicas a service should have"),
)
_CATALOGUE: Final = ["workload.rolled_out", "workload.scaled", "config.changed"]


def make(settings: Settings) -> Plugin:
    """The plugin over its repositories."""
    plugin = Plugin("deploys", VERSION, title="Deploys in Git")
    for name, meaning in _OWN:
        plugin.signal(name, f"{meaning}; start = when it was committed or merged", Polarity.CHANGE)
    repositories = [Repository(source, settings) for source in settings.sources]
    emits = [f"deploys.{name}" for name, _ in _OWN] + (_CATALOGUE if settings.synced else [])
    applies = Applies.from_start(
        emits=emits,
        service="{service}",
        namespace="{namespace}",
        start_time="{start_time}",
        end_time="{end_time}",
    )

    @plugin.tool(
        title="Deploys of a service",
        timeout=30.0,
        max_attempts=2,
        typical_latency=1.0,
        labels={"domain": "changes"},
        permissions=["git:read"],
        examples=[("all changes of the last day", {})],
        applies=[applies],
    )
    async def list_deploys(
        service: Annotated[str, "Name of the service or workload; empty for all"] = "",
        namespace: Annotated[str, "Its namespace; empty for any"] = "",
        start_time: Annotated[str, "When trouble began, RFC 3339; empty for the end"] = "",
        end_time: Annotated[str, "Until when to look, RFC 3339; empty for now"] = "",
        lookback_hours: Annotated[int, "Hours before start_time to look at, 1 to 720"] = 24,
        limit: Annotated[int, "Most changes to tell, 1 to 200"] = 50,
    ) -> Output:
        """Tells which Git commits changed the manifests of a service, when and by whom, and what
        they changed: images, replicas, variables, resources. Ask it when something broke and a
        change may be behind it."""
        _check("lookback_hours", lookback_hours, 720)
        _check("limit", limit, 200)
        until = _instant("end_time", end_time) or time.time()
        since = (_instant("start_time", start_time) or until) - lookback_hours * 3600
        output = Output(usage=Usage(backend_requests=len(repositories)))
        found: list[Deploy] = []

        async def read(repository: Repository) -> None:
            try:
                await repository.refresh()
                commits = await repository.commits(int(since), int(until) + 1, _MOST_COMMITS)
                found.extend(await deploys_of(repository, commits, service, namespace))
            except Failure as why:
                output.gaps.append((f"deploys in {repository.name}", why))

        await asyncio.gather(*map(read, repositories))
        if len(output.gaps) == len(repositories):
            raise output.gaps[0][1]
        found.sort(key=lambda deploy: deploy.commit.time, reverse=True)
        told = found[:limit]
        output.result = {
            "deploys": [deploy.to_json() for deploy in told],
            "total": len(found),
            "since": _rfc3339(since),
            "until": _rfc3339(until),
        }
        output.truncated = len(found) > len(told)
        output.observations = [
            observation(deploy, service, namespace, settings.synced) for deploy in told
        ]
        lines = [statement(deploy) for deploy in told[:8]]
        whom = service or "any service"
        output.summary = "\n".join(lines) or f"no commit changed {whom} since {_rfc3339(since)}"
        return output

    @plugin.tool(
        title="Diff of a deploy",
        timeout=30.0,
        labels={"domain": "changes"},
        permissions=["git:read"],
    )
    async def describe_deploy(
        repository: Annotated[str, "Name of the repository, as list_deploys tells it"],
        commit: Annotated[str, "Id of the commit, at least 7 of its digits"],
        path: Annotated[str, "Only this file; empty for all that the commit changed"] = "",
    ) -> Output:
        """Shows what one commit changed, as a diff, bounded and without secrets. Ask it after
        list_deploys, to see the lines behind a change."""
        named = next((r for r in repositories if r.name == repository), None)
        if named is None:
            known = ", ".join(r.name for r in repositories)
            raise Failure.invalid_argument(
                "arguments.repository", f"is not known; known are {known}"
            )
        await named.refresh()
        found = await named.find(commit)
        if found is None:
            raise Failure.not_found(f"commit {commit} of {repository}")
        return await _described(named, found, path)

    return plugin


async def _described(repository: Repository, commit: Commit, only: str) -> Output:
    files, room = [], _MOST_DIFF
    folder = repository.source.folder
    paths = [
        path
        for path in commit.paths
        if (not only or path == only) and (not folder or path.startswith(f"{folder}/"))
    ]
    pairs = [(revision, path) for path in paths for revision in (commit.id, commit.parent)]
    texts = await repository.blobs(pairs)
    for path in paths[:50]:
        if room <= 0:
            break
        sides = [texts.get((revision, path), "") for revision in (commit.id, commit.parent)]
        if not any(sides):
            files.append({"path": path, "diff": "", "note": "too large or not text"})
        elif any(map(holds_secret, sides)):
            files.append({"path": path, "diff": "", "note": "not shown: it holds a Secret"})
        else:
            diff = masked_diff(await repository.patch(commit, path))[:room]
            room -= len(diff)
            files.append({"path": path, "diff": diff, "note": ""})
    when = datetime.fromtimestamp(commit.time, timezone.utc)
    result = {
        "repository": repository.name,
        "commit": commit.id,
        "time": _rfc3339(commit.time),
        "author": commit.author,
        "subject": commit.subject,
        "files": files,
    }
    said = f"{commit.author} changed {len(paths)} files at {when:%Y-%m-%d %H:%M} UTC"
    cut = len(files) < len(paths) or room <= 0
    return Output(result=result, summary=f"{said}: {commit.subject}", truncated=cut)


def _instant(field: str, text: str) -> float | None:
    if not text.strip():
        return None
    # Python 3.10 reads microseconds and no other fraction, and no Z.
    plain = re.sub(r"\.(\d+)", lambda found: f".{found.group(1)[:6]:0<6}", text.strip())
    try:
        read = datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", plain))
    except ValueError:
        read = None
    if read is None or read.tzinfo is None:
        said = "is no instant; give RFC 3339, such as 2026-01-31T10:00:00Z"
        raise Failure.invalid_argument(f"arguments.{field}", said)
    return read.timestamp()


def _check(field: str, number: int, most: int) -> None:
    if not 1 <= number <= most:
        raise Failure.invalid_argument(f"arguments.{field}", f"must be from 1 to {most}")


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), timezone.utc).isoformat().replace("+00:00", "Z")
