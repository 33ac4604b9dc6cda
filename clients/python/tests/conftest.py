from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import nodes
from bookholder import AsyncBookholder, Bookholder


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix="bh-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def primary() -> Iterator[nodes.Node]:
    """A primary that all tests share, each with prompts of its own."""
    path = Path(tempfile.mkdtemp(prefix="bh-"))
    node = nodes.primary(path)
    yield node
    node.stop()
    shutil.rmtree(path)


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., nodes.Node]]:
    """Starts nodes for one test: `start()` a primary, `start(primary)` a replica of it."""
    started: list[nodes.Node] = []

    def one(upstream: nodes.Node | None = None) -> nodes.Node:
        name = f"n{len(started)}"
        started.append(nodes.replica(upstream, folder, name) if upstream else nodes.primary(folder, name))
        return started[-1]

    yield one
    for node in started:
        node.stop()


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SOCKET", "URL", "TOKEN", "BAKED"):
        monkeypatch.delenv(f"BOOKHOLDER_{name}", raising=False)
    # A busy machine is no outage.
    for client in (Bookholder, AsyncBookholder):
        monkeypatch.setitem(client.__init__.__kwdefaults__, "timeout", 10.0)
