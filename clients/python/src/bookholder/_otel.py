"""Names the version on the current span and as baggage, where ``opentelemetry`` is installed."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager


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
