"""install.sh, in two shells, from a release on this machine: it checks what it gets, and changes one file."""

import http.server
import os
import shutil
import subprocess
import threading

import pytest
import yaml

from support import PACKAGING, VERSION, clean_environment, needs, run
from test_release import NAME, dist, key  # noqa: F401, fixtures

SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]


@pytest.fixture(scope="module")
def release(dist, tmp_path_factory):  # noqa: F811
    """The files, where a test may change some."""
    folder = tmp_path_factory.mktemp("served")
    for path in dist.iterdir():
        if path.suffix not in (".deb", ".rpm", ".tar") and path.is_file():
            shutil.copy(path, folder)
    return folder


@pytest.fixture
def url(release):
    class Files(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=release)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def install(release, url, home, *arguments, shell="dash", code=0, path=None):
    environment = {**clean_environment(), "HOME": str(home), "INSTALL_URL": url}
    if path:
        environment["PATH"] = path
    done = subprocess.run([shutil.which(shell), release / "install.sh", *arguments], env=environment, text=True, capture_output=True, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_scripts_are_posix_and_clean():
    posix = [PACKAGING / "install.sh", *(PACKAGING / "linux").glob("*-*e*")]
    bash = [PACKAGING / "build", PACKAGING.parent / "tests" / "packaging" / "run"]
    for path in (PACKAGING / "steps").iterdir():
        first = path.read_text().splitlines()[0]
        posix += [path] if first == "#!/bin/sh" else []
        assert os.access(path, os.X_OK), path
    assert len(posix) >= 9
    run("shellcheck", "--shell=sh", *posix)
    run("shellcheck", "--shell=bash", *bash)
    for path in posix:
        run("dash", "-n", path)


@pytest.mark.parametrize("shell", SHELLS)
def test_program_is_installed_for_the_user_and_runs(release, url, tmp_path, shell):
    said = install(release, url, tmp_path, shell=shell)
    assert f"installed bookholder {VERSION} in {tmp_path}/.local/bin" in said and "to your PATH" in said
    assert run(tmp_path / ".local" / "bin" / "bookholder", "--version") == f"bookholder {VERSION}\n"
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()] == [".local/bin/bookholder"]
    again = install(release, url, tmp_path, "--to", str(tmp_path / "bin"), shell=shell, path=f"{tmp_path}/bin:{os.environ['PATH']}")
    assert "next: bookholder demo" in again


def test_release_on_a_stick_needs_no_network(release, tmp_path):
    install(release, f"file://{release}", tmp_path)
    assert (tmp_path / ".local" / "bin" / "bookholder").stat().st_mode & 0o777 == 0o755


def test_action_installs_the_version_of_its_own_tag(release, tmp_path):
    """Its step, with the values that GitHub would fill in."""
    step = yaml.safe_load((PACKAGING / "action" / "action.yml").read_text())["runs"]["steps"][0]
    assert step["if"] == "${{ inputs.program == '' }}" and set(step["env"]) == {"URL", "REPOSITORY", "ACTION"}
    (tmp_path / "releases" / "download").mkdir(parents=True)
    (tmp_path / "releases" / "download" / f"v{VERSION}").symlink_to(release)
    for given in ({"URL": f"file://{release}"}, {"URL": "", "REPOSITORY": f"file://{tmp_path}"}):
        env = {"RUNNER_TEMP": str(tmp_path), "ACTION": str(PACKAGING / "action"), "REPOSITORY": "none", **given}
        run("dash", "-e", "-c", step["run"], env=env)
        assert run(tmp_path / "bookholder" / "bookholder", "--version") == f"bookholder {VERSION}\n"
        (tmp_path / "bookholder" / "bookholder").unlink()


def test_wget_does_where_there_is_no_curl(release, url, tmp_path):
    needs("wget")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("wget", "uname", "mktemp", "rm", "sed", "cut", "sha256sum", "tar", "gzip", "mkdir", "cp", "chmod", "mv"):
        (tools / name).symlink_to(shutil.which(name))
    install(release, url, tmp_path / "home", path=str(tools))
    (tools / "wget").unlink()
    assert "curl or wget is needed" in install(release, url, tmp_path / "other", path=str(tools), code=1)


@pytest.mark.parametrize("system, processor, said", [
    ("Linux", "arm64", f"SHA256SUMS does not list bookholder-{VERSION}-aarch64-unknown-linux-gnu.tar.gz"),
    ("Darwin", "arm64", f"SHA256SUMS does not list bookholder-{VERSION}-aarch64-apple-darwin.tar.gz"),
    ("Darwin", "x86_64", "there is no build for Darwin on x86_64"),
    ("Linux", "riscv64", "there is no build for Linux on riscv64"),
])
def test_archive_is_that_of_the_machine(release, tmp_path, system, processor, said):
    served = tmp_path / "served"
    served.mkdir()
    (served / "SHA256SUMS").write_text("")
    for target in ("aarch64-unknown-linux-gnu", "aarch64-apple-darwin"):
        (served / f"bookholder-{VERSION}-{target}.tar.gz").write_text("")
    uname = tmp_path / "bin" / "uname"
    uname.parent.mkdir()
    uname.write_text(f'#!/bin/sh\n[ "$1" = -s ] && echo {system} || echo {processor}\n')
    uname.chmod(0o755)
    path = f"{uname.parent}:{os.environ['PATH']}"
    assert said in install(release, f"file://{served}", tmp_path / "home", path=path, code=1)


def test_changed_archive_is_refused_and_the_installed_program_stays(release, url, tmp_path):
    install(release, url, tmp_path)
    installed = tmp_path / ".local" / "bin" / "bookholder"
    installed.write_text("#!/bin/sh\necho mine\n")
    archive = release / f"{NAME}.tar.gz"
    good = archive.read_bytes()
    try:
        archive.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        assert "it was changed, or cut off" in install(release, url, tmp_path, code=1)
        archive.write_bytes(good[: len(good) // 2])
        assert "it was changed, or cut off" in install(release, url, tmp_path, code=1)
    finally:
        archive.write_bytes(good)
    assert run(installed) == "mine\n"
    assert os.listdir(installed.parent) == ["bookholder"]


def test_signature_is_checked_if_keys_are_given(release, url, tmp_path, key):  # noqa: F811
    install(release, url, tmp_path, "--signers", str(key / "signers"))
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other")
    (tmp_path / "signers").write_text("release " + (tmp_path / "other.pub").read_text())
    refused = install(release, url, tmp_path / "home", "--signers", str(tmp_path / "signers"), code=1)
    assert "the signature of SHA256SUMS is not of a key" in refused and not (tmp_path / "home").exists()


@pytest.mark.parametrize("arguments, said", [
    (["--version", "9.9.9"], "cannot get http"),
    (["--version", "1;x"], 'invalid version "1;x": write it as 0.1.0'),
    (["--to"], "--to needs a value"),
    (["--frobnicate"], "unknown option: --frobnicate"),
])
def test_mistakes_are_named(release, url, tmp_path, arguments, said):
    assert said in install(release, url, tmp_path, *arguments, code=1)
    assert not (tmp_path / ".local").exists()


def test_no_address_is_an_error_and_help_says_how(release, tmp_path):
    assert "set INSTALL_URL" in install(release, "nowhere", tmp_path, code=1)
    assert f"cannot get file:///releases/v{VERSION}/{NAME}.tar.gz" in install(release, "", tmp_path, code=1)
    assert "--signers FILE" in install(release, "file:///", tmp_path, "--help")
    assert "INSTALL_URL" in install(release, "file:///", tmp_path, "--help")
