"""Where the node is: an argument, the environment, or the replica beside the application."""

from __future__ import annotations

import os
from typing import NamedTuple

# In containers, and where the packages for Linux put it.
REPLICA_SOCKETS = ("/run/bookholder/replica.sock", "/run/bookholder-replica/bookholder.sock")
REPLICA_URL = "http://127.0.0.1:7071"


class Address(NamedTuple):
    """A node: the path of a Unix socket, or a host and port."""

    socket: str | None
    host: str
    port: int
    tls: bool
    prefix: str

    @property
    def authority(self) -> str:
        """What the ``Host`` header says."""
        if self.socket is not None:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    def __str__(self) -> str:
        if self.socket is not None:
            return f"unix:{self.socket}"
        return f"{'https' if self.tls else 'http'}://{self.authority}{self.prefix}"


def find(url: str | None, socket: str | None) -> Address:
    """The node to ask.

    >>> str(find("https://prompts.example:8443/base/", None))
    'https://prompts.example:8443/base'
    >>> str(find(None, "/tmp/replica.sock"))
    'unix:/tmp/replica.sock'
    """
    if url is not None and socket is not None:
        raise ValueError("give either the address of a node or its socket, not both")
    if socket is not None:
        return Address(socket, "localhost", 0, False, "")
    if url is not None:
        return parse(url)
    if path := os.environ.get("BOOKHOLDER_SOCKET"):
        return Address(path, "localhost", 0, False, "")
    if address := os.environ.get("BOOKHOLDER_URL"):
        return parse(address)
    for path in REPLICA_SOCKETS:
        if os.path.exists(path):
            return Address(path, "localhost", 0, False, "")
    return parse(REPLICA_URL)


def parse(url: str) -> Address:
    """Reads ``http://host:port/prefix``, ``https://…`` or ``unix:/path``."""
    wrong = ValueError(f"invalid address `{url}`: use http://HOST:PORT, https://HOST or unix:PATH")
    if url.startswith("unix:"):
        path = url.removeprefix("unix:").removeprefix("//")
        if not path:
            raise wrong
        return Address(path, "localhost", 0, False, "")
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("http", "https"):
        raise wrong
    authority, slash, path = rest.partition("/")
    tls = scheme == "https"
    bracket = authority.rfind("]")
    host, colon, port = authority.rpartition(":") if authority.rfind(":") > bracket else (authority, "", "")
    host = host.removeprefix("[").removesuffix("]")
    if not host or "@" in authority or any(c in rest for c in "?# \r\n") or (colon and not port.isdecimal()):
        raise wrong
    number = int(port) if port else (443 if tls else 80)
    if not 0 < number < 65_536:
        raise wrong
    return Address(None, host, number, tls, (slash + path).rstrip("/"))
