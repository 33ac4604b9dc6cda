"""Clients without a node, for tests of applications."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ._answers import Key, Resolved
from ._core import Fallback, Given
from ._literal import content_of
from ._reference import described, matcher, parts
from ._reports import Reports
from .aio import AsyncBookholder
from .client import Bookholder
from .errors import PromptNotFound, RenderFailed


class _Shelf:
    """The prompts of a test, by name or reference."""

    def __init__(self, prompts: Mapping[str, Fallback]) -> None:
        self.contents = {reference: content_of(prompt) for reference, prompt in prompts.items()}

    def find(self, reference: str) -> Given:
        name, selector = parts(reference)
        content = self.contents.get(reference, self.contents.get(name))
        if content is None:
            raise PromptNotFound(reference, [f"there is no prompt `{name}`"])
        version = int(selector) if selector.isdecimal() else 1
        label = None if selector.isdecimal() or selector.startswith("b3:") else selector
        content_id = selector if selector.startswith("b3:") else _content_id(content)
        return Given(Resolved(described(name, version, content_id, label, content)), "replica", False, 0.0, 0.0)

    def matching(self, label: str, pattern: str) -> dict[str, Given]:
        wanted, listed = matcher(pattern), {}
        for reference in self.contents:
            name, selector = parts(reference)
            if selector == label and wanted.fullmatch(name):
                listed[f"{name}@{label}"] = self.find(f"{name}@{label}")
        return listed


def _content_id(content: Mapping[str, Any]) -> str:
    """Looks like a content ID; the real one needs BLAKE3."""
    return "b3:" + hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


class FakeBookholder(Bookholder):
    """:meth:`Bookholder.fake`."""

    def __init__(self, prompts: Mapping[str, Fallback], *, strict: bool) -> None:
        super().__init__("http://fake", strict=strict)
        self._shelf = _Shelf(prompts)

    def _ask(self, key: Key, fallback: Fallback | None) -> Given:
        return self._shelf.find(key[0])

    def _ask_all(self, listed: Sequence[str], subject: str | None, attributes: Mapping[str, str] | None) -> list[Given]:
        return [self._shelf.find(reference) for reference in listed]

    def _ask_matching(
        self, label: str, pattern: str, subject: str | None, attributes: Mapping[str, str] | None
    ) -> dict[str, Given]:
        return self._shelf.matching(label, pattern)

    def _render(self, resolved: Resolved, values: object, lists: object, strict: bool) -> Any:
        raise RenderFailed(f"`{resolved.name}` is in jinja, which the node renders; a fake has none")

    def _queue(self) -> Reports:
        return _Nowhere(self._core, self._connections)


class FakeAsyncBookholder(AsyncBookholder):
    """:meth:`AsyncBookholder.fake`."""

    def __init__(self, prompts: Mapping[str, Fallback], *, strict: bool) -> None:
        super().__init__("http://fake", strict=strict)
        self._shelf = _Shelf(prompts)

    async def _ask(self, key: Key, fallback: Fallback | None) -> Given:
        return self._shelf.find(key[0])

    async def _ask_all(
        self, listed: Sequence[str], subject: str | None, attributes: Mapping[str, str] | None
    ) -> list[Given]:
        return [self._shelf.find(reference) for reference in listed]

    async def _ask_matching(
        self, label: str, pattern: str, subject: str | None, attributes: Mapping[str, str] | None
    ) -> dict[str, Given]:
        return self._shelf.matching(label, pattern)

    async def _render(self, resolved: Resolved, values: object, lists: object, strict: bool) -> Any:
        raise RenderFailed(f"`{resolved.name}` is in jinja, which the node renders; a fake has none")

    def _queue(self) -> Reports:
        return _Nowhere(self._core, self._connections)


class _Nowhere(Reports):
    """Checks reports, and sends none."""

    def __init__(self, *_: object) -> None:
        self.dropped = 0

    def add(self, kind: Any, body: Any) -> None:
        body()
