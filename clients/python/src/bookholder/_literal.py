"""Contents that an application writes itself: fallbacks, and prompts of tests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ._messages import problem, template_place
from ._template import _SPACE, copied

_NAME = re.compile(rf"(?<!\{{)\{{\{{(?!\{{)[{_SPACE}]*([^{{}}>{_SPACE}]{{1,100}})[{_SPACE}]*\}}\}}")


def content_of(given: str | Sequence[Mapping[str, Any]] | Mapping[str, Any]) -> dict[str, Any]:
    """A content from a text, a list of messages, or a content whose list of variables may be incomplete.

    >>> content_of("Hi {{name}}")
    {'syntax': 'mustache', 'text': 'Hi {{name}}', 'variables': [{'name': 'name', 'required': True}]}
    """
    content: dict[str, Any] = {"syntax": "mustache"}
    if isinstance(given, str):
        content["text"] = given
    elif isinstance(given, Mapping):
        content |= copied(dict(given))
    else:
        content["messages"] = copied([dict(message) for message in given])
    if ("text" in content) == ("messages" in content):
        raise ValueError("a prompt has either `text` or `messages`")
    for index, message in enumerate(content.get("messages", ())):
        reason = None if message.get("type") == "placeholder" and "name" in message else problem(message)
        if reason is not None:
            raise ValueError(f"message {index} {reason}")
    if content["syntax"] == "mustache":
        declared = {variable["name"]: variable for variable in content.get("variables", ())}
        for text in _texts(content):
            for name in _NAME.findall(text):
                if _is_name(name):
                    declared.setdefault(name, {"name": name, "required": True})
        content["variables"] = [declared[name] for name in sorted(declared)]
    return content


def _texts(content: Mapping[str, Any]) -> list[str]:
    texts = [content["text"]] if "text" in content else []
    for message in content.get("messages", ()):
        said = message.get("content")
        if isinstance(said, str):
            texts.append(said)
        elif isinstance(said, list):
            places = (template_place(part) for part in said)
            texts.extend(holder[key] for holder, key in filter(None, places))
    return texts


def _is_name(name: str) -> bool:
    """Whether this is a name: a letter or `_`, then letters, digits, marks, `_`, `.` and `-`."""
    rest = name[1:].replace(".", "").replace("-", "")
    return (name[0] == "_" or name[0].isalpha()) and (rest.isalnum() or f"a{rest}".isidentifier())
