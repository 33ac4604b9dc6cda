"""The container image: its root filesystem, laid out by the script of the Dockerfile, runs as an engine runs it: as the
image's user, read-only, without /tmp, /proc or anything else that is not in it, but for the devices of random numbers,
which every engine provides and a static program reads."""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import textwrap

import pytest

from support import BINARY, PACKAGING, TOKEN, TOP, image_settings, run

IMAGE = image_settings()
HEALTH = IMAGE["Healthcheck"]["Test"][1:]
DEVICES = ["dev/random", "dev/urandom"]
# A new network has its loopback down: SIOCSIFFLAGS with IFF_UP.
LOOPBACK_UP = 'import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 1))'


def lay_out(folder, binary=BINARY):
    run(PACKAGING / "steps" / "rootfs", binary, folder, env={"SOURCE_DATE_EPOCH": "1700000000"})
    return folder


def digest(folder):
    """Of everything in a folder: paths, kinds, modes, owners, times, contents."""
    pack = subprocess.run(["tar", "--sort=name", "-C", str(folder), "-cf", "-", "."], capture_output=True, check=True)
    return hashlib.sha256(pack.stdout).hexdigest()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The root filesystem; a dynamically linked program, as of a debug build, gets its libraries."""
    folder = lay_out(tmp_path_factory.mktemp("root") / "fs")
    linked = subprocess.run(["ldd", str(BINARY)], text=True, capture_output=True)
    for word in linked.stdout.split() if linked.returncode == 0 else []:
        if word.startswith("/"):
            target = folder / word.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(word, target)
    (folder / "dev").mkdir()
    for device in DEVICES:
        (folder / device).touch()
    return folder


def contained(root, script):
    """Runs a script of steps in the container: `IN command…` is a process in it."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        pytest.skip("mounting needs root")
    environment = " ".join(f"'{pair}'" for pair in IMAGE["Env"])
    prologue = f"""
        set -eu
        mount --make-rprivate /
        mount --bind {root} {root}
        mount -o remount,bind,ro {root}
        for device in {" ".join(DEVICES)}; do mount --bind /$device {root}/$device; done
        mount -t tmpfs -o mode=0700,uid=65532,gid=65532 tmpfs {root}/data
        # In the background the shell becomes the process, so that it gets the signals.
        START() {{ exec env -i {environment} $WITH /usr/sbin/chroot --userspec={IMAGE["User"]} {root} "$@"; }}
        IN() {{ (START "$@"); }}
        WITH=
        ready() {{ for _ in $(seq 1000); do IN {' '.join(HEALTH)} > /dev/null 2>&1 && return; sleep 0.1; done; return 1; }}
    """
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-c",
         f"{sys.executable} -c '{LOOPBACK_UP}'\n" + textwrap.dedent(prologue) + textwrap.dedent(script)],
        text=True, capture_output=True, timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_image_is_empty_but_for_the_program_and_does_not_run_as_root():
    assert (PACKAGING / "Dockerfile").read_text().count("\nFROM scratch\n") == 1
    assert IMAGE["User"] == "65532:65532"
    assert list(IMAGE["Volumes"]) == ["/data"]
    assert HEALTH == ["/bookholder", "status", "--ready"]
    assert IMAGE["StopSignal"] == "SIGTERM"


def test_dockerfile_passes_its_linter_and_calls_the_steps():
    run("hadolint", PACKAGING / "Dockerfile")
    text = (PACKAGING / "Dockerfile").read_text()
    called = set(re.findall(r"packaging/steps/[a-z]+", text))
    assert called == {"packaging/steps/rootfs", "packaging/steps/compile"}
    assert all((TOP / step).exists() for step in called)


@pytest.mark.parametrize("target, expected", [
    ("x86_64-unknown-linux-gnu", {"JEMALLOC_SYS_WITH_LG_PAGE": None}),
    ("aarch64-unknown-linux-gnu", {"JEMALLOC_SYS_WITH_LG_PAGE": "16"}),
    ("aarch64-apple-darwin", {"JEMALLOC_SYS_WITH_LG_PAGE": None, "MACOSX_DEPLOYMENT_TARGET": "11.0"}),
])
def test_program_is_compiled_statically_without_paths_of_this_machine(tmp_path, target, expected):
    """With a compiler that writes down what it is asked for."""
    cargo = tmp_path / "cargo"
    cargo.write_text('#!/bin/sh\necho "$@" > "$ASKED"\nenv >> "$ASKED"\necho compiling\n')
    cargo.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "ASKED": str(tmp_path / "asked"), "CARGO_TARGET_DIR": "/built", "CARGO_HOME": "/home/cargo"}
    assert run(PACKAGING / "steps" / "compile", target, env=env) == f"/built/{target}/dist/bookholder\n"
    command, *lines = (tmp_path / "asked").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if "=" in line)
    assert command == f"build --locked --profile dist --target {target}"
    assert ("+crt-static" in given["RUSTFLAGS"]) == ("linux" in target)
    for flags in (given["RUSTFLAGS"], given["CFLAGS"]):
        assert f"{TOP}=bookholder" in flags and "/home/cargo=cargo" in flags
    assert {name: given.get(name) for name in expected} == expected


def test_root_filesystem_has_the_program_its_licences_and_one_writable_folder(tmp_path):
    folder = lay_out(tmp_path / "fs")
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    assert found == [
        "bookholder", "data", "etc", "etc/group", "etc/passwd", "licenses", "licenses/LICENSE-APACHE",
        "licenses/LICENSE-MIT",
    ]


def test_same_program_gives_the_same_bytes(tmp_path):
    first, second = (digest(lay_out(tmp_path / name)) for name in "ab")
    assert first == second
    (tmp_path / "b" / "etc" / "group").touch()
    assert digest(tmp_path / "b") != first


def test_primary_starts_read_only_without_tmp_becomes_healthy_and_ends_on_sigterm(root):
    command = " ".join(IMAGE["Entrypoint"] + IMAGE["Cmd"])
    said = contained(root, f"""
        START {command} 2> /dev/null &
        node=$!
        ready
        IN /bookholder status --ready
        IN /bookholder keys show --data /data | head -1
        test "$(stat -c %u:%a {root}/data/admin-token)" = 65532:600
        kill $node
        wait $node && echo ended well
    """)
    assert said.splitlines()[0] == "ready" and "registry" in said and said.endswith("ended well\n"), said


def test_replica_open_to_other_machines_is_refused_unless_asked_for(root):
    said = contained(root, """
        set +e
        IN /bookholder replica --upstream http://primary:7070 2>&1
        echo exit $?
    """)
    assert "without TLS" in said and said.endswith("exit 2\n"), said


def test_verbs_that_write_files_need_no_tmp(root):
    said = contained(root, f"""
        WITH='BOOKHOLDER_ADMIN_TOKEN={TOKEN} BOOKHOLDER_TOKEN={TOKEN}'
        START /bookholder serve --insecure 2> /dev/null &
        ready
        echo 'Hello' | IN /bookholder publish a --file - -m why --label production
        IN /bookholder pull --label production --out /data/prompts
        IN /bookholder backup /data/all.backup
        IN /bookholder bundle export /data/monday
        IN /bookholder report --from 2026-01-01 --out /data/report.html
        IN /bookholder demo > /dev/null
        kill $!
        echo done
    """)
    assert said.endswith("done\n"), said


def test_image_file_has_the_layout_that_engines_load_and_the_same_bytes_each_time(tmp_path):
    folder = lay_out(tmp_path / "fs", binary="/bin/true")
    for name in "ab":
        run(PACKAGING / "steps" / "image", folder, "arm64", "1.2.3", tmp_path / name, env={"SOURCE_DATE_EPOCH": "1700000000"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with tarfile.open(tmp_path / "a") as archive:
        files = {name: archive.extractfile(name).read() for name in archive.getnames()}

    def blob(described):
        data = files["blobs/" + described["digest"].replace(":", "/")]
        assert len(data) == described["size"] and "sha256:" + hashlib.sha256(data).hexdigest() == described["digest"]
        return data

    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (listed,) = json.loads(files["index.json"])["manifests"]
    manifest = json.loads(blob(listed))
    config = json.loads(blob(manifest["config"]))
    (layer,) = manifest["layers"]
    plain = gzip.decompress(blob(layer))
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(plain).hexdigest()]
    assert (config["architecture"], config["os"], config["created"]) == ("arm64", "linux", "2023-11-14T22:13:20Z")
    assert config["config"]["Entrypoint"] == ["/bookholder"] and "BOOKHOLDER_DATA=/data" in config["config"]["Env"]
    assert config["config"]["Labels"]["org.opencontainers.image.version"] == "1.2.3"
    (old,) = json.loads(files["manifest.json"])
    assert old["RepoTags"] == ["bookholder:1.2.3"] and set(old["Layers"] + [old["Config"]]) <= set(files)
    with tarfile.open(fileobj=io.BytesIO(plain)) as root:
        owners = {member.name: (member.uid, oct(member.mode)) for member in root}
    assert owners["data"] == (65532, "0o700") and owners["bookholder"] == (0, "0o755")
