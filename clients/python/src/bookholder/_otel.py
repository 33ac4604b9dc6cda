"""Names the version on the current span and as baggage, where ``opentelemetry`` is installed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from sys import modules

# Nobody has a span before something imported this: it need not be imported to find out that there is none.
TRACE = "opentelemetry.trace"


def mark(attributes: Callable[[], Mapping[str, str]]) -> None:
    """Sets attributes on the current span, if ``TRACE`` is in :data:`sys.modules`."""
    # A tracer that fails is not the application's problem.
    with suppress(Exception):
        span = modules[TRACE].get_current_span()
        if span.is_recording():
            span.set_attributes(dict(attributes()))


@contextmanager
def linked(attributes: Mapping[str, str], tags: Mapping[str, str]) -> Generator[None, None, None]:
    """Sets attributes on the current span, and tags as baggage of everything inside of the block."""
    try:
        from opentelemetry import baggage, context, trace
    except ImportError:
        yield
        return
    trace.get_current_span().set_attributes(dict(attributes))
    inside = context.get_current()
    for key, value in tags.items():
        inside = baggage.set_baggage(key, value, inside)
    token = context.attach(inside)
    try:
        yield
    finally:
        context.detach(token)
