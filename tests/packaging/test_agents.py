"""What coding agents are told, and commands in comments: true, and each command runs."""

import os
import re
import shlex
import subprocess

import pytest
import yaml

from support import BINARY, PACKAGING, TOKEN, TOP, clean_environment, replica, run

SKILL = (PACKAGING / "skill" / "SKILL.md").read_text()


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def test_skill_has_the_front_matter_of_its_format():
    _nothing, front, body = SKILL.split("---\n", 2)
    said = yaml.safe_load(front)
    assert set(said) == {"name", "description", "license", "compatibility"}
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", said["name"]) and len(said["name"]) <= 64
    assert 1 <= len(said["description"]) <= 1024 and len(said["compatibility"]) <= 500
    assert len(body.splitlines()) < 500


def test_every_command_of_the_skill_runs_in_order(primary, tmp_path):
    primary.publish("support/agent", "The first text.")
    path = tmp_path / "bin"
    path.mkdir()
    (path / "bookholder").symlink_to(BINARY)
    environment = {
        **clean_environment(), "BOOKHOLDER_SERVER": primary.url, "BOOKHOLDER_TOKEN": TOKEN, "PATH": f"{path}:{os.environ['PATH']}",
    }
    scripts = blocks(SKILL, "sh")
    assert len(scripts) >= 6
    for script in scripts:
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], env=environment, cwd=tmp_path, text=True,
                              capture_output=True, timeout=300)
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    assert "You help the customers of Globe." in primary.cli("get", "support/agent@staging", "--var", "shop=Globe")
    assert (tmp_path / "baked" / "support" / "agent.prompt").exists()
    # The code, with the client of this repository.
    with replica(primary) as beside:
        beside.until_ready()
        (code,) = blocks(SKILL, "python")
        code += "\nassert messages[0]['content'].strip() == 'You help the customers of Globe.', messages\nassert stamp == p.stamp\n"
        client = TOP / "clients" / "python" / "src"
        run("python3", "-c", code, env={"BOOKHOLDER_URL": beside.url, "PYTHONPATH": str(client)})


def test_llms_txt_lists_every_page_once_and_its_links_lead_somewhere():
    text = (TOP / "docs" / "llms.txt").read_text()
    assert text.startswith("# Bookholder\n\n> ")
    links = re.findall(r"^- \[[^\]]+\]\(([^)]+)\): \S", text, re.M)
    assert len(set(links)) == len(links) > 30
    for link in links:
        assert (TOP / "docs" / link).exists(), link
    pages = re.findall(r"^- \[[^\]]+\]\(([^)]+)\)", (TOP / "docs" / "SUMMARY.md").read_text(), re.M)
    assert set(pages) <= set(links)


def test_every_command_and_path_of_agents_md_is_there():
    text = (TOP / "AGENTS.md").read_text()
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (TOP / link).exists(), link
    for path in re.findall(r"`(\S+/\S*|\.ci/run)`", text):
        assert (TOP / path).exists(), path
    commands = [line for block in blocks(text, "sh") for line in block.splitlines()]
    assert len(commands) == 4
    for command in commands:
        words = shlex.split(command)
        if "--test" in words:
            name = words[words.index("--test") + 1]
            assert (TOP / "tests" / f"{name}.rs").exists() or (TOP / "tests" / name / "main.rs").exists(), command


@pytest.mark.skipif("CI_CLONE" not in os.environ, reason="they compile everything; CI has")
def test_every_command_of_agents_md_runs():
    for block in blocks((TOP / "AGENTS.md").read_text(), "sh"):
        for command in block.splitlines():
            done = subprocess.run(shlex.split(command), cwd=TOP, text=True, capture_output=True, env=clean_environment())
            assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"


# Where files tell people to run the program in a container.
TOLD = [
    PACKAGING / "Dockerfile", PACKAGING / "compose" / "compose.yaml", PACKAGING / "kubernetes" / "primary.yaml",
    PACKAGING / "kubernetes" / "sidecar.yaml", PACKAGING / "helm" / "bookholder" / "templates" / "NOTES.txt",
    TOP / "docs" / "operations" / "containers.md",
]


def test_commands_to_run_in_a_container_are_ones_that_the_program_takes(tmp_path):
    """Each is run without a node: what the program does not take, it refuses with its usage."""
    found = []
    for path in TOLD:
        text = re.sub(r"\\\n#? *", "", path.read_text())
        for command in re.findall(r"(?: /|\$\()bookholder ([^|)\n]+)", text):
            words = shlex.split(re.split(r"  |\)\"", command)[0])
            found.append(words)
            done = subprocess.run([BINARY, *words], env={**clean_environment(), "BOOKHOLDER_SERVER": "http://127.0.0.1:1"},
                                  input="x", text=True, capture_output=True, timeout=60, cwd=tmp_path)
            assert "Usage:" not in done.stderr, (path, words, done.stderr)
    assert len(found) >= 6 and ["keys", "show", "--data", "/data", "--json"] in found, found
