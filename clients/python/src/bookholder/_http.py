"""HTTP/1.1 with keep-alive: the bytes of requests and answers, for both the blocking and the asyncio connection.

The standard library's client spends most of a request on parsing headers as e-mail. This reads what a node sends, and
refuses what it does not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 64 * 1024 * 1024

_SAFE = re.compile(rb"[A-Za-z0-9_.~/@:-]*\Z")
_QUOTED = [bytes((byte,)) if _SAFE.match(bytes((byte,))) else b"%%%02X" % byte for byte in range(256)]


class Unreachable(Exception):
    """The node did not answer; says why."""


class Closed(Unreachable):
    """The connection was closed before the answer began: the request may be sent again on a new one."""


class Refused(Unreachable):
    """The node does not serve this application: it says nothing about the prompt, and does not pass by itself."""


class Reply(NamedTuple):
    """An answer of the node."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; ``None`` if it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def quote(text: str) -> bytes:
    """A text for a path or query.

    >>> quote("support/agent@7"), quote("größe & co")
    (b'support/agent@7', b'gr%C3%B6%C3%9Fe%20%26%20co')
    """
    raw = text.encode("utf-8", "replace")
    return raw if _SAFE.match(raw) else b"".join([_QUOTED[byte] for byte in raw])


def request(method: bytes, target: bytes, fixed: bytes, extra: bytes = b"", body: bytes | None = None) -> bytes:
    """A request; `fixed` are the headers that all requests of a client have."""
    if body is None:
        return b"%b %b HTTP/1.1\r\n%b%b\r\n" % (method, target, fixed, extra)
    return b"%b %b HTTP/1.1\r\n%b%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        method, target, fixed, extra, len(body), body,
    )  # fmt: skip


class Reader:
    """Reads one answer from the pieces that arrive."""

    __slots__ = ("_body_at", "_buffer", "_chunked", "_headers", "_length", "_parts", "_status", "keep")

    def __init__(self) -> None:
        self._buffer = b""
        self._status = 0
        self._headers: dict[bytes, bytes] = {}
        self._body_at = -1
        self._length = -1
        self._chunked = False
        self._parts: list[bytes] = []
        # Whether the connection can be used again.
        self.keep = True

    @property
    def begun(self) -> bool:
        """Whether anything arrived."""
        return bool(self._buffer) or self._body_at >= 0

    def feed(self, data: bytes) -> Reply | None:
        """Takes what arrived; the answer when it is complete."""
        self._buffer = self._buffer + data if self._buffer else data
        if self._body_at < 0 and not self._head():
            return None
        if self._chunked:
            return self._reply(b"".join(self._parts)) if self._chunks() else None
        if self._length < 0:
            if len(self._buffer) > HEAD_BYTES_MAX + BODY_BYTES_MAX:
                raise Unreachable("its answer is too long")
            return None
        have = len(self._buffer) - self._body_at
        if have < self._length:
            return None
        if have > self._length:
            # More than one answer to one request: not a connection to go on with.
            self.keep = False
        return self._reply(self._buffer[self._body_at : self._body_at + self._length])

    def end(self) -> Reply:
        """The connection was closed: the answer, if that is how it ends."""
        if self._body_at >= 0 and self._length < 0 and not self._chunked:
            self.keep = False
            return self._reply(self._buffer[self._body_at :])
        if self.begun:
            raise Unreachable("it closed the connection in the middle of an answer")
        raise Closed("it closed the connection")

    def _reply(self, body: bytes) -> Reply:
        return Reply(self._status, self._headers, body)

    def _head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_BYTES_MAX:
                raise Unreachable("its answer has too long headers")
            return False
        first, *lines = self._buffer[:end].split(b"\r\n")
        if not first.startswith(b"HTTP/1.") or not first[9:12].isdigit():
            raise Unreachable("it does not speak HTTP/1.1")
        headers = self._headers
        for line in lines:
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        self._status = int(first[9:12])
        self._body_at = end + 4
        length = headers.get(b"content-length")
        self._chunked = headers.get(b"transfer-encoding", b"").lower() == b"chunked"
        if self._status in (204, 304):
            self._length, self._chunked = 0, False
        elif not self._chunked and length is not None:
            if not length.isdigit() or int(length) > BODY_BYTES_MAX:
                raise Unreachable("its answer is too long")
            self._length = int(length)
        if headers.get(b"connection", b"").lower() == b"close" or first.startswith(b"HTTP/1.0"):
            self.keep = False
        if self._chunked:
            self._buffer = self._buffer[self._body_at :]
            self._body_at = 0
        return True

    def _chunks(self) -> bool:
        """Takes the complete chunks out of the buffer; whether the last one arrived."""
        parts, complete, self._buffer = take_chunks(self._buffer)
        self._parts.extend(parts)
        self._length += sum(map(len, parts))
        if self._length > BODY_BYTES_MAX:
            raise Unreachable("its answer is too long")
        return complete


def take_chunks(buffer: bytes) -> tuple[list[bytes], bool, bytes]:
    """The complete chunks at the start of a chunked body, whether its end is among them, and the rest."""
    parts: list[bytes] = []
    while True:
        line = buffer.find(b"\r\n")
        if line < 0:
            if len(buffer) > 1024:
                raise Unreachable("its answer is not chunked as it says")
            return parts, False, buffer
        try:
            size = int(buffer[:line].partition(b";")[0], 16)
        except ValueError:
            raise Unreachable("its answer is not chunked as it says") from None
        if size > BODY_BYTES_MAX:
            raise Unreachable("its answer is too long")
        end = line + 2 + size
        if len(buffer) < end + 2:
            return parts, False, buffer
        if size == 0:
            return parts, True, buffer[end + 2 :]
        parts.append(buffer[line + 2 : end])
        buffer = buffer[end + 2 :]
