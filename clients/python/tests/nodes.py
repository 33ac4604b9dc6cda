"""Real nodes for tests: processes of the program that ``BOOKHOLDER`` names, on free ports and in temporary folders."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import bookholder
from bookholder._address import parse
from bookholder._blocking import Connections
from bookholder._core import Core
from bookholder._http import Reply, Unreachable, quote, request

PROGRAM = os.environ.get("BOOKHOLDER", "bookholder")
TOKEN = "bh_python_0123456789abcdef01234567"
PATIENCE_S = 30.0

_T = TypeVar("_T")


def until(what: str, condition: Callable[[], _T]) -> _T:
    """Waits for a condition, and returns what it returned."""
    end = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.005)
    return value


class Node:
    """A node that can be killed and started again at the same address."""

    def __init__(self, folder: Path, *verb: str, tls: ssl.SSLContext | None = None) -> None:
        self.folder, self._verb, self.tls = folder, verb, tls
        self._listen = "127.0.0.1:0"
        # Paths of sockets are short.
        self.socket = str(folder.with_suffix(".sock"))
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        address = self.folder / "address"
        address.unlink(missing_ok=True)
        command = [PROGRAM, *self._verb, "--data", self.folder, "--listen", self._listen, "--socket", self.socket]
        environment = {**os.environ, "BOOKHOLDER_ADMIN_TOKEN": TOKEN}
        with open(self.folder.with_suffix(".log"), "ab") as log:
            self.process = subprocess.Popen(command, env=environment, stderr=log, stdout=log)
        until(f"the start of {self.folder.name}", lambda: address.exists() and address.read_text().strip())
        self._listen = address.read_text().strip()
        until(f"an answer of {self.folder.name}", self.is_ready)

    def is_ready(self) -> bool:
        assert self.process is None or self.process.poll() is None, self.folder.with_suffix(".log").read_text()
        try:
            return self.call("GET", "/readyz").status == 200
        except Unreachable:
            return False

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self._listen}"

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()

    def call(self, method: str, path: str, body: Any = None) -> Reply:
        core = Core(parse(self.url), token=TOKEN, baked=None, strict=False)
        encoded = None if body is None else json.dumps(body).encode()
        connections = Connections(core.address, self.tls)
        try:
            return connections.exchange(request(method.encode(), path.encode(), core.fixed, b"", encoded), 10)
        finally:
            connections.close()

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        reply = self.call(method, path, body)
        assert reply.status < 300, reply.body
        return reply.json()

    def publish(self, name: str, content: Any, *labels: str) -> int:
        """Publishes a text or a content, and returns the version."""
        content = {"text": content} if isinstance(content, str) else content
        path = f"/v1/prompts/{quote(name).decode().replace('/', '%2F')}/versions"
        body = {"content": content, "message": "why", "labels": list(labels or ("production",))}
        return int(self.ok("POST", path, body)["version"]["number"])

    def deploy(self, name: str, label: str = "production", **serving: Any) -> None:
        move = {"name": name, "label": label, "serving": serving}
        self.ok("POST", "/v1/deployments", {"moves": [move], "message": "why"})

    def run(self, *arguments: str) -> str:
        environment = {**os.environ, "BOOKHOLDER_TOKEN": TOKEN, "NO_COLOR": "1"}
        done = subprocess.run(
            [PROGRAM, *arguments, "--server", self.url], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def position(self) -> str:
        return str(self.ok("GET", "/v1/status")["position"])


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a program that uses the client."""
    environment = {**os.environ, "PYTHONPATH": str(Path(bookholder.__file__).parents[1])}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def primary(folder: Path, name: str = "primary") -> Node:
    return Node(folder / name, "serve")


def replica(of: Node, folder: Path, name: str = "replica") -> Node:
    keys = [PROGRAM, "keys", "show", "--json", "--data", str(of.folder)]
    root = json.loads(subprocess.run(keys, capture_output=True, check=True).stdout)["root_key"]
    return Node(folder / name, "replica", "--root-key", root, "--upstream", of.url)
