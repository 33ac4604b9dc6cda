"""Fills in a content as the server does: mustache and plain texts, messages and placeholders.

Mustache is `{{name}}` and nothing else; every other brace is text. A value is never read as a template. The same
vectors (`fixtures/render/vectors.json`) hold the server and every client to the same result.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from ._messages import as_message, problem, template_place
from .errors import InvalidVariables, RenderFailed, WrongMessage, WrongType, excerpt, listed

INPUT_BYTES_MAX = 4 * 1024 * 1024
OUTPUT_BYTES_MAX = 4 * 1024 * 1024
NAMES_MAX = 256
# Values for which no limit has to be counted, with a text of at most a megabyte around them.
_QUICK_BYTES_MAX = 1024 * 1024
INTEGER_MAX = 2**53 - 1
_REFERENCE_BYTES_MAX = 300

# What Rust and Unicode call white space; `\s` of `re` has four more characters.
_SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_SPACES = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
# Exactly two braces, then an include or what may be a name.
_TAG = re.compile(
    rf"(?<!\{{)\{{\{{(?!\{{)[{_SPACE}]*(?:>([^{{}}\n]*)|([^{{}}>{_SPACE}][^{{}}{_SPACE}]{{0,99}})[{_SPACE}]*)\}}\}}"
)

_T = TypeVar("_T")

Rendered = str | list[dict[str, Any]]


class Remark(NamedTuple):
    """What a rendering ignored or left empty: ``code``, and the ``names`` of variables or placeholders."""

    code: str
    names: tuple[str, ...]
    message: str


RenderedWithRemarks = tuple[Rendered, tuple[Remark, ...]]


class Variable(NamedTuple):
    """A declared variable: ``name``, ``required``, ``type``, ``default``, ``description``."""

    name: str
    required: bool
    type: str
    default: Any
    description: str | None


class Text:
    """A text, cut into literals and the variables between them."""

    __slots__ = ("literals", "names")

    def __init__(self, text: str, names: Mapping[str, Variable], index: int) -> None:
        """`names` are the variables of the content, which are complete: anything else in braces is text."""
        self.literals: list[str] = []
        self.names: list[str] = []
        end = 0
        for tag in _TAG.finditer(text):
            include, name = tag.groups()
            if include is not None:
                # A published content has the text of its includes in their place.
                if len(include.encode("utf-8", "surrogatepass")) < _REFERENCE_BYTES_MAX and include.strip(_SPACES):
                    raise RenderFailed(_left_include(text, tag.start(), include.strip(_SPACES), index))
            elif name in names:
                self.literals.append(text[end : tag.start()])
                self.names.append(name)
                end = tag.end()
        self.literals.append(text[end:])

    def fill(self, values: Mapping[str, str]) -> str:
        if not self.names:
            return self.literals[0]
        parts = [self.literals[0]]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            parts.append(values.get(name, ""))
            parts.append(literal)
        return "".join(parts)


def _left_include(text: str, start: int, reference: str, index: int) -> str:
    line = text.count("\n", 0, start) + 1
    column = start - (text.rfind("\n", 0, start) + 1) + 1
    where = f"text {index + 1}, line {line}" if index else f"line {line}"
    return f"{where}, column {column}: the include of `{excerpt(reference)}` was not replaced by its text"


class Template:
    """A content, ready to be filled in again and again."""

    __slots__ = ("_cut", "_messages", "_text", "placeholders", "syntax", "variables")

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.syntax: str = content.get("syntax", "mustache")
        self.variables = {
            variable["name"]: Variable(
                variable["name"],
                bool(variable.get("required", False)),
                variable.get("type", "any"),
                variable.get("default"),
                variable.get("description"),
            )
            for variable in content.get("variables", ())
        }
        messages: list[dict[str, Any]] = content.get("messages", [])
        self.placeholders = {message["name"] for message in messages if message.get("type") == "placeholder"}
        self._text: str | None = content.get("text")
        self._messages = messages
        self._cut: dict[int, Text] = {}

    def cut(self, text: str, index: int) -> Text:
        """The text with this index, cut when it is first filled in."""
        known = self._cut.get(index)
        if known is None:
            known = self._cut[index] = Text(text, self.variables, index)
        return known

    def _quick(self, values: Mapping[str, object]) -> str | None:
        """The text, in the usual case: a short string for each variable."""
        if self._text is None or self.syntax != "mustache" or len(values) != len(self.variables):
            return None
        size = 0
        texts: dict[str, str] = {}
        for name, value in values.items():
            variable = self.variables.get(name)
            if variable is None or type(value) is not str or variable.type not in ("any", "string"):
                return None
            if not value.isascii():
                return None
            texts[name] = value
            size += len(value)
        cut = self.cut(self._text, 0)
        # Each name is filled in at most so often as there are gaps.
        return cut.fill(texts) if size * (len(cut.names) + 1) < _QUICK_BYTES_MAX else None

    def check(
        self, values: Mapping[str, object], lists: Mapping[str, Sequence[object]], *, strict: bool
    ) -> tuple[Remark, ...]:
        """Compares the values with the variables; what can be ignored is a remark, unless `strict`."""
        variables, placeholders = self.variables, self.placeholders
        unknown = [name for name in values if name not in variables]
        missing = [v.name for v in variables.values() if v.required and v.name not in values]
        wrong_type = [
            wrong for name, value in values.items() if name in variables and (wrong := self._misfit(name, value))
        ]
        unknown_placeholders = sorted(name for name in lists if name not in placeholders)
        missing_placeholders = sorted(name for name in placeholders if name not in lists)
        wrong_messages = [
            WrongMessage(name, index, reason)
            for name in sorted(lists)
            if name in placeholders
            for index, message in enumerate(lists[name])
            if (reason := problem(message))
        ]
        fatal = bool(missing or wrong_type or wrong_messages)
        ignored = bool(unknown or unknown_placeholders or missing_placeholders)
        if fatal or (strict and ignored):
            # Unknown names are always listed: one may be a missing variable, misspelt.
            raise InvalidVariables(
                missing=_short(missing),
                unknown=_short(unknown),
                wrong_type=wrong_type[:NAMES_MAX],
                missing_placeholders=_short(missing_placeholders) if strict else (),
                unknown_placeholders=_short(unknown_placeholders),
                wrong_messages=wrong_messages[:NAMES_MAX],
            )
        return tuple(_remarks(unknown, unknown_placeholders, missing_placeholders)) if ignored else ()

    def _misfit(self, name: str, value: object) -> WrongType | None:
        expected = self.variables[name].type
        kind = kind_of(value)
        if isinstance(value, int | float) and kind == "number":
            if isinstance(value, int) and abs(value) > INTEGER_MAX:
                return WrongType(name, "number up to 2^53 - 1", f"{value!r:.40}")
            if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
                return WrongType(name, "number", f"{value!r}, which JSON does not have")
        if self.syntax == "jinja":
            fits = expected in (kind, "any")
        else:
            printable = kind in ("string", "number", "boolean")
            fits = printable and expected in (kind, "any")
            if expected == "any":
                expected = "string, number or boolean"
        return None if fits else WrongType(name, expected, kind)

    def render(
        self, values: Mapping[str, object], lists: Mapping[str, Sequence[Any]], *, strict: bool = False
    ) -> RenderedWithRemarks:
        """Fills in a mustache or plain content."""
        if not lists and (quick := self._quick(values)) is not None:
            return quick, ()
        lists = {name: [as_message(message) for message in list_] for name, list_ in lists.items()}
        remarks = self.check(values, lists, strict=strict)
        if (
            sum(map(_weight, values.values())) + sum(_weight(m) for said in lists.values() for m in said)
            > INPUT_BYTES_MAX
        ):
            raise RenderFailed(f"the values and messages exceed the limit of {INPUT_BYTES_MAX} bytes")
        texts = {
            variable.name: text_of(values.get(variable.name, variable.default))
            for variable in self.variables.values()
            if variable.name in values or variable.default is not None
        }
        return _Filling(self, texts, lists).run(self._text, self._messages), remarks


class _Filling:
    """One rendering, which counts what it writes."""

    def __init__(self, template: Template, texts: Mapping[str, str], lists: Mapping[str, Sequence[Any]]) -> None:
        self.template = template
        self.texts, self.lists = texts, lists
        self.left, self.index = OUTPUT_BYTES_MAX, 0

    def run(self, text: str | None, messages: Iterable[dict[str, Any]]) -> Rendered:
        if text is not None:
            return self.fill(text)
        # Texts come before inserted messages, as on the server.
        filled = [message if message.get("type") == "placeholder" else self.message(message) for message in messages]
        said: list[dict[str, Any]] = []
        for message in filled:
            if message.get("type") == "placeholder":
                for inserted in self.lists.get(message["name"], ()):
                    self.take(_weight(inserted))
                    said.append(dict(inserted))
            else:
                said.append(message)
        return said

    def message(self, message: dict[str, Any]) -> dict[str, Any]:
        message = copied(message)
        content = message.get("content")
        if isinstance(content, str):
            message["content"] = self.fill(content)
        elif isinstance(content, list):
            for part in content:
                if place := template_place(part):
                    holder, key = place
                    holder[key] = self.fill(holder[key])
        return message

    def fill(self, text: str) -> str:
        is_plain = self.template.syntax == "plain"
        filled = text if is_plain else self.template.cut(text, self.index).fill(self.texts)
        self.index += 1
        self.take(_bytes(filled))
        return filled

    def take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise RenderFailed(f"the result exceeds the limit of {OUTPUT_BYTES_MAX} bytes")


def _short(names: Sequence[str]) -> list[str]:
    return [excerpt(name) for name in names[:NAMES_MAX]]


def _remarks(unknown: Sequence[str], unknown_lists: Sequence[str], missing_lists: Sequence[str]) -> Iterable[Remark]:
    for code, names, what in (
        ("unknown_variables", unknown, "ignored, as this version has no such variable:"),
        ("unknown_placeholders", unknown_lists, "messages ignored, as this version has no such placeholder:"),
        ("missing_placeholders", missing_lists, "left empty, as no messages were given for the placeholder:"),
    ):
        if names:
            shown = tuple(_short(names))
            yield Remark(code, shown, f"{what} {listed(shown)}")


def kind_of(value: object) -> str:
    """The type of a value in JSON's words; the name of the class of what JSON does not have."""
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if value is None:
        return "null"
    if isinstance(value, list | tuple):
        return "array"
    if isinstance(value, dict):
        return "object"
    return type(value).__name__


def text_of(value: object) -> str:
    """A value as text: a string as it is, a number or boolean as JSON writes it."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_text(float.__repr__(value))
    if isinstance(value, int):
        return int.__repr__(value)
    raise TypeError(f"{kind_of(value)} cannot be printed")


def _float_text(text: str) -> str:
    """Python's shortest digits with the server's exponents: 1e-6 for 1e-06, 0.00001 for 1e-05."""
    digits, exponent, power = text.partition("e-0")
    if not exponent:
        return text
    if power != "5":
        return f"{digits}e-{power}"
    sign = "-" if digits.startswith("-") else ""
    return f"{sign}0.0000{digits.lstrip('-').replace('.', '')}"


def _bytes(text: str) -> int:
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        message = 'a value has half of a surrogate pair, which is no text; decode it with `errors="replace"`'
        raise InvalidVariables(message=message) from None


def _weight(value: object) -> int:
    """The approximate size of a value as JSON, in bytes, as the server counts it."""
    if isinstance(value, str):
        return _bytes(value) + 2
    if isinstance(value, dict):
        return 2 + sum(_weight(item) + _bytes(str(key)) + 4 for key, item in value.items())
    if isinstance(value, list | tuple):
        return 2 + sum(map(_weight, value))
    return 8


def copied(value: _T) -> _T:
    """A copy of JSON that its receiver can change."""
    copy: Any = value
    if isinstance(value, dict):
        copy = {key: copied(item) for key, item in value.items()}
    elif isinstance(value, list):
        copy = [copied(item) for item in value]
    return cast(_T, copy)
