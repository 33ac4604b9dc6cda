"""Reads ``bookholder.lock``: which version each pulled file has.

It is TOML of one form, which Python 3.10 has no parser for: ``key = value`` lines, and ``[[prompt]]`` tables.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

VERSION = 1

_LINE = re.compile(r"([a-z_]+) = (.+)")


class LockedPrompt(NamedTuple):
    """One pulled prompt; `file` is relative to the lock file."""

    version: int
    content_id: str
    file: str


class Lockfile(NamedTuple):
    """What was pulled."""

    label: str | None
    prompts: dict[str, LockedPrompt]


def parse(text: str) -> Lockfile:
    head: dict[str, Any] = {}
    tables: list[dict[str, Any]] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line == "[[prompt]]":
            tables.append({})
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise ValueError(f"line {number} of the lock file cannot be read; pull again")
        (tables[-1] if tables else head)[found[1]] = _value(found[2], number)
    if head.get("version") != VERSION:
        raise ValueError(
            f"the lock file has version {head.get('version')}, but this client reads {VERSION}; upgrade it"
        )
    prompts: dict[str, LockedPrompt] = {}
    for table in tables:
        name, version, content_id, file = (table.get(key) for key in ("name", "version", "content_id", "file"))
        if not isinstance(name, str) or not isinstance(version, int) or not isinstance(content_id, str):
            raise ValueError("a prompt of the lock file has no name, version or content ID; pull again")
        # A lock file never points outside of its folder.
        if not isinstance(file, str) or re.search(r"^/|\\|^[A-Za-z]:|(^|/)\.\.(/|$)", file):
            raise ValueError(f"the lock file lists `{name}` at an unexpected path; pull again")
        prompts[name] = LockedPrompt(version, content_id, file)
    label = head.get("label")
    return Lockfile(label if isinstance(label, str) else None, prompts)


def _value(text: str, number: int) -> Any:
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1]
    try:
        # A basic string of TOML is one of JSON, but for \e and \U, which are not written.
        return json.loads(text)
    except ValueError:
        raise ValueError(f"line {number} of the lock file cannot be read; pull again") from None
