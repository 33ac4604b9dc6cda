"""What packaging/build makes: archives, packages for Debian and Red Hat, the bill of materials, checksums, a signature."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import textwrap

import pytest

from support import BINARY, PACKAGING, TOP, VERSION, clean_environment, needs, run

MACHINE = {"x86_64": ("amd64", "x86_64"), "aarch64": ("arm64", "aarch64")}[os.uname().machine]
TARGET = f"{os.uname().machine}-unknown-linux-gnu"
NAME = f"bookholder-{VERSION}-{TARGET}"
DEB, RPM = f"bookholder_{VERSION}_{MACHINE[0]}.deb", f"bookholder-{VERSION}-1.{MACHINE[1]}.rpm"


# `man`: manual pages of every verb.
HAS_PAGES = re.search(r"^  man  ", run(BINARY, "--help"), re.M) is not None


def build(dist, binary, **env):
    return run(PACKAGING / "build", TARGET, env={
        "BOOKHOLDER": str(binary), "BOOKHOLDER_HOST": str(BINARY), "DIST": str(dist), "QUICK": "1", "WITHOUT_NPM": "1", **env,
    })


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    """An SSH key, and the file that says whose it is."""
    folder = tmp_path_factory.mktemp("key")
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "release", "-f", folder / "key")
    public = (folder / "key.pub").read_text().rsplit(" ", 1)[0]
    (folder / "signers").write_text(f"release {public}\n")
    return folder


@pytest.fixture(scope="module")
def dist(tmp_path_factory, key):
    """A release of the program under test, without its symbols, which a debug build has many of."""
    folder = tmp_path_factory.mktemp("release")
    binary = folder / "bookholder"
    run("strip", "-o", binary, BINARY)
    build(folder / "dist", binary, SIGNING_KEY=str(key / "key"), RELEASE_URL="file:///releases/v{version}")
    return folder / "dist"


def test_program_of_macos_has_an_archive_and_a_wheel(tmp_path):
    """Packed as on macOS, from a program of this machine."""
    env = {"BOOKHOLDER": str(BINARY), "DIST": str(tmp_path), "QUICK": "1", "WITHOUT_NPM": "1", "COMPRESSION": "1"}
    run(PACKAGING / "build", "--only", "aarch64-apple-darwin", env=env)
    name = f"bookholder-{VERSION}-aarch64-apple-darwin"
    assert {path.name for path in tmp_path.iterdir()} == {"darwin", f"{name}.tar.gz", f"{name}.cdx.json"}
    run(PACKAGING / "build", "--finish", env=env)
    sums = (tmp_path / "SHA256SUMS").read_text()
    assert f"{name}.tar.gz" in sums and f"bookholder-{VERSION}-py3-none-macosx_11_0_arm64.whl" in sums


def test_release_has_every_file_and_signed_checksums_of_all(dist, key):
    files = {path.name for path in dist.iterdir() if path.is_file()}
    expected = {
        f"{NAME}.tar.gz", f"{NAME}.cdx.json", f"bookholder-{VERSION}-linux-{MACHINE[0]}.image.tar", "install.sh",
        "SHA256SUMS", "SHA256SUMS.sig",
    }
    expected |= {path.name for path in dist.glob(f"bookholder-{VERSION}-py3-none-*{os.uname().machine}*.whl")}
    assert len(expected) == 7, "a wheel is among them"
    expected |= {DEB} if shutil.which("dpkg-deb") else set()
    expected |= {RPM} if shutil.which("rpmbuild") else set()
    expected |= {f"bookholder-chart-{VERSION}.tgz"} if shutil.which("helm") else set()
    assert files == expected
    sums = dict(line.split("  ")[::-1] for line in (dist / "SHA256SUMS").read_text().splitlines())
    assert set(sums) == files - {"SHA256SUMS", "SHA256SUMS.sig"}
    for name, digest in sums.items():
        assert hashlib.sha256((dist / name).read_bytes()).hexdigest() == digest, name
    verify = [
        "ssh-keygen", "-Y", "verify", "-f", key / "signers", "-I", "release", "-n", "bookholder-release", "-s",
        dist / "SHA256SUMS.sig",
    ]
    assert "Good" in run(*verify, input=(dist / "SHA256SUMS").read_text())
    run(*verify, input=(dist / "SHA256SUMS").read_text() + "x", code=255)


def test_same_commit_gives_the_same_bytes(tmp_path):
    """Of everything but the program, which the compiler makes: another folder, another time, another umask."""
    sums = []
    for name, umask in [("a", 0o022), ("b", 0o077)]:
        old = os.umask(umask)
        try:
            build(tmp_path / name, "/bin/true", SOURCE_DATE_EPOCH="1700000000")
        finally:
            os.umask(old)
        sums.append((tmp_path / name / "SHA256SUMS").read_text())
        for step in ("stage", "rootfs"):
            assert (PACKAGING / "steps" / step).stat().st_mode & 0o111
    # Helm writes the time of packing into its archive.
    first, second = ([line for line in text.splitlines() if "chart" not in line] for text in sums)
    assert first == second


def test_archive_has_the_program_its_licences_completions_pages_and_units(dist):
    with tarfile.open(dist / f"{NAME}.tar.gz") as archive:
        members = {member.name.removeprefix(NAME).lstrip("/"): member for member in archive}
        pages = ["man/bookholder.1", "man/bookholder-deploy.1"] if HAS_PAGES else []
        for name in ("bookholder", "README.md", "LICENSE-MIT", "LICENSE-APACHE", "completions/_bookholder",
                     "completions/bookholder.bash", "completions/bookholder.fish", "systemd/bookholder.service", *pages):
            assert members[name].size > 100, name
            assert (members[name].uid, members[name].gid) == (0, 0)
        assert members["bookholder"].mode & 0o777 == 0o755
        for page in pages:
            assert ".TH " in archive.extractfile(members[page]).read().decode()


def test_bill_of_materials_lists_what_is_compiled_in(dist):
    bill = json.loads((dist / f"{NAME}.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert bill["metadata"]["component"]["purl"] == f"pkg:cargo/bookholder@{VERSION}"
    components = {one["name"]: one for one in bill["components"]}
    assert {"redb", "tokio", "bookholder-store", "rustls"} <= set(components)
    # What only tests need is not in it.
    assert not {"proptest", "rcgen", "standardwebhooks"} & set(components)
    for one in bill["components"]:
        assert one["licenses"], one
        assert one["name"].startswith("bookholder") or re.fullmatch("[0-9a-f]{64}", one["hashes"][0]["content"]), one
    known = {one["bom-ref"] for one in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    for edge in bill["dependencies"]:
        assert {edge["ref"], *edge["dependsOn"]} <= known
    validator = pytest.importorskip("cyclonedx.validation.json")
    from cyclonedx.schema import SchemaVersion
    assert validator.JsonStrictValidator(SchemaVersion.V1_5).validate_str(json.dumps(bill)) is None


def machine(dist, script):
    """Runs a script in a copy-on-write copy of this machine, thrown away at the end."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("mounting needs root")
    prologue = f"""
        set -eu
        mount --make-rprivate /
        mount -t tmpfs tmpfs /mnt
        mkdir /mnt/upper /mnt/work /mnt/m
        mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/m || exit 77
        M=/mnt/m
        mount -t tmpfs tmpfs $M/run
        mount -t proc proc $M/proc
        mount --bind /dev $M/dev
        mkdir -p $M/root/dist $M/usr/bin
        cp {dist}/*.deb {dist}/*.rpm $M/root/dist/ 2> /dev/null || true
        IN() {{ chroot $M "$@"; }}
    """
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c",
         textwrap.dedent(prologue) + textwrap.dedent(script)],
        text=True, capture_output=True, timeout=900, env=clean_environment(),
    )
    if done.returncode == 77:
        pytest.skip("this system has no overlay mounts")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# Runs what a unit runs, as its user, with its folders, until it is ready.
UNIT = """
    unit() {
        line=$(sed -n 's/^ExecStart=//p' $M/usr/lib/systemd/system/$1.service)
        line=$(echo "$line" | sed "s|%S|/var/lib|g; s|%t|/run|g")
        for folder in /var/lib/$1 /run/$1; do IN install -d -o $1 -g $1 -m 0755 $folder; done
        env -i PATH=/usr/bin:/bin BOOKHOLDER_LISTEN=127.0.0.1:0 "$2" /usr/sbin/chroot --userspec=$1:$1 $M $line 2> $M/root/$1.log &
        for _ in $(seq 1000); do
            IN bookholder status --ready --server unix:/run/$1/bookholder.sock > /dev/null 2>&1 && return
            sleep 0.1
        done
        cat $M/root/$1.log; return 1
    }
"""


def test_debian_package_is_installed_runs_with_its_settings_is_upgraded_and_purged(dist):
    needs("dpkg-deb")
    said = machine(dist, UNIT + f"""
        IN dpkg -i /root/dist/{DEB} > /dev/null
        test -z "$(IN dpkg -V bookholder)" && echo intact
        IN getent passwd bookholder bookholder-replica | cut -d: -f1,7
        IN bookholder --version
        IN systemd-analyze verify /usr/lib/systemd/system/bookholder.service /usr/lib/systemd/system/bookholder-replica.service 2>&1 | grep bookholder || true
        unit bookholder A=1
        echo primary ready
        key=$(IN bookholder keys show --data /var/lib/bookholder --json | sed -n 's/.*"root_key": *"\\([^"]*\\)".*/\\1/p')
        printf 'upstream = "http://%s"\\nroot_key = "%s"\\n' "$(cat $M/var/lib/bookholder/address)" "$key" >> $M/etc/bookholder/replica.toml
        unit bookholder-replica BOOKHOLDER_UPSTREAM_TOKEN=$(cat $M/var/lib/bookholder/admin-token)
        echo replica ready
        stat -c '%a %U' $M/var/lib/bookholder/keys/root.key | cut -d' ' -f1
        IN dpkg -i --force-confold /root/dist/{DEB} > /dev/null
        grep -c '^root_key' $M/etc/bookholder/replica.toml
        IN dpkg -r bookholder > /dev/null 2>&1
        ls $M/usr/bin/bookholder 2> /dev/null || ls $M/etc/bookholder
        IN dpkg -P bookholder > /dev/null 2>&1
        test ! -e $M/etc/bookholder/bookholder.toml && test -e $M/var/lib/bookholder/registry.redb && echo data kept
    """)
    assert said.splitlines() == [
        "intact", "bookholder:/usr/sbin/nologin", "bookholder-replica:/usr/sbin/nologin", f"bookholder {VERSION}",
        "primary ready", "replica ready", "600", "1", "bookholder.toml", "replica.toml", "data kept",
    ], said


def test_red_hat_package_is_installed_runs_and_keeps_settings(dist):
    needs("rpmbuild")
    said = machine(dist, UNIT + f"""
        IN rpm -i --nodeps --force-debian /root/dist/{RPM} 2> /dev/null
        IN rpm -V --nodeps bookholder && echo intact
        IN bookholder --version
        unit bookholder A=1
        echo primary ready
        echo '# mine' >> $M/etc/bookholder/bookholder.toml
        IN rpm -e bookholder 2> /dev/null
        ls $M/etc/bookholder
        test ! -e $M/usr/bin/bookholder && test -e $M/var/lib/bookholder/registry.redb && echo data kept
    """)
    assert said.splitlines() == ["intact", f"bookholder {VERSION}", "primary ready", "bookholder.toml.rpmsave", "data kept"], said


def test_both_packages_install_the_same_files(dist):
    needs("dpkg-deb"), needs("rpm")
    listed = run("dpkg-deb", "--contents", dist / DEB).splitlines()
    deb = {line.split()[5].removeprefix(".") for line in listed if line.startswith("-")}
    rpm = {path for path in run("rpm", "-qpl", dist / RPM).split() if path != "/etc/bookholder"}
    assert deb == rpm and "/usr/bin/bookholder" in deb
    assert ("/usr/share/man/man1/bookholder.1.gz" in deb) == HAS_PAGES
    configs = run("rpm", "-qpc", dist / RPM).split()
    info = run("dpkg-deb", "--info", dist / DEB, "conffiles").split()
    assert configs == info == ["/etc/bookholder/bookholder.toml", "/etc/bookholder/replica.toml"]


def test_every_line_of_the_packaged_settings_is_a_setting(tmp_path):
    """Also the examples in comments."""
    for file, verb, env in [
        ("bookholder.toml", "serve", {}), ("replica.toml", "replica", {}),
    ]:
        text = (PACKAGING / "linux" / file).read_text()
        examples = re.findall(r"^# (\w+ = .*)$", text, re.M)
        assert len(examples) >= 3 and not re.findall(r"^\w", text, re.M), "nothing is set"
        for number, example in enumerate(examples):
            path = tmp_path / f"{number}.toml"
            path.write_text(example.replace("bk1-…", "bk1-" + "0" * 64) + "\nno_such_setting = 1\n")
            said = subprocess.run([BINARY, verb, "--config", path, "--data", tmp_path / "d"], env=clean_environment(),
                                  text=True, capture_output=True, timeout=120)
            # The file is refused for the last line alone.
            assert said.returncode == 2 and "no_such_setting" in said.stderr, (example, said.stderr)
