"""What schemathesis cannot read off the document: formats of its own, and numbers in values that are passed on."""

from datetime import datetime, timezone

import schemathesis
from hypothesis import strategies as st

PAST = "2026-03-20T15:00:00Z"
SEGMENT = st.from_regex(r"\A[a-z0-9][a-z0-9 ._-]{0,10}[a-z0-9]\Z")
NAME = st.lists(SEGMENT, min_size=1, max_size=3).map("/".join)
LABEL = st.sampled_from(["production", "staging", "latest", "trial-1"])
VERSION = st.integers(min_value=1, max_value=2**53 - 1).map(str)
# Their limit is counted in bytes, which `maxLength` does not say.
SHORT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=50)

schemathesis.openapi.format("prompt-name", st.one_of(st.sampled_from(["support/agent", "chat"]), NAME))
schemathesis.openapi.format("name-pattern", st.one_of(st.sampled_from(["**", "support/**", "*"]), SHORT))
schemathesis.openapi.format("short-text", SHORT)
schemathesis.openapi.format(
    "prompt-reference",
    st.builds(lambda name, rest: name + rest, NAME, st.one_of(st.just(""), st.one_of(LABEL, VERSION).map("@".__add__))),
)

schemathesis.openapi.format("time-or-period", st.sampled_from(["7d", "24h", "90m", "2026-03-20", PAST]))

# Where a value may be any JSON. An integer there is within 2^53 - 1, while 1e300 may stand: no schema tells them apart.
ANY_JSON = {
    *("config", "default", "expected", "input", "messages", "metadata", "output", "parameters", "placeholders"),
    *("response_schema", "results", "tools", "value", "variables"),
}
INTEGER_MAX = 2**53 - 1


def kept(value, free=False):
    """The value, with integers that every JSON reader keeps where it may be any JSON."""
    if isinstance(value, dict):
        return {key: kept(inner, free or key in ANY_JSON) for key, inner in value.items()}
    if isinstance(value, list):
        return [kept(inner, free) for inner in value]
    if free and isinstance(value, int) and not isinstance(value, bool) and abs(value) > INTEGER_MAX:
        return value % INTEGER_MAX
    return value


def is_future(value):
    try:
        return datetime.fromisoformat(value) > datetime.now(timezone.utc)
    except (TypeError, ValueError):
        return False


def past(value):
    """The value with times `at` that have come: what will be served is not known, and no schema can say that."""
    if isinstance(value, dict):
        return {key: PAST if key == "at" and is_future(inner) else past(inner) for key, inner in value.items()}
    return [past(inner) for inner in value] if isinstance(value, list) else value


@schemathesis.hook
def map_query(context, query):
    return past(query)


@schemathesis.hook
def map_body(context, body):
    return past(kept(body))
