"""Many callers at once: threads, tasks and processes, through kills and restarts of the replica."""

from __future__ import annotations

import asyncio
import collections
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from bookholder import AsyncBookholder, Bookholder
from bookholder.prompt import BasePrompt
from nodes import Node, until

Start = Callable[..., Node]

THREADS, TASKS = 64, 1_000


class Witness:
    """Checks that no call gets an older version than one that ended before it began."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest = 0
        self.sources: collections.Counter[str] = collections.Counter()
        self.wrong: list[object] = []

    def begin(self) -> int:
        return self._newest

    def end(self, begun: int, prompt: BasePrompt[object]) -> None:
        version = prompt.version or 0
        with self._lock:
            self.sources[prompt.source] += 1
            if version < begun:
                self.wrong.append((prompt.source, version, begun))
            if prompt.source == "replica":
                self._newest = max(self._newest, version)


@contextmanager
def publishing(node: Node) -> Iterator[None]:
    """Publishes version after version."""
    stop = threading.Event()

    def run() -> None:
        number = 1
        while not stop.is_set():
            number += 1
            node.publish("a", f"v{number}")
            stop.wait(0.01)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def outages(beside: Node, witness: Witness) -> None:
    """Kills and restarts the replica, and waits until that was felt."""
    for _ in range(2):
        for act, source in ((beside.kill, "memory"), (beside.start, "replica")):
            act()
            before = witness.sources[source]
            until(f"many answers from {source}", lambda: witness.sources[source] > before + TASKS)


@pytest.mark.parametrize("by", ["url", "socket"])
def test_64_threads_get_answers_through_kills_none_older_than_the_last(start: Start, by: str) -> None:
    node = start()
    node.publish("a", "v1")
    beside, witness, stop = start(node), Witness(), threading.Event()
    bh = Bookholder(beside.url) if by == "url" else Bookholder(socket=beside.socket)
    until("the prompt on the replica", lambda: bh.prompt("a", fallback="").version)
    failures: list[BaseException] = []

    def call() -> None:
        try:
            while not stop.is_set():
                begun = witness.begin()
                witness.end(begun, bh.prompt("a"))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=call) for _ in range(THREADS)]
    with publishing(node):
        for thread in threads:
            thread.start()
        try:
            outages(beside, witness)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert not failures
    assert not witness.wrong
    assert set(witness.sources) == {"replica", "memory"}
    newest = node.ok("GET", "/v1/resolve/a")["version"]
    assert until("the newest version", lambda: (p := bh.prompt("a")).version == newest and p).source == "replica"


@pytest.mark.parametrize("by", ["url", "socket"])
def test_1000_tasks_get_answers_through_kills_none_older_than_the_last(start: Start, by: str) -> None:
    node = start()
    node.publish("a", "v1")
    beside, witness = start(node), Witness()
    first = Bookholder(beside.url)
    until("the prompt on the replica", lambda: first.prompt("a", fallback="").version)

    async def run() -> None:
        stop = asyncio.Event()
        async with AsyncBookholder(beside.url) if by == "url" else AsyncBookholder(socket=beside.socket) as bh:

            async def call() -> None:
                while not stop.is_set():
                    begun = witness.begin()
                    witness.end(begun, await bh.prompt("a"))
                    # An answer from memory needs no turn of the loop.
                    await asyncio.sleep(0)

            # What answers during the first outage.
            await bh.prompt("a")
            tasks = [asyncio.create_task(call()) for _ in range(TASKS)]
            await asyncio.to_thread(outages, beside, witness)
            stop.set()
            await asyncio.gather(*tasks)

    with publishing(node):
        asyncio.run(run())
    assert not witness.wrong
    assert set(witness.sources) == {"replica", "memory"}


def test_one_client_serves_several_event_loops(primary: Node) -> None:
    primary.publish("concurrency/loops", "Hi")
    bh = AsyncBookholder(primary.url)

    async def ask() -> str:
        return await (await bh.prompt("concurrency/loops")).text()

    assert [asyncio.run(ask()) for _ in range(3)] == ["Hi"] * 3


def test_cancelled_question_leaves_no_answer_for_the_next_one(primary: Node) -> None:
    for name in "ab":
        primary.publish(f"concurrency/{name}", name)

    async def run() -> None:
        async with AsyncBookholder(primary.url) as bh:
            for _ in range(50):
                asking = asyncio.create_task(bh.prompt("concurrency/a"))
                await asyncio.sleep(0)
                asking.cancel()
                prompts = await asyncio.gather(*(bh.prompt(f"concurrency/{name}") for name in "bab"))
                assert [await p.text() for p in prompts] == ["b", "a", "b"]

    asyncio.run(run())


def in_child(act: Callable[[], bool]) -> None:
    """Runs this in a child of `fork`, while other threads hold locks."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if act() else 1)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(2)
    end = time.monotonic() + 30
    while (status := os.waitpid(child, os.WNOHANG)) == (0, 0):
        assert time.monotonic() < end, "the child hangs"
        time.sleep(0.005)
    assert os.waitstatus_to_exitcode(status[1]) == 0


@pytest.mark.parametrize("cache", [None, "events"])
def test_children_of_fork_ask_on_their_own(primary: Node, cache: None) -> None:
    name = f"concurrency/fork-{cache or 'ask'}"
    primary.publish(name, "one")
    bh = Bookholder(primary.url, cache=cache)
    stop = threading.Event()
    failures: list[BaseException] = []

    def call() -> None:
        try:
            while not stop.is_set():
                assert bh.prompt(name).text() in ("one", "two")
                bh.record(name, response_id="fork")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            in_child(lambda: all(bh.prompt(name).text() == "one" for _ in range(20)))
        primary.publish(name, "two")

        def reads_on() -> bool:
            # What the child keeps is not what its parent kept.
            return until("the new version", lambda: bh.prompt(name).text() == "two") and bh.flush()

        in_child(reads_on)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    bh.close()
