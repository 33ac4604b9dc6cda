"""Reads the YAML of prompt files: the front matter that ``bookholder pull`` writes, and what people write by hand.

Maps and lists as blocks and in brackets, strings in every style, comments. What the node refuses is not read either:
anchors, aliases, tags, several documents. Other forms that are not read are errors with their line.
"""

from __future__ import annotations

import json
import re
from typing import Any

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
# A key and its colon at the start of a line.
_KEY = re.compile(
    r"""(?:"((?:[^"\\]|\\.)*)"|'((?:[^']|'')*)'|([^\s\-?:,\[\]{}#&*!|>'"%@`][^\n]*?|[-?:](?=\S)[^\n]*?))\s*:(?=\s|$)"""
)
_ITEM = re.compile(r"-(?=\s|$)")
_EMPTY = re.compile(r"\s*(?:#|$)")
_HEADER = re.compile(r"([|>])(?:([1-9])?([+-])?|([+-])([1-9]))\s*(?:#.*)?")
_DOUBLE = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_SINGLE = re.compile(r"'([^']*(?:''[^']*)*)'")
_BLANKS = re.compile(r"(?:\s|(?<=\s)#[^\n]*)*")
_FLOW_VALUE = re.compile(r"[^,\[\]{}\n]*?(?=\s*(?:[,\[\]{}\n]|\s#|:\s|$))")
_FLOW_KEY = re.compile(r"[^,\[\]{}\n]*?(?=\s*(?:[,\[\]{}\n]|:(?:\s|,|\}|$)))")
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_ESCAPES = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "\t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b",
    " ": " ", '"': '"', "/": "/", "\\": "\\", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip
_NESTED_MAX = 64
# Longer front matter has one `key: JSON` per line, as the server writes and reads it.
_YAML_BYTES_MAX = 64 * 1024
_YAML_BRACKETS_MAX = 2_048


def parse(text: str) -> dict[str, Any]:
    """Reads a map; empty text is an empty map.

    >>> parse("model: gpt-5\\nparameters: {temperature: 0.2, stop: ['x']}\\nvariables:\\n  shop: {required: true}\\n")
    {'model': 'gpt-5', 'parameters': {'temperature': 0.2, 'stop': ['x']}, 'variables': {'shop': {'required': True}}}
    """
    brackets = text.count("[") + text.count("{")
    if len(text.encode()) > _YAML_BYTES_MAX or brackets > _YAML_BRACKETS_MAX:
        return _json_lines(text)
    value = _Reader(re.split(r"\r\n|\n", text)).document()
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("front matter is a map of keys; write `key: value`")
    return value


def _json_lines(text: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for line in text.split("\n"):
        if line.strip():
            key, _, value = line.partition(": ")
            # The server escapes characters outside of ASCII as YAML does.
            fields[key] = json.loads(re.sub(r"\\U([0-9a-f]{8})", lambda found: chr(int(found[1], 16)), value))
    return fields


class _Reader:
    """Reads blocks, line by line."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.at = 0
        self.depth = 0

    def document(self) -> Any:
        if not self.skip():
            return None
        value = self.block(self.indent())
        if self.skip():
            raise self.fault("is not indented like the lines before it")
        return value

    def fault(self, what: str) -> ValueError:
        return ValueError(f"line {self.at + 1} of the front matter {what}")

    def line(self) -> str:
        return self.lines[self.at] if self.at < len(self.lines) else ""

    def indent(self) -> int:
        return _indent(self.line())

    def skip(self) -> bool:
        """Goes to the next line with a value; whether there is one."""
        while self.at < len(self.lines) and _EMPTY.match(self.line()):
            self.at += 1
        return self.at < len(self.lines)

    def block(self, indent: int) -> Any:
        """The map, list or value at this line."""
        self.depth += 1
        if self.depth > _NESTED_MAX:
            raise self.fault("is nested too deeply")
        text = self.line()[indent:]
        if _ITEM.match(text):
            value: Any = self.list(indent)
        elif re.match(r"\?(?=\s|$)", text):
            raise self.fault("has a key in the form `? key`, which is not read")
        elif _KEY.match(text):
            value = self.map(indent)
        else:
            value = self.value(indent, indent - 1)
        self.depth -= 1
        return value

    def list(self, indent: int) -> list[Any]:
        items: list[Any] = []
        while self.skip() and self.indent() == indent and _ITEM.match(self.line()[indent:]):
            rest = self.line()[indent + 1 :]
            if _EMPTY.match(rest):
                self.at += 1
                items.append(self.block(self.indent()) if self.skip() and self.indent() > indent else None)
                continue
            # The item begins on this line: read it as a block that is indented further.
            self.lines[self.at] = " " * (indent + 1) + rest
            inner = self.indent()
            text = self.line()[inner:]
            is_block = _ITEM.match(text) or _KEY.match(text)
            items.append(self.block(inner) if is_block else self.value(inner, indent))
        return items

    def map(self, indent: int) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        while self.skip() and self.indent() == indent:
            text = self.line()[indent:]
            found = _KEY.match(text)
            if found is None:
                raise self.fault("is not `key: value`")
            double, single, bare = found.groups()
            if double is not None:
                key = self.unescape(double)
            else:
                key = single.replace("''", "'") if single is not None else bare
            if key in fields:
                raise self.fault(f"repeats the key `{key}`")
            rest = text[found.end() :]
            if _EMPTY.match(rest):
                self.at += 1
                there = self.skip()
                # The items of a list can be indented like its key.
                is_list = there and self.indent() == indent and _ITEM.match(self.line()[indent:])
                fields[key] = self.block(self.indent()) if there and (self.indent() > indent or is_list) else None
                continue
            fields[key] = self.value(indent + found.end() + len(rest) - len(rest.lstrip()), indent)
        if self.at < len(self.lines) and self.indent() > indent:
            raise self.fault("is indented further than its key")
        return fields

    def value(self, start: int, parent: int) -> Any:
        """The value that begins in this line, below a key or item at `parent`; goes to the line after it."""
        text = self.line()[start:]
        first = text[:1]
        if first in ("|", ">"):
            return self.scalar(text, parent)
        if first in ("[", "{", '"', "'"):
            return self.flow(start)
        if first and first in "&*!%@`":
            raise self.fault(f"has a value that begins with {first}, which is not read; put it into quotes")
        parts = [_bare(text)]
        self.at += 1
        while self.at < len(self.lines) and self.line().strip() and self.indent() > parent:
            if self.line().lstrip().startswith("#"):
                break
            parts.append(_bare(self.line().strip()))
            self.at += 1
        return _plain(" ".join(parts))

    def scalar(self, header: str, parent: int) -> str:
        """A block scalar, whose header is `|` or `>`."""
        found = _HEADER.fullmatch(header)
        if found is None:
            raise self.fault("has a header of a text that is not read")
        style, before, chomp_after, chomp_before, after = found.groups()
        chomp = chomp_after or chomp_before
        digit = before or after
        indent = max(parent, 0) + int(digit) if digit else 0
        self.at += 1
        lines: list[str] = []
        while self.at < len(self.lines):
            line = self.line()
            blank = not line.strip(" ")
            if not blank and indent == 0:
                indent = self.indent()
            if not blank and (_indent(line) < indent or indent <= parent):
                break
            lines.append(line[indent or len(line) :] if blank else line[indent:])
            self.at += 1
        end = len(lines)
        while end > 0 and not lines[end - 1]:
            end -= 1
        text = "\n".join(lines[:end]) if style == "|" else _folded(lines[:end])
        if chomp == "-":
            return text
        if chomp == "+":
            return text + "\n" * (len(lines) - end + (1 if end else 0))
        return f"{text}\n" if end else ""

    def flow(self, start: int) -> Any:
        """A value in quotes or brackets, which can go on in the next lines."""
        first = self.at
        rest = "\n".join([self.line()[start:], *self.lines[first + 1 :]])
        flow = _Flow(rest, self)
        value = flow.value(0)
        self.at = first + rest.count("\n", 0, flow.at)
        if not _EMPTY.match(rest[flow.at :].partition("\n")[0]):
            raise self.fault("has text after a value; put the whole value into quotes")
        self.at += 1
        return value

    def unescape(self, text: str) -> str:
        def meant(found: re.Match[str]) -> str:
            code = found[1] or found[2] or found[3]
            if code is not None:
                return chr(int(code, 16))
            if found[4] not in _ESCAPES:
                raise self.fault(f"has the escape {found[0]}, which is not read")
            return _ESCAPES[found[4]]

        unescaped = _ESCAPE.sub(meant, text)
        # JSON writes characters beyond the first plane as two halves.
        return unescaped.encode("utf-16", "surrogatepass").decode("utf-16") if "\\u" in text else unescaped


class _Flow:
    """Reads values in brackets and quotes."""

    def __init__(self, text: str, reader: _Reader) -> None:
        self.text = text
        self.reader = reader
        self.at = 0

    def value(self, depth: int) -> Any:
        if depth > _NESTED_MAX:
            raise self.reader.fault("is nested too deeply")
        self.blanks()
        first = self.text[self.at : self.at + 1]
        if first == "[":
            return self.list(depth)
        if first == "{":
            return self.map(depth)
        if first in ('"', "'"):
            return self.quoted()
        return _plain(self.bare(_FLOW_VALUE))

    def blanks(self) -> None:
        found = _BLANKS.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def bare(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        text = found[0] if found else ""
        self.at += len(text)
        if text[:1] and text[0] in "&*!|>%@`":
            raise self.reader.fault(f"has a value that begins with {text[0]}, which is not read")
        return text

    def quoted(self) -> str:
        double = self.text[self.at] == '"'
        found = (_DOUBLE if double else _SINGLE).match(self.text, self.at)
        if found is None:
            raise self.reader.fault("has a quote that is not closed")
        self.at = found.end()
        text = _joined(found[1]) if "\n" in found[1] else found[1]
        return self.reader.unescape(text) if double else text.replace("''", "'")

    def list(self, depth: int) -> list[Any]:
        items: list[Any] = []
        self.at += 1
        while not self.closed("]"):
            items.append(self.value(depth + 1))
            self.separator("]")
        return items

    def map(self, depth: int) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        self.at += 1
        while not self.closed("}"):
            is_quoted = self.text[self.at : self.at + 1] in ('"', "'")
            key = self.quoted() if is_quoted else self.bare(_FLOW_KEY)
            self.blanks()
            fields[key] = None
            if self.text[self.at : self.at + 1] == ":":
                self.at += 1
                self.blanks()
                if self.text[self.at : self.at + 1] not in (",", "}"):
                    fields[key] = self.value(depth + 1)
            self.separator("}")
        return fields

    def closed(self, bracket: str) -> bool:
        self.blanks()
        if self.text[self.at : self.at + 1] != bracket:
            return False
        self.at += 1
        return True

    def separator(self, bracket: str) -> None:
        self.blanks()
        next_one = self.text[self.at : self.at + 1]
        if next_one == ",":
            self.at += 1
        elif next_one != bracket:
            raise self.reader.fault(f"has brackets without their {bracket}")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _bare(text: str) -> str:
    """A text without quotes, without the comment behind it."""
    return re.sub(r"\s#.*$", "", text).rstrip()


def _plain(text: str) -> Any:
    """A value without quotes."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    number = _NUMBER.fullmatch(text)
    if number is None:
        return text
    return float(text) if number[1] or number[2] else int(text)


def _joined(text: str) -> str:
    """Lines of a quoted text: a break is a space, and an empty line a break."""
    pattern = r"[ \t]*\n((?:[ \t]*\n)*)[ \t]*"
    return re.sub(pattern, lambda found: "\n" * found[1].count("\n") or " ", text)


def _folded(lines: list[str]) -> str:
    """A folded text: a line break between two lines is a space, unless one of them is indented."""
    text, breaks, was_indented = "", 0, True
    for index, line in enumerate(lines):
        if not line:
            breaks += 1
            continue
        is_indented = line[0].isspace()
        if index == breaks:
            text = "\n" * breaks
        elif is_indented or was_indented:
            text += "\n" * (breaks + 1)
        else:
            text += "\n" * breaks if breaks else " "
        text += line
        breaks, was_indented = 0, is_indented
    return text
