"""Alert rules and the dashboard: valid, played through, and about metrics that nodes have."""

import json
import re

import pytest
import yaml

import support
from support import PACKAGING, TOKEN, TOP, needs, replica, run, until

RULES = PACKAGING / "prometheus" / "alerts.yaml"
DASHBOARD = json.loads((PACKAGING / "grafana" / "bookholder.json").read_text())
METRIC = re.compile(r"\b((?:bookholder|process)_[a-z0-9_]+)\b")
# Families without a sample are not in /metrics; the reference lists all, and a test of the program holds it to that.
DOCUMENTED = dict(re.findall(r"^\| `([a-z_]+)` \| (\w+)", (TOP / "docs" / "reference" / "metrics.md").read_text(), re.M))


def expressions():
    """Every query of rules and dashboard, and where it is."""
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]


def samples(text):
    """Names of series, with the names of their labels."""
    found = {}
    for name, labels in re.findall(r"^([a-z_]+)(?:\{(.*)\})? \S+$", text, re.M):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


@pytest.fixture(scope="module")
def series():
    """What a primary and two replicas say, one of which follows another registry's primary."""
    with support.primary() as primary, support.primary() as other:
        primary.publish("a", "text")
        with replica(primary, env={"BOOKHOLDER_READ_TOKEN": ""}) as good, replica(
            primary, env={"BOOKHOLDER_UPSTREAM": other.url}
        ) as confused:
            good.until_ready()
            for node in (primary, good):
                assert node.get("/v1/resolve/a@production")[0] == 200
                node.get("/v1/resolve/missing")
            failures = "bookholder_verify_failures_total"
            until("the replica refuses the other registry", lambda: failures in confused.get("/metrics")[1])
            until("the primary knows its replica", lambda: 'state="fresh"} 1' in primary.get("/metrics")[1])
            found = {}
            for node in (primary, good, confused):
                for name, labels in samples(node.get("/metrics")[1]).items():
                    found.setdefault(name, set()).update(labels)
            return found


def known(name, series):
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    return name in series or name in DOCUMENTED or DOCUMENTED.get(base) == "histogram"


def test_every_metric_exists(series):
    used = {(where, name) for where, query in expressions() for name in METRIC.findall(query)}
    assert len({name for _where, name in used}) > 30
    assert [one for one in used if not known(one[1], series)] == []
    live = [name for name in {name for _where, name in used} if name in series]
    assert len(live) > 25, "most of them are seen on these nodes"


def test_every_label_in_a_query_is_one_of_the_metric(series):
    """`by (…)` and selectors; `job` and `instance` are Prometheus' own, `le` a histogram's."""
    wrong = []
    for where, query in expressions():
        names = METRIC.findall(query)
        asked = {word.strip() for words in re.findall(r"by \(([^)]*)\)", query) for word in words.split(",")}
        asked |= set(re.findall(r'[{,](\w+)=', query))
        for label in asked - {"job", "instance", "le"}:
            live = [name for name in names if name in series]
            if live and not any(label in series[name] for name in live):
                wrong.append((where, label, names))
    # Their samples need a primary that refuses, or sends telemetry on.
    assert wrong == []


def test_rules_are_valid_and_fire_when_they_should(tmp_path):
    needs("promtool")
    run("promtool", "check", "rules", RULES)
    (tmp_path / "alerts.yaml").write_text(RULES.read_text())
    (tmp_path / "test.yaml").write_text((TOP / "tests" / "packaging" / "alerts_test.yaml").read_text())
    run("promtool", "test", "rules", tmp_path / "test.yaml")


def test_rules_say_what_to_do():
    alerts = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in alerts}) == len(alerts)
    for rule in alerts:
        assert set(rule["annotations"]) == {"summary", "description"}, rule["alert"]
        assert rule["labels"]["severity"] in ("warning", "critical"), rule["alert"]
        for page in re.findall(r"docs/[a-z/-]+\.md", str(rule)):
            assert (TOP / page).exists(), page
        # The verbs that a description names exist.
        for verbs in re.findall(r"`bookholder ([a-z]+)", str(rule)):
            support.bookholder(verbs, "--help")


def test_dashboard_can_be_imported():
    assert DASHBOARD["uid"] == "bookholder" and DASHBOARD["schemaVersion"] >= 39
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert max(x for x, _y in cells) < 24 and not cells & taken, panel["title"]
        taken |= cells
        assert panel["datasource"]["uid"] == "${source}"


def test_queries_of_the_dashboard_parse(tmp_path):
    """As rules, with its variables filled in."""
    needs("promtool")
    fill = lambda query: query.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*")
    queries = [fill(target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    run("promtool", "check", "rules", tmp_path / "rules.yaml")
