"""Alerts fire when they should and only then, and every metric in an alert or dashboard is exported."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from api.observability import Metrics
from city_data.cities import load_registry
from city_data.operations.backfill_metrics import BackfillCollector
from city_data.operations.exporter import LedgerCollector, daemon_heartbeats
from city_data.operations.live_feed_metrics import LiveFeedCollector
from city_data.operations.source_shape_metrics import SourceShapeCollector
from city_data.store.polls import PollArchive
from city_data.window import as_of
from city_data_tests.docs.metrics import SUFFIXES
from city_data_tests.docs.pages import page
from city_data_tests.helm.charting import find, render
from city_data_tests.tools import find_tool
from city_data_tests.world import World

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = ROOT / "helm" / "city-data" / "files"
RULES = FILES / "alerts" / "city-data.rules.yaml"
TESTS = sorted(HERE.glob("*.rules.test.yaml"))
DASHBOARDS = sorted((FILES / "dashboards").glob("*.json"))
_NAME = re.compile(r"\b(?:external|dagster)_[a-z_]+\b")


def rules() -> list[dict[str, object]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def test_alert_rules_are_valid_and_fire_only_when_they_should(tmp_path: Path) -> None:
    promtool = find_tool("promtool")
    for file in (RULES, *TESTS):
        shutil.copy(file, tmp_path)
    tests = [file.name for file in TESTS]
    for command in (["check", "rules", "--lint-fatal", RULES.name], ["test", "rules", *tests]):
        done = subprocess.run([promtool, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_both_ways_and_has_its_runbook() -> None:
    tested: dict[str, set[bool]] = {}
    for test in (one for file in TESTS for one in yaml.safe_load(file.read_text())["tests"]):
        for case in test["alert_rule_test"]:
            tested.setdefault(case["alertname"], set()).add(bool(case["exp_alerts"]))
    assert tested == {str(rule["alert"]): {True, False} for rule in rules()}
    sections = {f"docs/runbooks.md#{anchor}" for anchor in page("runbooks.md").anchors} - {"docs/runbooks.md#runbooks"}
    named = [rule["annotations"]["runbook"] for rule in rules()]  # type: ignore[index]
    assert sorted(named) == sorted(sections)
    assert all(str(name).endswith(f"#{str(rule['alert']).lower()}") for name, rule in zip(named, rules(), strict=True))


def test_each_alert_links_to_its_section_of_a_published_page() -> None:
    address = "https://docs.example.com/runbooks.html"
    installed = find(
        render("--set", f"monitoring.prometheusRule.runbooks={address}", values="production"),
        "PrometheusRule",
        "r-city-data-city-data",
    )
    anchors = page("runbooks.md").anchors
    links = [rule["annotations"]["runbook_url"] for group in installed["spec"]["groups"] for rule in group["rules"]]
    assert len(links) == len(rules())
    for link in links:
        before, _, heading = link.partition("#")
        assert (before, heading in anchors) == (address, True), link


def samples(families: Iterator[Metric]) -> set[str]:
    """The names that a scrape may show: a counter without samples yet still promises its own."""
    return {family.name + suffix for family in families for suffix in SUFFIXES.get(family.type, [""])}


@pytest.fixture
def exported(world: World) -> set[str]:
    registry = CollectorRegistry()
    registry.register(LedgerCollector(world.database, world.feeds, as_of, daemon_heartbeats(world.instance)))
    registry.register(SourceShapeCollector(world.database, world.feeds))
    registry.register(BackfillCollector(world.instance))
    registry.register(LiveFeedCollector(PollArchive(str(world.folder / "raw")), world.feeds, as_of))
    return samples(registry.collect()) | samples(Metrics(load_registry()).registry.collect())


def test_every_metric_in_alerts_and_dashboards_is_exported(exported: set[str]) -> None:
    expressions = {RULES.name: [str(rule["expr"]) for rule in rules()]}
    for file in DASHBOARDS:
        board = json.loads(file.read_text())
        queries = [v["query"]["query"] for v in board["templating"]["list"] if v["type"] == "query"]
        expressions[file.name] = [t["expr"] for panel in board["panels"] for t in panel["targets"]] + queries
    assert len(expressions) == 3
    for file_name, found in expressions.items():
        named = {name for expression in found for name in _NAME.findall(expression)}
        assert named, file_name
        assert named <= exported, (file_name, named - exported)


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_dashboards_are_complete(file: Path) -> None:
    board = json.loads(file.read_text())
    assert board["uid"].startswith("city-data-")
    assert board["title"].startswith("city_data: ")
    places = [panel["gridPos"] for panel in board["panels"]]
    for n, one in enumerate(places):
        for other in places[n + 1 :]:
            apart = (
                one["x"] + one["w"] <= other["x"]
                or other["x"] + other["w"] <= one["x"]
                or one["y"] + one["h"] <= other["y"]
                or other["y"] + other["h"] <= one["y"]
            )
            assert apart, (one, other)
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in board["panels"]:
        assert panel["targets"]
        assert panel["datasource"]["uid"] == "${datasource}"
