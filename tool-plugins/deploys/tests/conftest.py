"""Real repositories, made by git itself."""

import os
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)


class Made:
    """A repository that a test fills."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str, when: datetime = NOW, author: str = "Ada") -> str:
        stamp = when.isoformat()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.path.parent),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": author,
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": author,
            "GIT_COMMITTER_EMAIL": "a@example.org",
            "GIT_AUTHOR_DATE": stamp,
            "GIT_COMMITTER_DATE": stamp,
        }
        made = subprocess.run(
            ["git", *arguments], cwd=self.path, env=environment, capture_output=True, text=True
        )
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def commit(
        self, files: dict[str, str], subject: str, hours: float = 0.0, author: str = "Ada"
    ) -> str:
        """Writes the files and commits them `hours` before NOW; returns the id."""
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        when = NOW - timedelta(hours=hours)
        self.git("add", "-A")
        self.git("commit", "--quiet", "--allow-empty", "-m", subject, when=when, author=author)
        return self.git("rev-parse", "HEAD")

    def sign(self, commit: str) -> str:
        """Makes the head a commit with a signature, of nobody; returns its id."""
        head, _, message = self.git("cat-file", "commit", commit).partition("\n\n")
        mark = "PGP SIGNATURE-----"
        signature = f"gpgsig -----BEGIN {mark}\n \n aGVsbG8=\n -----END {mark}"
        file = self.path.parent / "signed"
        file.write_text(f"{head}\n{signature}\n\n{message}\n")
        signed = self.git("hash-object", "-t", "commit", "-w", str(file))
        self.git("update-ref", "HEAD", signed)
        return signed


def deployment(
    name: str = "web",
    image: str = "shop/web:1.0",
    replicas: int = 2,
    namespace: str = "shop",
    env: dict[str, str] | None = None,
) -> str:
    variables = "".join(
        f'\n            - {{name: {key}, value: "{value}"}}'
        for key, value in (env or {"A": "1"}).items()
    )
    return f"""apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  namespace: {namespace}
spec:
  replicas: {replicas}
  template:
    spec:
      containers:
        - name: {name}
          image: {image}
          env:{variables}
"""


@pytest.fixture
def repository(tmp_path: Path) -> Callable[[str], Made]:
    return lambda name: Made(tmp_path / "repositories" / name)
