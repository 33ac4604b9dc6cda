"""What can go wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = [
    "BookholderError",
    "InvalidReference",
    "InvalidVariables",
    "PromptNotFound",
    "PromptUnavailable",
    "RenderFailed",
    "WrongMessage",
    "WrongType",
]

# As the server: most names in one message, and the longest quotation in characters.
_LISTED_MAX = 20
_EXCERPT_MAX = 300


class BookholderError(Exception):
    """Every error of this package."""


class PromptUnavailable(BookholderError):
    """Nothing could answer: neither the node, nor memory, nor the baked prompts, and there was no ``fallback``.

    ``reasons`` says what each of them answered.
    """

    def __init__(self, reference: str, reasons: Sequence[str]) -> None:
        self.reference = reference
        self.reasons = tuple(reasons)
        super().__init__(f"no answer for `{reference}`: {'; '.join(self.reasons)}")


class PromptNotFound(PromptUnavailable):
    """The node answered that there is no such prompt, version or label."""


class InvalidReference(BookholderError, ValueError):
    """The node refused the question itself, for example a reference that cannot be read."""


class RenderFailed(BookholderError):
    """The prompt cannot be rendered with these values, or its template is wrong."""


class _Record:
    """A value with named fields."""

    __slots__: tuple[str, ...] = ()

    def _fields(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Record) and type(other) is type(self) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(self._fields())

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in zip(self.__slots__, self._fields(), strict=True))
        return f"{type(self).__name__}({shown})"


class WrongType(_Record):
    """A value of another type than its variable: ``name``, ``expected``, ``found``."""

    __slots__ = ("expected", "found", "name")

    def __init__(self, name: str, expected: str, found: str) -> None:
        self.name = name
        self.expected = expected
        self.found = found


class WrongMessage(_Record):
    """An element of a placeholder's list that is not a message: ``name``, ``index``, ``reason``."""

    __slots__ = ("index", "name", "reason")

    def __init__(self, name: str, index: int, reason: str) -> None:
        self.name = name
        self.index = index
        self.reason = reason


class InvalidVariables(BookholderError, ValueError):
    """Everything that is wrong with the values of one rendering, at once.

    ``missing``, ``unknown``
        Names of required variables without a value, and of values that the version does not have.
    ``wrong_type``
        Values of another type than their variable, as :class:`WrongType`.
    ``missing_placeholders``, ``unknown_placeholders``, ``wrong_messages``
        The same for placeholders; ``wrong_messages`` has :class:`WrongMessage`.
    """

    def __init__(
        self,
        *,
        missing: Sequence[str] = (),
        unknown: Sequence[str] = (),
        wrong_type: Sequence[WrongType] = (),
        missing_placeholders: Sequence[str] = (),
        unknown_placeholders: Sequence[str] = (),
        wrong_messages: Sequence[WrongMessage] = (),
        message: str | None = None,
    ) -> None:
        self.missing = tuple(missing)
        self.unknown = tuple(unknown)
        self.wrong_type = tuple(wrong_type)
        self.missing_placeholders = tuple(missing_placeholders)
        self.unknown_placeholders = tuple(unknown_placeholders)
        self.wrong_messages = tuple(wrong_messages)
        super().__init__(message or self._sentence())

    def _sentence(self) -> str:
        parts = [
            f"{what} {listed(names)}"
            for what, names in (
                ("missing variables:", self.missing),
                ("unknown variables:", self.unknown),
                ("missing placeholders:", self.missing_placeholders),
                ("unknown placeholders:", self.unknown_placeholders),
            )
            if names
        ]
        parts += [
            f"`{excerpt(wrong.name)}` must have type {wrong.expected}, not {wrong.found}"
            for wrong in self.wrong_type[:_LISTED_MAX]
        ]
        parts += [
            f"message {wrong.index} for `{excerpt(wrong.name)}` {wrong.reason}"
            for wrong in self.wrong_messages[:_LISTED_MAX]
        ]
        return "; ".join(parts)


def listed(names: Sequence[str]) -> str:
    """Names for a sentence, or the first ones if there are many."""
    text = ", ".join(f"`{excerpt(name)}`" for name in names[:_LISTED_MAX])
    more = len(names) - _LISTED_MAX
    return f"{text} and {more} more" if more > 0 else text


def excerpt(text: str) -> str:
    """The start of a text, short enough for a message."""
    return text if len(text) <= _EXCERPT_MAX else text[:_EXCERPT_MAX] + "…"
