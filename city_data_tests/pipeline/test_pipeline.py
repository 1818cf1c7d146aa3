"""A month's whole pipeline: sandbox over HTTP, Dagster runs on PostgreSQL, ledger, rows, cache."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from city_data.providers import discover
from city_data.store.provider_facts import read_providers
from city_data.store.series import read_series
from city_data.window import Month
from city_data_tests.world import AS_OF, World

NO_DATA = '{"descripcion": "No hay datos que satisfagan esos criterios", "estado": 404}'

ONE_DAY = '[{"fecha": "2026-09-01", "indicativo": "3195", "tmed": "20,0"}]'


def test_a_month_goes_from_provider_to_cache(world: World) -> None:
    (weather,) = world.load("weather", "2026-09")
    (traffic,) = world.load("traffic", "2025-10")
    assert (weather.error, weather.rows) == (None, 30)
    assert (traffic.error, traffic.rows) == (None, 745)  # the day on which clocks go back has 25 hours
    entry = world.entry("traffic", "2025-10")
    assert entry is not None
    assert (entry.state, entry.version, entry.rows, entry.expected_rows) == ("settled", 1, 745, 745)
    assert entry.coverage is not None
    assert entry.coverage > 0.9
    assert entry.source == "sandbox:madrid_opendata"
    assert entry.raw_files[0]["origin"] == "sandbox"
    assert world.cache.inventory() == {Month(2026, 9), Month(2025, 10)}
    start, end = Month(2026, 9).bounds("Europe/Madrid")
    frame = read_series(world.database, "weather", "madrid", start, end)
    assert len(frame) == 30
    assert set(frame["source"]) == {"sandbox:aemet"}
    assert frame["raw_data"].iloc[0]["stations"].keys() == {"3195", "3129", "3196"}
    assert frame["temperature"].between(5, 35).all()


def test_materializations_carry_rows_coverage_and_preview(world: World) -> None:
    world.load("weather", "2026-09")
    for step in ("raw", "monthly", "cache"):
        key = dg.AssetKey(["madrid", f"weather_{step}"])
        assert world.instance.get_materialized_partitions(key) == {"2026-09"}
    records = world.instance.fetch_materializations(dg.AssetKey(["madrid", "weather_monthly"]), limit=1).records
    metadata = records[0].asset_materialization.metadata  # type: ignore[union-attr]
    assert [*metadata][:4] == ["state", "source", "version", "coverage"]
    assert [*metadata][-1] == "days"
    assert metadata["dagster/partition_row_count"].value == 30
    assert metadata["coverage"].value == pytest.approx(1.0, abs=0.1)
    assert "| date |" in str(metadata["preview"].value)


def test_reloading_the_same_month_changes_nothing(world: World) -> None:
    world.load("traffic", "2026-09")
    before, rows = world.entry("traffic", "2026-09"), world.rows("traffic", "2026-09")
    world.at(AS_OF + timedelta(days=1))
    world.load("traffic", "2026-09")
    after = world.entry("traffic", "2026-09")
    assert before is not None
    assert after is not None
    assert (after.version, after.content_sha256) == (before.version, before.content_sha256)
    assert after.fetched_at == AS_OF + timedelta(days=1)
    assert world.rows("traffic", "2026-09") == rows


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"path": "/opendata/sh/", "status": 500, "headers": {"Retry-After": "3600"}}, "500"),
        ({"path": "/opendata/sh/", "body": "<html>Mantenimiento</html>", "headers": {}}, "html"),
        ({"path": "/diarios/", "datos_host": "evil.example"}, "evil.example"),
        (
            {"path": "/opendata/sh/", "body": '[{"fecha": "2026-09-01", "indicativo": "3195", "tmed": "20,0"}]'},
            "coverage",
        ),
    ],
    ids=["500", "html", "foreign host", "one day of thirty"],
)
def test_failed_load_leaves_the_old_month_served(
    world: World, fault: dict[str, object], message: str, no_waiting: None
) -> None:
    world.load("weather", "2026-09")
    entry, rows = world.entry("weather", "2026-09"), world.rows("weather", "2026-09")
    world.sandbox.faults.order(**fault)  # type: ignore[arg-type]
    world.at(AS_OF + timedelta(days=1))
    (done,) = world.load("weather", "2026-09")
    assert done.error is not None
    after = world.entry("weather", "2026-09")
    assert entry is not None
    assert after is not None
    assert (after.version, after.state, after.coverage) == (entry.version, entry.state, entry.coverage)
    for word in ("madrid", "2026-09", message):
        assert word in str(after.last_error).lower()
    assert world.rows("weather", "2026-09") == rows


def test_first_failure_is_recorded_and_cleared_by_the_next_load(world: World, no_waiting: None) -> None:
    world.sandbox.faults.order("/diarios/", status=403)
    (done,) = world.load("weather", "2026-09")
    entry = world.entry("weather", "2026-09")
    assert "AEMET_API_KEY" in str(done.error)
    assert entry is not None
    assert (entry.state, entry.version) == ("failed", None)
    world.sandbox.faults.clear()
    world.load("weather", "2026-09")
    healed = world.entry("weather", "2026-09")
    assert healed is not None
    assert (healed.state, healed.version, healed.last_error) == ("settled", 1, None)


def test_retry_after_of_hours_fails_the_run_at_once(world: World) -> None:
    world.sandbox.faults.order("/diarios/", status=429, headers={"Retry-After": "72000"})
    before = world.sandbox.faults.carried_out
    (done,) = world.load("weather", "2026-09")
    entry = world.entry("weather", "2026-09")
    assert "too many calls (429)" in str(done.error)
    assert world.sandbox.faults.carried_out == before + 1
    assert entry is not None
    assert entry.state == "failed"


def test_a_month_not_yet_published_is_skipped_and_not_failed(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.sandbox.publication.unpublished = {Month(2026, 10)}
    (done,) = world.load("traffic", "2026-10")
    entry = world.entry("traffic", "2026-10")
    assert (done.error, done.rows) == (None, 0)
    assert entry is not None
    assert (entry.state, entry.version, entry.expected_rows) == ("not_yet_published", None, 745)
    assert not world.instance.get_materialized_partitions(dg.AssetKey(["madrid", "traffic_monthly"]))
    assert "emitted no result" not in caplog.text  # a normal state fills no terminal with warnings


@pytest.mark.parametrize("cause", ["no such month", "no key"])
def test_hourly_fallback_is_served_as_days_under_its_own_source(world: World, cause: str) -> None:
    if cause == "no key":
        world.monkeypatch.delenv("AEMET_API_KEY")
    else:
        world.sandbox.faults.order("/diarios/", body=NO_DATA)
    (done,) = world.load("weather", "2026-03")
    assert (done.error, done.rows) == (None, 31)
    start, end = Month(2026, 3).bounds("Europe/Madrid")
    frame = read_series(world.database, "weather", "madrid", start, end)
    assert set(frame["source"]) == {"sandbox:open_meteo"}
    assert {row["aggregated_from"] for row in frame["raw_data"].dropna()} == {"hourly"}
    assert 23 in {row["hours"] for row in frame["raw_data"].dropna()}  # the day on which clocks go forward
    entry = world.entry("weather", "2026-03")
    assert entry is not None
    # The licence is that of the source that served, and both are known to the reader.
    assert entry.provenance["licence_url"] == discover()["open_meteo"].capabilities.licence_url
    assert read_providers(world.database).keys() == {"aemet", "open_meteo"}
    # So is the meaning of its columns: a grid cell's, where the first source measures at stations.
    assert {meaning["per"] for meaning in entry.provenance["meanings"].values()} == {"grid cell"}


def test_run_succeeds_without_redis(world: World) -> None:
    world.monkeypatch.setenv("CITY_DATA_REDIS_URL", "redis://127.0.0.1:1/0")
    (done,) = world.load("weather", "2026-09")
    assert (done.error, done.rows) == (None, 30)


def test_a_month_settles_when_two_fetches_a_day_apart_agree(world: World) -> None:
    after_lag = datetime(2026, 10, 8, 5, tzinfo=UTC)
    states = []
    for hours in (0, 2, 24):
        world.at(after_lag + timedelta(hours=hours))
        world.load("traffic", "2026-09")
        entry = world.entry("traffic", "2026-09")
        assert entry is not None
        states.append((entry.state, entry.version))
    assert states == [("provisional", 1), ("provisional", 1), ("settled", 1)]


def test_city_with_one_source_is_hourly_in_its_own_timezone(world: World) -> None:
    world.enable("lisbon")
    (done,) = world.load("weather", "2026-10", city_id="lisbon")
    assert (done.error, done.rows) == (None, 745)
    entry = world.entry("weather", "2026-10", city_id="lisbon")
    assert entry is not None
    assert entry.source == "sandbox:open_meteo"
    assert entry.first_date == datetime(2026, 9, 30, 23, tzinfo=UTC)


def test_city_publishing_congestion_states_has_levels_and_no_volume(world: World) -> None:
    world.enable("barcelona")
    (traffic,) = world.load("traffic", "2025-10", city_id="barcelona")
    (weather,) = world.load("weather", "2025-10", city_id="barcelona")
    assert (traffic.error, traffic.rows, weather.error, weather.rows) == (None, 745, None, 31)
    entry = world.entry("traffic", "2025-10", city_id="barcelona")
    assert entry is not None
    assert (entry.state, entry.source, entry.rows) == ("settled", "sandbox:barcelona_opendata", 745)
    assert entry.coverage is not None
    assert entry.coverage > 0.9
    start, end = Month(2025, 10).bounds("Europe/Madrid")
    frame = read_series(world.database, "traffic", "barcelona", start, end)
    assert frame["congestion_level"].notna().mean() == entry.coverage
    assert {"low", "medium", "high"} <= set(frame["congestion_level"].dropna())
    assert frame[["traffic_volume", "average_speed", "pedestrian_count"]].isna().all().all()
    days = read_series(world.database, "weather", "barcelona", start, end)
    assert days["raw_data"].iloc[0]["stations"].keys() == {"0076", "0201X", "0229I"}
    assert days[["temperature", "precipitation", "humidity", "wind_speed", "pressure"]].notna().all().all()


def test_a_month_whose_file_is_empty_is_not_available_and_not_failed(world: World) -> None:
    world.enable("barcelona")
    world.sandbox.faults.order(r"_TRAMS_TRAMS\.csv$", body="idTram,data,estatActual,estatPrevist\n")
    (done,) = world.load("traffic", "2025-04", city_id="barcelona")
    entry = world.entry("traffic", "2025-04", city_id="barcelona")
    assert (done.error, done.rows) == (None, 0)
    assert entry is not None
    assert (entry.state, entry.version, entry.expected_rows) == ("not_available", None, 720)
    assert "without a single state" in entry.provenance["reason"]
    assert not world.instance.get_materialized_partitions(dg.AssetKey(["barcelona", "traffic_monthly"]))


def test_french_month_is_hourly_and_records_its_source_file(world: World) -> None:
    world.enable("paris")
    (done,) = world.load("weather", "2026-10", city_id="paris")
    assert (done.error, done.rows) == (None, 745)
    entry = world.entry("weather", "2026-10", city_id="paris")
    assert entry is not None
    assert (entry.source, entry.state) == ("sandbox:meteo_france", "provisional")
    assert entry.coverage is not None
    assert entry.coverage > 0.97
    assert entry.first_date == datetime(2026, 9, 30, 22, tzinfo=UTC)
    (raw,) = entry.raw_files
    assert raw["url"].endswith("H_75_latest-2025-2026.csv.gz")
    assert {"title", "file_sha256", "file_bytes", "file_etag", "extract"} <= raw["params"].keys()


def test_month_of_pedestrians_alone_is_published_with_its_panel(world: World) -> None:
    """The sandbox's counters stood still for 5 hours of June."""
    world.enable("lyon")
    (done,) = world.load("traffic", "2026-06", city_id="lyon")
    entry = world.entry("traffic", "2026-06", city_id="lyon")
    assert (done.error, done.rows) == (None, 720)
    assert entry is not None
    assert (entry.source, entry.state) == ("sandbox:grandlyon_opendata", "settled")
    assert entry.coverage == pytest.approx(715 / 720)
    assert entry.provenance["panel"] == {"channels": 12, "sites": 6}
    assert [raw["name"] for raw in entry.raw_files] == ["channels.csv", "measures-1.json"]


def test_half_hour_timezone_city_has_every_hour_once(world: World) -> None:
    kolkata: dict[str, object] = {
        "city_id": "kolkata",
        "name": "Kolkata",
        "country": "IN",
        "latitude": 22.5726,
        "longitude": 88.3639,
        "radius_km": 25,
        "timezone": "Asia/Kolkata",
        "enabled": True,
        "weather": {"provider": "open_meteo"},
    }
    world.write_cities([kolkata])
    (done,) = world.load("weather", "2026-09", city_id="kolkata")
    assert (done.error, done.rows) == (None, 720)
    entry = world.entry("weather", "2026-09", city_id="kolkata")
    assert entry is not None
    assert entry.coverage == pytest.approx(1.0, abs=0.01)
    assert entry.first_date == datetime(2026, 8, 31, 19, tzinfo=UTC)
