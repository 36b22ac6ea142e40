"""A plugin as a process: how it starts, and every way it ends."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from fake import FakeAgentd, Refusal, agentd, until
from grpc import aio

from agentd_plugin.wire import registry_pb2 as wire
from agentd_plugin.wire import tool_pb2 as tools
from agentd_plugin.wire import tool_pb2_grpc
from agentd_plugin.wire import types_pb2 as types

CHILD = Path(__file__).with_name("child.py")


class Child:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def word(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().strip()

    async def end(self) -> tuple[int, str]:
        """The exit code and what it said on stderr."""
        assert self.process.stderr is not None
        said = await asyncio.wait_for(self.process.stderr.read(), 20)
        return await self.process.wait(), said.decode()


@asynccontextmanager
async def child(url: str, *arguments: str, **variables: str) -> AsyncIterator[Child]:
    known = ("PATH", "HOME", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
    environment = {name: os.environ[name] for name in known if name in os.environ}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(CHILD),
        *arguments,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env={**environment, "AGENTD_URL": url, **variables},
    )
    try:
        yield Child(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def call_of(fake: FakeAgentd, tool: str) -> tuple[aio.Channel, Any]:
    direct = fake.registrations[-1].direct
    channel = aio.insecure_channel(direct.endpoint)
    request = tools.CallRequest(tool=types.ToolRef(tool=tool), mode=tools.CALL_MODE_EXECUTE)
    metadata = (("authorization", f"Bearer {direct.caller_token}"),)
    return channel, tool_pb2_grpc.ToolServiceStub(channel).Call(request, metadata=metadata)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_told_to_stop_it_lets_a_call_finish_and_ends_with_0(number: signal.Signals) -> None:
    async with agentd() as fake, child(fake.url, "--go") as plugin:
        await until(lambda: fake.renewals, "a renewal")
        channel, call = call_of(fake, "work")
        await call.read()
        assert await plugin.word() == "working"
        plugin.tell(number)
        await until(
            lambda: fake.renewals[-1].state == wire.INSTANCE_STATE_DRAINING,
            "it says that it drains",
        )
        assert not fake.departures
        assert plugin.process.stdin is not None
        plugin.process.stdin.write(b"go\n")
        assert (await call.read()).result.result_json == '"done"'
        assert await call.read() is aio.EOF
        code, said = await plugin.end()
        assert (code, len(fake.departures)) == (0, 1), said
        await channel.close()


async def test_a_parent_that_is_gone_ends_it_although_a_thread_is_stuck() -> None:
    async with agentd() as fake, child(fake.url, AGENTD_SUPERVISED="1") as plugin:
        await until(lambda: fake.renewals, "a renewal")
        channel, call = call_of(fake, "stuck")
        await call.read()
        assert await plugin.word() == "working"
        assert plugin.process.stdin is not None
        plugin.process.stdin.close()
        last = await call.read()
        assert last.failure.failure_class == types.FAILURE_CLASS_CANCELLED
        code, said = await plugin.end()
        assert (code, len(fake.departures)) == (0, 1), said
        assert "the parent is gone" in said
        await channel.close()


async def test_wrong_settings_are_told_together_and_end_it_with_2() -> None:
    wrong = {
        "PLUGIN_MODE": "sideways",
        "PLUGIN_LISTEN": "here",
        "PLUGIN_SLOTS": "65",
        "AGENTD_CA_FILE": "/no/such/authority",
        "PLUGIN_TLS_CLIENT_CA": "/no/such/client",
        "AGENTD_PLUGIN_TOKEN_FILE": "/no/such/token",
    }
    async with child("ftp://x", **wrong) as plugin:
        code, said = await plugin.end()
    assert code == 2
    assert all(name in said for name in ["AGENTD_URL", *wrong]), said


async def test_an_agentd_that_says_no_ends_it_with_1_and_its_words() -> None:
    fake = FakeAgentd()
    fake.on_register.append(Refusal(grpc.StatusCode.PERMISSION_DENIED, "not your name"))
    async with agentd(fake), child(fake.url, AGENTD_PLUGIN_TOKEN="s3cret-t0ken") as plugin:
        code, said = await plugin.end()
    assert code == 1
    assert "not your name" in said
    assert "s3cret" not in said


async def test_a_port_that_is_taken_is_not_shared() -> None:
    async with agentd() as fake, child(fake.url) as first:
        await until(lambda: fake.renewals, "a renewal")
        taken = fake.registrations[0].direct.endpoint
        async with child(fake.url, PLUGIN_LISTEN=taken) as second:
            code, said = await second.end()
            assert (code, "cannot listen on" in said) == (1, True), said
        assert first.process.returncode is None


async def test_a_new_process_is_a_new_instance() -> None:
    async with agentd() as fake:
        for count in (1, 2):
            async with child(fake.url) as plugin:
                await until(lambda: len(fake.registrations) == count, "a registration")  # noqa: B023
                plugin.tell(signal.SIGTERM)
                assert (await plugin.end())[0] == 0
        assert len({registration.instance_id for registration in fake.registrations}) == 2


async def test_in_relay_nothing_is_listened_on() -> None:
    async with agentd() as fake, child(fake.url, PLUGIN_MODE="relay", PLUGIN_SLOTS="2") as plugin:
        await until(lambda: len(fake.parked()) == 2, "two slots are parked")
        listening = _listening(plugin.process.pid)
        assert listening == [], f"it listens: {listening}"
        plugin.tell(signal.SIGTERM)
        assert (await plugin.end())[0] == 0
        assert all(slot.released for slot in fake.slots)


def _listening(pid: int) -> list[str]:
    """Lines of the kernel's table of sockets that listen and belong to the process."""
    table = Path(f"/proc/{pid}/net/tcp")
    if not table.exists():
        pytest.skip("no /proc here")
    links = [os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()]
    own = {link[8:-1] for link in links if link.startswith("socket:[")}
    lines = table.read_text().splitlines() + Path(f"/proc/{pid}/net/tcp6").read_text().splitlines()
    rows = [line.split() for line in lines]
    return [" ".join(row) for row in rows if row[3] == "0A" and row[9] in own]
