"""Answers of the node, and the last good one of each question, for when the node does not answer.

Memory has no lifetime: the node is asked each time, so what it said last is what it served until it stopped answering.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from ._http import Reply
from ._reference import canonical
from ._template import Template

# Different subjects and attributes that are remembered, of all prompts with a split or rules.
CHOSEN_MAX = 10_000
REFERENCES_MAX = 100_000

Attributes = tuple[tuple[str, str], ...]
Key = tuple[str, str | None, Attributes]


class Resolved:
    """What a reference means: a version, and how it was chosen."""

    __slots__ = (
        "assignment", "content", "content_id", "label", "name", "stamp", "tags", "template", "version",
    )  # fmt: skip

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.name: str = fields["name"]
        self.version: int | None = fields["version"]
        self.content_id: str | None = fields["content_id"]
        self.label: str | None = fields.get("label")
        self.stamp: str | None = fields["stamp"]
        self.assignment: dict[str, Any] | None = fields.get("assignment")
        self.content: dict[str, Any] = fields["content"]
        self.tags: dict[str, Any] = fields["telemetry"]
        self.template = Template(self.content)


class Answer(NamedTuple):
    """A resolved reference, and what the node said about itself."""

    resolved: Resolved
    etag: bytes | None
    position: tuple[int, int]
    stale: bool
    age: float
    # By the monotonic clock.
    asked: float
    received: float


def answer(reply: Reply, resolved: Resolved, asked: float) -> Answer:
    """An answer that the node gave just now."""
    headers = reply.headers
    return Answer(
        resolved,
        headers.get(b"etag"),
        position(headers.get(b"bookholder-position", b"")),
        headers.get(b"bookholder-stale") == b"true",
        number(headers.get(b"bookholder-age", b"")),
        asked,
        time.monotonic(),
    )


def position(text: bytes) -> tuple[int, int]:
    """A position `epoch.seq`, which orders what a node says."""
    epoch, _, seq = text.partition(b".")
    return (int(epoch), int(seq)) if epoch.isdigit() and seq.isdigit() else (0, 0)


def number(text: bytes) -> float:
    return float(text) if text.isdigit() else 0.0


class Memory:
    """The last good answers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Of each reference, the last one that is not only for callers whom a rule names.
        self._general: dict[str, Answer] = {}
        # Chosen by a split or rules.
        self._chosen: dict[Key, Answer] = {}

    def after_fork(self) -> None:
        """Replaces the lock, which another thread may have held."""
        self._lock = threading.Lock()

    def get(self, key: Key) -> Answer | None:
        """The last answer to this question."""
        key = _canonical(key)
        general = self._general.get(key[0])
        if general is not None and general.resolved.assignment is None:
            return general
        return self._chosen.get(key) or general

    def known(self, key: Key) -> Answer | None:
        """The answer whose entity tag can be sent with this question."""
        key = _canonical(key)
        general = self._general.get(key[0])
        if general is not None and general.resolved.assignment is None:
            return general
        return self._chosen.get(key) if self._chosen else None

    def put(self, key: Key, new: Answer) -> None:
        """Remembers an answer, unless a newer one came in between."""
        key = _canonical(key)
        reference = key[0]
        assignment = new.resolved.assignment
        with self._lock:
            general = self._general.get(reference)
            if general is not None and _is_older(new, general):
                return
            if assignment is not None:
                _insert(self._chosen, key, new, CHOSEN_MAX)
                if assignment.get("rule") is not None:
                    # The label has rules now, so what everyone got before is out of date.
                    if general is not None and general.resolved.assignment is None:
                        del self._general[reference]
                    return
            _insert(self._general, reference, new, REFERENCES_MAX)

    def forget(self, reference: str) -> None:
        """Forgets a prompt that the node says is not there."""
        reference = canonical(reference)
        with self._lock:
            self._general.pop(reference, None)
            for key in [key for key in self._chosen if key[0] == reference]:
                del self._chosen[key]


def _canonical(key: Key) -> Key:
    return key if "@" in key[0] else (canonical(key[0]), key[1], key[2])


def _is_older(new: Answer, known: Answer) -> bool:
    """Whether an answer overtook this one. A registry that began again has lower positions, and is asked later."""
    return new.position < known.position and new.asked < known.received


def _insert(entries: dict[Any, Answer], key: object, new: Answer, entries_max: int) -> None:
    entries.pop(key, None)
    if len(entries) >= entries_max:
        del entries[next(iter(entries))]
    entries[key] = new


def key_of(reference: str, subject: str | None, attributes: Mapping[str, str] | None) -> Key:
    return (reference, subject, tuple(sorted(attributes.items())) if attributes else ())
