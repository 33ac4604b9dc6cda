"""The wheel of a release, installed as users do it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bookholder import Bookholder
from nodes import PROGRAM, Node, until

Start = Callable[..., Node]

HERE = Path(__file__).parents[1]
# Five lines of an application.
APPLICATION = """
    from bookholder import Bookholder
    bh = Bookholder()
    p = bh.prompt("support/agent", fallback="Hello from {{shop}}")
    print(p.source, p.text(shop="Globe"))
"""


CRATE = """
    [package]
    name = "bookholder"
    version = "0.1.0"
    edition = "2024"
    [profile.dist]
    inherits = "release"
"""


@pytest.mark.skipif(not shutil.which("maturin") or not shutil.which("cargo"), reason="needs maturin and cargo")
def test_wheel_made_by_maturin_has_the_same_files(folder: Path) -> None:
    # Beside a program that compiles at once.
    client = folder / "clients" / "python"
    shutil.copytree(HERE, client)
    (folder / "src").mkdir()
    (folder / "src" / "main.rs").write_text("fn main() {}")
    (folder / "Cargo.toml").write_text(textwrap.dedent(CRATE))
    environment = {**os.environ, "CARGO_TARGET_DIR": str(folder / "target")}
    for command in (["cargo", "generate-lockfile", "-q", "--offline"], ["maturin", "build", "-q", "--out", "dist"]):
        subprocess.run(command, check=True, cwd=client if command[0] == "maturin" else folder, env=environment)
    ours = [
        sys.executable,
        str(HERE / "build-wheel"),
        "--out",
        str(folder / "ours"),
        f"linux-x64={client / 'README.md'}",
    ]
    subprocess.run(ours, check=True)

    def names(wheels: Path) -> set[str]:
        (wheel,) = wheels.iterdir()
        with zipfile.ZipFile(wheel) as files:
            return {name for name in files.namelist() if "/licenses/" not in name and "/sboms/" not in name}

    assert names(client / "dist") == names(folder / "ours")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment with nothing but the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, HERE / "build-wheel", "--out", folder / "dist", f"linux-x64={PROGRAM}"]
    # Debug programs are large.
    subprocess.run(command, check=True, env={**os.environ, "COMPRESSION": "0"})
    (wheel,) = (folder / "dist").iterdir()
    assert wheel.name.startswith("bookholder-0.1.0-py3-none-manylinux_2_17_x86_64.")
    with zipfile.ZipFile(wheel) as files:
        names = files.namelist()
    assert "bookholder/py.typed" in names
    assert not [name for name in names if "__pycache__" in name or "test" in name]
    venv.create(folder / "venv", with_pip=True)
    pip = [folder / "venv/bin/pip", "install", "-q", "--disable-pip-version-check", "--no-index", wheel]
    subprocess.run(pip, check=True)
    return folder / "venv" / "bin"


def run(installed: Path, *command: str, **environment: str) -> str:
    """Runs a command of the environment, with nothing of this repository in reach."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("BOOKHOLDER", "PYTHON"))}
    done = subprocess.run(
        [installed / command[0], *command[1:]],
        env={**clean, **environment},
        cwd=installed,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_wheel_puts_the_program_on_the_path(installed: Path) -> None:
    assert run(installed, "bookholder", "--version") == "bookholder 0.1.0"
    assert "never stopped answering" in run(installed, "bookholder", "demo")
    assert run(installed, "python", "-c", "import bookholder; print(bookholder.__version__)") == "0.1.0"


def test_five_lines_get_answers_from_node_and_pulled_files(installed: Path, start: Start, folder: Path) -> None:
    node = start()
    node.publish("support/agent", "You help {{shop}}.")
    baked = folder / "prompts"

    def application(**environment: str) -> str:
        environment = {"BOOKHOLDER_SOCKET": node.socket, **environment}
        return run(installed, "python", "-c", textwrap.dedent(APPLICATION), **environment)

    assert application() == "replica You help Globe."
    pull = ["pull", "--label", "production", "--out", str(baked), "--inline", "--server", node.url]
    run(installed, "bookholder", *pull)
    node.kill()
    assert application() == "fallback Hello from Globe"
    assert application(BOOKHOLDER_BAKED=str(baked)) == "baked You help Globe."
    node.start()
    node.publish("support/agent", "You help {{shop}} better.")
    assert application(BOOKHOLDER_BAKED=str(baked)) == "replica You help Globe better."


# Applications that ask whenever they are told to.
LONG_RUNNING = {
    "blocking": """
        import sys
        from bookholder import Bookholder
        bh = Bookholder(timeout=10)
        for line in sys.stdin:
            p = bh.prompt("support/agent")
            print(p.source, p.text(shop="Globe"), flush=True)
    """,
    "asyncio": """
        import asyncio, sys
        from bookholder import AsyncBookholder
        async def main():
            async with AsyncBookholder(timeout=10) as bh:
                while await asyncio.to_thread(sys.stdin.readline):
                    p = await bh.prompt("support/agent")
                    print(p.source, await p.text(shop="Globe"), flush=True)
        asyncio.run(main())
    """,
}


def test_applications_live_through_the_end_of_both_nodes(installed: Path, start: Start, folder: Path) -> None:
    primary = start()
    primary.publish("support/agent", "You help {{shop}}.")
    beside = start(primary)
    client = Bookholder(beside.url)
    until("the prompt on the replica", lambda: client.prompt("support/agent", fallback="").version)
    baked = folder / "prompts"
    run(
        installed,
        "bookholder",
        "pull",
        "--label",
        "production",
        "--out",
        str(baked),
        "--inline",
        "--server",
        primary.url,
    )
    running: list[subprocess.Popen[str]] = []

    def begin() -> None:
        for text in LONG_RUNNING.values():
            for place in ({"BOOKHOLDER_SOCKET": beside.socket}, {"BOOKHOLDER_URL": beside.url}):
                environment = {"PATH": os.environ["PATH"], "BOOKHOLDER_BAKED": str(baked), **place}
                command = [installed / "python", "-c", textwrap.dedent(text)]
                running.append(
                    subprocess.Popen(
                        command,
                        env=environment,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        text=True,
                        cwd=installed,
                    )
                )

    def answers() -> list[str]:
        for application in running:
            assert application.stdin is not None
            application.stdin.write("\n")
            application.stdin.flush()
        return [application.stdout.readline().strip() for application in running if application.stdout]

    try:
        begin()
        assert answers() == ["replica You help Globe."] * 4
        primary.kill()
        assert answers() == ["replica You help Globe."] * 4
        beside.kill()
        assert answers() == ["memory You help Globe."] * 4
        begin()
        assert answers() == ["memory You help Globe."] * 4 + ["baked You help Globe."] * 4
        primary.start()
        primary.publish("support/agent", "You help {{shop}} better.")
        beside.start()
        until("the newest version", lambda: client.prompt("support/agent").version == 2)
        assert answers() == ["replica You help Globe better."] * 8
    finally:
        for application in running:
            with application:
                application.terminate()
