"""Reads prompt files (``NAME.prompt``, see docs/reference/prompt-files.md) as contents.

It does not check what the node checked when the file was published.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from . import _yaml
from ._literal import content_of

_BLANKS = " \t"
_JINJA_WORDS = frozenset(("if", "else", "is", "in", "not", "and", "or"))
_WORD = re.compile(r"[a-z]*")
_QUOTED = re.compile(r"\"([^\"\n]*)\"|'([^'\n]*)'")
_NAME = re.compile(r"\w*")
_VARIABLE = re.compile(r"[\w.]+")
_BEHIND = re.compile(r"[ \t]*\r*\n|[ \t]*")


def parse(file: str) -> dict[str, Any]:
    """The content of a prompt file.

    >>> parse('---\\nmodel: gpt-5\\n---\\n{{role "system"}}\\nHelp {{shop}}.\\n{{history}}\\n')["messages"]
    [{'role': 'system', 'content': 'Help {{shop}}.'}, {'type': 'placeholder', 'name': 'history'}]
    """
    front, body = _split(file.removeprefix("\ufeff"))
    form = _yaml.parse(front)
    content: dict[str, Any] = {"syntax": form.get("syntax") or "mustache"}
    if form.get("messages") is not None:
        content["messages"] = form["messages"]
    else:
        content |= _body(body)
    declared = form.get("variables") or {}
    variables = [{"name": name, "required": False, **(declared[name] or {})} for name in sorted(declared)]
    if variables:
        content["variables"] = variables
    model = form.get("model")
    if isinstance(model, str):
        parameters = form.get("parameters")
        model = {"name": model, "parameters": parameters} if parameters else {"name": model}
    if model is not None:
        content["model"] = model
    for key in ("tools", "response_schema", "config"):
        if form.get(key) is not None:
            content[key] = form[key]
    return content_of(content)


def _is_fence(line: str) -> bool:
    return line.rstrip(" \t\r\n") == "---"


def _split(file: str) -> tuple[str, str]:
    lines = re.findall(r"[^\n]*\n|[^\n]+", file)
    if not lines or not _is_fence(lines[0]):
        return "", file
    for end in range(1, len(lines)):
        if _is_fence(lines[end]):
            return "".join(lines[1:end]), "".join(lines[end + 1 :])
    raise ValueError("the front matter is not closed by a line `---`")


class _Marker(NamedTuple):
    """A marker, or with kind `wrong` text that looks like one."""

    kind: str
    value: str
    start: int
    end: int


def _markers(text: str, is_chat: bool) -> Iterator[_Marker]:
    """Everything that looks like a marker, in order; `{{history}}` is one only in a conversation."""
    at = text.find("{{")
    while at >= 0:
        inside = at
        while text.startswith("{", inside):
            inside += 1
        found = _read(text, at, is_chat) if inside - at == 2 else None
        if found is not None:
            yield found
            # Text that is not a marker can be followed by one.
            inside = inside if found.kind == "wrong" else found.end
        at = text.find("{{", inside)


def _read(text: str, start: int, is_chat: bool) -> _Marker | None:
    def skipped(at: int) -> int:
        while at < len(text) and text[at] in _BLANKS:
            at += 1
        return at

    word_at = skipped(start + 2)
    word = _at(_WORD, text, word_at)
    after = word_at + len(word)
    argument = skipped(after)
    spaced = argument > after
    wrong = _Marker("wrong", "", start, start + 2)
    if word == "history" and is_chat and text.startswith("}}", argument):
        return _Marker("placeholder", "history", start, argument + 2)
    if word not in ("role", "placeholder", "media", "section") or not spaced:
        return None
    value: str | None = None
    end = argument
    if word == "media" and text.startswith("url=", argument):
        end += 4
        variable = _VARIABLE.match(text, end)
        if quoted := _QUOTED.match(text, end):
            value, end = _inside(quoted), quoted.end()
        elif variable:
            value, end = f"{{{{{variable[0]}}}}}", variable.end()
    elif word in ("role", "placeholder") and (quoted := _QUOTED.match(text, argument)):
        value, end = _inside(quoted), quoted.end()
    if value is None:
        name = _at(_NAME, text, argument)
        looks_so = text.startswith(('"', "'"), argument) or (name != "" and name not in _JINJA_WORDS)
        return wrong if looks_so else None
    end = skipped(end)
    return _Marker(word, value, start, end + 2) if text.startswith("}}", end) else wrong


def _at(pattern: re.Pattern[str], text: str, at: int) -> str:
    found = pattern.match(text, at)
    return found[0] if found else ""


def _inside(quoted: re.Match[str]) -> str:
    return quoted[1] if quoted[1] is not None else quoted[2]


class _Open:
    """A message whose end has not been reached."""

    def __init__(self, role: str) -> None:
        self.role = role
        self.text = ""
        self.parts: list[dict[str, Any]] = []

    def close_text(self) -> None:
        """Turns the text since the last image into a part; blank lines around images are only layout."""
        if self.text.strip():
            self.parts.append({"type": "text", "text": _without_last_break(self.text)})
        self.text = ""

    def close(self) -> dict[str, Any]:
        if not self.parts:
            return {"role": self.role, "content": _without_last_break(self.text)}
        self.close_text()
        return {"role": self.role, "content": self.parts}


def _body(body: str) -> dict[str, Any]:
    def escaped(marker: _Marker) -> bool:
        return body[: marker.start].endswith("\\")

    is_chat = any(marker.kind == "role" and not escaped(marker) for marker in _markers(body, False))
    messages: list[dict[str, Any]] = []
    opened: _Open | None = None
    text, start = "", 0
    for marker in _markers(body, is_chat):
        if escaped(marker):
            text += body[start : marker.start - 1] + body[marker.start : marker.end]
            start = marker.end
            continue
        if marker.kind == "wrong" or not is_chat:
            raise ValueError(f"`{body[marker.start : marker.start + 40]}` cannot be read; pull again")
        text += body[start : marker.start]
        # Spaces beside a marker belong to it, and so does the end of its line if nothing follows.
        behind = _BEHIND.match(body, marker.end)
        start = behind.end() if behind else marker.end
        text = text.rstrip(_BLANKS)
        if opened is not None:
            opened.text += text
        text = ""
        if marker.kind == "media":
            if opened is None:
                raise ValueError("an image is outside of a message; pull again")
            opened.close_text()
            opened.parts.append({"type": "image", "url": marker.value})
            continue
        if opened is not None:
            messages.append(opened.close())
            opened = None
        if marker.kind == "role":
            opened = _Open(marker.value)
        else:
            messages.append({"type": "placeholder", "name": marker.value})
    text += body[start:]
    if not is_chat:
        return {"text": _without_last_break(text)}
    if opened is not None:
        opened.text += text
        messages.append(opened.close())
    return {"messages": messages}


def _without_last_break(text: str) -> str:
    return text[:-1].removesuffix("\r") if text.endswith("\n") else text
