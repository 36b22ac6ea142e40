"""The `git` program, asked so that a repository cannot make it run anything: argument lists, no
shell, no hooks, no programs from its configuration, a list of allowed transports, limits of time
and size. A call that is withdrawn kills its process."""

import asyncio
import contextlib
import hashlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agentd_plugin import Failure
from agentd_plugin.waiting import within

from .settings import Settings, Source, shown

_TIMEOUT: Final = 15.0
_FETCHING: Final = 25.0
_MOST_OUTPUT: Final = 16 * 1024 * 1024
LARGEST_BLOB: Final = 512 * 1024
"""Bytes; a manifest is smaller, and what is larger is not read."""

# What a repository's own configuration could name as a program to run, all of it off.
_SAFE: Final = (
    "--no-pager",
    *("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.pager=cat"),
    *("-c", "core.attributesFile=/dev/null", "-c", "log.showSignature=false"),
    *("-c", "protocol.ext.allow=never", "-c", "core.sshCommand=ssh -oBatchMode=yes"),
    *("-c", "credential.helper=", "-c", "core.askPass=", "-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false", "-c", "fetch.recurseSubmodules=false"),
)
_PLAIN_DIFF: Final = ("--no-ext-diff", "--no-textconv", "--no-color", "--no-renames")


@dataclass(frozen=True)
class Commit:
    """One commit of the first-parent line, with the paths it changed against its parent."""

    id: str
    time: int
    author: str
    subject: str
    parent: str
    paths: tuple[str, ...]


class Repository:
    """One repository that is read."""

    def __init__(self, source: Source, settings: Settings) -> None:
        self.source = source
        self.name = source.name
        self._settings = settings
        self._fresh_until = 0.0
        self._lock = asyncio.Lock()
        if source.is_url:
            digest = hashlib.sha256(source.place.encode()).hexdigest()[:16]
            self._directory = settings.cache / f"{digest}.git"
        else:
            self._directory = Path(source.place)

    async def refresh(self) -> None:
        """Makes or renews the clone of a URL, when it is older than it may be."""
        if not self.source.is_url:
            return
        async with self._lock:
            if time.monotonic() < self._fresh_until:
                return
            place = self.source.place
            if not (self._directory / "HEAD").is_file():
                self._settings.cache.mkdir(parents=True, exist_ok=True)
                target = str(self._directory)
                await self._run("init", "--quiet", "--bare", "--", target, outside=True)
            fetch = ("fetch", "--quiet", "--no-tags", "--", place, "+HEAD:refs/heads/agentd")
            await self._run(*fetch, transports=True)
            self._fresh_until = time.monotonic() + self._settings.refresh

    async def commits(self, since: int, until: int, most: int) -> list[Commit]:
        """Commits between two instants (seconds since 1970), the newest first, at most `most`."""
        fields = "%x1e%H%x1f%ct%x1f%P%x1f%an%x1f%s%x1f"
        out = await self._run(
            "log",
            *("--first-parent", "--diff-merges=first-parent", "--root", "--name-only", "-z"),
            *(f"--format={fields}", f"--since=@{since}", f"--until=@{until}", f"-n{most}"),
            *_PLAIN_DIFF,
            self._head(),
            "--",
            *([f":(literal){self.source.folder}"] if self.source.folder else []),
        )
        return _commits(out)

    async def blobs(self, wanted: list[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """The texts of files by commit and path; what is not there or too large is left out."""
        asked = [pair for pair in wanted if pair[0] and "\n" not in pair[1]]
        if not asked:
            return {}
        names = "".join(f"{commit}:{path}\n" for commit, path in asked).encode("utf-8", "replace")
        checked = await self._run(
            "cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)", said=names
        )
        found: dict[tuple[str, str], str] = {}
        for pair, line in zip(asked, checked.decode("utf-8", "replace").splitlines(), strict=False):
            parts = line.rsplit(" ", 2)
            if len(parts) == 3 and parts[1] == "blob" and int(parts[2]) <= LARGEST_BLOB:
                found[pair] = parts[0]
        ids = sorted(set(found.values()))
        held = await self._run("cat-file", "--batch", said="".join(f"{i}\n" for i in ids).encode())
        texts, at = {}, 0
        while at < len(held):
            end = held.index(b"\n", at)
            object_id, _, size = held[at:end].decode().split(" ")
            at = end + 1 + int(size)
            texts[object_id] = held[end + 1 : at].decode("utf-8", "replace")
            at += 1
        return {pair: texts[object_id] for pair, object_id in found.items() if object_id in texts}

    async def find(self, commit: str) -> Commit | None:
        """A commit by the beginning of its id, at least 7 digits."""
        if not re.fullmatch(r"[0-9a-f]{7,64}", commit):
            return None
        fields = "%x1e%H%x1f%ct%x1f%P%x1f%an%x1f%s%x1f"
        arguments = ("log", "-1", "--diff-merges=first-parent", "--root", "--name-only", "-z")
        try:
            out = await self._run(*arguments, f"--format={fields}", *_PLAIN_DIFF, commit, "--")
        except Failure:
            return None
        return next(iter(_commits(out)), None)

    async def patch(self, commit: Commit, path: str) -> str:
        """What a commit changed in one file, as a unified diff."""
        arguments = ("show", "--format=", "--diff-merges=first-parent", *_PLAIN_DIFF, commit.id)
        out = await self._run(*arguments, "--", f":(literal){path}")
        return out.decode("utf-8", "replace")

    def _head(self) -> str:
        return "refs/heads/agentd" if self.source.is_url else "HEAD"

    async def _run(
        self, *arguments: str, said: bytes = b"", transports: bool = False, outside: bool = False
    ) -> bytes:
        where = (
            () if outside else ("-C", str(self._directory), "-c", f"safe.directory={self._safe()}")
        )
        process = await asyncio.create_subprocess_exec(
            "git",
            *_SAFE,
            *where,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(transports),
            start_new_session=True,
        )
        try:
            waiting = _talk(process, said)
            limit = _FETCHING if transports else _TIMEOUT
            out, error = await within(limit, waiting)
        except asyncio.TimeoutError:
            name = shown(self.source.place)
            raise Failure.external("git", "TIMEOUT", f"git took too long for {name}") from None
        finally:
            _kill(process)
            await process.wait()
        if process.returncode != 0:
            words = error.decode("utf-8", "replace").strip().replace(self.source.place, self.name)
            raise Failure.external("git", "GIT_FAILED", f"git {arguments[0]} failed: {words[:500]}")
        return out

    def _safe(self) -> str:
        # The operator named it, so who owns its files does not matter.
        return str(self._directory)


def _environment(transports: bool) -> dict[str, str]:
    kept = ("PATH", "HOME", "SSH_AUTH_SOCK") if transports else ("PATH",)
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        # Reading needs no transport: a partial clone must not fetch what is missing.
        "GIT_ALLOW_PROTOCOL": "https:ssh:file" if transports else "none",
    }


async def _talk(process: asyncio.subprocess.Process, said: bytes) -> tuple[bytes, bytes]:
    assert process.stdin is not None  # noqa: S101
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr

    async def write() -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            stdin.write(said)
            await stdin.drain()
        stdin.close()

    async def read(stream: asyncio.StreamReader) -> bytes:
        held = bytearray()
        while piece := await stream.read(65536):
            held += piece
            if len(held) > _MOST_OUTPUT:
                raise Failure.external("git", "TOO_LARGE", "git has more to say than is read")
        return bytes(held)

    _, out, error = await asyncio.gather(write(), read(stdout), read(stderr))
    await process.wait()
    return out, error


def _kill(process: asyncio.subprocess.Process) -> None:
    """The process with all it started, such as ssh."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)


def _commits(out: bytes) -> list[Commit]:
    """The commits that `log` told of. One whose author or subject holds our marks is left out."""
    commits = []
    for record in out.decode("utf-8", "replace").split("\x1e")[1:]:
        parts = record.split("\x1f")
        if len(parts) != 6 or not re.fullmatch(r"[0-9]{1,10}", parts[1]):
            continue
        object_id, seconds, parents, author, subject, rest = parts
        paths = tuple(path.lstrip("\n") for path in rest.split("\0") if path.strip("\n"))
        commits.append(
            Commit(object_id, int(seconds), author, subject, parents.split(" ")[0], paths)
        )
    return commits
