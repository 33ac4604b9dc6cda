"""The asyncio client."""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from sys import modules
from typing import TYPE_CHECKING, Any, Literal, overload

from ._address import Address
from ._answers import Key, Resolved, key_of
from ._blocking import tls_context
from ._core import LIST_ATTEMPTS_MAX, PATIENCE_S, TIMEOUT_S, Core, CursorExpired, Fallback, Given, now, references_of
from ._events import RETRY_MAX_S, RETRY_S, SILENCE_S, Cache, EventReader, changed_names
from ._http import Closed, Reader, Reply, Unreachable, quote, request, take_chunks
from ._otel import TRACE
from ._template import RenderedWithRemarks
from .client import BaseBookholder
from .errors import PromptNotFound
from .prompt import AsyncPrompt

if TYPE_CHECKING:
    import ssl

__all__ = ["AsyncBookholder"]

# Requests at a time; more tasks wait for a connection.
CONNECTIONS_MAX = 32


class AsyncBookholder(BaseBookholder):
    """The prompts of an asyncio application, from the replica beside it.

    The same as :class:`Bookholder`, with ``await`` before each question. It can be used in several event loops.

    >>> async def main() -> str:
    ...     async with AsyncBookholder.fake({"support/agent": "You help {{shop}}."}) as bh:
    ...         p = await bh.prompt("support/agent")
    ...         return await p.text(shop="Globe")
    >>> asyncio.run(main())
    'You help Globe.'
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
        self._caches = cache is not None
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = weakref.WeakKeyDictionary()

    @classmethod
    def fake(cls, prompts: Mapping[str, Fallback], *, strict: bool = True) -> AsyncBookholder:
        """A client that answers from these prompts, for tests of applications; see :meth:`Bookholder.fake`."""
        from ._fake import FakeAsyncBookholder  # It needs this class.

        return FakeAsyncBookholder(prompts, strict=strict)

    def _loop(self) -> _Loop:
        """What belongs to the running event loop."""
        running = asyncio.get_running_loop()
        own = self._loops.get(running)
        if own is None:
            for ended in [loop for loop in self._loops if loop.is_closed()]:
                del self._loops[ended]
            own = self._loops[running] = _Loop(Pool(self._core.address, self._tls), Cache() if self._caches else None)
        return own

    async def prompt(
        self,
        reference: str,
        /,
        *,
        subject: str | None = None,
        attributes: Mapping[str, str] | None = None,
        fallback: Fallback | None = None,
    ) -> AsyncPrompt:
        """The version that a reference means now; see :meth:`Bookholder.prompt`."""
        cache = self._loop().cache if self._caches else None
        if cache is not None:
            entries = cache.entries
            if entries is not None:
                known = entries.get(reference)
                if known is not None:
                    if TRACE in modules:
                        self._mark(known)
                    return known
            prompt = await self._cached(cache, key_of(reference, subject, attributes), fallback)
        else:
            prompt = self._prompt(reference, await self._ask(key_of(reference, subject, attributes), fallback))
        if TRACE in modules:
            self._mark(prompt)
        return prompt

    async def _cached(self, cache: Cache[AsyncPrompt], key: Key, fallback: Fallback | None) -> AsyncPrompt:
        own = self._loop()
        if own.feed is None:
            own.feed = asyncio.create_task(_listen(self._core, weakref.ref(cache), self._tls), name="bookholder-events")
        entries = cache.entries
        known = entries.get(key) if entries is not None else None
        if known is not None:
            return known
        generation = cache.generation()
        given = await self._ask(key, fallback)
        if given.source == "replica":
            place = key[0] if given.resolved.assignment is None else key
            kept = given._replace(source="memory")
            cache.put(generation, given.resolved.name, place, self._prompt(key[0], kept))
        return self._prompt(key[0], given)

    async def _ask(self, key: Key, fallback: Fallback | None) -> Given:
        core = self._core
        known = core.memory.known(key)
        timeout = self._timeout if known is not None or core.can_answer(key, fallback) else self._patience
        asked = now()
        try:
            reply = await self._loop().pool.exchange(core.question(key, known), timeout)
            return core.answered(key, known, reply, asked)
        except Unreachable as why:
            return core.instead(key, why, fallback)
        except PromptNotFound:
            if fallback is None:
                raise
            return core.fallback(key[0], fallback)

    def _prompt(self, reference: str, given: Given) -> AsyncPrompt:
        return AsyncPrompt(
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
    async def prompts(
        self,
        references: Iterable[str],
        /,
        *,
        subject: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> list[AsyncPrompt]: ...

    @overload
    async def prompts(
        self,
        /,
        *,
        label: str = "production",
        pattern: str = "**",
        subject: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> list[AsyncPrompt]: ...

    async def prompts(
        self,
        references: Iterable[str] | None = None,
        /,
        *,
        label: str | None = None,
        pattern: str | None = None,
        subject: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> list[AsyncPrompt]:
        """Many prompts from one consistent state; see :meth:`Bookholder.prompts`."""
        if references is None:
            matching = await self._ask_matching(label or "production", pattern or "**", subject, attributes)
            return [self._prompt(*pair) for pair in matching.items()]
        if label is not None or pattern is not None:
            raise TypeError("prompts() takes references, or a label and a pattern")
        listed = references_of(references)
        if not listed:
            return []
        given = await self._ask_all(listed, subject, attributes)
        return [self._prompt(*pair) for pair in zip(listed, given, strict=True)]

    async def _ask_all(
        self, listed: Sequence[str], subject: str | None, attributes: Mapping[str, str] | None
    ) -> list[Given]:
        core, ordered = self._core, key_of("", subject, attributes)[2]
        asked = now()
        try:
            reply = await self._loop().pool.exchange(core.batch(listed, subject, ordered), self._patience)
            return core.batch_answered(listed, subject, ordered, reply, asked)
        except Unreachable as why:
            return [core.instead((reference, subject, ordered), why, None) for reference in listed]

    async def _ask_matching(
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
                        reply = await self._loop().pool.exchange(question, self._patience)
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

    async def _render(
        self, resolved: Resolved, values: Mapping[str, object], lists: Mapping[str, Sequence[Any]], strict: bool
    ) -> RenderedWithRemarks:
        core = self._core
        try:
            question = core.rendering(resolved, values, lists, strict)
            reply = await self._loop().pool.exchange(question, self._patience)
        except Unreachable as why:
            raise core.unrendered(resolved, why) from why
        return core.rendered(resolved, reply)

    def _after_fork(self) -> None:
        super()._after_fork()
        self._loops = weakref.WeakKeyDictionary()

    async def aclose(self) -> None:
        """Sends the reports that wait, and closes the connections of this event loop."""
        own = self._loops.pop(asyncio.get_running_loop(), None)
        if own is not None:
            own.close()
            if own.feed is not None:
                await asyncio.gather(own.feed, return_exceptions=True)
        if self._reports is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._reports.close, TIMEOUT_S * 8)
        self._connections.close()

    async def __aenter__(self) -> AsyncBookholder:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class _Loop:
    """What belongs to one event loop."""

    def __init__(self, pool: Pool, cache: Cache[AsyncPrompt] | None) -> None:
        self.pool = pool
        self.cache = cache
        self.feed: asyncio.Task[None] | None = None

    def close(self) -> None:
        self.pool.close()
        if self.cache is not None:
            self.cache.lost()
        if self.feed is not None:
            self.feed.cancel()


class Connection(asyncio.Protocol):
    """One connection, for one request at a time."""

    def __init__(self) -> None:
        self.used = False
        self.is_open = False
        self._transport: asyncio.Transport | None = None
        self._reader = Reader()
        self._reply: asyncio.Future[Reply] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self.is_open = transport, True

    def data_received(self, data: bytes) -> None:
        waiting = self._reply
        if waiting is None or waiting.done():
            # Nobody asked, or not any more.
            self.close()
            return
        try:
            reply = self._reader.feed(data)
        except Unreachable as error:
            self.close()
            waiting.set_exception(error)
            return
        if reply is not None:
            self.used = True
            if not self._reader.keep:
                self.close()
            waiting.set_result(reply)

    def eof_received(self) -> None:
        self._lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(exc)

    def _lost(self, why: Exception | None) -> None:
        self.is_open = False
        waiting = self._reply
        if waiting is None or waiting.done():
            return
        try:
            waiting.set_result(self._reader.end())
        except Unreachable as error:
            waiting.set_exception(error)

    def exchange(self, data: bytes, timeout: float) -> asyncio.Future[Reply]:
        """Sends a request; the answer arrives in the future."""
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Reply] = loop.create_future()
        self._reader, self._reply = Reader(), reply
        if not self.is_open or self._transport is None:
            reply.set_exception(Closed("it closed the connection"))
            return reply
        self._transport.write(data)
        # What has arrived is read before this is called, so a slow event loop is no slow node.
        timer = loop.call_later(timeout, self._late, reply, timeout)
        reply.add_done_callback(lambda _: timer.cancel())
        return reply

    def _late(self, reply: asyncio.Future[Reply], timeout: float) -> None:
        if not reply.done():
            self.close()
            reply.set_exception(Unreachable(f"it did not answer within {timeout:g} s"))

    def close(self) -> None:
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()


class Pool:
    """The connections of one event loop to the node."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None) -> None:
        self._address = address
        self._tls = tls_context(tls) if address.tls else None
        self._idle: list[Connection] = []
        self._open = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._heard = 0.0

    async def exchange(self, data: bytes, timeout: float) -> Reply:
        """Sends a request that may be sent twice, and returns the answer."""
        await self._turn(timeout)
        connection: Connection | None = None
        try:
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_open:
                    continue
                try:
                    reply = await connection.exchange(data, timeout)
                except Closed:
                    # The node was restarted, or closed an idle connection, since the last request.
                    continue
                return self._done(connection, reply)
            connection = None
            connection = await self._connect(timeout)
            return self._done(connection, await connection.exchange(data, timeout))
        except BaseException:
            # What arrives later would be taken for the next answer.
            if connection is not None:
                connection.close()
            raise
        finally:
            self._next()

    def _done(self, connection: Connection, reply: Reply) -> Reply:
        self._heard = time.monotonic()
        if connection.is_open:
            self._idle.append(connection)
        return reply

    async def _turn(self, timeout: float) -> None:
        """Waits until fewer requests are on their way: as long as answers arrive."""
        if self._open < CONNECTIONS_MAX and not self._waiting:
            self._open += 1
            return
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)

        def late() -> None:
            left = timeout - (time.monotonic() - self._heard)
            if turn.done():
                return
            if left > 0:
                loop.call_later(left, late)
                return
            turn.set_exception(Unreachable(f"it did not answer within {timeout:g} s"))

        timer = loop.call_later(timeout, late)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._next()
            raise
        finally:
            timer.cancel()

    def _next(self) -> None:
        """Gives the turn to the next task that waits."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._open -= 1

    async def _connect(self, timeout: float) -> Connection:
        loop, address = asyncio.get_running_loop(), self._address
        try:
            if address.socket is not None:
                connecting = loop.create_unix_connection(Connection, address.socket)
                _, connection = await asyncio.wait_for(connecting, timeout)
                return connection
            _, connection = await asyncio.wait_for(
                loop.create_connection(
                    Connection,
                    address.host,
                    address.port,
                    ssl=self._tls,
                    server_hostname=address.host if self._tls is not None else None,
                ),
                timeout,
            )
            return connection
        except (asyncio.TimeoutError, TimeoutError):
            raise Unreachable(f"it did not accept a connection within {timeout:g} s") from None
        except OSError as error:
            raise Unreachable(f"cannot connect: {error.strerror or error}") from error

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()


async def _listen(core: Core, cache: weakref.ref[Cache[Any]], tls: ssl.SSLContext | None) -> None:
    """Listens to the events of the node, as long as the cache is used."""
    delay = RETRY_S
    while True:
        try:
            async for piece in _stream(core, tls):
                kept = cache()
                if kept is None:
                    return
                if piece is None:
                    delay = RETRY_S
                    kept.opened()
                else:
                    kept.changed(changed_names(piece))
                del kept
        except (Unreachable, OSError, EOFError, asyncio.TimeoutError, asyncio.LimitOverrunError):
            pass
        finally:
            if (kept := cache()) is not None:
                kept.lost()
        if cache() is None:
            return
        await asyncio.sleep(delay)
        delay = min(delay * 2, RETRY_MAX_S)


async def _stream(core: Core, tls: ssl.SSLContext | None) -> AsyncGenerator[tuple[bytes, bytes] | None, None]:
    """`None` when the stream begins, then its events."""
    address = core.address
    if address.socket is not None:
        opening = asyncio.open_unix_connection(address.socket)
    else:
        context = tls_context(tls) if address.tls else None
        opening = asyncio.open_connection(address.host, address.port, ssl=context)
    reader, writer = await asyncio.wait_for(opening, SILENCE_S)
    try:
        writer.write(request(b"GET", quote(f"{address.prefix}/v1/events"), core.fixed))
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SILENCE_S)
        if head[9:12] != b"200":
            raise Unreachable(f"it answered with status {head[9:12].decode('ascii', 'replace')}")
        chunked = b"transfer-encoding: chunked" in head.lower()
        events, rest, begun = EventReader(), b"", False
        while piece := await asyncio.wait_for(reader.read(65_536), SILENCE_S):
            parts, complete, rest = take_chunks(rest + piece) if chunked else ([piece], False, b"")
            for part in parts:
                if not begun:
                    # The first piece has the position from which on changes are told.
                    begun = True
                    yield None
                for event in events.feed(part):
                    yield event
            if complete:
                return
    finally:
        writer.close()
