"""Responses and scores that applications report: they arrive, and never get in the way."""

from __future__ import annotations

import asyncio
import json
import logging
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bookholder import AsyncBookholder, Bookholder, _reports
from nodes import Node, python, until

Start = Callable[..., Node]


def trace(node: Node, response: str) -> dict[str, Any]:
    """What the command line says of a response."""
    (recorded,) = json.loads(node.run("trace", response, "--json"))["responses"]
    return dict(recorded)


def test_response_and_score_arrive_in_the_trace(primary: Node) -> None:
    version = primary.publish("reports/one", "Hi")
    bh = Bookholder(primary.url)
    p = bh.prompt("reports/one")
    usage = {"prompt_tokens": 812, "completion_tokens": 95, "prompt_tokens_details": {"cached_tokens": 12}}
    bh.record(
        p, response_id="chatcmpl-one", model="gpt-5-mini", usage=usage, latency_ms=1240.5, session="s-1", user="u"
    )
    bh.score("chatcmpl-one", name="thumbs", value=1, evaluator="users")
    assert bh.flush()
    recorded = trace(primary, "chatcmpl-one")
    shown = json.dumps(recorded)
    assert f'"reports/one@{version}' in shown
    for part in ('"gpt-5-mini"', "812", "95", '"production"', '"thumbs"', '"users"', '"s-1"'):
        assert part in shown, (part, recorded)
    assert bh.dropped_reports == 0


def test_reports_of_a_split_name_the_assignment(primary: Node) -> None:
    primary.publish("reports/split", "one")
    primary.publish("reports/split", "two", "staging")
    primary.deploy("reports/split", split={"weights": {"1": 50, "2": 50}, "salt": "s"})
    bh = Bookholder(primary.url)
    p = bh.prompt("reports/split", subject="user-1")
    bh.record(p, response_id="chatcmpl-split")
    assert bh.flush()
    assert p.assignment is not None
    assert str(p.assignment["bucket"]) in json.dumps(trace(primary, "chatcmpl-split"))


def test_asyncio_reports_arrive_at_the_end(primary: Node) -> None:
    primary.publish("reports/async", "Hi")

    async def run() -> None:
        async with AsyncBookholder(socket=primary.socket) as bh:
            p = await bh.prompt("reports/async")
            bh.record(p, response_id="chatcmpl-async", input_tokens=1)
            bh.score("chatcmpl-async", name="ok", value=True)

    asyncio.run(run())
    assert "reports/async" in json.dumps(trace(primary, "chatcmpl-async"))


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise SystemExit", "1 / 0"])
def test_program_sends_its_last_reports_when_it_ends(primary: Node, end: str) -> None:
    primary.publish("reports/exit", "Hi")
    response = f"chatcmpl-exit-{len(end)}"
    program = f"""
        import sys
        from bookholder import Bookholder
        bh = Bookholder({primary.url!r})
        bh.record(bh.prompt("reports/exit"), response_id={response!r})
        {end}
    """
    done = python("-c", textwrap.dedent(program))
    assert "Error" not in done.stderr.replace("ZeroDivisionError", ""), done.stderr
    assert "reports/exit" in json.dumps(trace(primary, response))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_process_of_multiprocessing_sends_its_own_reports(primary: Node, folder: Path, method: str) -> None:
    primary.publish("reports/process", "Hi")
    program = f"""
        import multiprocessing
        from bookholder import Bookholder
        bh = Bookholder({primary.url!r})

        def work(n):
            bh.record(bh.prompt("reports/process"), response_id=f"chatcmpl-{method}-{{n}}")

        if __name__ == "__main__":
            work(0)
            context = multiprocessing.get_context({method!r})
            children = [context.Process(target=work, args=(n,)) for n in (1, 2)]
            for child in children:
                child.start()
            for child in children:
                child.join()
    """
    path = folder / "program.py"
    path.write_text(textwrap.dedent(program))
    done = python(str(path))
    assert done.returncode == 0, done.stderr
    for n in range(3):
        assert "reports/process" in json.dumps(trace(primary, f"chatcmpl-{method}-{n}"))


def test_reports_wait_for_a_node_that_is_away(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_reports, "RETRY_MAX_S", 0.1)
    node = start()
    node.publish("a", "Hi")
    bh = Bookholder(node.url)
    p = bh.prompt("a")
    node.kill()
    for n in range(700):
        bh.record(p, response_id=f"r-{n}")
    assert not bh.flush(0.5)
    node.start()
    until("all reports", lambda: bh.flush(1))
    assert bh.dropped_reports == 0
    for n in (0, 699):
        assert trace(node, f"r-{n}")


def test_report_never_blocks_and_never_raises(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    bh = Bookholder(socket=folder / "none.sock")
    circular: list[Any] = []
    circular.append(circular)
    with caplog.at_level(logging.WARNING, "bookholder"):
        began = time.monotonic()
        for _ in range(_reports.QUEUE_MAX + 100):
            bh.record("a@1+0123456789ab", response_id="x")
        assert time.monotonic() - began < 20
        bh.record("a@1+0123456789ab", input=circular)
        bh.record("a@1+0123456789ab", input=object())
        bh.record("a@1+0123456789ab", output="x" * 2**21)
        bh.record(None, response_id="x")  # type: ignore[arg-type]
        bh.score("x", name="y", value=float("nan"))
        assert bh.dropped_reports >= 105
    assert len(caplog.records) == 1
    began = time.monotonic()
    bh.close()
    assert time.monotonic() - began < 10
    assert bh.dropped_reports == _reports.QUEUE_MAX + 105


def test_wrong_report_does_not_take_others_with_it(primary: Node) -> None:
    primary.publish("reports/wrong", "Hi")
    bh = Bookholder(primary.url)
    p = bh.prompt("reports/wrong")
    for n in range(8):
        bh.record(p, response_id=f"beside-{n}", input_tokens=-1 if n == 3 else 1)
    assert bh.flush()
    assert bh.dropped_reports == 1
    for n in (0, 2, 4, 7):
        assert trace(primary, f"beside-{n}")


def test_threads_report_at_once(primary: Node) -> None:
    primary.publish("reports/threads", "Hi")
    bh = Bookholder(primary.url)
    p = bh.prompt("reports/threads")
    threads = [
        threading.Thread(target=lambda t=t: [bh.record(p, response_id=f"t{t}-{n}") for n in range(100)])  # type: ignore[misc]
        for t in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bh.flush(20)
    assert bh.dropped_reports == 0
    for t in (0, 15):
        assert trace(primary, f"t{t}-99")
