"""The exporter's metrics equal the ledger through loads, failures and expiry; every feed has its series."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from city_data.cities import load_registry
from city_data.local.embedded import free_port
from city_data.operations.exporter import STATES, LedgerCollector, daemon_heartbeats, mean_coverage
from city_data.pipeline.feeds import enabled_feeds
from city_data.pipeline.timetable import is_overdue
from city_data.store.database import Database
from city_data.store.ledger import read_months
from city_data.store.partitions import drop_month
from city_data.store.totals import read_totals
from city_data.window import Month, as_of
from city_data_tests.pipeline.test_settling import entry
from city_data_tests.world import AS_OF, World

Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]
WEATHER = {"city": "madrid", "dataset": "weather"}
TRAFFIC = {"city": "madrid", "dataset": "traffic"}


def scrape(collector: LedgerCollector) -> Figures:
    registry = CollectorRegistry()
    registry.register(collector)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def figure(found: Figures, name: str, **labels: str) -> float:
    return found[(name, tuple(sorted(labels.items())))]


@pytest.fixture
def madrid(world: World) -> World:
    world.monkeypatch.setenv("ENABLED_CITIES", "madrid")
    return world


def exported(world: World) -> Figures:
    return scrape(LedgerCollector(world.database, world.feeds, as_of, daemon_heartbeats(world.instance)))


def test_every_feed_has_its_series_before_the_first_load(world: World) -> None:
    found = exported(world)
    for feed in world.feeds:
        label = {"city": feed.city.city_id, "dataset": feed.dataset.name}
        for name in ("external_ingestion_records_total", "external_ingestion_failures_total"):
            assert figure(found, name, **label) == 0
        assert figure(found, "external_ingestion_duration_seconds_count", **label) == 0
        assert figure(found, "external_city_data_records", **label) == 0
        assert figure(found, "external_city_data_last_update_timestamp", **label) == 0
        assert figure(found, "external_city_data_months", **label, state="never_asked") == 25
        for name in ("used_ratio", "rejected_rows", "nulled_values"):
            assert figure(found, f"external_city_data_{name}", **label) == 0
        for column in feed.primary.provider.capabilities.columns:
            for name in ("column_coverage_ratio", "column_empty_months"):
                assert figure(found, f"external_city_data_{name}", **label, column=column) == 0
        assert {labels for name, labels in found if name == "external_city_data_months"} >= {
            tuple(sorted({**label, "state": state}.items())) for state in STATES
        }
    assert figure(found, "external_ledger_up") == 1
    assert figure(found, "external_retention_overdue_months") == 0


def test_figures_follow_the_ledger_through_loads_failures_and_expiry(madrid: World, no_waiting: None) -> None:
    madrid.load("weather", "2024-11", "2026-09", "2026-10")
    madrid.load("traffic", "2026-09")
    madrid.sandbox.faults.order("/diarios/", status=403)
    madrid.at(AS_OF + timedelta(days=1))
    madrid.load("weather", "2026-11")
    found = exported(madrid)
    entries = [entry for entry in read_months(madrid.database) if entry.dataset == "weather"]
    total = read_totals(madrid.database)[("madrid", "weather")]
    assert figure(found, "external_city_data_records", **WEATHER) == sum(entry.rows for entry in entries) == 91
    assert figure(found, "external_ingestion_records_total", **WEATHER) == total.records == 91
    assert figure(found, "external_ingestion_failures_total", **WEATHER) == total.failures == 1
    assert figure(found, "external_ingestion_duration_seconds_count", **WEATHER) == total.loads == 3
    assert figure(found, "external_ingestion_duration_seconds_sum", **WEATHER) == pytest.approx(total.seconds)
    assert figure(found, "external_ingestion_duration_seconds_bucket", **WEATHER, le="+Inf") == 3
    assert figure(found, "external_city_data_last_update_timestamp", **WEATHER) == AS_OF.timestamp()
    assert figure(found, "external_city_data_last_success_timestamp", **WEATHER) == AS_OF.timestamp()
    by_state = {state: figure(found, "external_city_data_months", **WEATHER, state=state) for state in STATES}
    assert by_state == {
        "settled": 2, "provisional": 1, "failed": 1, "not_yet_published": 0, "not_available": 0, "never_asked": 21,
    }  # fmt: skip
    held = [entry.coverage or 0 for entry in entries if entry.has_data]
    assert figure(found, "external_city_data_coverage", **WEATHER) == pytest.approx(sum(held) / len(held))
    assert figure(found, "external_city_data_overdue_months", **WEATHER) == 24 - 3
    assert figure(found, "external_ingestion_records_total", **TRAFFIC) == 720

    madrid.at(datetime(2026, 12, 2, tzinfo=UTC))
    assert figure(exported(madrid), "external_retention_overdue_months") == 1
    drop_month(madrid.database, Month(2024, 11))
    after = exported(madrid)
    assert figure(after, "external_ingestion_records_total", **WEATHER) == 91
    assert figure(after, "external_city_data_records", **WEATHER) == 61
    assert figure(after, "external_retention_overdue_months") == 0
    assert figure(after, "external_retention_expired_months_total") == 1
    assert figure(after, "external_monthly_tick_timestamp") == datetime(2026, 12, 1, 2, tzinfo=UTC).timestamp()


def test_emptied_column_and_lost_values_are_exported(madrid: World) -> None:
    madrid.load("weather", "2026-08")
    found = exported(madrid)
    assert figure(found, "external_city_data_column_empty_months", **WEATHER, column="humidity") == 0
    assert figure(found, "external_city_data_column_coverage_ratio", **WEATHER, column="humidity") == 1
    assert figure(found, "external_city_data_used_ratio", **WEATHER) == 1
    assert figure(found, "external_city_data_nulled_values", **WEATHER) == 0
    madrid.sandbox.faults.order(
        "/opendata/sh/", empty_column="hrMedia", outlier_column="prec", outliers=1, duplicates=True
    )
    madrid.load("weather", "2026-09", "2026-11")  # an open month is not judged
    found, entry = exported(madrid), madrid.entry("weather", "2026-09")
    assert entry is not None
    assert figure(found, "external_city_data_column_empty_months", **WEATHER, column="humidity") == 1
    assert figure(found, "external_city_data_column_coverage_ratio", **WEATHER, column="humidity") == 0.5
    assert figure(found, "external_city_data_column_empty_months", **WEATHER, column="temperature") == 0
    assert figure(found, "external_city_data_nulled_values", **WEATHER) == sum(entry.nulled.values()) > 0
    assert figure(found, "external_city_data_rejected_rows", **WEATHER) == sum(entry.rejected.values()) > 0
    assert figure(found, "external_city_data_used_ratio", **WEATHER) == 1  # rows sent again are none lost


def test_a_month_is_overdue_by_its_provider_s_own_lag(madrid: World) -> None:
    feed, month = madrid.feed("weather"), Month(2026, 10)
    due = month.bounds("Europe/Madrid")[1] + timedelta(days=5 + 3)
    assert not is_overdue(feed, month, None, due)
    assert is_overdue(feed, month, None, due + timedelta(seconds=1))
    madrid.load("weather", "2026-10")
    assert not is_overdue(feed, month, madrid.entry("weather", "2026-10"), due + timedelta(days=9))


def test_first_collected_month_is_measured_from_its_first_record() -> None:
    feed = next(one for one in enabled_feeds(load_registry(environ={})) if one.name == "traffic/madrid")
    source = feed.primary.provider
    present = type("Present", (type(source),), {"capabilities": replace(source.capabilities, forward_only=True)})()
    collected = replace(feed, primary=replace(feed.primary, provider=present))
    first, second = Month(2026, 9), Month(2026, 10)
    start, end = first.bounds("Europe/Madrid")
    began = entry(first, coverage=0.45, first_date=start + (end - start) / 2)
    after = entry(second, coverage=0.7, first_date=second.bounds("Europe/Madrid")[0])
    assert mean_coverage(collected, [began, after]) == pytest.approx(0.8)
    assert mean_coverage(feed, [began, after]) == pytest.approx(0.575)
    assert mean_coverage(collected, [after, replace(began, month=Month(2026, 11))]) == pytest.approx(0.575)
    assert mean_coverage(collected, []) == 0.0


def test_unreachable_ledger_is_exported_as_a_metric() -> None:
    away = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    assert scrape(LedgerCollector(away, [], as_of)) == {("external_ledger_up", ()): 0}


def test_metrics_are_served_over_http(madrid: World) -> None:
    port = free_port()
    command = [sys.executable, "-m", "city_data.cli", "exporter", "--port", str(port)]
    with subprocess.Popen(command) as process:
        try:
            text = _answer(process, f"http://127.0.0.1:{port}/metrics")
        finally:
            process.terminate()
    assert 'external_ingestion_records_total{city="madrid",dataset="traffic"} 0.0' in text


def _answer(process: subprocess.Popen[bytes], url: str) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return httpx.get(url).text
        except httpx.ConnectError:
            time.sleep(0.1)
    raise AssertionError("the exporter did not answer")
