"""The gate between parsing and publishing: every check, on frames alone. Whole runs: test_gate_runs.py."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from city_data.datasets import DATASETS, WEATHER, expected_stamps
from city_data.frames import coverage
from city_data.frames.checks import Outcome
from city_data.pipeline.gate import Admitted, admit
from city_data.providers import discover
from city_data.providers.base import Capabilities, Location, ParsedMonth, Request, Settings
from city_data.window import Month
from city_data_tests.world import AS_OF

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
    request = Request(Location("madrid", 40.4, -3.7, zone), SEPTEMBER, Settings(), as_of)
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


def test_rows_after_the_fetch_are_kept_where_the_dataset_has_months_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "weather", replace(WEATHER, months_ahead=1))
    admitted, failed = judged(hours(), as_of=datetime(2026, 8, 20, tzinfo=UTC))
    assert failed == {}
    assert (len(admitted.parsed.frame), admitted.parsed.used, admitted.parsed.rejected) == (720, 720, {})


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


def test_month_most_of_whose_rows_are_contradicted_is_refused() -> None:
    counts = {"received": 1_440, "rejected": {"disagreeing": 720}}
    failed = judged(hours(), **counts)[1]
    assert set(failed) == {"contradicted_rows", "agreeing_rows"}
    few = judged(hours(), received=740, rejected={"disagreeing": 20})[1]
    assert set(few) == {"agreeing_rows"}
    assert set(judged(hours(), replace(OPEN_METEO, forward_only=True), **counts)[1]) == {"agreeing_rows"}


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
