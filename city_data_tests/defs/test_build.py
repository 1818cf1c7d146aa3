"""The registry becomes assets with lineage and documentation; unresolvable names are refused."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.definitions.partitions.context import partition_loading_context

from city_data.cities import RegistryError, load_registry
from city_data.cli.options import select_months
from city_data.datasets import DATASETS
from city_data.defs.build import build_definitions
from city_data.defs.keys import MONTHS_JOB, asset_key, feed_of
from city_data.errors import UsageError
from city_data.operations.backfill import tasks
from city_data.pipeline.feeds import enabled_feeds
from city_data.providers import discover
from city_data.window import Month, Window

WINDOW = Window(Month(2024, 11), Month(2026, 11))
SOURCES = {
    "weather": ["aemet", "open_meteo"],
    "traffic": ["madrid_opendata"],
    "calendar": ["openholidays"],
    "forecast": ["open_meteo_forecast"],
}
MADRID_ALONE = {"ENABLED_CITIES": "madrid"}
TOWN: dict[str, Any] = {
    "city_id": "town",
    "name": "Town",
    "country": "ES",
    "latitude": 40.0,
    "longitude": -3.0,
    "radius_km": 20,
    "timezone": "Europe/Madrid",
    "enabled": True,
}


def refused(folder: Path, **sources: Any) -> str:
    file = folder / "cities.yaml"
    file.write_text(yaml.safe_dump({"cities": [TOWN | sources]}))
    with pytest.raises(RegistryError) as caught:
        enabled_feeds(load_registry(file, environ={}))
    assert "town" in str(caught.value)
    return str(caught.value)


def test_unknown_provider_is_refused_and_the_known_ones_are_listed(tmp_path: Path) -> None:
    message = refused(tmp_path, weather={"provider": "aemt"})
    for word in ("cities.yaml", "weather.provider", "'aemt'", f"known: {', '.join(discover())}"):
        assert word in message


def test_unknown_settings_and_unsupported_datasets_are_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, weather={"provider": "aemet", "settings": {"station": ["3195"]}})
    assert "weather.settings" in message
    assert "known settings: stations" in message
    fallback = {"provider": "open_meteo", "settings": {"x": 1}}
    message = refused(tmp_path, weather={"provider": "aemet", "settings": {"stations": ["3195"]}, "fallback": fallback})
    assert "weather.fallback.settings" in message
    message = refused(tmp_path, weather={"provider": "aemet", "settings": {"stations": [3195]}})
    assert "weather.settings: stations.0: YAML reads this as 3195, not as text: put it in quotes" in message
    message = refused(tmp_path, weather={"provider": "aemet", "settings": {"stations": "3195"}})
    assert "weather.settings: stations: '3195' stands where a list is expected" in message
    message = refused(tmp_path, weather={"provider": "aemet", "settings": {"stations": ["31-95"]}})
    assert "weather.settings: stations.0: '31-95' is not a station's id of four or five characters, such as" in message
    message = refused(tmp_path, traffic={"provider": "open_meteo"})
    assert "open_meteo gives no traffic; known: barcelona_opendata, grandlyon_opendata, madrid" in message


def test_lineage_runs_from_provider_to_cache_and_every_asset_is_documented() -> None:
    definitions = build_definitions(enabled_feeds(load_registry(environ=MADRID_ALONE)), WINDOW)
    dg.Definitions.validate_loadable(definitions)
    graph = definitions.resolve_asset_graph()
    parents = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    providers = {name: {f"provider/{one}" for one in names} for name, names in SOURCES.items()}
    steps = [
        {f"madrid/{name}_raw": providers[name], f"madrid/{name}_monthly": {f"madrid/{name}_raw"}} for name in DATASETS
    ]
    assert parents == {
        **{provider: set() for names in providers.values() for provider in names},
        **{key: wanted for step in steps for key, wanted in step.items()},
        **{f"madrid/{name}_cache": {f"madrid/{name}_monthly"} for name in DATASETS},
        "madrid/reader": {f"madrid/{name}_cache" for name in DATASETS},
        "madrid/training_frame": {f"madrid/{name}_monthly" for name in DATASETS},
    }
    for key in graph.get_all_asset_keys():
        asset = graph.get(key)
        assert asset.kinds
        assert asset.owners == ["team:city_data"]
        assert asset.description
        assert asset.group_name == ("providers" if key.path[0] == "provider" else "madrid")
        feed = feed_of(key)
        assert bool(asset.code_version) == (feed is not None)
        credited = key.path[1:] if key.path[0] == "provider" else SOURCES[feed[0]] if feed is not None else []
        if not key.path[-1].endswith("_cache"):
            assert all(discover()[name].capabilities.licence in asset.description for name in credited)


@pytest.fixture(scope="module")
def all_cities() -> BaseAssetGraph[Any]:
    return build_definitions(enabled_feeds(load_registry(environ={})), WINDOW).resolve_asset_graph()


def test_titles_of_a_graph_are_unique_within_a_group(all_cities: BaseAssetGraph[Any]) -> None:
    """Dagster titles a node by the last part of its key."""
    titles = Counter((all_cities.get(key).group_name, key.path[-1]) for key in all_cities.get_all_asset_keys())
    assert len({group for group, _ in titles}) > 6
    assert set(titles.values()) == {1}


def test_an_asset_has_one_kind(all_cities: BaseAssetGraph[Any]) -> None:
    """Dagster's catalog shows kinds beside the name, and cuts the name where three leave no room for it."""
    kinds = {key: all_cities.get(key).kinds for key in all_cities.get_all_asset_keys() if key.path[0] != "provider"}
    assert len(kinds) > 40
    assert {key.to_user_string(): found for key, found in kinds.items() if len(found) != 1} == {}


@pytest.mark.filterwarnings("ignore:Parameter `include_sources`")  # Dagster's own grammar passes it
@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        ('tag:"country"="PT" and key:*_raw', {f"lisbon/{name}_raw" for name in ("weather", "calendar", "forecast")}),
        ("tag:country=PT and kind:api", {"lisbon/reader", "lisbon/training_frame"}),
        ("tag:city=valencia and tag:dataset=traffic and key:*_monthly", {"valencia/traffic_monthly"}),
        ("tag:provider=madrid_opendata and kind:postgres", {"madrid/traffic_monthly"}),
        (
            "tag:resolution=daily and tag:country=ES and tag:city=madrid and key:*_raw",
            {f"madrid/{name}_raw" for name in ("weather", "calendar")},
        ),
        ("tag:provider=openholidays and tag:country=PT and kind:file", {"lisbon/calendar_raw"}),
        ("group:madrid and key:*/reader", {"madrid/reader"}),
    ],
)
def test_assets_are_selected_by_their_tags(all_cities: BaseAssetGraph[Any], selection: str, chosen: set[str]) -> None:
    found = dg.AssetSelection.from_string(selection, include_sources=True).resolve(all_cities)
    assert {key.to_user_string() for key in found} == chosen


def test_every_schedule_and_sensor_is_running_by_default() -> None:
    repository = build_definitions(enabled_feeds(load_registry(environ=MADRID_ALONE)), WINDOW).get_repository_def()
    schedules = {schedule.name: schedule.default_status for schedule in repository.schedule_defs}
    sensors = {sensor.name: sensor.default_status for sensor in repository.sensor_defs}
    running = (dg.DefaultScheduleStatus.RUNNING, dg.DefaultSensorStatus.RUNNING)
    assert schedules == dict.fromkeys(
        ("month_closed", "refresh_unsettled", "recheck_settled", "purge_runs"), running[0]
    )
    assert sensors == dict.fromkeys(
        ("retention", "rotation_summary", "failure_notice", "backfill_notice", "source_shape_notice", "overdue_months"),
        running[1],
    )
    raw = repository.assets_defs_by_key[dg.AssetKey(["madrid", "traffic_raw"])]
    assert raw.op.pool == "madrid_opendata"


def test_loading_definitions_imports_only_city_data_beyond_dagster() -> None:
    """The code server, every run and every command load them, so heavy imports happen on use."""
    script = "import sys, dagster; had = set(sys.modules); import city_data.definitions; print(*set(sys.modules) - had)"
    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    assert "city_data.definitions" in loaded
    assert {name.partition(".")[0] for name in loaded} == {"city_data"}


def test_dataset_that_reaches_ahead_has_partitions_of_its_own() -> None:
    feeds = enabled_feeds(load_registry(environ=MADRID_ALONE))
    definitions = build_definitions(feeds, WINDOW)
    last = {
        feed.dataset.name: definitions.get_assets_def(asset_key(feed, "monthly")).partitions_def.get_partition_keys()[
            -1
        ]  # type: ignore[union-attr]
        for feed in feeds
    }
    assert last == {"weather": "2026-11", "traffic": "2026-11", "calendar": "2027-11", "forecast": "2026-12"}
    job = definitions.resolve_job_def(MONTHS_JOB)
    with partition_loading_context() as context:
        for feed in feeds:
            job.validate_partition_key(last[feed.dataset.name], {asset_key(feed, "raw")}, context)
            with pytest.raises(dg.DagsterUnknownPartitionError):
                job.validate_partition_key("2027-12", {asset_key(feed, "raw")}, context)


def test_backfill_of_many_feeds_has_the_months_that_each_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITY_DATA_AS_OF", "2026-11-24T09:00:00Z")
    feeds = {feed.dataset.name: feed for feed in enabled_feeds(load_registry(environ=MADRID_ALONE))}
    weather, reaching = feeds["weather"], feeds["forecast"]
    months = select_months(WINDOW, [weather, reaching], "2026-10")
    wanted = tasks([weather, reaching], months)
    assert [str(month) for feed, month in wanted if feed is weather] == ["2026-10", "2026-11"]
    assert [str(month) for feed, month in wanted if feed is reaching] == ["2026-10", "2026-11", "2026-12"]
    assert select_months(WINDOW, [reaching], "2026-12") == [Month(2026, 12)]
    with pytest.raises(UsageError, match="--to 2026-12 lies ahead; the open month"):
        select_months(WINDOW, [weather], None, "2026-12")
    with pytest.raises(UsageError, match="--to 2027-01 lies ahead; the last month ahead is 2026-12"):
        select_months(WINDOW, [weather, reaching], None, "2027-01")
