"""Clients in a child of `fork`: locks may be held by threads that are not there, and threads are missing."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forked(Protocol):
    def _after_fork(self) -> None: ...


_clients: weakref.WeakSet[Forked] = weakref.WeakSet()


def register(client: Forked) -> None:
    """Has a client begin again in each child."""
    _clients.add(client)


def _begin_again() -> None:
    for client in list(_clients):
        client._after_fork()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_again)
