"""The container image: its root filesystem, laid out by the script of the Dockerfile, runs as an engine runs it: as the
image's user, read-only, without /tmp, /proc or anything else that is not in it."""

import hashlib
import os
import shutil
import subprocess
import sys
import textwrap

import pytest

import dockerfile
from support import BINARY, PACKAGING, TOKEN, run

IMAGE = dockerfile.read()
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
    return folder


def contained(root, script):
    """Runs a script of steps in the container: `IN command…` is a process in it."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        pytest.skip("mounting needs root")
    environment = " ".join(f"'{name}={value}'" for name, value in IMAGE.environment.items())
    prologue = f"""
        set -eu
        mount --make-rprivate /
        mount --bind {root} {root}
        mount -o remount,bind,ro {root}
        mount -t tmpfs -o mode=0700,uid=65532,gid=65532 tmpfs {root}/data
        contained() {{ env -i {environment} "$@"; }}
        IN() {{ contained /usr/sbin/chroot --userspec={IMAGE.user} {root} "$@"; }}
        ready() {{ for _ in $(seq 300); do IN {' '.join(IMAGE.health)} > /dev/null 2>&1 && return; sleep 0.1; done; return 1; }}
    """
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-c",
         f"{sys.executable} -c '{LOOPBACK_UP}'\n" + textwrap.dedent(prologue) + textwrap.dedent(script)],
        text=True, capture_output=True, timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_image_is_empty_but_for_the_program_and_runs_as_nobody_in_particular():
    assert IMAGE.base == "scratch"
    assert IMAGE.user == "65532:65532"
    assert IMAGE.volumes == ["/data"]
    assert IMAGE.health == ["/bookholder", "status", "--ready"]


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
    command = " ".join(IMAGE.entrypoint + IMAGE.command)
    said = contained(root, f"""
        IN {command} 2> /dev/null &
        node=$!
        ready
        IN /bookholder status --ready
        IN /bookholder keys show | head -1
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
        node() {{ contained BOOKHOLDER_ADMIN_TOKEN={TOKEN} BOOKHOLDER_TOKEN={TOKEN} \\
            /usr/sbin/chroot --userspec={IMAGE.user} {root} /bookholder "$@"; }}
        node serve --insecure 2> /dev/null &
        ready
        echo 'Hello' | node publish a --file - -m why --label production
        node pull --label production --out /data/prompts
        node backup /data/all.backup
        node bundle export /data/monday
        node report --from 2026-01-01 --out /data/report.html
        node demo > /dev/null
        kill $!
        echo done
    """)
    assert said.endswith("done\n"), said
