"""Writes docs/reference/python.md from the docstrings of what the package exports.

python clients/python/reference.py [--check]
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "reference" / "python.md"
sys.path.insert(0, str(HERE / "src"))

import bookholder  # noqa: E402

HEAD = """# Python library

What the package `bookholder` exports, as `python clients/python/reference.py` reads it from the sources.
[Use prompts in an application](../tasks/applications.md) shows how it is used.
"""
ORDER = ("Bookholder", "AsyncBookholder", "Prompt", "AsyncPrompt")


def page() -> str:
    """The whole page."""
    names = [*ORDER, *(name for name in bookholder.__all__ if name not in ORDER)]
    lines = [HEAD]
    for name in names:
        value = getattr(bookholder, name)
        # In Python 3.10 an alias of a generic is a class, too.
        if inspect.isclass(value) and value.__module__.startswith("bookholder"):
            lines.extend(described(name, value))
    return "\n".join(lines).rstrip() + "\n"


def described(name: str, value: type) -> Iterator[str]:
    yield f"## {name}\n"
    if issubclass(value, Exception):
        bases = [base.__name__ for base in value.__bases__]
        yield f"Extends `{'`, `'.join(bases)}`.\n"
    yield text(value.__doc__)
    if value.__init__ is not object.__init__ and name.endswith("Bookholder"):
        yield code(f"{name}{signature(value.__init__)}")
    for member in members(value):
        yield from documented(member, inspect.getattr_static(value, member))


def members(value: type) -> list[str]:
    """Public names of the class and of what it shares with others, in the order of the sources; no fields of tuples."""
    found: dict[str, None] = {}
    for base in reversed(value.__mro__):
        if base.__module__.startswith("bookholder"):
            found |= dict.fromkeys(vars(base))
    fields = getattr(value, "_fields", ()) if issubclass(value, tuple) else ()
    return [name for name in found if not name.startswith("_") and name not in fields and documentation(value, name)]


def documentation(value: type, name: str) -> str | None:
    member = inspect.getattr_static(value, name)
    return inspect.getdoc(member) if callable(member) or isinstance(member, property | classmethod) else None


def documented(name: str, member: Any) -> Iterator[str]:
    if isinstance(member, property):
        assert member.fget is not None
        yield code(f"{name}: {inspect.signature(member.fget).return_annotation}")
    else:
        function = member.__func__ if isinstance(member, classmethod) else member
        asynchronous = "async " if inspect.iscoroutinefunction(function) else ""
        yield code(f"{asynchronous}{name}{signature(function)}")
    yield text(inspect.getdoc(member))


def signature(function: Any) -> str:
    """A signature without `self`; where it is long, with one argument on each line."""
    whole = inspect.signature(function)
    arguments, kind = [], None
    for parameter in list(whole.parameters.values())[1:]:
        if kind is parameter.POSITIONAL_ONLY and parameter.kind is not kind:
            arguments.append("/")
        if parameter.kind is parameter.KEYWORD_ONLY and kind is not parameter.kind:
            arguments.append("*")
        kind = parameter.kind
        stars = "**" if kind is parameter.VAR_KEYWORD else ""
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        arguments.append(f"{stars}{parameter.name}: {parameter.annotation}{default}")
    returned = whole.return_annotation
    result = "" if returned in ("None", whole.empty) else f" -> {returned}"
    short = f"({', '.join(arguments)}){result}"
    return short if len(short) <= 80 else "(\n" + "".join(f"    {one},\n" for one in arguments) + f"){result}"


def code(text_: str) -> str:
    return f"```python\n{text_}\n```\n"


def text(doc: str | None) -> str:
    """A docstring as Markdown."""
    lines = inspect.cleandoc(doc or "").split("\n")
    written: list[str] = []
    example = False
    for line in lines:
        starts = line.startswith(">>> ")
        if starts and not example:
            written.append("```python")
            example = True
        if example and not line:
            written += ["```", ""]
            example = False
            continue
        written.append(line if example else prose(line))
    if example:
        written.append("```")
    return "\n".join(definitions(written)) + "\n"


def prose(line: str) -> str:
    line = re.sub(r":\w+:`([^`]+)`", r"`\1`", line)
    return line.replace("``", "`")


def definitions(lines: list[str]) -> Iterator[str]:
    """Terms with an indented description are items of a list."""
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if following.startswith("    ") and line.startswith("`"):
            yield f"- {line}:"
        elif line.startswith("    ") and not line.startswith("    >>>"):
            yield f"  {line.strip()}"
        else:
            yield line


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        if PAGE.read_text(encoding="utf-8") != page():
            sys.exit("docs/reference/python.md is not up to date: run python clients/python/reference.py")
    else:
        PAGE.write_text(page(), encoding="utf-8")
