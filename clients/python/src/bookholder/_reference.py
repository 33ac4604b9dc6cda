"""References: ``name``, ``name@label``, ``name@7``, ``name@b3:…``."""

from __future__ import annotations

import re
from typing import Any

from ._http import quote


def parts(reference: str) -> tuple[str, str]:
    """The name and the selector; a bare name means what ``production`` serves.

    >>> parts("support/agent"), parts("support/agent@7")
    (('support/agent', 'production'), ('support/agent', '7'))
    """
    name, at, selector = reference.rpartition("@")
    return (name, selector) if at else (reference, "production")


def canonical(reference: str) -> str:
    """The reference with its selector."""
    return reference if "@" in reference else f"{reference}@production"


def matcher(pattern: str) -> re.Pattern[str]:
    """A pattern for names: `*` stands for any text between slashes, `**` for any text.

    >>> bool(matcher("support/**").fullmatch("support/a/b")), bool(matcher("support/*").fullmatch("support/a/b"))
    (True, False)
    """
    pieces = re.split(r"(\*\*|\*)", pattern)
    meanings = {"**": ".*", "*": "[^/]*"}
    return re.compile("".join(meanings.get(piece) or re.escape(piece) for piece in pieces), re.DOTALL)


def means(reference: str, name: str, version: int | None, content_id: str | None, label: str | None) -> bool:
    """Whether a version with this label answers a reference."""
    wanted, selector = parts(reference)
    if wanted != name:
        return False
    if selector.isdecimal():
        return selector == str(version)
    if selector.startswith("b3:"):
        return len(selector) >= 11 and content_id is not None and content_id.startswith(selector)
    return selector == label


def described(name: str, version: int, content_id: str, label: str | None, content: dict[str, Any]) -> dict[str, Any]:
    """A version as the node would answer it."""
    stamp = f"{name}@{version}+{content_id.removeprefix('b3:')[:12]}"
    attributes = {"gen_ai.prompt.name": name, "gen_ai.prompt.version": str(version), "bookholder.stamp": stamp}
    if label is not None:
        attributes["bookholder.label"] = label
    baggage = ",".join(f"{key}={quote(value).decode()}" for key, value in attributes.items())
    return {
        "name": name,
        "version": version,
        "content_id": content_id,
        "label": label,
        "content": content,
        "stamp": stamp,
        "assignment": None,
        "telemetry": {"attributes": attributes, "baggage": baggage},
    }
