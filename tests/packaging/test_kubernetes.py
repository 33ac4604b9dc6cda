"""The manifests for Kubernetes: they fit its schemas, and the program takes their arguments and variables."""

import re

import kubernetes_validate
import pytest
import yaml

import support
from support import PACKAGING, TOKEN, VERSION, bookholder, node, until

MANIFESTS = sorted((PACKAGING / "kubernetes").glob("*.yaml"))
# What Kubernetes puts into every container beside Services of these names.
SERVICE_LINKS = {
    f"{service}_{name}": value
    for service in ("BOOKHOLDER", "BOOKHOLDER_REPLICA")
    for name, value in {
        "SERVICE_HOST": "10.96.0.17",
        "SERVICE_PORT": "7070",
        "SERVICE_PORT_HTTP": "7070",
        "PORT": "tcp://10.96.0.17:7070",
        "PORT_7070_TCP": "tcp://10.96.0.17:7070",
        "PORT_7070_TCP_PROTO": "tcp",
        "PORT_7070_TCP_PORT": "7070",
        "PORT_7070_TCP_ADDR": "10.96.0.17",
    }.items()
}


def objects(text):
    return [one for one in yaml.safe_load_all(text) if one]


def check_schema(manifest, version="1.34"):
    """Refuses what the API server would refuse: unknown fields, wrong types, missing ones."""
    kubernetes_validate.validate(manifest, version, strict=True)


def containers(manifest):
    """The containers of this program in a workload, and its pod."""
    pod = manifest.get("spec", {}).get("template", {}).get("spec", {})
    for container in pod.get("initContainers", []) + pod.get("containers", []):
        if container["name"] == "bookholder":
            yield pod, container


def hardened(pod, container):
    """Whether the pod security standard `restricted` admits it, with a read-only root filesystem."""
    of_pod, own = pod.get("securityContext", {}), container["securityContext"]
    assert own["readOnlyRootFilesystem"] and not own["allowPrivilegeEscalation"]
    assert own["capabilities"] == {"drop": ["ALL"]}
    merged = {**of_pod, **own}
    assert merged["runAsNonRoot"] and merged["runAsUser"] == 65532
    assert merged["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "limits" in container["resources"] and "requests" in container["resources"]


def started(container, given, tmp_path):
    """Starts the program as the container would: its arguments and variables, with files and ports of the test."""
    arguments = [str(word) for word in container["args"]]
    assert "--listen" not in arguments or arguments[arguments.index("--listen") + 1].startswith("127.0.0.1:")
    arguments = [re.sub(r"^127\.0\.0\.1:\d+$", "127.0.0.1:0", word) for word in arguments]
    for mount in container["volumeMounts"]:
        arguments = [word.replace(mount["mountPath"] + "/", f"{tmp_path}/") for word in arguments]
    env = {one["name"]: one.get("value", given.get(one["name"])) for one in container["env"]}
    assert None not in env.values(), env
    return node(*arguments, env={**SERVICE_LINKS, **env, **given})


def probes(container):
    return {name: container[name] for name in ("startupProbe", "readinessProbe", "livenessProbe") if name in container}


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifest_fits_the_schemas_of_kubernetes(path):
    found = objects(path.read_text())
    assert found
    for manifest in found:
        check_schema(manifest)
        for pod, container in containers(manifest):
            hardened(pod, container)
            assert container["image"] == f"bookholder:{VERSION}"


def test_schema_check_finds_a_wrong_field():
    (manifest, _service) = objects((PACKAGING / "kubernetes" / "primary.yaml").read_text())
    manifest["spec"]["template"]["spec"]["containers"][0]["livenessprobe"] = {}
    with pytest.raises(Exception, match="livenessprobe"):
        check_schema(manifest)


def test_primary_starts_with_the_arguments_of_its_manifest_and_answers_its_probes(tmp_path):
    (stateful, service) = objects((PACKAGING / "kubernetes" / "primary.yaml").read_text())
    ((pod, container),) = containers(stateful)
    assert stateful["spec"]["replicas"] == 1 and stateful["spec"]["serviceName"] == service["metadata"]["name"]
    assert service["spec"]["selector"] == stateful["spec"]["template"]["metadata"]["labels"]
    with started(container, {"BOOKHOLDER_ADMIN_TOKEN": TOKEN}, tmp_path) as primary:
        for name, probe in probes(container).items():
            assert primary.get(probe["httpGet"]["path"])[0] == 200, name
        assert primary.publish("a", "text")
    assert set(probes(container)) == {"startupProbe", "readinessProbe", "livenessProbe"}


def test_sidecar_starts_before_the_application_and_outlives_its_primary(primary, tmp_path):
    (deployment,) = objects((PACKAGING / "kubernetes" / "sidecar.yaml").read_text())
    ((pod, container),) = containers(deployment)
    assert container in pod["initContainers"] and container["restartPolicy"] == "Always"
    # Readiness of the pod must not depend on the primary, so the replica has no readiness probe.
    assert set(probes(container)) == {"startupProbe", "livenessProbe"}
    application = pod["containers"][0]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    shared = [mount for mount in application["volumeMounts"] if mount["name"] in mounts]
    assert [mounts[mount["name"]] for mount in shared] == [mount["mountPath"] for mount in shared] == ["/run/bookholder"]
    assert {volume["name"] for volume in pod["volumes"] if "emptyDir" in volume} == set(mounts)
    socket = container["args"][container["args"].index("--socket") + 1]
    assert {"name": "BOOKHOLDER_SOCKET", "value": socket} in application["env"]

    primary.publish("a", "text")
    given = {
        "BOOKHOLDER_UPSTREAM": primary.url, "BOOKHOLDER_ROOT_KEY": primary.root_key,
        "BOOKHOLDER_UPSTREAM_TOKEN": TOKEN, "BOOKHOLDER_REPLICA_NAME": "shop-0",
    }

    def asked(probe, **options):
        assert probe["exec"]["command"][0] == "/bookholder"
        own = f"unix:{tmp_path}/replica.sock"
        return bookholder(*(own if word == f"unix:{socket}" else word for word in probe["exec"]["command"][1:]), **options)

    with started(container, given, tmp_path) as replica:
        replica.until_ready()
        for probe in probes(container).values():
            asked(probe)
        primary.stop()
        until("it is out of contact", lambda: '"fresh"' not in replica.get("/v1/status")[1])
        for probe in probes(container).values():
            asked(probe)
        assert replica.get("/v1/resolve/a@production")[0] == 200
        assert (tmp_path / "replica.sock").stat().st_mode & 0o777 == 0o666
    with started(container, {**given, "BOOKHOLDER_UPSTREAM": "http://127.0.0.1:1"}, tmp_path):
        # Without a verified state the application is not started, and the replica not killed.
        asked(probes(container)["startupProbe"], code=1)
        asked(probes(container)["livenessProbe"])


def test_setting_of_a_manifest_that_does_not_exist_is_found(tmp_path):
    (stateful, _service) = objects((PACKAGING / "kubernetes" / "primary.yaml").read_text())
    ((_pod, container),) = containers(stateful)
    container["env"].append({"name": "BOOKHOLDER_ADMIN_TOKENS", "value": "x"})
    with pytest.raises(AssertionError, match="BOOKHOLDER_ADMIN_TOKENS"):
        with started(container, {"BOOKHOLDER_ADMIN_TOKEN": TOKEN}, tmp_path):
            pass


def test_clients_look_where_sidecars_and_services_listen():
    sidecar = re.search(r"--socket, (\S+),", (PACKAGING / "kubernetes" / "sidecar.yaml").read_text())[1]
    assert f"--socket, {sidecar}]" in (PACKAGING / "compose" / "compose.yaml").read_text()
    unit = re.search(r"--socket (\S+)", (support.TOP / "systemd" / "bookholder-replica.service").read_text())[1]
    service = unit.replace("%t", "/run")
    for place in ("clients/python/src/bookholder/_address.py", "clients/typescript/src/options.ts"):
        assert f'"{sidecar}", "{service}"' in (support.TOP / place).read_text(), place
    told = (support.TOP / "docs" / "tasks" / "applications.md").read_text()
    assert 0 < told.index(f"3. `{sidecar}`") < told.index(f"4. `{service}`") < told.index("5. `http://127.0.0.1:7071`")
