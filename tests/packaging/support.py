"""Nodes as processes, and the files of packaging/."""

import importlib.machinery
import importlib.util
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PACKAGING = TOP / "packaging"
BINARY = Path(os.environ["BOOKHOLDER"])
TOKEN = "bh_packaging_0123456789abcdef01234567"
VERSION = re.search(r'^version = "(.+)"$', (TOP / "Cargo.toml").read_text(), re.M).group(1)
# Everything takes moments; machines in use for something else take longer.
PATIENCE_S = 120


def until(what, look, log=lambda: ""):
    """The first true answer of `look`."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {PATIENCE_S} s\n{log()}")


def run(*command, code=0, env=None, **options):
    """Runs a command to its end; it must exit with this code."""
    done = subprocess.run(
        [str(word) for word in command],
        env={**clean_environment(), **(env or {})}, text=True, capture_output=True, timeout=900, **options,
    )
    assert done.returncode == code, f"{command} exited with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def bookholder(*arguments, **options):
    return run(BINARY, *arguments, **options)


def clean_environment():
    """The environment without variables that are settings of the program, or of packaging/build."""
    own = ("BOOKHOLDER", "SIGNING_KEY", "RELEASE_URL", "INSTALL_URL", "QUICK", "DIST", "WITHOUT_NPM", "SOURCE_DATE_EPOCH")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}


def needs(tool):
    if shutil.which(tool) is None:
        pytest.skip(f"there is no {tool}")


def image_settings():
    """What the container image says of itself, read from packaging/Dockerfile as packaging/steps/image does."""
    return loaded("image").settings()


def loaded(step):
    """A step of packaging/ that is written in Python, as a module."""
    loader = importlib.machinery.SourceFileLoader(step, str(PACKAGING / "steps" / step))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(step, loader))
    loader.exec_module(module)
    return module


class Node:
    """A running node."""

    def __init__(self, process, data, log):
        self.process, self.data, self.log = process, data, log
        self.url = f"http://{(data / 'address').read_text().strip()}"

    @property
    def root_key(self):
        return json.loads(bookholder("keys", "show", "--json", "--data", self.data))["root_key"]

    def get(self, path, token=None):
        """Status and body."""
        request = urllib.request.Request(self.url + path)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def cli(self, *arguments, **options):
        environment = {"BOOKHOLDER_SERVER": self.url, "BOOKHOLDER_TOKEN": TOKEN, **options.pop("env", {})}
        return bookholder(*arguments, env=environment, **options)

    def publish(self, name, text, *more):
        return self.cli("publish", name, "--file", "-", "-m", "why", *(more or ("--label", "production")), input=text)

    def until_ready(self):
        until("the node is ready", lambda: self.get("/readyz")[0] == 200, self.log.read_text)
        return self

    def stop(self):
        """Ends it as its supervisor would; it must end well."""
        if self.process.poll() is None:
            self.process.terminate()
        assert self.process.wait(PATIENCE_S) == 0, self.log.read_text()


@contextmanager
def node(*arguments, env=None, data=None, binary=BINARY):
    """Starts the program with these arguments, and ends it. Its data directory and port are of the test's own."""
    with tempfile.TemporaryDirectory() as home:
        data = Path(data or Path(home) / "data")
        log = Path(home) / "log"
        chosen = {"BOOKHOLDER_DATA": str(data), "BOOKHOLDER_LISTEN": "127.0.0.1:0", **(env or {})}
        with open(log, "w") as out:
            process = subprocess.Popen(
                [str(binary), *arguments], env={**clean_environment(), **chosen}, stdout=out, stderr=out, cwd=home
            )
        try:
            look = lambda: (data / "address").exists() or process.poll() is not None
            until("it starts", look, log.read_text)
            assert process.poll() is None, f"{arguments} {chosen}:\n{log.read_text()}"
            yield Node(process, data, log)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(PATIENCE_S)


@contextmanager
def primary(**options):
    env = {"BOOKHOLDER_ADMIN_TOKEN": TOKEN, **options.pop("env", {})}
    with node("serve", env=env, **options) as started:
        yield started


@contextmanager
def replica(of, *arguments, **options):
    env = {
        "BOOKHOLDER_UPSTREAM": of.url, "BOOKHOLDER_ROOT_KEY": of.root_key, "BOOKHOLDER_UPSTREAM_TOKEN": TOKEN,
        **options.pop("env", {}),
    }
    with node("replica", *arguments, env=env, **options) as started:
        yield started
