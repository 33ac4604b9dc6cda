"""The examples, as their README tells to run them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import nodes
import pytest
from model import Model

EXAMPLES = Path(__file__).resolve().parents[2] / "clients/examples"
QUESTION = "Where is my order?"
SYSTEM = "You help the customers of Globe. Never promise a refund."
ANSWER = f"system: {SYSTEM} | user: {QUESTION}"


class World:
    """A primary with the prompts of the examples, a replica beside it, and a model."""

    def __init__(self, folder: Path, model: Model) -> None:
        self.folder, self.model = folder, model
        self.primary = nodes.primary(folder)
        # A copy, because pushing writes the lock file.
        prompts = shutil.copytree(EXAMPLES / "prompts", folder / "prompts")
        self.primary.run("push", str(prompts), "-m", "examples", "--label", "production")
        self.replica = nodes.replica(self.primary, folder)
        self.follow()
        ours = {"BOOKHOLDER_SOCKET": self.replica.socket, "BOOKHOLDER_URL": self.replica.url}
        theirs = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "sk-test", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        program = f"{Path(nodes.PROGRAM).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, **ours, **theirs, "PATH": program}

    def follow(self) -> None:
        there = self.primary.position()
        here = lambda: httpx.get(f"{self.replica.url}/v1/status").json()["position"]  # noqa: E731
        nodes.until("the replica follows", lambda: here() == there)

    def run(self, *command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        environment = {**self.environment, **options.pop("env", {})}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, **options)

    def output(self, *command: str | Path, **options: Any) -> str:
        done = self.run(*command, **options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def recorded(self, response_id: str) -> dict[str, Any]:
        """What the primary knows of a response, once the replica has passed it on."""

        def look() -> Any:
            reply = self.primary.call("GET", f"/v1/responses/{response_id}")
            return reply.json()["responses"][0] if reply.status == 200 else None

        return nodes.until(f"the record of {response_id}", look)

    @contextmanager
    def service(self, *command: str | Path, cwd: Path) -> Iterator[Path]:
        """A service while it is used, and where its log is."""
        log = self.folder / "service.log"
        with open(log, "wb") as out:
            process = subprocess.Popen(command, env=self.environment, cwd=cwd, stdout=out, stderr=out)
        try:
            yield log
        finally:
            process.terminate()
            process.wait()


@pytest.fixture
def world() -> Iterator[World]:
    folder = Path(tempfile.mkdtemp(prefix="bh-"))
    with Model() as model:
        world = World(folder, model)
        yield world
        world.replica.stop()
        world.primary.stop()
    shutil.rmtree(folder)


def completion_id(world: World) -> str:
    from model import completion

    return str(completion(world.model.requests[-1])["id"])


def answers_follow_the_registry(world: World, ask: Any) -> None:
    """A service answers, with the version that is live, and with the last one when the replica is away."""
    first = ask()
    assert (first["text"], first["source"]) == (ANSWER, "replica")
    assert first["stamp"].startswith("support/agent@1+")
    request = world.model.requests[-1]
    assert (request["model"], request["temperature"]) == ("gpt-4o-mini", 0.2)
    recorded = world.recorded(first["id"])
    assert recorded["version"]["stamp"] == first["stamp"], recorded
    prompt = (EXAMPLES / "prompts/support/agent.prompt").read_text()
    edited = world.folder / "agent.prompt"
    edited.write_text(prompt.replace("Never promise", "Be brief. Never promise"))
    world.primary.run("publish", "support/agent", "--file", str(edited), "-m", "brief", "--label", "production")
    world.follow()
    assert "Be brief." in ask()["text"]
    world.primary.run("rollback", "support/agent", "--label", "production", "-m", "too short")
    world.follow()
    assert ask()["stamp"] == first["stamp"]
    world.replica.kill()
    last = ask()
    assert (last["text"], last["stamp"], last["source"]) == (ANSWER, first["stamp"], "memory")


def test_fastapi(world: World) -> None:
    socket = world.folder / "app.sock"
    command = (sys.executable, "-m", "uvicorn", "app:app", "--uds", str(socket))
    with (
        world.service(*command, cwd=EXAMPLES / "fastapi") as log,
        httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://app", timeout=30) as client,
    ):
        nodes.until("the start of the service", lambda: socket.exists() or log.read_text().find("Error") > 0)

        def ask() -> Any:
            reply = client.post("/answers", json={"customer": "user-17", "text": QUESTION})
            assert reply.status_code == 200, log.read_text()
            return reply.json()

        rated = ask()["id"]
        assert client.post(f"/answers/{rated}/thumbs", json={"up": True}).status_code == 204
        nodes.until("the score", lambda: world.recorded(rated)["scores"])
        answers_follow_the_registry(world, ask)


def test_nextjs(world: World) -> None:
    app = Path(os.environ["NEXTJS"])
    # It builds without knowing a node or a key.
    bare = dict.fromkeys(("BOOKHOLDER_SOCKET", "BOOKHOLDER_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL"), "")
    world.output("npm", "run", "build", cwd=app, env=bare)
    with world.service("node", "node_modules/next/dist/bin/next", "start", "--port", "0", cwd=app) as log:
        address = r"http://localhost:(\d+)"
        port = nodes.until("the start of the service", lambda: re.search(address, log.read_text()))[1]

        def ask() -> Any:
            question = {"customer": "user-17", "text": QUESTION}
            reply = httpx.post(f"http://localhost:{port}/answer", json=question, timeout=30)
            assert reply.status_code == 200, log.read_text()
            return reply.json()

        answers_follow_the_registry(world, ask)


@pytest.mark.parametrize("library", ["litellm", "langchain"])
def test_library(world: World, library: str) -> None:
    command = (sys.executable, str(EXAMPLES / library / "answer.py"), QUESTION)
    assert world.output(*command) == f"{ANSWER}\n"
    request = world.model.requests[-1]
    assert (request["model"], request["temperature"]) == ("gpt-4o-mini", 0.2)
    recorded = world.recorded(completion_id(world))
    assert recorded["version"]["stamp"].startswith("support/agent@1+"), recorded
    assert recorded["output_tokens"] == 7
    # The wheel of prompts that the application ships answers a first start without a node.
    world.primary.run("pull", "--label", "production", "--out", str(world.folder / "shipped"), "--inline")
    world.replica.kill()
    done = world.run(*command, env={"BOOKHOLDER_BAKED": str(world.folder / "shipped")})
    assert (done.returncode, done.stdout) == (0, f"{ANSWER}\n"), done.stderr
    assert "using baked prompts" in done.stderr


@pytest.mark.skipif(shutil.which("go") is None, reason="there is no Go")
def test_cron_job_in_go(world: World) -> None:
    job = world.folder / "nightly"
    environment = {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOCACHE": str(world.folder / "go"), "CGO_ENABLED": "0"}
    world.output("go", "build", "-o", job, ".", cwd=EXAMPLES / "cron", env=environment)
    said = world.output(job, input="orders 120\nrefunds 31\n")
    assert "user: orders 120\nrefunds 31" in said
    stamp = re.search(r"\((reports/nightly@1\+[0-9a-f]{12})\)\n$", said)
    assert stamp, said
    assert world.recorded(completion_id(world))["version"]["stamp"] == stamp[1]
    # A prompt that does not exist is an error at once, and says so.
    world.primary.run("remove", "reports/nightly", "-m", "not needed", "--yes")
    world.follow()
    done = world.run(job, input="")
    assert done.returncode == 1
    assert "410 Gone" in done.stderr


def test_plant_without_a_network(world: World) -> None:
    stick, inbox, data = (world.folder / name for name in ("stick", "inbox", "plant"))
    (stick / "bundles").mkdir(parents=True)
    inbox.mkdir()
    root = json.loads(world.output(nodes.PROGRAM, "keys", "show", "--json", "--data", world.primary.folder))
    there = {"DATA": str(data), "INBOX": str(inbox), "PLANT": "plant-7", "ROOT_KEY": root["root_key"]}
    take = (EXAMPLES / "plant/take-stick", stick)
    done = world.run(*take, env=there)
    assert (done.returncode, "there is no bundle" in done.stderr) == (1, True)

    world.primary.run("bundle", "export", str(stick / "bundles/2026-03-20"))
    world.output(*take, env=there)
    plant = nodes.Node(data, "replica", "--inbox", str(inbox))
    try:
        here = {"BOOKHOLDER_SOCKET": plant.socket}
        command = (sys.executable, str(EXAMPLES / "plant/advise.py"), "Pump 7 is hot")
        said = world.output(*command, env=here)
        assert "user: Pump 7 is hot\n(plant/advisor@1+" in said, said

        better = world.folder / "advisor.prompt"
        better.write_text((EXAMPLES / "prompts/plant/advisor.prompt").read_text().replace("a plant", "plant 7"))
        world.primary.run("publish", "plant/advisor", "--file", str(better), "-m", "7", "--label", "production")
        world.primary.run("bundle", "export", str(stick / "bundles/2026-03-27"))
        world.output(*take, env=there)
        nodes.until("version 2 in the plant", lambda: "plant/advisor@2+" in world.output(*command, env=here))
    finally:
        plant.stop()
    # Home again, with what was reported before the second bundle came.
    key = json.loads(
        world.output(nodes.PROGRAM, "telemetry", "export", world.folder / "last.telemetry", "--data", data, "--json")
    )
    reports = str(stick / "reports/plant-7.telemetry")
    world.primary.run("telemetry", "import", reports, "--trust", key["header"]["key"])
    assert "plant/advisor" in world.primary.run("stats", "plant/advisor")
