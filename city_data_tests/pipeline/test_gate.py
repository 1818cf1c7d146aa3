"""The gate between parse and publish: a month says what its source said, or why it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

import pandas as pd
import pytest
import sqlalchemy as sa

from city_data.datasets import WEATHER, expected_stamps
from city_data.definitions import defs
from city_data.frames import coverage
from city_data.frames.checks import Outcome
from city_data.operations.backfill import materialize
from city_data.pipeline.feeds import Feed
from city_data.pipeline.gate import Admitted, admit
from city_data.providers import discover
from city_data.providers.aemet import Aemet
from city_data.providers.base import Capabilities, ParsedMonth, Place, Request, Settings
from city_data.providers.open_meteo import OpenMeteo
from city_data.store.ledger import MonthEntry
from city_data.store.schema import CITY_MONTH
from city_data.store.series import read_series
from city_data.window import Month
from city_data_tests.world import AS_OF, World

SEPTEMBER = Month(2026, 9)
KOLKATA, MADRID = "Asia/Kolkata", "Europe/Madrid"
OPEN_METEO, METEO_FRANCE = (discover()[name].capabilities for name in ("open_meteo", "meteo_france"))


def hours(zone: str = MADRID, **columns: object) -> pd.DataFrame:
    """A whole September of plausible hours."""
    values = {"temperature": 20.0, "precipitation": 0.0, "humidity": 50.0, "wind_speed": 3.0, "pressure": 1015.0}
    dates = pd.DatetimeIndex(expected_stamps(SEPTEMBER, zone, "hourly"))
    return pd.DataFrame({"date": dates, **values, "description": "fog", "source": "test", **columns})


def judged(
    frame: pd.DataFrame,
    capabilities: Capabilities = OPEN_METEO,
    as_of: datetime = AS_OF,
    zone: str = MADRID,
    **counts: Any,
) -> tuple[Admitted, dict[str, Outcome]]:
    known: dict[str, Any] = {"received": len(frame), "used": len(frame), "fields": ["time"], **counts}
    request = Request(Place("madrid", 40.4, -3.7, zone), SEPTEMBER, Settings(), as_of)
    admitted = admit(ParsedMonth(frame, **known), request, capabilities)
    return admitted, {outcome.name: outcome for outcome in admitted.outcomes if not outcome.passed}


@pytest.mark.parametrize("zone", [MADRID, KOLKATA, "Australia/Adelaide", "Asia/Kathmandu"])
def test_good_month_is_admitted_unchanged(zone: str) -> None:
    admitted, failed = judged(hours(zone), zone=zone)
    assert failed == {}
    assert admitted.parsed.frame["temperature"].tolist() == [20.0] * 720
    assert (admitted.parsed.nulled, admitted.parsed.rejected, admitted.parsed.used) == ({}, {}, 720)


@pytest.mark.parametrize("minutes", [30, 15, 1, -30])
def test_timestamps_off_the_hour_refuse_the_month(minutes: int) -> None:
    frame = hours()
    moved = frame.assign(date=frame["date"] + pd.Timedelta(minutes=minutes)).iloc[1:]
    assert "expected_stamps" in judged(moved)[1]
    both = pd.concat([frame, moved], ignore_index=True)  # 1,440 rows where 720 are expected
    assert judged(both)[1]["expected_stamps"].metadata["off_grid"] in (719, 718)


def test_half_hour_zone_expects_whole_utc_hours() -> None:
    frame = hours(KOLKATA)
    moved = frame.assign(date=frame["date"] + pd.Timedelta(minutes=30)).iloc[:-1]
    assert "expected_stamps" in judged(moved, zone=KOLKATA)[1]


def test_forecasts_of_a_modelled_source_are_rejected_as_future() -> None:
    as_of = datetime.fromisoformat("2026-09-10T09:20:00+00:00")
    admitted, failed = judged(hours(), as_of=as_of)
    assert failed == {}
    parsed = admitted.parsed
    assert parsed.frame["date"].max() == pd.Timestamp("2026-09-10T09:00", tz="UTC")
    assert parsed.rejected == {"future": 720 - len(parsed.frame)}
    assert parsed.received == parsed.used + sum(parsed.rejected.values()) == 720


@pytest.mark.parametrize(("ahead", "refused"), [(3, False), (4, True), (480, True)])
def test_measurements_of_the_future_refuse_the_month_unless_they_are_few(ahead: int, refused: bool) -> None:
    frame = hours()
    as_of = frame["date"].iloc[-ahead - 1].to_pydatetime()
    admitted, failed = judged(frame, METEO_FRANCE, as_of)
    assert ("expected_stamps" in failed) == refused
    assert len(admitted.parsed.frame) == 720 - ahead
    assert admitted.parsed.nulled["future:temperature"] == ahead
    assert (admitted.parsed.received, admitted.parsed.used, admitted.parsed.rejected) == (720, 720, {})


@pytest.mark.parametrize("value", [-999.0, 999.9, float("inf"), float("-inf")])
@pytest.mark.parametrize(("cells", "refused"), [(1, False), (7, False), (8, True), (720, True)])
def test_implausible_values_are_nulled_and_counted_and_many_refuse(value: float, cells: int, refused: bool) -> None:
    frame = hours()
    frame.loc[: cells - 1, "temperature"] = value
    admitted, failed = judged(frame)
    assert ("plausible_ranges" in failed) == refused
    assert admitted.parsed.nulled == {"implausible:temperature": cells}
    assert admitted.parsed.frame["temperature"].isna().sum() == cells
    assert admitted.parsed.frame["humidity"].notna().all()


def test_values_nulled_by_the_parser_count_as_implausible() -> None:
    assert "plausible_ranges" not in judged(hours(), nulled={"implausible:tmed": 4, "negative:velmedia": 3})[1]
    assert "plausible_ranges" in judged(hours(), nulled={"implausible:tmed": 8})[1]
    assert "plausible_ranges" in judged(hours(), nulled={"negative:velmedia": 8})[1]
    missing = replace(OPEN_METEO, negative_is_missing=True)
    assert "plausible_ranges" not in judged(hours(), missing, nulled={"negative:carga": 300})[1]


def test_emptied_column_is_a_finding_and_unparsable_cells_refuse_the_month() -> None:
    empty = hours(pressure=None)
    assert set(judged(empty)[1]) == {"promised_columns"}
    spoilt = judged(empty, nulled={"not_a_number:pressure": 720})[1]
    assert spoilt["readable_columns"].blocking
    own_name = judged(empty, nulled={"unreadable:pressure_msl": 720})[1]
    assert own_name["readable_columns"].blocking


def test_month_in_which_no_weather_was_worth_a_word_is_a_good_month() -> None:
    assert judged(hours(description=None))[1] == {}
    coded = judged(hours(description=None), nulled={"unreadable:description": 720})[1]
    assert coded["readable_columns"].blocking


def test_used_rows_below_the_providers_minimum_refuse_the_month() -> None:
    counts = {"received": 2_000, "rejected": {"other_month": 1_280}}
    assert "used_rows" in judged(hours(), **counts)[1]
    assert "used_rows" not in judged(hours(), replace(OPEN_METEO, minimum_used_share=0.3), **counts)[1]


def test_month_without_rows_is_checked_like_any_other() -> None:
    admitted, failed = judged(hours().iloc[:0], received=5, used=0, rejected={"no_value": 5})
    assert admitted.parsed.frame.empty
    assert set(failed) == {"used_rows", "promised_columns"}


def test_descriptions_and_empty_rows_add_no_coverage() -> None:
    given = OPEN_METEO.columns
    words = judged(hours(**dict.fromkeys(WEATHER.measured_names)))[0].parsed.frame
    assert coverage.share(words, WEATHER, given, 720) == 0.0
    assert coverage.share(hours(), WEATHER, given, 720) == 1.0
    assert coverage.share(hours(pressure=None), WEATHER, given, 720) == pytest.approx(0.8)
    assert coverage.share(hours(description=None), WEATHER, given, 720) == 1.0
    assert coverage.share(hours(pressure=None), WEATHER, [name for name in given if name != "pressure"], 720) == 1.0
    assert coverage.share(hours(), WEATHER, ["description"], 720) == 0.0


# Over HTTP from the sandbox, through Dagster, into the ledger.

AEMET = {"path": "/opendata/sh/"}
ARCHIVE = {"path": "/v1/archive"}


def loaded(world: World, city_id: str, month: str = "2026-09") -> MonthEntry:
    world.enable(city_id)
    world.load("weather", month, city_id=city_id)
    entry = world.entry("weather", month, city_id=city_id)
    assert entry is not None
    return entry


def findings(world: World) -> dict[str, str]:
    """The checks of the last run that did not pass."""
    run = world.instance.get_runs(limit=1)[0]
    found = [
        event.dagster_event.asset_check_evaluation_data
        for event in world.instance.all_logs(run.run_id)
        if event.dagster_event and event.dagster_event.event_type_value == "ASSET_CHECK_EVALUATION"
    ]
    return {check.check_name: str(check.description) for check in found if not check.passed}


@pytest.mark.parametrize(("city_id", "where"), [("madrid", AEMET), ("lisbon", ARCHIVE)])
def test_month_whose_numbers_do_not_parse_is_refused(world: World, city_id: str, where: dict[str, str]) -> None:
    world.sandbox.faults.order(**where, swap_decimals=True)
    entry = loaded(world, city_id)
    assert (entry.state, entry.version) == ("failed", None)
    for word in (city_id, "2026-09"):
        assert word in str(entry.last_error)


@pytest.mark.parametrize(
    ("city_id", "where", "column"), [("madrid", AEMET, "tmed"), ("lisbon", ARCHIVE, "temperature_2m")]
)
def test_one_implausible_value_is_nulled_and_counted_and_many_refuse(
    world: World, city_id: str, where: dict[str, str], column: str, no_waiting: None
) -> None:
    world.sandbox.faults.order(**where, outlier_column=column, outliers=1)
    entry = loaded(world, city_id)
    assert (entry.version, entry.last_error) == (1, None)
    odd = sum(count for key, count in entry.nulled.items() if key.startswith("implausible:"))
    assert 1 <= odd <= 3  # each of Madrid's three stations has one, on one or more days
    start, end = SEPTEMBER.bounds(world.feed("weather", city_id).city.timezone)
    frame = read_series(world.database, "weather", city_id, start, end)
    assert frame["temperature"].dropna().between(-10, 45).all()
    world.sandbox.faults.clear()
    world.sandbox.faults.order(**where, outlier_column=column, outliers=60)
    world.at(AS_OF + timedelta(days=1))
    after = loaded(world, city_id)
    assert (after.version, after.content_sha256) == (1, entry.content_sha256)
    assert "implausible" in str(after.last_error)


def test_emptied_column_is_published_and_reported(world: World) -> None:
    world.load("weather", "2026-08")
    world.sandbox.faults.order(**AEMET, empty_column="hrMedia")
    entry = loaded(world, "madrid")
    assert (entry.state, entry.column_coverage["humidity"]) == ("settled", 0.0)
    assert entry.empty_columns == ["humidity"]
    assert entry.coverage == pytest.approx(0.8, abs=0.02)
    found = findings(world)
    assert found["promised_columns"] == "without one value: humidity"
    assert "humidity 100.0% to 0.0%" in found["column_drift"]


def test_month_with_shifted_timestamps_fails(world: World) -> None:
    world.sandbox.faults.order(**ARCHIVE, shift_minutes=30)
    entry = loaded(world, "lisbon")
    assert (entry.state, entry.version) == ("failed", None)


def test_fallback_hours_are_checked_before_they_are_averaged_into_days(world: World) -> None:
    """Days are means: an hour of -999 among 24 made a plausible day of -21 degrees."""
    world.monkeypatch.delenv("AEMET_API_KEY")
    world.sandbox.faults.order(**ARCHIVE, outlier_column="temperature_2m", outliers=3)
    entry = loaded(world, "madrid")
    assert (entry.version, entry.rows) == (1, 30)
    assert sum(count for key, count in entry.nulled.items() if key.startswith("implausible:")) > 0
    start, end = SEPTEMBER.bounds(MADRID)
    frame = read_series(world.database, "weather", "madrid", start, end)
    assert frame["temperature"].dropna().between(5, 35).all()
    world.sandbox.faults.clear()
    world.sandbox.faults.order(**ARCHIVE, shift_minutes=30)
    world.at(AS_OF + timedelta(days=1))
    assert loaded(world, "madrid").last_error is not None


def test_forecast_hours_of_a_modelled_source_are_counted_and_not_published(world: World) -> None:
    world.sandbox.faults.order(**ARCHIVE, fill_nulls=True)
    entry = loaded(world, "lisbon", "2026-11")
    assert (entry.version, entry.last_error) == (1, None)
    assert entry.last_date is not None
    assert entry.last_date <= AS_OF
    assert entry.rejected["future"] > 0
    assert entry.received == entry.used + sum(entry.rejected.values())


def unforeseen(*_: object) -> NoReturn:
    raise RecursionError("maximum depth \x00 exceeded")


def failed_untyped(world: World, feed: Feed, said: Sequence[str]) -> None:
    entry = world.entry("weather", "2026-09", city_id=feed.city.city_id)
    assert entry is not None
    assert (entry.state, entry.version) == ("failed", None)
    for word in (*said, "RecursionError", r"depth \x00 exceeded (test_gate.py:"):
        assert word in str(entry.last_error)


@pytest.mark.parametrize("method", ["fetch", "parse"])
@pytest.mark.parametrize(("city_id", "provider"), [("madrid", Aemet), ("lisbon", OpenMeteo)])
def test_unexpected_exception_in_a_provider_is_recorded_as_a_typed_failure(
    world: World, monkeypatch: pytest.MonkeyPatch, method: str, city_id: str, provider: type[Aemet | OpenMeteo]
) -> None:
    world.enable(city_id)
    if method == "parse":
        monkeypatch.setattr(provider, "fetch", _kept(provider))
    monkeypatch.setattr(provider, method, unforeseen)
    (done,) = world.load("weather", "2026-09", city_id=city_id)
    failed_untyped(world, world.feed("weather", city_id), (provider.name, city_id, "2026-09"))
    assert "RecursionError" in str(done.error)


def _kept(provider: type[Aemet | OpenMeteo]) -> Any:
    """`fetch` as it is, with the parser that it looks through its bytes with."""
    parse, fetch = provider.parse, provider.fetch

    def kept(self: Any, *args: Any) -> Any:
        broken, provider.parse = provider.parse, parse  # type: ignore[method-assign]
        try:
            return fetch(self, *args)
        finally:
            provider.parse = broken  # type: ignore[method-assign]

    return kept


def test_archive_that_cannot_be_read_is_a_failure_in_the_ledger(world: World) -> None:
    done = world.load("weather", "2026-09")
    manifest = world.archive.latest("weather", "madrid", SEPTEMBER)
    file = world.folder / "raw" / "weather" / "madrid" / "2026-09" / f"{manifest.files[0].sha256}.bin"
    file.chmod(0o600)
    file.write_bytes(b"[]")
    feed = world.feed("weather")
    done = list(materialize(defs(), world.instance, [(feed, SEPTEMBER)], ["monthly"]))
    entry = world.entry("weather", "2026-09")
    assert entry is not None
    assert "other bytes" in str(done[0].error)
    assert (entry.version, "other bytes" in str(entry.last_error)) == (1, True)


def test_unexpected_exception_is_recorded_and_keeps_its_traceback(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("city_data.store.months.replace_month", unforeseen)
    (done,) = world.load("weather", "2026-09")
    failed_untyped(world, world.feed("weather"), ())
    assert "RecursionError" in str(done.error)
    (failure,) = [
        event.dagster_event.step_failure_data
        for event in world.instance.all_logs(done.run_id)
        if event.dagster_event and event.dagster_event.event_type_value == "STEP_FAILURE"
    ]
    assert failure.error is not None
    assert "in unforeseen" in failure.error.to_string()


def test_late_load_leaves_no_error_on_a_newer_month(world: World) -> None:
    world.load("weather", "2026-09")
    with world.database.write() as connection:  # as a run that fetched later and ended sooner leaves it
        connection.execute(sa.update(CITY_MONTH).values(fetched_at=AS_OF + timedelta(hours=1)))
    (done,) = world.load("weather", "2026-09")
    assert "are published by run" in str(done.error)
    after = world.entry("weather", "2026-09")
    assert after is not None
    assert (after.version, after.last_error, after.fetched_at) == (1, None, AS_OF + timedelta(hours=1))
