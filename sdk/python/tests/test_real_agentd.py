"""Against the daemon itself, where AGENTD_BIN names its program."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from test_process import Child, child

PROTO = Path(__file__).parents[3] / "proto"
AGENTD = os.environ.get("AGENTD_BIN", "")
pytestmark = pytest.mark.skipif(not AGENTD, reason="AGENTD_BIN names no agentd")


@asynccontextmanager
async def daemon(data: Path) -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        AGENTD,
        *("serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir", str(data)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
        found = re.search(r"grpc=(\S+)", line)
        assert found, f"agentd said {line!r}"
        yield f"http://{found.group(1)}"
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 20)


async def agentd(url: str, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        AGENTD,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"AGENTD_URL": url},
    )
    said, _ = await asyncio.wait_for(process.communicate(), 20)
    return said.decode()


CALL = """
import sys, grpc
from agentd.v1 import control_pb2, control_pb2_grpc
stub = control_pb2_grpc.CatalogServiceStub(grpc.insecure_channel(sys.argv[1]))
asked = control_pb2.CallToolRequest(name="tools/child.echo", arguments_json=sys.argv[2])
answer = stub.CallTool(asked, timeout=20)
print(answer.result.result_json or answer.failure.reason)
"""


def call_tool(url: str, arguments: str, stubs: Path) -> str:
    """CallTool by a client that knows the proto files and nothing of the SDK."""
    protos = [str(path) for path in PROTO.glob("agentd/**/*.proto")]
    outs = [f"--python_out={stubs}", f"--grpc_python_out={stubs}"]
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", *outs, *protos]
    subprocess.run(protoc, check=True)
    command = [sys.executable, "-c", CALL, url.removeprefix("http://"), arguments]
    made = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(stubs)})
    return made.stdout.strip() or made.stderr


async def is_listed(plugin: Child, url: str) -> str:
    while True:
        assert plugin.process.returncode is None, await plugin.end()
        said = await agentd(url, "tools")
        if re.search(r"child\.echo +1\.0\.0 +active +1 +reads only", said):
            return said


async def test_it_registers_is_listed_and_leaves(tmp_path: Path) -> None:
    async with daemon(tmp_path) as url, child(url) as plugin:
        await is_listed(plugin, url)
        shown = await agentd(url, "tools", "show", "child.echo")
        assert "text (string)" in shown
        digits = '{"text":"9007199254740993 \u00e4"}'
        said = await asyncio.to_thread(call_tool, url, digits, tmp_path)
        assert said == '"9007199254740993 \u00e4"'
        plugin.process.terminate()
        code, words = await plugin.end()
        assert code == 0, words
        while "child.echo" in (said := await agentd(url, "tools")):
            if re.search(r"child\.echo +1\.0\.0 +\S+ +0", said):
                break


@pytest.mark.skipif(
    os.environ.get("AGENTD_RELAY") != "1", reason="AGENTD_RELAY=1 says that this agentd serves it"
)
async def test_it_parks_its_slots(tmp_path: Path) -> None:
    async with daemon(tmp_path) as url, child(url, PLUGIN_MODE="relay") as plugin:
        assert "active" in await is_listed(plugin, url)


@pytest.mark.skipif(os.environ.get("AGENTD_RELAY") == "1", reason="this agentd serves the relay")
async def test_an_agentd_without_relay_is_told_of(tmp_path: Path) -> None:
    async with daemon(tmp_path) as url, child(url, PLUGIN_MODE="relay") as plugin:
        code, said = await plugin.end()
        assert code == 1, said
        assert "refused the plugin" in said
