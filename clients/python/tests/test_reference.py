"""The page about this library is made from its sources."""

from __future__ import annotations

from pathlib import Path

from nodes import python

REFERENCE = Path(__file__).parents[1] / "reference.py"


def test_reference_is_up_to_date() -> None:
    done = python(str(REFERENCE), "--check")
    assert done.returncode == 0, done.stderr
