"""Measures the client beside others in one run: calls per second, p50 and p99, and the time of `import`.

    BOOKHOLDER=target/dist/bookholder python bench.py [CALLS]

Needs `httpx` and `langfuse` from PyPI to compare with; without them they are left out. `langfuse` asks a small server
of its own, which always answers at once, so that only the client is measured. Ratios are the message: they hold on
other machines, where the times do not.
"""

from __future__ import annotations

import asyncio
import gc
import http.client
import importlib.util
import json
import logging
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "src"), str(HERE / "tests")]

import nodes  # noqa: E402
from bookholder import AsyncBookholder, Bookholder  # noqa: E402

NAME = "support/agent"
TEXT = "You help the customers of {{shop}}. " + "Answer in a friendly way, and keep it short. " * 20
CALLS = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
TASKS = 1_000

rows: list[tuple[str, float, float, float]] = []


def note(what: str, times: list[float], elapsed: float | None = None) -> None:
    times.sort()
    p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
    rate = len(times) / (elapsed or sum(times))
    rows.append((what, rate, p50, p99))
    print(f"{what:44} {rate:12,.0f}/s {p50 * 1e6:10.2f} {p99 * 1e6:10.2f} µs", flush=True)


def measure(what: str, call: Callable[[], object], calls: int = CALLS) -> None:
    for _ in range(min(calls, 200)):
        call()
    gc.collect()
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    note(what, times)


def measure_hot(what: str, call: Callable[[], object], calls: int = CALLS * 100) -> None:
    """For calls that are shorter than reading the clock: in groups of a thousand."""
    times = []
    for _ in range(calls // 1_000):
        began = time.perf_counter()
        for _ in range(1_000):
            call()
        times += [(time.perf_counter() - began) / 1_000] * 1_000
    note(what, times)


async def measure_async(what: str, call: Callable[[], Awaitable[object]], calls: int = CALLS) -> None:
    for _ in range(200):
        await call()
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        await call()
        times.append(time.perf_counter() - began)
    note(what, times)


async def measure_tasks(what: str, call: Callable[[], Awaitable[object]]) -> None:
    """A thousand tasks at once."""
    times: list[float] = []

    async def one() -> None:
        for _ in range(max(CALLS // TASKS, 2)):
            began = time.perf_counter()
            await call()
            times.append(time.perf_counter() - began)

    await asyncio.gather(*(call() for _ in range(TASKS)))
    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(TASKS)))
    note(what, times, time.perf_counter() - began)


class OverSocket(http.client.HTTPConnection):
    """The standard library's client, over a Unix socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.host)


def by_http_client(connection: http.client.HTTPConnection) -> object:
    connection.request("GET", f"/v1/resolve/{NAME}", headers={"Host": "localhost"})
    return json.loads(connection.getresponse().read())


def bookholder(node: nodes.Node) -> None:
    url, path = node.url, node.socket
    for where, options in (("socket", {"socket": path}), ("TCP", {"url": node.url})):
        bh = Bookholder(**options)  # type: ignore[arg-type]
        measure(f"bookholder, {where}", lambda: bh.prompt(NAME))
        measure(f"bookholder, {where}, with text()", lambda: bh.prompt(NAME).text(shop="Globe"))
    with Bookholder(url, cache="events") as hot:
        nodes.until("the cache", lambda: hot.prompt(NAME).source == "memory")
        measure_hot("bookholder, cache by events", lambda: hot.prompt(NAME))
        measure("bookholder, cache by events, with text()", lambda: hot.prompt(NAME).text(shop="Globe"))
    over, tcp = OverSocket(path), http.client.HTTPConnection(url.removeprefix("http://"))
    measure("http.client and json, socket", lambda: by_http_client(over))
    measure("http.client and json, TCP", lambda: by_http_client(tcp))
    node_is_gone(node)


def node_is_gone(node: nodes.Node) -> None:
    bh = Bookholder(socket=node.socket)
    bh.prompt(NAME)
    node.kill()
    logging.disable()
    measure("bookholder, from memory, replica killed", lambda: bh.prompt(NAME))
    node.start()


async def bookholder_async(node: nodes.Node) -> None:
    for where, options in (("socket", {"socket": node.socket}), ("TCP", {"url": node.url})):
        async with AsyncBookholder(**options) as bh:  # type: ignore[arg-type]
            await measure_async(f"bookholder asyncio, {where}", lambda: bh.prompt(NAME))
            await measure_tasks(f"bookholder asyncio, {where}, 1,000 tasks", lambda: bh.prompt(NAME))


def httpx(node: nodes.Node) -> None:
    import httpx

    for where, transport in (("socket", httpx.HTTPTransport(uds=node.socket)), ("TCP", None)):
        with httpx.Client(transport=transport, base_url=node.url) as client:
            measure(f"httpx and json, {where}", lambda: client.get(f"/v1/resolve/{NAME}").json())


async def httpx_async(node: nodes.Node) -> None:
    import httpx

    async with httpx.AsyncClient(base_url=node.url) as client:

        async def call() -> object:
            return (await client.get(f"/v1/resolve/{NAME}")).json()

        await measure_async("httpx asyncio and json, TCP", call)


def serve_langfuse(ready: Any) -> None:
    """Answers every request with a prompt, as Langfuse does."""
    prompt = {
        "name": NAME, "version": 7, "type": "text", "prompt": TEXT, "labels": ["production"], "tags": [], "config": {},
        "id": "p", "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z", "projectId": "p",
        "createdBy": "API",
    }  # fmt: skip
    body = json.dumps(prompt).encode()
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        ready.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def langfuse() -> None:
    ready: Any = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve_langfuse, args=(ready,), daemon=True)
    server.start()
    import langfuse

    client = langfuse.Langfuse(
        public_key="pk", secret_key="sk", base_url=f"http://127.0.0.1:{ready.get()}", tracing_enabled=False
    )
    measure("langfuse, uncached, TCP", lambda: client.get_prompt(NAME, cache_ttl_seconds=0), CALLS // 5)
    measure("langfuse, cached", lambda: client.get_prompt(NAME, cache_ttl_seconds=3_600))
    measure(
        "langfuse, cached, with compile()", lambda: client.get_prompt(NAME, cache_ttl_seconds=3_600).compile(shop="G")
    )
    server.kill()


def imports() -> None:
    """Milliseconds of `import`, without those of Python's own start: the best of several."""

    def run(program: str) -> float:
        environment = {**os.environ, "PYTHONPATH": str(HERE / "src"), "PYTHONDONTWRITEBYTECODE": ""}
        times = []
        for _ in range(15):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True, env=environment)
            times.append(time.perf_counter() - began)
        return min(times) * 1e3

    nothing = run("pass")
    for module in ("bookholder", "http.client", "asyncio", "httpx", "langfuse"):
        if importlib.util.find_spec(module):
            print(f"import {module:37} {run(f'import {module}') - nothing:12.1f} ms", flush=True)


def ratios() -> None:
    by_name = {what: p50 for what, _, p50, _ in rows}
    for ours, theirs in (
        ("bookholder, socket", "http.client and json, socket"),
        ("bookholder, TCP", "http.client and json, TCP"),
        ("bookholder, socket", "httpx and json, socket"),
        ("bookholder, TCP", "httpx and json, TCP"),
        ("bookholder asyncio, TCP", "httpx asyncio and json, TCP"),
        ("bookholder, TCP", "langfuse, uncached, TCP"),
        ("bookholder, cache by events", "langfuse, cached"),
        ("bookholder, cache by events, with text()", "langfuse, cached, with compile()"),
    ):
        if theirs in by_name:
            print(f"{theirs} takes {by_name[theirs] / by_name[ours]:.1f} times as long as {ours}")


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="bh-"))
    node = nodes.primary(folder)
    try:
        node.publish(NAME, TEXT)
        print(f"{'':44} {'calls':>14} {'p50':>10} {'p99':>10}")
        bookholder(node)
        asyncio.run(bookholder_async(node))
        if importlib.util.find_spec("httpx"):
            httpx(node)
            asyncio.run(httpx_async(node))
        if importlib.util.find_spec("langfuse"):
            langfuse()
        imports()
        print()
        ratios()
    finally:
        node.stop()


if __name__ == "__main__":
    main()
