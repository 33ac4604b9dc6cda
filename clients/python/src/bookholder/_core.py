"""What a client knows and decides, without I/O: the bytes of its questions, what answers mean, and who answers instead.

Invariant: an answer that is not the node's own says so in ``source`` and ``stale``; an error of the node that says
nothing about the prompt (it is away, busy, not ready, refuses the access token) never reaches the application while
anything else can answer.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from ._address import Address
from ._answers import Answer, Attributes, Key, Memory, Resolved, answer
from ._baked import Baked
from ._http import Refused, Reply, Unreachable, quote, request
from ._literal import content_of
from ._reference import parts
from ._template import Remark, RenderedWithRemarks
from .errors import InvalidReference, InvalidVariables, PromptNotFound, PromptUnavailable, RenderFailed
from .prompt import Source

TIMEOUT_S = 0.25
# With nothing else to answer, a slow answer is better than none.
PATIENCE_S = 5.0
BATCH_MAX = 1_000
# Labels and patterns whose prompts are remembered.
LISTS_MAX = 1_000
# How often the log says that the node refuses the application, in seconds: that does not pass by itself.
REFUSED_EVERY_S = 300.0
# How often a list begins again because the node no longer has the state of its first page.
LIST_ATTEMPTS_MAX = 5

Fallback = str | Sequence[Mapping[str, Any]] | Mapping[str, Any]

# The node looked and there is no such thing, or the question itself is wrong; everything else says something about the
# node, the way to it, or the access token. docs/tasks/applications.md has the same list.
_ABSENT = frozenset(("prompt_not_found", "prompt_removed", "version_not_found", "label_not_found", "version_archived"))
_WRONG = frozenset((400, 413, 414, 422))
# Of all other statuses below 500, these pass by themselves.
_PASSING = frozenset((408, 429))


class CursorExpired(Exception):
    """The node no longer has the state of the first page: begin again."""


class Given(NamedTuple):
    """Who answers a question."""

    resolved: Resolved
    source: Source
    stale: bool
    age: float | None
    received: float


class Core:
    """The part of a client that blocking and asyncio share."""

    def __init__(
        self,
        address: Address,
        *,
        token: str | None,
        baked: str | os.PathLike[str] | None,
        strict: bool,
    ) -> None:
        self.address = address
        self.strict = strict
        self.memory = Memory()
        self._lists: dict[tuple[str, str], list[str]] = {}
        path = os.fspath(baked) if baked is not None else os.environ.get("BOOKHOLDER_BAKED")
        self.baked = Baked(path, optional=path is None)
        # What the log said since the node answered last, and when.
        self._logged: dict[str, float] = {}
        token = token or os.environ.get("BOOKHOLDER_TOKEN") or None
        for what, value in (("access token", token), ("address", address.authority)):
            if value and not (value.isascii() and value.isprintable()):
                raise ValueError(f"the {what} has characters that a header cannot have")
        authorization = f"Authorization: Bearer {token}\r\n" if token else ""
        self.fixed = f"Host: {address.authority}\r\nUser-Agent: bookholder-python\r\n{authorization}".encode("ascii")
        self._resolve_path = quote(f"{address.prefix}/v1/resolve/")

    # One prompt.

    def question(self, key: Key, known: Answer | None) -> bytes:
        """`GET /v1/resolve/…`, which the node answers from memory."""
        reference, subject, attributes = key
        target = self._resolve_path + quote(reference)
        if subject is not None or attributes:
            target += b"?" + _query(subject, attributes)
        extra = b"If-None-Match: %b\r\n" % known.etag if known is not None and known.etag else b""
        return request(b"GET", target, self.fixed, extra)

    def can_answer(self, key: Key, fallback: Fallback | None) -> bool:
        """Whether somebody else could answer."""
        if fallback is not None or self.memory.get(key) is not None:
            return True
        return isinstance(self.baked.find(key[0]), Resolved)

    def answered(self, key: Key, known: Answer | None, reply: Reply, asked: float) -> Given:
        """What the node said."""
        if reply.status == 304 and known is not None:
            resolved = known.resolved
        elif reply.status == 200:
            resolved = self._resolved(reply.json())
        else:
            raise self._problem(key[0], reply)
        new = answer(reply, resolved, asked)
        self.memory.put(key, new)
        if self._logged:
            self._logged.clear()
        return Given(resolved, "replica", new.stale, new.age, new.received)

    def instead(self, key: Key, why: Unreachable, fallback: Fallback | None) -> Given:
        """Who answers when the node does not."""
        reasons = [f"{self.address}: {why}"]
        last = self.memory.get(key)
        if last is not None:
            self._report("the last answer of each prompt", why)
            return Given(last.resolved, "memory", True, last.age, last.received)
        found = self.baked.find(key[0])
        if isinstance(found, Resolved):
            self._report("baked prompts", why)
            return Given(found, "baked", True, None, 0.0)
        if found is not None:
            reasons.append(found)
        if fallback is not None:
            self._report("fallbacks", why)
            return self.fallback(key[0], fallback)
        raise PromptUnavailable(key[0], reasons)

    def fallback(self, reference: str, fallback: Fallback) -> Given:
        """The application's own text."""
        name, selector = parts(reference)
        fields = {
            "name": name,
            "version": None,
            "content_id": None,
            "label": None if selector.isdecimal() or ":" in selector else selector,
            "content": content_of(fallback),
            "stamp": None,
            "telemetry": {
                "attributes": {"gen_ai.prompt.name": name},
                "baggage": f"gen_ai.prompt.name={quote(name).decode()}",
            },
        }
        return Given(Resolved(fields), "fallback", True, None, 0.0)

    def _report(self, what: str, why: Unreachable) -> None:
        """Once for each outage, not for each call. A refusal is an error, again and again until it is fixed."""
        is_refused = isinstance(why, Refused)
        kind = "refused" if is_refused else what
        last = self._logged.get(kind)
        if last is not None and not (is_refused and now() - last >= REFUSED_EVERY_S):
            return
        self._logged[kind] = now()
        if is_refused:
            message = "the node refuses this application; until that is fixed it uses %s (%s: %s)"
            log("error", message, what, self.address, why)
        else:
            log("warning", "the node does not answer; using %s (%s: %s)", what, self.address, why)

    def _resolved(self, fields: Any) -> Resolved:
        try:
            return Resolved(fields)
        except (KeyError, TypeError, AttributeError):
            raise Unreachable("its answer is not that of a Bookholder node") from None

    def _problem(self, reference: str, reply: Reply) -> Exception:
        return self.problem(reference, reply.status, reply.json())

    def problem(self, reference: str, status: int, problem: Any) -> Exception:
        """What an error of the node means."""
        fields: Mapping[str, Any] = problem if isinstance(problem, dict) else {}
        code, detail = fields.get("code"), fields.get("detail")
        if code in _ABSENT:
            self.memory.forget(reference)
            return PromptNotFound(reference, [str(detail)])
        if status in _WRONG and isinstance(code, str):
            return InvalidReference(f"the node refused `{reference}`: {detail}")
        hint = fields.get("hint")
        said = f"it answered with status {status}" + (f": {detail}" if detail else "") + (f" ({hint})" if hint else "")
        return Refused(said) if 400 <= status < 500 and status not in _PASSING else Unreachable(said)

    # Many prompts in one consistent read.

    def batch(self, references: Sequence[str], subject: str | None, attributes: Attributes) -> bytes:
        body: dict[str, Any] = {"references": list(references)}
        if subject is not None:
            body["subject"] = subject
        if attributes:
            body["attributes"] = dict(attributes)
        return self.post("/v1/resolve", body)

    def batch_answered(
        self, references: Sequence[str], subject: str | None, attributes: Attributes, reply: Reply, asked: float
    ) -> list[Given]:
        if reply.status != 200:
            raise self._problem(", ".join(references[:3]), reply)
        fields = reply.json()
        items = fields.get("answers") if isinstance(fields, dict) else None
        if not isinstance(items, list) or len(items) != len(references):
            raise Unreachable("its answer is not that of a Bookholder node")
        all_given: list[Given] = []
        problems: dict[str, Exception] = {}
        for reference, item in zip(references, items, strict=True):
            if problem := item.get("problem"):
                problems[reference] = self.problem(reference, problem.get("status", 0), problem)
                continue
            # Without an entity tag: it comes with the next answer to this reference alone.
            new = answer(reply, self._resolved(item.get("resolved")), asked)
            self.memory.put((reference, subject, attributes), new)
            all_given.append(Given(new.resolved, "replica", new.stale, new.age, new.received))
        absent = [problem for problem in problems.values() if isinstance(problem, PromptNotFound)]
        if len(absent) == len(problems) > 1:
            raise PromptNotFound("`, `".join(problems), [reason for one in absent for reason in one.reasons])
        for problem in problems.values():
            raise problem
        return all_given

    def matching(
        self, label: str, pattern: str, subject: str | None, attributes: Attributes, cursor: str | None
    ) -> bytes:
        """`GET /v1/resolve?label=…&pattern=…`: a page of prompts, all pages of the state of the first one."""
        query = b"label=%b&pattern=%b&limit=%d" % (quote(label), quote(pattern), BATCH_MAX)
        if cursor is not None:
            query += b"&cursor=" + quote(cursor)
        if subject is not None or attributes:
            query += b"&" + _query(subject, attributes)
        return request(b"GET", quote(f"{self.address.prefix}/v1/resolve") + b"?" + query, self.fixed)

    def page(
        self, what: str, subject: str | None, attributes: Attributes, reply: Reply, asked: float
    ) -> tuple[dict[str, Given], str | None]:
        """The answers on a page, and the cursor of the next one."""
        fields = reply.json()
        if reply.status == 410 and isinstance(fields, dict) and fields.get("code") == "cursor_expired":
            raise CursorExpired
        items = fields.get("answers") if reply.status == 200 and isinstance(fields, dict) else None
        if not isinstance(items, list):
            raise self.problem(what, reply.status, fields)
        listed: dict[str, Given] = {}
        for item in items:
            reference = item["reference"]
            if problem := item.get("problem"):
                raise self.problem(reference, problem.get("status", 0), problem)
            new = answer(reply, self._resolved(item.get("resolved")), asked)
            self.memory.put((reference, subject, attributes), new)
            listed[reference] = Given(new.resolved, "replica", new.stale, new.age, new.received)
        return listed, fields.get("next")

    def remember_list(self, label: str, pattern: str, references: Iterable[str]) -> None:
        """Remembers which prompts matched, for when the node does not answer."""
        if len(self._lists) >= LISTS_MAX:
            self._lists.clear()
        self._lists[(label, pattern)] = list(references)

    def matching_instead(
        self, label: str, pattern: str, subject: str | None, attributes: Attributes, why: Unreachable
    ) -> dict[str, Given]:
        """Who answers when the node does not."""
        references = self._lists.get((label, pattern))
        if references is not None:
            return {reference: self.instead((reference, subject, attributes), why, None) for reference in references}
        found = self.baked.matching(label, pattern)
        if isinstance(found, list):
            self._report("baked prompts", why)
            return {f"{one.name}@{label}": Given(one, "baked", True, None, 0.0) for one in found}
        raise PromptUnavailable(f"{pattern}@{label}", [f"{self.address}: {why}", *([found] if found else [])])

    # Jinja, rendered by the node.

    def rendering(
        self, resolved: Resolved, values: Mapping[str, object], lists: Mapping[str, Sequence[Any]], strict: bool
    ) -> bytes:
        """`POST /v1/render/NAME@VERSION`, after the check that mustache has, too."""
        resolved.template.check(values, lists, strict=strict)
        if resolved.version is None:
            raise RenderFailed(f"`{resolved.name}` is a fallback in jinja, which the node renders; use mustache")
        body = {"variables": values, "messages": lists, "strict": strict}
        return self.post(f"/v1/render/{resolved.name}@{resolved.version}", body)

    def rendered(self, resolved: Resolved, reply: Reply) -> RenderedWithRemarks:
        fields = reply.json()
        if reply.status == 422 and isinstance(fields, dict):
            said = "; ".join(fields.get("errors") or [str(fields.get("detail"))])
            raise InvalidVariables(message=said) if fields.get("code") == "invalid_variables" else RenderFailed(said)
        if reply.status != 200 or not isinstance(fields, dict):
            reference = f"{resolved.name}@{resolved.version}"
            problem = self.problem(reference, reply.status, fields)
            raise self.unrendered(resolved, problem) if isinstance(problem, Unreachable) else problem
        remarks = (Remark(r["code"], tuple(r["names"]), r["message"]) for r in fields.get("remarks", ()))
        rendered = fields.get("text")
        return fields["messages"] if rendered is None else rendered, tuple(remarks)

    def unrendered(self, resolved: Resolved, why: Unreachable) -> PromptUnavailable:
        reference = f"{resolved.name}@{resolved.version}"
        return PromptUnavailable(reference, [f"jinja is rendered by the node, and {self.address}: {why}"])

    def post(self, path: str, body: Any, extra: bytes = b"") -> bytes:
        try:
            encoded = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        except (TypeError, ValueError) as error:
            raise InvalidVariables(message=f"a value is not JSON: {error}") from error
        return request(b"POST", quote(self.address.prefix + path), self.fixed, extra, encoded)


def log(level: Literal["warning", "error"], message: str, *arguments: object) -> None:
    """Writes to the log `bookholder`."""
    import logging  # Slow to import, and rarely needed.

    getattr(logging.getLogger("bookholder"), level)(message, *arguments)


def _query(subject: str | None, attributes: Attributes) -> bytes:
    pairs = [b"subject=" + quote(subject)] if subject is not None else []
    pairs.extend(b"attr=" + quote(name) + b"%3D" + quote(value) for name, value in attributes)
    return b"&".join(pairs)


def references_of(references: Iterable[str]) -> list[str]:
    """References for one consistent read."""
    if isinstance(references, str):
        raise TypeError("prompts() takes a list of references; use prompt() for one")
    listed = list(references)
    if len(listed) > BATCH_MAX:
        raise ValueError(f"{len(listed)} references; one consistent read has at most {BATCH_MAX}")
    return listed


def now() -> float:
    return time.monotonic()
