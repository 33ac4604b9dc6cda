"""Blocking connections to the node: one for each thread and process, kept open."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakSet

from ._address import Address
from ._http import Closed, Reader, Reply, Unreachable, take_chunks

if TYPE_CHECKING:
    import ssl

_READ_BYTES = 65_536


def connect(address: Address, timeout: float, tls: ssl.SSLContext | None) -> socket.socket:
    """An open connection."""
    try:
        if address.socket is not None:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.settimeout(timeout)
                sock.connect(address.socket)
            except BaseException:
                sock.close()
                raise
            return sock
        sock = socket.create_connection((address.host, address.port), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not address.tls:
            return sock
        try:
            return tls_context(tls).wrap_socket(sock, server_hostname=address.host)
        except BaseException:
            sock.close()
            raise
    except TimeoutError:
        raise Unreachable(f"it did not accept a connection within {timeout:g} s") from None
    except OSError as error:
        raise Unreachable(f"cannot connect: {error.strerror or error}") from error


def tls_context(tls: ssl.SSLContext | None) -> ssl.SSLContext:
    """The given context, or the system's certificates."""
    if tls is None:
        import ssl  # Rarely needed, and slow to import.

        tls = ssl.create_default_context()
    return tls


class Connection:
    """One connection, for one request at a time."""

    __slots__ = ("__weakref__", "_sock", "pid", "used")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.pid = os.getpid()
        self.used = False

    def exchange(self, data: bytes, timeout: float) -> tuple[Reply, bool]:
        """Sends a request; its answer, and whether the connection can be used again."""
        sock, reader = self._sock, Reader()
        deadline = time.monotonic() + timeout
        try:
            sock.settimeout(timeout)
            sock.sendall(data)
            while True:
                piece = sock.recv(_READ_BYTES)
                if not piece:
                    return reader.end(), False
                reply = reader.feed(piece)
                if reply is not None:
                    self.used = True
                    return reply, reader.keep
                sock.settimeout(max(deadline - time.monotonic(), 0.001))
        except TimeoutError:
            raise Unreachable(f"it did not answer within {timeout:g} s") from None
        except (ConnectionResetError, BrokenPipeError, ConnectionAbortedError) as error:
            if reader.begun:
                raise Unreachable("it closed the connection in the middle of an answer") from error
            raise Closed("it closed the connection") from error
        except OSError as error:
            raise Unreachable(f"{error.strerror or error}") from error

    def close(self) -> None:
        with suppress(OSError):
            self._sock.close()

    def __del__(self) -> None:
        # With its thread or client; that is no mistake of the application.
        self.close()


class Connections:
    """The connections of a client to one node."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None) -> None:
        self.address = address
        self.tls = tls_context(tls) if address.tls else None
        self._own = threading.local()
        self._all: WeakSet[Connection] = WeakSet()

    def exchange(self, data: bytes, timeout: float) -> Reply:
        """Sends a request that may be sent twice, and returns the answer."""
        own: Connection | None = getattr(self._own, "connection", None)
        if own is not None and own.pid == os.getpid():
            try:
                return self._send(own, data, timeout)
            except Closed:
                # The node was restarted, or closed an idle connection, since the last request.
                if not own.used:
                    raise
        own = Connection(connect(self.address, timeout, self.tls))
        self._all.add(own)
        return self._send(own, data, timeout)

    def _send(self, connection: Connection, data: bytes, timeout: float) -> Reply:
        self._own.connection = None
        try:
            reply, keep = connection.exchange(data, timeout)
        except BaseException:
            # What arrives later would be taken for the next answer.
            connection.close()
            raise
        if keep:
            self._own.connection = connection
        else:
            connection.close()
        return reply

    def close(self) -> None:
        """Closes the connections of all threads."""
        self._own = threading.local()
        for connection in list(self._all):
            if connection.pid == os.getpid():
                connection.close()


def stream(sock: socket.socket, request: bytes) -> Iterator[bytes]:
    """Sends a request whose answer goes on and on; yields what arrives of its body."""
    sock.sendall(request)
    head = b""
    while b"\r\n\r\n" not in head:
        piece = sock.recv(_READ_BYTES)
        if not piece or len(head) > _READ_BYTES:
            raise Unreachable("it closed the connection")
        head += piece
    first, _, rest = head.partition(b"\r\n\r\n")
    status = first[9:12]
    if status != b"200":
        raise Unreachable(f"it answered with status {status.decode('ascii', 'replace')}")
    chunked = b"transfer-encoding: chunked" in first.lower()
    while True:
        if chunked:
            parts, complete, rest = take_chunks(rest)
            yield from parts
            if complete:
                return
        elif rest:
            yield rest
            rest = b""
        piece = sock.recv(_READ_BYTES)
        if not piece:
            return
        rest += piece
