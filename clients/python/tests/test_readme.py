"""What readers copy from the README and from the documentation runs, against a fake and SDKs that answer at once."""

from __future__ import annotations

import asyncio
import re
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import bookholder
from bookholder import AsyncBookholder, Bookholder

TOP = Path(__file__).parents[3]
CONTENT = {
    "messages": [
        {"role": "system", "content": "You help the customers of {{shop}}."},
        {"type": "placeholder", "name": "history"},
    ],
    "model": {"name": "m", "parameters": {"max_tokens": 9}},
}
PAGES = {"clients/python/README.md": 2, "docs/tasks/applications.md": 1}


@pytest.mark.parametrize("page", PAGES)
def test_code_of_the_page_runs(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def create(**request: Any) -> Any:
        asked.append(request)
        return SimpleNamespace(id="r1", model="m", usage={"prompt_tokens": 9})

    async def create_later(**request: Any) -> Any:
        return create(**request)

    names = {
        "user": SimpleNamespace(id="user-17"),
        "chat": [{"role": "user", "content": "Hi"}],
        "history": [{"role": "user", "content": "Hi"}],
        "openai": SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=create))),
        "anthropic": SimpleNamespace(messages=SimpleNamespace(create=create_later)),
    }
    prompts = {"support/agent": CONTENT, "support/agent@staging": CONTENT}
    monkeypatch.setattr(bookholder, "Bookholder", lambda **_: Bookholder.fake(prompts))
    monkeypatch.setattr(bookholder, "AsyncBookholder", lambda **_: AsyncBookholder.fake(prompts, strict=False))
    blocks = re.findall(r"```python\n(.*?)```", (TOP / page).read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == PAGES[page]
    for block in blocks:
        source = "async def run():\n" + textwrap.indent(block, "    ")
        exec(compile(source, page, "exec"), names)
        asyncio.run(names["run"]())  # type: ignore[operator]
    assert len(asked) == len(blocks)
    for request in asked:
        assert request["model"] == "m"
        assert "customers of Globe" in str(request)
