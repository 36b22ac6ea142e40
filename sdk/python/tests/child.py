"""A plugin as a process of its own, for tests: prints what it is at, one word a line."""

import asyncio
import sys
import threading

from agentd_plugin import Call, Plugin

plugin = Plugin("child", "1.0.0")


@plugin.tool(description="Says what it was told.")
def echo(text: str = "") -> str:
    return text


@plugin.tool(description="Works until it may end.")
async def work(call: Call) -> str:
    print("working", flush=True)  # noqa: T201
    while not go.is_set():  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    return "done"


@plugin.tool(description="Never ends and does not listen.")
def stuck() -> None:
    print("working", flush=True)  # noqa: T201
    threading.Event().wait()


go = threading.Event()


def listen() -> None:
    if sys.stdin.readline():
        go.set()


if __name__ == "__main__":
    if "--go" in sys.argv:
        threading.Thread(target=listen, daemon=True).start()
    plugin.run()
