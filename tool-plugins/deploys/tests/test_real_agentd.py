"""Against the daemon itself, where AGENTD_BIN names its program: an alert about a service asks the
plugin from the start, and its facts are in the report's evidence."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import IO

import pytest
from conftest import NOW, Made, deployment

AGENTD = os.environ.get("AGENTD_BIN", "")
pytestmark = pytest.mark.skipif(not AGENTD, reason="AGENTD_BIN names no agentd")


def agentd(url: str, *arguments: str) -> str:
    return subprocess.run(
        [AGENTD, *arguments], env={"AGENTD_URL": url}, capture_output=True, text=True, timeout=60
    ).stdout


def address(stdout: IO[str] | None) -> str:
    assert stdout is not None
    found = re.search(r"grpc=(\S+)", stdout.readline())
    assert found
    return found.group(1)


def test_an_alert_about_a_service_asks_git_from_the_start(
    tmp_path: Path, repository: Callable[[str], Made]
) -> None:
    made = repository("gitops")
    behind = (datetime.now(timezone.utc) - NOW) / timedelta(hours=1)
    made.commit({"web.yaml": deployment()}, "add", 10 - behind)
    commit = made.commit({"web.yaml": deployment(image="shop/web:2")}, "bump", 1 - behind)
    data = ("--data-dir", str(tmp_path / "data"))
    serve = [AGENTD, "serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", *data]
    daemon = subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        where = address(daemon.stdout)
        url = f"http://{where}"
        variables = {**os.environ, "AGENTD_URL": url, "DEPLOYS_REPOSITORIES": str(made.path)}
        command = [sys.executable, "-m", "agentd_plugin_deploys.main"]
        plugin = subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True)
        try:
            end = time.monotonic() + 20
            while not re.search(r"deploys\.list_deploys +\S+ +active", agentd(url, "tools")):
                assert plugin.poll() is None
                assert time.monotonic() < end
            alert = ("--type", "high_error_rate", "--service", "web", "--namespace", "shop")
            told = agentd(url, "investigate", *alert, "--json")
            report = json.loads(told)
            steps = [s for s in _steps(report) if s.get("tool") == "deploys.list_deploys"]
            assert steps, told[:3000]
            assert commit[:8] in told, told[:3000]
        finally:
            plugin.terminate()
            assert plugin.wait(20) == 0
    finally:
        daemon.terminate()
        daemon.wait(20)


def _steps(value: object) -> list[dict[str, object]]:
    """Every object of the report that names a tool."""
    if isinstance(value, dict):
        own = [value] if "tool" in value else []
        return own + [step for inner in value.values() for step in _steps(inner)]
    if isinstance(value, list):
        return [step for inner in value for step in _steps(inner)]
    return []
