"""The cache that the events of the node keep true."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from bookholder import AsyncBookholder, Bookholder, Prompt
from nodes import Node, until

Start = Callable[..., Node]


def kept(bh: Bookholder, reference: str) -> Prompt:
    """Asks until the answer comes from the cache."""

    def ask() -> Prompt | None:
        p = bh.prompt(reference)
        return p if p.source == "memory" and not p.stale else None

    p = until("an answer from the cache", ask)
    assert p is not None
    return p


def listeners(node: Node) -> list[str]:
    metrics = node.call("GET", "/metrics").body.decode()
    return [line for line in metrics.splitlines() if line.startswith("bookholder_event_listeners")]


def test_cache_holds_until_an_event_names_the_prompt(primary: Node) -> None:
    for name in ("events/a", "events/b"):
        primary.publish(name, "one")
    with Bookholder(socket=primary.socket, cache="events") as bh:
        first, other = kept(bh, "events/a"), kept(bh, "events/b")
        assert bh.prompt("events/a", subject="someone", attributes={"x": "y"}) is first
        for number in range(2, 8):
            primary.publish("events/a", f"v{number}")
            p = until("the new version", lambda: (p := bh.prompt("events/a")).version == number and p)
            assert p.text() == f"v{number}"
        assert bh.prompt("events/b") is other
        primary.ok("POST", "/v1/prompts/events%2Fa/labels/production/rollback", {"message": "why"})
        until("the rollback", lambda: bh.prompt("events/a").version == 6)


def test_cache_keeps_splits_by_subject(primary: Node) -> None:
    primary.publish("events/split", "one")
    primary.publish("events/split", "two", "staging")
    primary.deploy("events/split", split={"weights": {"1": 50, "2": 50}, "salt": "s"})
    with Bookholder(primary.url, cache="events") as bh:
        subjects = [f"user-{n}" for n in range(20)]

        def versions() -> dict[str, int | None]:
            return {subject: bh.prompt("events/split", subject=subject).version for subject in subjects}

        def is_kept() -> bool:
            return all(bh.prompt("events/split", subject=subject).source == "memory" for subject in subjects)

        first = versions()
        assert set(first.values()) == {1, 2}
        until("answers from the cache", is_kept)
        assert versions() == first
        primary.deploy("events/split", version=2)
        until("one version for everyone", lambda: set(versions().values()) == {2})


def test_cache_ends_with_the_stream_and_begins_again(start: Start) -> None:
    node = start()
    node.publish("a", "one")
    with Bookholder(node.url, cache="events") as bh:
        kept(bh, "a")
        node.kill()
        p = until("the end of the cache", lambda: (p := bh.prompt("a")).stale and p)
        assert (p.source, p.text()) == ("memory", "one")
        node.start()
        node.publish("a", "two")
        until("the new version", lambda: bh.prompt("a").text() == "two")
        kept(bh, "a")


def test_asyncio_cache_holds_until_an_event(primary: Node) -> None:
    primary.publish("events/async", "one")

    async def run() -> None:
        async with AsyncBookholder(socket=primary.socket, cache="events") as bh:
            deadline = time.monotonic() + 30

            async def ask_until(version: int, source: str) -> None:
                while True:
                    p = await bh.prompt("events/async")
                    if (p.version, p.source) == (version, source):
                        return
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.001)

            await ask_until(1, "memory")
            for number in range(2, 5):
                await asyncio.to_thread(primary.publish, "events/async", f"v{number}")
                await ask_until(number, "memory")

    asyncio.run(run())


def test_forgotten_client_ends_its_thread(primary: Node) -> None:
    primary.publish("events/end", "one")
    bh = Bookholder(primary.url, cache="events")
    kept(bh, "events/end")
    assert listeners(primary) == ["bookholder_event_listeners 1"]
    bh.close()
    until("the end of the stream", lambda: listeners(primary) == ["bookholder_event_listeners 0"])
