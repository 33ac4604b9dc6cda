"""The cache for very hot callers: answers that are true until ``GET /v1/events`` says otherwise.

Invariant: an answer is only in the cache while the stream of events is open, and only if no event that names its prompt
came after the question was sent.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from typing import Generic, TypeVar

from ._answers import Key

# The node sends a comment every 15 s; without one the stream is dead.
SILENCE_S = 20.0
RETRY_S = 0.2
RETRY_MAX_S = 5.0
ENTRIES_MAX = 10_000

_P = TypeVar("_P")


class EventReader:
    """Reads server-sent events from the pieces that arrive."""

    def __init__(self) -> None:
        self._buffer = b""
        self._data: list[bytes] = []
        self._event = b""

    def feed(self, piece: bytes) -> list[tuple[bytes, bytes]]:
        """The events that are complete, as name and data.

        >>> reader = EventReader()
        >>> reader.feed(b"retry: 2000\\nid: 1.2\\n\\nevent: change\\nda")
        []
        >>> reader.feed(b'ta: {"names":[]}\\n\\n')
        [(b'change', b'{"names":[]}')]
        """
        *lines, self._buffer = (self._buffer + piece).split(b"\n")
        events = []
        for line in lines:
            line = line.rstrip(b"\r")
            field, _, value = line.partition(b":")
            if not line:
                if self._data:
                    events.append((self._event, b"\n".join(self._data)))
                self._data, self._event = [], b""
            elif field == b"event":
                self._event = value.removeprefix(b" ")
            elif field == b"data":
                self._data.append(value.removeprefix(b" "))
        return events


def changed_names(event: tuple[bytes, bytes]) -> list[str] | None:
    """The prompts that an event names; ``None`` if any may have changed."""
    try:
        names = json.loads(event[1])["names"]
    except (ValueError, KeyError, TypeError):
        return None
    return names or None


class Cache(Generic[_P]):
    """Answers by question, while the stream of events is open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._generation = 0
        self._by_name: dict[str, list[Key | str]] = {}
        # Read without the lock: one lookup. By reference those that are the same for every subject, and by question.
        self.entries: dict[Key | str, _P] | None = None

    def after_fork(self) -> None:
        """The child has no stream."""
        self._lock = threading.Lock()
        self.entries = None

    def opened(self) -> None:
        """The stream is open: what is asked from now on can be kept."""
        with self._lock:
            self._generation += 1
            self._by_name, self.entries = {}, {}

    def lost(self) -> None:
        """The stream ended: nothing can be kept."""
        with self._lock:
            self._generation += 1
            self._by_name, self.entries = {}, None

    def generation(self) -> int:
        """To be read before a question is sent."""
        return self._generation

    def put(self, generation: int, name: str, key: Key | str, prompt: _P) -> None:
        """Keeps an answer, unless something changed since its question was sent."""
        with self._lock:
            if generation != self._generation or self.entries is None:
                return
            if len(self.entries) >= ENTRIES_MAX:
                self._by_name, self.entries = {}, {}
            self.entries[key] = prompt
            self._by_name.setdefault(name, []).append(key)

    def changed(self, names: Iterable[str] | None) -> None:
        """Forgets these prompts, or all."""
        with self._lock:
            self._generation += 1
            if self.entries is None:
                return
            if names is None:
                self._by_name, self.entries = {}, {}
                return
            for name in names:
                for key in self._by_name.pop(name, ()):
                    self.entries.pop(key, None)
