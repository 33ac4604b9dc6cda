"""A version of a prompt, ready to be filled in."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Generic, Literal, TypeVar

from . import _otel, _sdk
from ._answers import Resolved
from ._template import Rendered, RenderedWithRemarks, Variable, copied
from .errors import BookholderError, InvalidVariables, RenderFailed, WrongType

__all__ = ["AsyncPrompt", "Message", "Prompt", "Source"]

Source = Literal["replica", "memory", "baked", "fallback"]
Message = dict[str, Any]

_R = TypeVar("_R")
# Renders a version on the node, for jinja.
RenderOnNode = Callable[[Resolved, Mapping[str, object], Mapping[str, Sequence[Any]], bool], _R]


class BasePrompt(Generic[_R]):
    """What a prompt is, without the ways to fill it in."""

    __slots__ = ("_age", "_received", "_render", "_resolved", "_strict", "reference", "source", "stale")

    def __init__(
        self,
        reference: str,
        resolved: Resolved,
        source: Source,
        *,
        render: RenderOnNode[_R],
        stale: bool = True,
        age: float | None = None,
        received: float = 0.0,
        strict: bool = False,
    ) -> None:
        self.reference: str = reference
        self.source: Source = source
        self.stale: bool = stale
        self._resolved = resolved
        self._render = render
        self._age = age
        self._received = received
        self._strict = strict

    def __repr__(self) -> str:
        stale = ", stale" if self.stale else ""
        return f"<{type(self).__name__} {self.stamp or self.reference} from {self.source}{stale}>"

    @property
    def name(self) -> str:
        """The name, for example ``support/agent``."""
        return self._resolved.name

    @property
    def version(self) -> int | None:
        """The number of the version; ``None`` for a fallback."""
        return self._resolved.version

    @property
    def content_id(self) -> str | None:
        """The hash of the content, for example ``b3:3f9a…``; ``None`` for a fallback."""
        return self._resolved.content_id

    @property
    def label(self) -> str | None:
        """The label that was asked for; ``None`` where a version was."""
        return self._resolved.label

    @property
    def stamp(self) -> str | None:
        """What to log with each response, for example ``support/agent@7+3f9a1c2b7d41``; ``None`` for a fallback."""
        return self._resolved.stamp

    @property
    def assignment(self) -> dict[str, Any] | None:
        """How a split or rules chose the version (``rule``, ``bucket``, ``sticky``)."""
        return copied(self._resolved.assignment)

    @property
    def age(self) -> float | None:
        """Seconds since the replica last had contact with its primary; ``None`` for baked prompts and fallbacks."""
        return None if self._age is None else self._age + time.monotonic() - self._received

    @property
    def syntax(self) -> str:
        """``mustache``, ``jinja`` or ``plain``."""
        return self._resolved.template.syntax

    @property
    def variables(self) -> dict[str, Variable]:
        """The variables, by name."""
        return dict(self._resolved.template.variables)

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The placeholders for lists of messages."""
        return tuple(sorted(self._resolved.template.placeholders))

    @property
    def model(self) -> str | None:
        """The model that the version is written for."""
        model = self._resolved.content.get("model")
        return model["name"] if model else None

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of the model, such as the temperature."""
        return copied((self._resolved.content.get("model") or {}).get("parameters", {}))

    @property
    def tools(self) -> list[Any]:
        """Tools, as they were published."""
        return copied(self._resolved.content.get("tools", []))

    @property
    def response_schema(self) -> Any:
        """The JSON Schema of the response."""
        return copied(self._resolved.content.get("response_schema"))

    @property
    def config(self) -> dict[str, Any]:
        """Anything else that was published with the prompt."""
        return copied(self._resolved.content.get("config", {}))

    @property
    def content(self) -> dict[str, Any]:
        """The whole content, as it was published."""
        return copied(self._resolved.content)

    def span_attributes(self) -> dict[str, str]:
        """Attributes that name this version on a span.

        >>> from bookholder import Bookholder
        >>> Bookholder.fake({"support/agent": "Hi"}).prompt("support/agent").span_attributes()["gen_ai.prompt.name"]
        'support/agent'
        """
        tags: dict[str, str] = dict(self._resolved.tags["attributes"])
        if self.version is not None:
            # So that a Langfuse project links it, too.
            tags["langfuse.observation.prompt.name"] = self.name
            tags["langfuse.observation.prompt.version"] = str(self.version)
        return tags

    @property
    def baggage(self) -> str:
        """The same as the value of a W3C ``baggage`` header, for calls of other services."""
        return str(self._resolved.tags["baggage"])

    def linked(self) -> AbstractContextManager[None]:
        """Names this version in the baggage of everything inside, and on the current span of OpenTelemetry.

        ``prompt()`` did the latter; this is for another span, and for other services.

        Without ``opentelemetry-api`` it does nothing.

        >>> from bookholder import Bookholder
        >>> p = Bookholder.fake({"support/agent": "Hi {{shop}}"}).prompt("support/agent")
        >>> with p.linked():
        ...     p.text(shop="Globe")
        'Hi Globe'
        """
        return _otel.linked(self.span_attributes(), self._resolved.tags["attributes"])

    def parse(self, response: Any) -> Any:
        """The structured output of a response: its text, or the response of one of the SDKs, read as JSON.

        >>> from bookholder import Bookholder
        >>> p = Bookholder.fake({"router": "Answer in JSON."}).prompt("router")
        >>> p.parse('{"team": "billing"}')
        {'team': 'billing'}
        """
        text = _sdk.text_of_response(response)
        if text is None:
            raise BookholderError("the response has no text to parse")
        try:
            return json.loads(text)
        except ValueError as error:
            raise BookholderError(f"the response to `{self.name}` is not JSON: {error}") from error

    def _sort(
        self, mapping: Mapping[str, Any] | None, named: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Sequence[Any]]]:
        """The values of variables, and the lists of messages."""
        given = {**mapping, **named} if mapping else named
        placeholders = self._resolved.template.placeholders
        if not placeholders:
            return dict(given), {}
        values: dict[str, Any] = {}
        lists: dict[str, Sequence[Any]] = {}
        for name, value in given.items():
            if name not in placeholders:
                values[name] = value
            elif isinstance(value, list | tuple):
                lists[name] = value
            else:
                found = type(value).__name__
                raise InvalidVariables(wrong_type=[WrongType(name, "list of messages", found)])
        return values, lists

    def _said(self, rendered: Rendered | None) -> _sdk.Said:
        messages = None if rendered is None else _messages(rendered)
        return _sdk.Said(self.name.rpartition("/")[2], self._resolved.content, messages)

    def _text(self, rendered: Rendered) -> str:
        if isinstance(rendered, str):
            return rendered
        raise RenderFailed(f"`{self.name}` is a chat prompt; use messages()")


class Prompt(BasePrompt[RenderedWithRemarks]):
    """A version of a prompt, as :meth:`Bookholder.prompt` returns it. It never changes.

    ``reference``
        What was asked for.
    ``source``
        Who answered: the ``"replica"`` just now, ``"memory"``, the ``"baked"`` files, or the ``"fallback"``.
    ``stale``
        Whether the primary may serve something newer: the replica says so, or did not answer.
    """

    __slots__ = ()

    def render(self, variables: Mapping[str, Any] | None = None, /, **named: Any) -> RenderedWithRemarks:
        """The text or messages, and remarks on what was ignored or left empty."""
        values, lists = self._sort(variables, named)
        template = self._resolved.template
        if template.syntax != "jinja":
            return template.render(values, lists, strict=self._strict)
        return self._render(self._resolved, values, lists, self._strict)

    def messages(self, variables: Mapping[str, Any] | None = None, /, **named: Any) -> list[Message]:
        """The messages, with variables filled in and lists put in the place of placeholders.

        A text prompt is one message of the user. Names that are no Python names go into a mapping. What is missing or
        of a wrong type is named at once; a value that the version does not use is ignored, so that a rollback to a
        version without it breaks no caller (``strict=True`` refuses it, in tests).

        >>> from bookholder import Bookholder
        >>> p = Bookholder.fake({"support/agent": "Hi {{shop}} and {{user.name}}"}).prompt("support/agent")
        >>> p.messages({"user.name": "Ada"}, shop="Globe")
        [{'role': 'user', 'content': 'Hi Globe and Ada'}]
        >>> p.messages(shpo="Globe")
        Traceback (most recent call last):
        bookholder.errors.InvalidVariables: missing variables: `shop`, `user.name`; unknown variables: `shpo`
        """
        return _messages(self.render(variables, **named)[0])

    def text(self, variables: Mapping[str, Any] | None = None, /, **named: Any) -> str:
        """The text of a text prompt, with variables filled in.

        >>> from bookholder import Bookholder
        >>> Bookholder.fake({"greeting": "Hi {{name}}"}).prompt("greeting").text(name="Ada")
        'Hi Ada'
        """
        return self._text(self.render(variables, **named)[0])

    def openai(self, variables: Mapping[str, Any] | None = None, /, **named: Any) -> dict[str, Any]:
        """Arguments of OpenAI's ``chat.completions.create`` (and of LiteLLM's ``completion``).

        With values also the messages; without any only the settings, for messages of your own. A prompt without
        variables gets its messages from ``openai({})``.

        >>> from bookholder import Bookholder
        >>> prompts = {"agent": {"text": "Hi {{shop}}", "model": {"name": "gpt-5", "parameters": {"seed": 1}}}}
        >>> p = Bookholder.fake(prompts).prompt("agent")
        >>> p.openai()
        {'model': 'gpt-5', 'seed': 1}
        >>> p.openai(shop="Globe")["messages"]
        [{'role': 'user', 'content': 'Hi Globe'}]
        """
        return _sdk.openai(self._filled(variables, named))

    def responses(self, variables: Mapping[str, Any] | None = None, /, **named: Any) -> dict[str, Any]:
        """Arguments of OpenAI's ``responses.create``; as for :meth:`openai`."""
        return _sdk.responses(self._filled(variables, named))

    def anthropic(self, variables: Mapping[str, Any] | None = None, /, **named: Any) -> dict[str, Any]:
        """Arguments of Anthropic's ``messages.create``: the system text apart, tools and tool calls converted.

        >>> from bookholder import Bookholder
        >>> said = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "{{question}}"}]
        >>> Bookholder.fake({"agent": {"messages": said}}).prompt("agent").anthropic(question="Why?")
        {'max_tokens': 4096, 'system': 'Be kind.', 'messages': [{'role': 'user', 'content': 'Why?'}]}
        """
        return _sdk.anthropic(self._filled(variables, named))

    def _filled(self, variables: Mapping[str, Any] | None, named: Mapping[str, Any]) -> _sdk.Said:
        if variables is None and not named:
            return self._said(None)
        return self._said(self.render(variables, **named)[0])


class AsyncPrompt(BasePrompt[Awaitable[RenderedWithRemarks]]):
    """A version of a prompt, as :meth:`AsyncBookholder.prompt` returns it: as :class:`Prompt`.

    Filling in is awaited, because jinja is rendered by the node.
    """

    __slots__ = ()

    async def render(self, variables: Mapping[str, Any] | None = None, /, **named: Any) -> RenderedWithRemarks:
        """The text or messages, and remarks on what was ignored or left empty."""
        values, lists = self._sort(variables, named)
        template = self._resolved.template
        if template.syntax != "jinja":
            return template.render(values, lists, strict=self._strict)
        return await self._render(self._resolved, values, lists, self._strict)

    async def messages(self, variables: Mapping[str, Any] | None = None, /, **named: Any) -> list[Message]:
        """The messages, with variables filled in, as :meth:`Prompt.messages`."""
        return _messages((await self.render(variables, **named))[0])

    async def text(self, variables: Mapping[str, Any] | None = None, /, **named: Any) -> str:
        """The text of a text prompt, with variables filled in."""
        return self._text((await self.render(variables, **named))[0])

    async def openai(self, variables: Mapping[str, Any] | None = None, /, **named: Any) -> dict[str, Any]:
        """Arguments of OpenAI's ``chat.completions.create``, as :meth:`Prompt.openai`."""
        return _sdk.openai(await self._filled(variables, named))

    async def responses(self, variables: Mapping[str, Any] | None = None, /, **named: Any) -> dict[str, Any]:
        """Arguments of OpenAI's ``responses.create``, as :meth:`Prompt.responses`."""
        return _sdk.responses(await self._filled(variables, named))

    async def anthropic(self, variables: Mapping[str, Any] | None = None, /, **named: Any) -> dict[str, Any]:
        """Arguments of Anthropic's ``messages.create``, as :meth:`Prompt.anthropic`."""
        return _sdk.anthropic(await self._filled(variables, named))

    async def _filled(self, variables: Mapping[str, Any] | None, named: Mapping[str, Any]) -> _sdk.Said:
        if variables is None and not named:
            return self._said(None)
        return self._said((await self.render(variables, **named))[0])


def _messages(rendered: Rendered) -> list[Message]:
    return [{"role": "user", "content": rendered}] if isinstance(rendered, str) else rendered
