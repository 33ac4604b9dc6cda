"""The compose file: its services start as processes with the same commands and variables, and the example answers."""

import json
import re
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

import yaml

from support import PACKAGING, PATIENCE_S, TOKEN, VERSION, clean_environment, image_settings, node, run, until

FOLDER = PACKAGING / "compose"
TEXT = (FOLDER / "compose.yaml").read_text()
SERVICES = yaml.safe_load(TEXT)["services"]


def filled(service, given):
    """The variables of a service, as compose fills them in."""
    def fill(value):
        found = re.sub(r"\$\{(\w+)(?::?[-?][^}]*)?\}", lambda match: given.get(match[1], ""), value)
        return given.get(found, found)
    return {name: fill(value) for name, value in SERVICES[service]["environment"].items()}


def command(service, folder):
    """The command of a service, with files and ports of the test."""
    words = [re.sub(r"^127\.0\.0\.1:\d+$", "127.0.0.1:0", word) for word in SERVICES[service]["command"]]
    return [word.replace("/run/bookholder/", f"{folder}/") for word in words]


@contextmanager
def application(socket):
    """The example application."""
    environment = {**clean_environment(), "BOOKHOLDER_SOCKET": str(socket)}
    script = (
        "import application, http.server\n"
        "server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), application.Greeting)\n"
        "print(server.server_port, flush=True)\n"
        "server.serve_forever()"
    )
    process = subprocess.Popen([sys.executable, "-c", script], env=environment, cwd=FOLDER, stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait(PATIENCE_S)


def test_file_fits_the_specification_of_compose():
    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", FOLDER / "compose.yaml")


def test_images_volumes_and_hardening_of_the_services():
    declared = set(yaml.safe_load(TEXT)["volumes"])
    for name, service in SERVICES.items():
        mounted = [volume.split(":")[0] for volume in service["volumes"]]
        assert {volume for volume in mounted if not volume.startswith(".")} <= declared, name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        if name != "application":
            assert service["image"] == f"bookholder:{VERSION}"
            assert service["read_only"] and service["cap_drop"] == ["ALL"]
            # The image's own health check asks port 7070 of the container.
            assert image_settings()["Healthcheck"] and "healthcheck" not in service
    assert SERVICES["application"]["depends_on"] == {"replica": {"condition": "service_healthy"}}


def test_application_answers_from_the_replica_also_without_the_primary(tmp_path):
    given = {"BOOKHOLDER_ADMIN_TOKEN": TOKEN}
    with node(*command("primary", tmp_path), env=filled("primary", given)) as primary:
        primary.publish("greeting", "Greet {{name}} in one sentence.")
        given |= {"BOOKHOLDER_ROOT_KEY": primary.root_key, "http://primary:7070": primary.url}
        with node(*command("replica", tmp_path), env=filled("replica", given)) as replica:
            replica.until_ready()
            with application(tmp_path / "replica.sock") as url:
                def greet():
                    """The answer, once there is one: the example gives the replica 0.2 s, which a busy machine may not."""
                    try:
                        with urllib.request.urlopen(f"{url}/?name=Ada", timeout=5) as answer:
                            return json.load(answer)
                    except OSError:
                        return None
                answer = until("the application answers", greet)
                assert answer["text"] == "Greet Ada in one sentence." and answer["stamp"].startswith("greeting@1+")
                primary.stop()
                until("the replica is stale", lambda: '"fresh"' not in replica.get("/v1/status")[1])
                assert until("the application goes on", greet) == answer
