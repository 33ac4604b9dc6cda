"""Reports of responses and scores: queued, sent in batches by a thread, and never in the way of the application.

Nothing here raises into the application or waits for the node. What does not fit the queue, or the node refuses, is
dropped and counted.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from ._blocking import Connections
from ._core import Core, log
from ._http import Unreachable, quote, request
from ._template import INTEGER_MAX
from .prompt import BasePrompt

if TYPE_CHECKING:
    from datetime import datetime

Kind = Literal["responses", "scores"]

QUEUE_MAX = 10_000
BATCH_MAX = 500
BATCH_BYTES_MAX = 1024 * 1024
DELAY_S = 0.5
RETRY_MAX_S = 30.0
TIMEOUT_S = 5.0
# How long the end of the program waits for the last reports.
EXIT_S = 2.0


class Reports:
    """The queue of reports of one client."""

    def __init__(self, core: Core, connections: Connections) -> None:
        self.dropped = 0
        self._core = core
        self._connections = connections
        self._begin()

    def _begin(self) -> None:
        self._queue: deque[tuple[Kind, bytes]] = deque()
        self._lock = threading.Lock()
        # Held while sending, so that reports leave in order and `flush` waits for those that are on their way.
        self._sending = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._failures = 0

    def after_fork(self) -> None:
        """The reports that wait are those of the parent."""
        self._begin()

    def respond(self, prompt: BasePrompt[Any] | str, fields: dict[str, Any]) -> None:
        """Queues a response."""
        self.add("responses", lambda: response_of(prompt, fields))

    def score(self, fields: dict[str, Any]) -> None:
        """Queues a score."""
        self.add("scores", lambda: score_of(fields))

    def add(self, kind: Kind, body: Callable[[], Mapping[str, Any]]) -> None:
        """Queues a report."""
        try:
            encoded = json.dumps(body(), ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_json)
            report = encoded.encode()
            with self._lock:
                if self._closed or len(self._queue) >= QUEUE_MAX or len(report) > BATCH_BYTES_MAX:
                    self._drop(1, "the queue is full" if len(self._queue) >= QUEUE_MAX else "it is closed or too long")
                    return
                self._queue.append((kind, report))
                waiting = len(self._queue)
                if self._thread is None:
                    self._start()
            if waiting == BATCH_MAX:
                self._wake.set()
        except Exception as error:  # noqa: BLE001
            self._drop(1, f"{type(error).__name__}: {error}")

    def _start(self) -> None:
        arguments = (weakref.ref(self),)
        self._thread = threading.Thread(target=_run, args=arguments, name="bookholder-reports", daemon=True)
        self._thread.start()
        send_at_exit(self)

    def flush(self, timeout: float) -> bool:
        """Sends what waits; whether everything was sent in time."""
        deadline = time.monotonic() + timeout
        if not self._sending.acquire(timeout=max(timeout, 0)):
            return False
        try:
            while self._queue:
                left = deadline - time.monotonic()
                if left <= 0 or not self._send(min(left, TIMEOUT_S)):
                    return False
            return True
        finally:
            self._sending.release()

    def close(self, timeout: float) -> None:
        """Sends what waits, and takes nothing more; what cannot be sent in time is dropped."""
        self._closed = True
        self.flush(timeout)
        with self._lock:
            if self._queue:
                self._drop(len(self._queue), "the node did not answer before the end")
                self._queue.clear()
        self._wake.set()

    def _drop(self, count: int, why: str) -> None:
        if self.dropped == 0:
            log("warning", "a report was dropped: %s; `dropped_reports` counts them", why)
        self.dropped += count

    def work(self) -> float | None:
        """Sends what waits; how long to wait until the next time, or `None` at the end."""
        with self._sending:
            while self._queue and self._send(TIMEOUT_S):
                pass
        if self._closed and not self._queue:
            return None
        return min(DELAY_S * float(2**self._failures), RETRY_MAX_S)

    def _send(self, timeout: float) -> bool:
        """Sends the next batch; whether it is gone from the queue."""
        kind, batch = self._batch()
        if self._post(kind, batch, os.urandom(16).hex(), timeout):
            self._failures = 0
            return True
        self._failures = min(self._failures + 1, 16)
        with self._lock:
            self._queue.extendleft((kind, report) for report in reversed(batch))
            while len(self._queue) > QUEUE_MAX:
                self._queue.popleft()
                self._drop(1, "the queue is full")
        return False

    def _batch(self) -> tuple[Kind, list[bytes]]:
        with self._lock:
            kind = self._queue[0][0]
            batch: list[bytes] = []
            size = 0
            while self._queue and self._queue[0][0] == kind and len(batch) < BATCH_MAX and size < BATCH_BYTES_MAX:
                report = self._queue.popleft()[1]
                size += len(report)
                batch.append(report)
            return kind, batch

    def _post(self, kind: Kind, batch: list[bytes], key: str, timeout: float) -> bool:
        """Whether the node has these reports, or will never take them."""
        core = self._core
        body = b'{"%b":[%b]}' % (kind.encode(), b",".join(batch))
        target = quote(f"{core.address.prefix}/v1/{kind}")
        try:
            extra = b"Idempotency-Key: %b\r\n" % key.encode()
            reply = self._connections.exchange(request(b"POST", target, core.fixed, extra, body), timeout)
        except Unreachable:
            return False
        if reply.status < 300:
            return True
        if reply.status >= 500 or reply.status in (404, 408, 421, 429):
            return False
        problem = reply.json()
        detail = problem.get("detail") if isinstance(problem, dict) else reply.status
        if len(batch) == 1 or reply.status in (401, 403):
            self._drop(len(batch), f"the node refused it: {detail}")
            return True
        # One wrong report refuses all: find it.
        middle = len(batch) // 2
        for index, half in enumerate((batch[:middle], batch[middle:])):
            if not self._post(kind, half, f"{key}-{index}", timeout):
                self._drop(len(half), "the node did not answer")
        return True


def _run(reports: weakref.ref[Reports]) -> None:
    """The thread: ends with the client."""
    delay: float | None = DELAY_S
    while delay is not None:
        alive = reports()
        if alive is None:
            return
        wake = alive._wake  # noqa: SLF001
        del alive
        wake.wait(delay)
        alive = reports()
        if alive is None:
            return
        wake.clear()
        delay = alive.work()


def send_at_exit(reports: Reports) -> None:
    """Has the last reports sent when the process ends, without keeping the client alive."""
    alive = weakref.ref(reports)

    def end() -> None:
        if (left := alive()) is not None:
            left.close(EXIT_S)

    atexit.register(end)
    weakref.finalize(reports, atexit.unregister, end).atexit = False
    # A forked process of multiprocessing ends without atexit.
    util = sys.modules.get("multiprocessing.util")
    if util is not None and os.getpid() != _FIRST_PID:
        util.Finalize(None, end, exitpriority=100)


_FIRST_PID = os.getpid()


def response_of(prompt: BasePrompt[Any] | str, fields: dict[str, Any]) -> dict[str, Any]:
    """A report of a response, in the words of the API."""
    report: dict[str, Any] = {"id": fields.pop("response_id")}
    if isinstance(prompt, str):
        report["stamp"] = prompt
    else:
        report["stamp"] = prompt.stamp
        report["label"] = prompt.label
        report["assignment"] = prompt.assignment
        if prompt.stamp is None:
            report["prompt"] = prompt.name
    report |= tokens_of(fields.pop("usage"))
    report |= {key: value for key, value in fields.items() if value is not None}
    if "trace_id" not in report:
        report |= current_span()
    report["ended"] = _time(report.get("ended"))
    return {key: value for key, value in report.items() if value is not None}


def score_of(fields: dict[str, Any]) -> dict[str, Any]:
    """A report of a score, in the words of the API."""
    report = {key: value for key, value in fields.items() if value is not None}
    if "response_id" in report:
        report["response"] = report.pop("response_id")
    report["at"] = _time(report.get("at"))
    return report


def _time(moment: datetime | str | None) -> str:
    if isinstance(moment, str):
        return moment
    seconds = time.time() if moment is None else moment.timestamp()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds * 1000) % 1000:03d}Z"


def _json(value: Any) -> Any:
    """Objects of SDKs in the input or output of a response."""
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json", exclude_none=True)
    raise TypeError(f"{type(value).__name__} is not JSON")


def current_span() -> dict[str, str]:
    """The span of OpenTelemetry in which the response was made."""
    if "opentelemetry.trace" not in sys.modules:
        return {}
    context = sys.modules["opentelemetry.trace"].get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


def tokens_of(usage: Any) -> dict[str, int]:
    """Token counts from the ``usage`` of an SDK, as an object or JSON.

    >>> tokens_of({"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}})
    {'input_tokens': 9, 'cache_read_tokens': 4, 'output_tokens': 3}
    >>> tokens_of({"input_tokens": 5, "cache_read_input_tokens": 4, "output_tokens": 3})
    {'input_tokens': 9, 'cache_read_tokens': 4, 'output_tokens': 3}
    """

    def number(*places: tuple[str, ...]) -> int | None:
        for path in places:
            value = usage
            for name in path:
                value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= INTEGER_MAX:
                return value
        return None

    counts = {
        "input_tokens": number(("prompt_tokens",), ("input_tokens",)),
        "cache_read_tokens": number(
            ("cache_read_input_tokens",),
            ("prompt_tokens_details", "cached_tokens"),
            ("input_tokens_details", "cached_tokens"),
        ),
        "cache_write_tokens": number(("cache_creation_input_tokens",)),
        "output_tokens": number(("completion_tokens",), ("output_tokens",)),
        "reasoning_tokens": number(
            ("completion_tokens_details", "reasoning_tokens"), ("output_tokens_details", "reasoning_tokens")
        ),
    }
    # Anthropic counts cached tokens apart from the others.
    apart = number(("cache_read_input_tokens",)), number(("cache_creation_input_tokens",))
    if counts["input_tokens"] is not None:
        counts["input_tokens"] += sum(filter(None, apart))
    return {name: count for name, count in counts.items() if count is not None}
