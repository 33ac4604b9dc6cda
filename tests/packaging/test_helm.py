"""The Helm chart: linted, and what it renders fits the schemas and is taken by the program."""

import json

import pytest
import yaml

import test_kubernetes as kubernetes
from support import PACKAGING, TOKEN, VERSION, needs, run

CHART = PACKAGING / "helm" / "bookholder"
ALL = {
    "replicas.enabled": "true", "replicas.rootKey": "bk1-" + "0" * 64, "serviceMonitor.enabled": "true",
    "prometheusRule.enabled": "true", "dashboard.enabled": "true", "primary.publicUrl": "https://prompts.example.com",
    "primary.settings.archive_unused_days": "365", "replicas.settings.cache_mib": "8",
}
TLS = {"primary.tlsSecret": "bookholder-tls", "replicas.upstreamCaSecret": "authority"}


@pytest.fixture(autouse=True)
def helm():
    needs("helm")


def template(values, release="prompts", code=0):
    given = [f"--set={name}={value}" for name, value in values.items()]
    said = run("helm", "template", release, CHART, "--kube-version=1.34", *given, code=code)
    return kubernetes.objects(said)


def of_kind(found, kind, name=None):
    (one,) = [one for one in found if one["kind"] == kind and name in (None, one["metadata"]["name"])]
    return one


def container_of(found, kind):
    ((pod, container),) = kubernetes.containers(of_kind(found, kind))
    return pod, container


@pytest.mark.parametrize("values", [{}, ALL, {**ALL, **TLS}], ids=["defaults", "everything", "tls"])
def test_chart_is_linted_and_fits_the_schemas(values):
    run("helm", "lint", "--strict", CHART, *(f"--set={name}={value}" for name, value in values.items()))
    found = template(values)
    names = [(one["kind"], one["metadata"]["name"]) for one in found]
    assert len(set(names)) == len(names), names
    for one in found:
        if not one["apiVersion"].startswith("monitoring.coreos.com/"):
            kubernetes.check_schema(one)
        for pod, container in kubernetes.containers(one):
            kubernetes.hardened(pod, container)
            assert container["image"] == f"bookholder:{VERSION}"


def test_chart_has_the_version_of_the_program():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == VERSION


def test_unknown_value_is_refused():
    with pytest.raises(AssertionError, match="replica.* not allowed"):
        template({"replica.enabled": "true"})
    with pytest.raises(AssertionError, match="set replicas.upstream"):
        template({"primary.enabled": "false", "replicas.enabled": "true", "replicas.rootKey": "bk1-0"})
    with pytest.raises(AssertionError, match="set replicas.rootKey"):
        template({"replicas.enabled": "true"})


def test_services_and_policies_select_the_pods_of_their_component():
    found = template(ALL)
    for kind, suffix in [("StatefulSet", ""), ("DaemonSet", "-replica")]:
        name = f"prompts-bookholder{suffix}"
        labels = of_kind(found, kind)["spec"]["template"]["metadata"]["labels"].items()
        service = of_kind(found, "Service", name)
        assert service["spec"]["selector"].items() <= labels
        assert of_kind(found, "NetworkPolicy", name)["spec"]["podSelector"]["matchLabels"].items() <= labels
        monitor = of_kind(found, "ServiceMonitor", f"prompts-bookholder-{'primary' if not suffix else 'replica'}")
        assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    assert of_kind(found, "Service", "prompts-bookholder-replica")["spec"]["internalTrafficPolicy"] == "Local"


def settings_written(found, name, folder):
    """Puts the settings of a ConfigMap where the test starts the program."""
    data = of_kind(found, "ConfigMap", name)["data"]
    for file, text in data.items():
        (folder / file).write_text(text)


def test_primary_and_replica_of_the_chart_start_and_answer_their_probes(tmp_path):
    found = template(ALL)
    _pod, container = container_of(found, "StatefulSet")
    homes = [tmp_path / name for name in ("primary", "replica")]
    for home, name in zip(homes, ["prompts-bookholder", "prompts-bookholder-replica"]):
        home.mkdir()
        settings_written(found, name, home)
    assert "archive_unused_days = 365" in (homes[0] / "bookholder.toml").read_text()

    def upstream(word):
        own = {"--upstream=": primary.url, "--root-key=": primary.root_key}
        return next((flag + value for flag, value in own.items() if word.startswith(flag)), word)

    with kubernetes.started(container, {"BOOKHOLDER_ADMIN_TOKEN": TOKEN}, homes[0]) as primary:
        for name, probe in kubernetes.probes(container).items():
            assert primary.get(probe["httpGet"]["path"])[0] == 200, name
        primary.publish("a", "text")
        _pod, container = container_of(found, "DaemonSet")
        assert "--upstream=http://prompts-bookholder:7070" in container["args"]
        container["args"] = [upstream(word) for word in container["args"]]
        given = {
            "BOOKHOLDER_UPSTREAM_TOKEN": TOKEN, "BOOKHOLDER_READ_TOKEN": "bh_read_0123456789abcdef01234567",
            "BOOKHOLDER_REPLICA_NAME": "worker-1",
        }
        with kubernetes.started(container, given, homes[1]) as replica:
            replica.until_ready()
            primary.stop()
            for name, probe in kubernetes.probes(container).items():
                assert replica.get(probe["httpGet"]["path"])[0] == 200, name


def test_alerts_and_dashboard_of_the_chart_are_those_of_the_repository():
    found = template(ALL)
    rules = yaml.safe_load((PACKAGING / "prometheus" / "alerts.yaml").read_text())
    assert of_kind(found, "PrometheusRule")["spec"] == rules
    dashboard = json.loads((PACKAGING / "grafana" / "bookholder.json").read_text())
    assert json.loads(of_kind(found, "ConfigMap", "prompts-bookholder-dashboard")["data"]["bookholder.json"]) == dashboard


def test_chart_can_be_packed_with_its_linked_files(tmp_path):
    run("helm", "package", CHART, "--destination", tmp_path)
    listed = run("tar", "-tzf", tmp_path / f"bookholder-{VERSION}.tgz").split()
    assert {"bookholder/files/alerts.yaml", "bookholder/files/dashboard.json"} <= set(listed)
