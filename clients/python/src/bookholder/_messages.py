"""Which values are messages of a chat, by the rules of the server."""

from __future__ import annotations

from typing import Any

ROLES = ("system", "developer", "user", "assistant", "model", "tool", "function")
_ROLE_EXCERPT_MAX = 60


def as_message(value: object) -> object:
    """A message object of an SDK, such as ``response.choices[0].message``, as the JSON that it stands for."""
    dump = getattr(value, "model_dump", None)
    return dump(mode="json", exclude_none=True) if callable(dump) else value


def problem(message: object) -> str | None:
    """Why this is not a message; ``None`` if it is one."""
    if not isinstance(message, dict):
        return "is not an object with `role` and `content`"
    kind = message.get("type")
    if kind == "placeholder":
        if len(message) == 2 and isinstance(message.get("name"), str):
            return "is a placeholder; pass the messages themselves"
        return _form("is a placeholder with fields other than `name`")
    if "type" in message and kind != "message":
        return _form("has an unsupported `type`")
    if "role" not in message:
        return _form("has no `role`")
    role = message["role"]
    if not isinstance(role, str):
        return "is not a message: the field `role` of a message is not a string"
    if role not in ROLES:
        shown = "".join("\ufffd" if _is_control(c) else c for c in role[:_ROLE_EXCERPT_MAX])
        return (
            f"is not a message: unknown message role `{shown}`: "
            "use system, developer, user, assistant, model, tool or function"
        )
    content = message.get("content")
    if isinstance(content, list):
        for part in content:
            reason = _part_problem(part)
            if reason is not None:
                return f"is not a message: {reason}"
    elif content is not None and not isinstance(content, str):
        return f"is not a message: {_CONTENT}"
    for field, kind_of, expected in (
        ("name", str, "a string"),
        ("tool_call_id", str, "a string"),
        ("tool_calls", list, "a list"),
    ):
        value = message.get(field)
        if value is not None and not isinstance(value, kind_of):
            return f"is not a message: the field `{field}` of a message is not {expected}"
    if content is None and not any(_says(key, value) for key, value in message.items()):
        if "content" in message:
            return _form("has a null `content` and neither `tool_calls` nor another field with content")
        return _form("has no `content`")
    return None


_CONTENT = (
    "the content of a message must be a string, null with tool calls, or a list of parts; "
    "a part must be an object with `type`"
)


def _form(reason: str) -> str:
    return (
        "is not a message: a message must have `role` and `content`, or be "
        f'{{"type":"placeholder","name":…}}; this one {reason}'
    )


def _is_control(character: str) -> bool:
    return character < " " or "\x7f" <= character <= "\x9f"


def _says(key: str, value: object) -> bool:
    """Whether a field can stand in for the content."""
    return key not in ("role", "content", "type", "name", "tool_call_id") and value is not None and value != []


def _part_problem(part: object) -> str | None:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        return _CONTENT
    kind: str = part["type"]
    expected = None
    if kind in ("text", "input_text", "output_text"):
        expected = None if isinstance(part.get("text"), str) else "`text`, a string"
    elif kind == "image":
        fits = isinstance(part.get("url"), str) or isinstance(part.get("source"), dict)
        expected = None if fits else "`url`, a string, or `source`"
    elif kind == "image_url":
        place = part.get("image_url")
        fits = isinstance(place, str) or (isinstance(place, dict) and isinstance(place.get("url"), str))
        expected = None if fits else "`image_url`, with the URL of an image in `url`"
    return f"a part of type `{kind}` must have {expected}" if expected else None


def template_place(part: dict[str, Any]) -> tuple[dict[str, Any], str] | None:
    """Where a part has a text or an image URL, which can contain variables: an object and its key."""
    place = _PLACES.get(part.get("type", ""))
    if place is None:
        return None
    key, inner = place
    value = part.get(key)
    if inner is not None and isinstance(value, dict):
        part, key, value = value, inner, value.get(inner)
    return (part, key) if isinstance(value, str) else None


_PLACES: dict[str, tuple[str, str | None]] = {
    "text": ("text", None),
    "input_text": ("text", None),
    "output_text": ("text", None),
    "image": ("url", None),
    "image_url": ("image_url", "url"),
    "input_image": ("image_url", None),
}
