"""Alert rules and dashboards: whatever they name exists, and each alert fires in its story and not before."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor import dashboards
from monitor.metrics import Metrics, described

MONITOR = Path(dashboards.__file__).parent
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((MONITOR / "rules.yml").read_text())["groups"] for rule in group["rules"]
]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
PANELS = {
    f"{name}: {panel.title}": panel
    for name, (_, rows) in dashboards.DASHBOARDS.items()
    for row in rows
    for panel in row
}
QUERIES = [*(rule["expr"] for rule in RULES), *(query for panel in PANELS.values() for query in panel.queries.values())]
promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not here: apt install prometheus")


def exported() -> set[str]:
    """Every name that Prometheus may see of ours."""
    suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    families = Metrics().registry.collect()
    return {family.name + suffix for family in families for suffix in suffixes.get(family.type, ("",))}


@pytest.mark.parametrize("query", QUERIES)
def test_whatever_is_named_exists(query: str) -> None:
    names = set(re.findall(r"\bcoda_\w+", query))
    recorded = set(re.findall(r"\bcoda:[\w:]+", query))
    assert names | recorded or "ALERTS" in query
    assert names <= exported() and recorded <= RECORDED


@pytest.mark.parametrize("query", QUERIES)
def test_labels_that_a_rule_sums_by_are_those_of_its_metric(query: str) -> None:
    for name, labels in _grouped(query):
        known = {label for metric in described() if metric.name == name for label in metric.labels}
        assert set(labels) <= known | {"le"}, name


def _grouped(query: str) -> list[tuple[str, list[str]]]:
    """Each metric that is summed, with what it is summed by."""
    found = re.findall(r"by \(([\w, ]+)\)\s*\([^)]*?(coda_\w+)", query)
    return [(name.removesuffix("_bucket").removesuffix("_count"), labels.split(", ")) for labels, name in found]


def test_every_alert_has_a_story_and_says_what_to_do() -> None:
    stories = yaml.safe_load((MONITOR / "rules_test.yml").read_text())["tests"]
    cases = [case for story in stories for case in story["alert_rule_test"]]
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == set(ALERTS), "fires"
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} >= set(ALERTS) - {"CodaPartitionStalled"}
    for alert in ALERTS.values():
        assert alert["annotations"].keys() == {"summary", "remedy"} and alert["labels"]["severity"] in {
            "page",
            "ticket",
        }


@promtool
@pytest.mark.parametrize("words", [("check", "rules", "rules.yml"), ("test", "rules", "rules_test.yml")])
def test_promtool_agrees(words: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *words], cwd=MONITOR, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", dashboards.DASHBOARDS)
def test_each_dashboard_is_the_one_that_is_defined(name: str) -> None:
    file = dashboards.FOLDER / f"{name}.json"
    assert json.loads(file.read_text()) == dashboards.dashboard(name), "write it anew: python -m monitor.dashboards"


@pytest.mark.parametrize("name", dashboards.DASHBOARDS)
def test_a_row_has_five_graphs_at_most_and_a_graph_few_queries(name: str) -> None:
    _, rows = dashboards.DASHBOARDS[name]
    assert all(len(row) <= 5 for row in rows)
    assert all(len(panel.queries) <= 5 for row in rows for panel in row)
