"""What schemathesis cannot read off the document: how names of prompts and references look, beyond their pattern."""

import schemathesis
from hypothesis import strategies as st

SEGMENT = st.from_regex(r"\A[a-z0-9][a-z0-9 ._-]{0,10}[a-z0-9]\Z")
NAME = st.lists(SEGMENT, min_size=1, max_size=3).map("/".join)
LABEL = st.sampled_from(["production", "staging", "latest", "trial-1"])
VERSION = st.integers(min_value=1, max_value=2**53 - 1).map(str)

schemathesis.openapi.format("prompt-name", st.one_of(st.sampled_from(["support/agent", "chat"]), NAME))
schemathesis.openapi.format(
    "prompt-reference",
    st.builds(lambda name, rest: name + rest, NAME, st.one_of(st.just(""), st.one_of(LABEL, VERSION).map("@".__add__))),
)
