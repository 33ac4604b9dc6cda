"""The blocking client."""

from __future__ import annotations

import os
import socket as socket_module
import threading
import weakref
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from sys import modules
from typing import TYPE_CHECKING, Any, Literal, overload

from . import _address, _fork
from ._answers import Key, Resolved, key_of
from ._blocking import Connections, connect, stream
from ._core import LIST_ATTEMPTS_MAX, PATIENCE_S, TIMEOUT_S, Core, CursorExpired, Fallback, Given, now, references_of
from ._events import RETRY_MAX_S, RETRY_S, SILENCE_S, Cache, EventReader, changed_names
from ._http import Unreachable, quote, request
from ._otel import TRACE, mark
from ._template import RenderedWithRemarks
from .errors import PromptNotFound
from .prompt import BasePrompt, Prompt

if TYPE_CHECKING:
    import ssl
    from datetime import datetime

    from ._reports import Reports

__all__ = ["Bookholder"]


class BaseBookholder:
    """What both clients have."""

    def __init__(
        self,
        url: str | None,
        *,
        socket: str | os.PathLike[str] | None,
        token: str | None,
        timeout: float,
        patience: float,
        baked: str | os.PathLike[str] | None,
        strict: bool,
        mark_spans: bool,
        tls: ssl.SSLContext | None,
    ) -> None:
        if not timeout > 0 or not patience > 0:
            raise ValueError("`timeout` and `patience` are numbers of seconds above 0")
        address = _address.find(url, os.fspath(socket) if socket is not None else None)
        self._core = Core(address, token=token, baked=baked, strict=strict)
        self._timeout = timeout
        self._patience = max(patience, timeout)
        self._marks_spans = mark_spans
        self._tls = tls
        self._connections = Connections(address, tls)
        self._reports_lock = threading.Lock()
        self._reports: Reports | None = None
        _fork.register(self)

    @property
    def address(self) -> str:
        """The node that is asked, as ``unix:/run/bookholder/replica.sock`` or ``http://127.0.0.1:7071``."""
        return str(self._core.address)

    @property
    def dropped_reports(self) -> int:
        """Reports that were not sent: the queue was full, or the node refused them."""
        return self._reports.dropped if self._reports else 0

    def _mark(self, prompt: BasePrompt[Any]) -> None:
        if self._marks_spans:
            mark(prompt.span_attributes)

    def _after_fork(self) -> None:
        self._core.memory.after_fork()
        self._core.baked.after_fork()
        self._connections = Connections(self._core.address, self._tls)
        self._reports_lock = threading.Lock()
        if self._reports is not None:
            self._reports.after_fork()

    def _queue(self) -> Reports:
        if self._reports is None:
            from ._reports import Reports  # Only applications that report need it.

            with self._reports_lock:
                if self._reports is None:
                    self._reports = Reports(self._core, self._connections)
        return self._reports

    def record(
        self,
        prompt: BasePrompt[Any] | str,
        /,
        *,
        response_id: str | None = None,
        usage: Any = None,
        provider: str | None = None,
        model: str | None = None,
        model_requested: str | None = None,
        input_tokens: int | None = None,
        cache_read_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        output_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        latency_ms: float | None = None,
        first_token_ms: float | None = None,
        cost_usd: float | None = None,
        error: str | None = None,
        session: str | None = None,
        user: str | None = None,
        environment: str | None = None,
        trace_id: str | None = None,
        span_id: str | None = None,
        ended: datetime | str | None = None,
        input: Any = None,  # noqa: A002
        output: Any = None,
    ) -> None:
        """Reports a response of a model, of a prompt or its stamp: at once, and without waiting for the node.

        ``usage`` is what OpenAI's, Anthropic's and LiteLLM's SDKs call so. The span is that of OpenTelemetry, if there
        is one. ``input`` and ``output`` are recorded only where the node records content. Never raises: what cannot be
        sent is counted in :attr:`dropped_reports`.

        >>> bh = Bookholder.fake({"support/agent": "Hi"})
        >>> bh.record(bh.prompt("support/agent"), response_id="chatcmpl-9x", usage={"prompt_tokens": 812})
        >>> bh.score("chatcmpl-9x", name="thumbs", value=1)
        """
        fields = {name: value for name, value in locals().items() if name not in ("self", "prompt")}
        self._queue().respond(prompt, fields)

    def score(
        self,
        response_id: str | None = None,
        /,
        *,
        name: str,
        value: float | bool | str,
        stamp: str | None = None,
        trace_id: str | None = None,
        span_id: str | None = None,
        session: str | None = None,
        evaluator: str | None = None,
        explanation: str | None = None,
        id: str | None = None,  # noqa: A002
        at: datetime | str | None = None,
    ) -> None:
        """Reports how good a response was; instead of a response, a trace, a session or the stamp of a version.

        The same ID again changes nothing. Never raises, and never waits for the node.
        """
        fields = {key: given for key, given in locals().items() if key != "self"}
        self._queue().score(fields)

    def flush(self, timeout: float = 5.0) -> bool:
        """Sends the reports that wait; whether all were sent in time. The end of the program does so by itself."""
        return self._reports.flush(timeout) if self._reports else True


class Bookholder(BaseBookholder):
    """The prompts of an application, from the replica beside it.

    Each call asks the replica, so a deployment or rollback holds from the next call. If it does not answer in time, its
    last answer does, then the baked prompts, then ``fallback``; only then :class:`PromptUnavailable` is raised.

    ``url``, ``socket``
        Where the node is. By default ``BOOKHOLDER_SOCKET``, ``BOOKHOLDER_URL``, ``/run/bookholder/replica.sock``,
        ``/run/bookholder-replica/bookholder.sock`` or ``http://127.0.0.1:7071``, whichever is there first.
    ``token``
        An access token, if the node is not on this machine; by default ``BOOKHOLDER_TOKEN``.
    ``timeout``, ``patience``
        How long to wait for the node, in seconds, while something else can answer; and if nothing else can, or for the
        node to render jinja.
    ``baked``
        The folder that ``bookholder pull --inline`` wrote; by default ``BOOKHOLDER_BAKED``, or ``prompts``.
    ``cache="events"``
        Keeps answers in memory until the node says that they changed, for callers that cannot spend 100 µs.
    ``strict``
        Refuses values that a prompt does not use, and placeholders without messages: for tests.
    ``mark_spans``
        Whether :meth:`prompt` sets the attributes of the version on the current span of OpenTelemetry: about 7 µs.

    When something else has to answer, the log ``bookholder`` says so: with a warning, once for each outage; with an
    error, every five minutes, while the node refuses this application, for example because its access token expired.

    A client can be used by all threads, and in children of ``fork``; it connects when it is first used.

    >>> bh = Bookholder.fake({"support/agent": "You help the customers of {{shop}}."})
    >>> p = bh.prompt("support/agent")
    >>> p.messages(shop="Globe")
    [{'role': 'user', 'content': 'You help the customers of Globe.'}]
    >>> p.version, p.label, p.source
    (1, 'production', 'replica')
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        socket: str | os.PathLike[str] | None = None,
        token: str | None = None,
        timeout: float = TIMEOUT_S,
        patience: float = PATIENCE_S,
        baked: str | os.PathLike[str] | None = None,
        cache: Literal["events"] | None = None,
        strict: bool = False,
        mark_spans: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(
            url,
            socket=socket,
            token=token,
            timeout=timeout,
            patience=patience,
            baked=baked,
            strict=strict,
            mark_spans=mark_spans,
            tls=tls,
        )
        if cache not in (None, "events"):
            raise ValueError('`cache` is "events" or None')
        self._cache: Cache[Prompt] | None = Cache() if cache else None
        self._feed: _Feed | None = None
        self._closed = False

    @classmethod
    def fake(cls, prompts: Mapping[str, Fallback], *, strict: bool = True) -> Bookholder:
        """A client that answers from these prompts, for tests of applications: texts, lists of messages, or contents.

        It is strict: values that a prompt does not use are an error. Reports go nowhere.

        >>> bh = Bookholder.fake({"router": [{"role": "user", "content": "Route: {{question}}"}]})
        >>> bh.prompt("router").messages(question="Where is my order?")
        [{'role': 'user', 'content': 'Route: Where is my order?'}]
        >>> bh.prompt("ruoter")
        Traceback (most recent call last):
        bookholder.errors.PromptNotFound: no answer for `ruoter`: there is no prompt `ruoter`
        """
        from ._fake import FakeBookholder  # It needs this class.

        return FakeBookholder(prompts, strict=strict)

    def prompt(
        self,
        reference: str,
        /,
        *,
        subject: str | None = None,
        attributes: Mapping[str, str] | None = None,
        fallback: Fallback | None = None,
    ) -> Prompt:
        """The version that a reference means now; its attributes are set on the current span of OpenTelemetry.

        A reference is ``name`` (what ``production`` serves), ``name@label``, ``name@7`` or ``name@b3:…``. ``subject``
        is whom a split always gives the same version, such as a user; ``attributes`` are for rules. ``fallback`` is a
        text, a list of messages or a content, for when nothing else answers.

        >>> bh = Bookholder.fake({"support/agent": "Hi"})
        >>> bh.prompt("support/agent@staging", subject="user-17", attributes={"locale": "de-AT"}).label
        'staging'
        """
        cache = self._cache
        if cache is not None:
            entries = cache.entries
            if entries is not None:
                known = entries.get(reference)
                if known is not None:
                    if TRACE in modules:
                        self._mark(known)
                    return known
            prompt = self._cached(cache, key_of(reference, subject, attributes), fallback)
        else:
            prompt = self._prompt(reference, self._ask(key_of(reference, subject, attributes), fallback))
        if TRACE in modules:
            self._mark(prompt)
        return prompt

    def _cached(self, cache: Cache[Prompt], key: Key, fallback: Fallback | None) -> Prompt:
        if self._feed is None:
            self._start(cache)
        entries = cache.entries
        known = entries.get(key) if entries is not None else None
        if known is not None:
            return known
        generation = cache.generation()
        given = self._ask(key, fallback)
        if given.source == "replica":
            place = key[0] if given.resolved.assignment is None else key
            kept = given._replace(source="memory")
            cache.put(generation, given.resolved.name, place, self._prompt(key[0], kept))
        return self._prompt(key[0], given)

    def _ask(self, key: Key, fallback: Fallback | None) -> Given:
        core = self._core
        known = core.memory.known(key)
        timeout = self._timeout if known is not None or core.can_answer(key, fallback) else self._patience
        asked = now()
        try:
            reply = self._connections.exchange(core.question(key, known), timeout)
            return core.answered(key, known, reply, asked)
        except Unreachable as why:
            return core.instead(key, why, fallback)
        except PromptNotFound:
            if fallback is None:
                raise
            return core.fallback(key[0], fallback)

    def _prompt(self, reference: str, given: Given) -> Prompt:
        return Prompt(
            reference,
            given.resolved,
            given.source,
            render=self._render,
            stale=given.stale,
            age=given.age,
            received=given.received,
            strict=self._core.strict,
        )

    @overload
    def prompts(
        self,
        references: Iterable[str],
        /,
        *,
        subject: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> list[Prompt]: ...

    @overload
    def prompts(
        self,
        /,
        *,
        label: str = "production",
        pattern: str = "**",
        subject: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> list[Prompt]: ...

    def prompts(
        self,
        references: Iterable[str] | None = None,
        /,
        *,
        label: str | None = None,
        pattern: str | None = None,
        subject: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> list[Prompt]:
        """Many prompts from one consistent state: in the order of the references, or all with a label that match.

        In a pattern `*` stands for any text between slashes, `**` for any text.

        >>> bh = Bookholder.fake({"support/agent": "Hi", "support/router": "Route", "sales": "Buy"})
        >>> [p.name for p in bh.prompts(["support/agent", "sales"])]
        ['support/agent', 'sales']
        >>> [p.name for p in bh.prompts(label="production", pattern="support/**")]
        ['support/agent', 'support/router']
        """
        if references is None:
            matching = self._ask_matching(label or "production", pattern or "**", subject, attributes)
            return [self._prompt(*pair) for pair in matching.items()]
        if label is not None or pattern is not None:
            raise TypeError("prompts() takes references, or a label and a pattern")
        listed = references_of(references)
        if not listed:
            return []
        given = self._ask_all(listed, subject, attributes)
        return [self._prompt(*pair) for pair in zip(listed, given, strict=True)]

    def _ask_all(self, listed: Sequence[str], subject: str | None, attributes: Mapping[str, str] | None) -> list[Given]:
        core, ordered = self._core, key_of("", subject, attributes)[2]
        asked = now()
        try:
            reply = self._connections.exchange(core.batch(listed, subject, ordered), self._patience)
            return core.batch_answered(listed, subject, ordered, reply, asked)
        except Unreachable as why:
            return [core.instead((reference, subject, ordered), why, None) for reference in listed]

    def _ask_matching(
        self, label: str, pattern: str, subject: str | None, attributes: Mapping[str, str] | None
    ) -> dict[str, Given]:
        core, ordered = self._core, key_of("", subject, attributes)[2]
        try:
            for _ in range(LIST_ATTEMPTS_MAX):
                all_given: dict[str, Given] = {}
                cursor: str | None = None
                try:
                    while True:
                        asked = now()
                        question = core.matching(label, pattern, subject, ordered, cursor)
                        reply = self._connections.exchange(question, self._patience)
                        given, cursor = core.page(f"{pattern}@{label}", subject, ordered, reply, asked)
                        all_given |= given
                        if cursor is None:
                            core.remember_list(label, pattern, all_given)
                            return all_given
                except CursorExpired:
                    continue
            raise Unreachable("its state changed during each attempt to list them")
        except Unreachable as why:
            return core.matching_instead(label, pattern, subject, ordered, why)

    def _render(
        self, resolved: Resolved, values: Mapping[str, object], lists: Mapping[str, Sequence[Any]], strict: bool
    ) -> RenderedWithRemarks:
        core = self._core
        try:
            reply = self._connections.exchange(core.rendering(resolved, values, lists, strict), self._patience)
        except Unreachable as why:
            raise core.unrendered(resolved, why) from why
        return core.rendered(resolved, reply)

    def _start(self, cache: Cache[Prompt]) -> None:
        with self._reports_lock:
            if self._feed is None and not self._closed:
                self._feed = _Feed(self._core, cache, self._tls)

    def _after_fork(self) -> None:
        super()._after_fork()
        if self._feed is not None:
            self._feed.after_fork()
            self._feed = None
        if self._cache is not None:
            self._cache.after_fork()

    def close(self) -> None:
        """Sends the reports that wait, and closes all connections."""
        self._closed = True
        if self._reports is not None:
            self._reports.close(TIMEOUT_S * 8)
        if self._feed is not None:
            self._feed.stop()
        if self._cache is not None:
            self._cache.lost()
        self._connections.close()

    def __enter__(self) -> Bookholder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Feed:
    """The thread that listens to the events of the node, as long as its cache is used."""

    def __init__(self, core: Core, cache: Cache[Any], tls: ssl.SSLContext | None) -> None:
        self._stopping = threading.Event()
        # The open connection, if there is one.
        self._open: list[socket_module.socket] = []
        arguments = (core, weakref.ref(cache), tls, self._stopping, self._open)
        threading.Thread(target=_listen, args=arguments, name="bookholder-events", daemon=True).start()

    def after_fork(self) -> None:
        """Leaves the stream to the parent: the node shall see when that ends."""
        for sock in self._open:
            sock.close()

    def stop(self) -> None:
        self._stopping.set()
        for sock in list(self._open):
            with suppress(OSError):
                # Wakes the thread, which then closes it.
                sock.shutdown(socket_module.SHUT_RDWR)


def _listen(
    core: Core,
    cache: weakref.ref[Cache[Any]],
    tls: ssl.SSLContext | None,
    stopping: threading.Event,
    holder: list[socket_module.socket],
) -> None:
    question = request(b"GET", quote(f"{core.address.prefix}/v1/events"), core.fixed)
    delay = RETRY_S
    while not stopping.is_set():
        try:
            with connect(core.address, SILENCE_S, tls) as sock:
                holder[:] = [sock]
                reader, opened = EventReader(), False
                for piece in stream(sock, question):
                    kept = cache()
                    if kept is None or stopping.is_set():
                        return
                    if not opened:
                        # The first piece has the position from which on changes are told.
                        opened, delay = True, RETRY_S
                        kept.opened()
                    for event in reader.feed(piece):
                        kept.changed(changed_names(event))
                    del kept
        except (Unreachable, OSError):
            pass
        holder.clear()
        kept = cache()
        if kept is None:
            return
        kept.lost()
        del kept
        stopping.wait(delay)
        delay = min(delay * 2, RETRY_MAX_S)
