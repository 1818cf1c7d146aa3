"""Open-Meteo's forecasts: which run a value of a lead is of, days ahead, recorded payloads, and doubtful answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from city_data.datasets import FORECAST, LEAD_DAYS
from city_data.frames.canonical import canonical_frame
from city_data.providers.base import (
    Location,
    NotAvailable,
    NotYetPublished,
    ParsedMonth,
    Payload,
    PermanentError,
    Request,
    TransientError,
)
from city_data.providers.open_meteo_forecast import MODEL, OpenMeteoForecast, hours
from city_data.sandbox import Sandbox, running
from city_data.sandbox.climate import Spot, altitude
from city_data.sandbox.open_meteo_forecast import forecast
from city_data.window import Month
from city_data_tests.oracles.comparing import differences, parse_bytes
from city_data_tests.oracles.open_meteo_forecast import month as oracle
from city_data_tests.oracles.received import Received
from city_data_tests.providers.wire import FIXTURES
from city_data_tests.sandbox.asking import MADRID, Asked, accounted

FIXTURE = FIXTURES / "open_meteo_forecast"
PAST, AHEAD = FIXTURE / "previous_runs.json", FIXTURE / "forecast.json"
AS_OF = datetime(2026, 11, 24, 9, tzinfo=UTC)
ASKED = Request(MADRID, Month(2026, 9), OpenMeteoForecast.settings_model(), datetime(2026, 9, 1, 10, tzinfo=UTC))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LISBON, ZURICH = Location("lisbon", 38.7223, -9.1393, "Europe/Lisbon"), Location("zurich", 47.37, 8.54, "Europe/Zurich")
NAMES = dict(zip(FORECAST.column_names, hours.COLUMNS.values(), strict=True))
WHOLE = ("humidity", "cloud_cover")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("forecasts"), as_of=AS_OF) as served:
        yield served


def fetched(
    sandbox: Sandbox, into: Path, month: str, as_of: datetime = AS_OF, place: Location = MADRID
) -> tuple[Sequence[Payload], ParsedMonth]:
    sandbox.publication.clock = lambda: as_of
    asked = Asked(sandbox, "open_meteo_forecast", month, as_of=as_of, place=place)
    payloads = asked.fetch(into / f"{month}-{as_of:%d%H}")
    return payloads, accounted(OpenMeteoForecast().parse(asked.request, payloads))


def rows_of(frame: pd.DataFrame) -> dict[tuple[datetime, int], dict[str, float]]:
    """The values by hour and lead."""
    listed = frame[["date", "lead_days", *FORECAST.column_names]].itertuples(index=False, name=None)
    return {
        (stamp.to_pydatetime(), lead): dict(zip(FORECAST.column_names, values, strict=True))
        for stamp, lead, *values in listed
    }


def issued_by(run: int, stamps: Sequence[datetime], place: Location) -> dict[str, list[float]]:
    """What the stand-in's run of a day since 1970 forecasts at these stamps, by column, as it is sent."""
    at = np.array([int(stamp.timestamp()) // 3600 for stamp in stamps])
    spot = Spot(place.latitude, place.longitude, altitude(place.latitude, place.longitude))
    values = forecast(spot, np.full(len(at), run), at)
    digits = {"wind_speed": 2, **dict.fromkeys(WHOLE, 0)}
    return {column: np.round(values[name], digits.get(column, 1)).tolist() for column, name in NAMES.items()}


@pytest.mark.parametrize(
    ("month", "place"), [("2026-10", MADRID), ("2026-03", LISBON), ("2026-11", ZURICH), ("2026-12", LISBON)]
)
def test_value_is_of_the_newest_run_that_began_its_lead_before_it(
    sandbox: Sandbox, tmp_path: Path, month: str, place: Location
) -> None:
    """The stand-in knows every run: no value of a lead is of a later one, and none is of an older one than it could
    be. Rain is the sum of an hour, which is told at its end."""
    found = rows_of(fetched(sandbox, tmp_path, month, place=place)[1].frame)
    newest = AS_OF.date().toordinal()
    runs: dict[int, list[tuple[datetime, str, float, int]]] = {}
    for (hour, lead), values in found.items():
        for column, value in values.items():
            stamp = hour + HOUR if column == "precipitation" else hour
            run = min(newest, (stamp - lead * DAY).date().toordinal())
            if value == value:
                runs.setdefault(run, []).append((stamp, column, value, lead))
    assert found
    for run, cells in runs.items():
        told = issued_by(run - date(1970, 1, 1).toordinal(), [stamp for stamp, *_ in cells], place)
        for n, (stamp, column, value, lead) in enumerate(cells):
            assert value == pytest.approx(told[column][n] + 0.0, abs=1e-9), (stamp, column, lead)
            assert datetime.fromordinal(run).replace(tzinfo=UTC) <= stamp - lead * DAY


def test_forecast_of_a_day_is_the_value_of_its_lead_once_the_day_has_passed(sandbox: Sandbox, tmp_path: Path) -> None:
    """Train and serve alike: what is given out ahead is what the history of that lead has afterwards."""
    served: dict[tuple[datetime, int], dict[str, float]] = {}
    for month in ("2026-11", "2026-12"):
        served |= rows_of(fetched(sandbox, tmp_path, month)[1].frame)
    ahead = {key: values for key, values in served.items() if key[0] > AS_OF}
    later = rows_of(fetched(sandbox, tmp_path, "2026-11", as_of=AS_OF + 20 * DAY)[1].frame)
    later |= rows_of(fetched(sandbox, tmp_path, "2026-12", as_of=AS_OF + 20 * DAY)[1].frame)
    today = AS_OF.astimezone(ZoneInfo(MADRID.timezone)).date()
    for lead in LEAD_DAYS:
        day = [key for key in ahead if key[1] == lead and _day(key[0]) == today + lead * DAY]
        assert len(day) == 24
        assert {key: ahead[key] for key in day} == {key: later[key] for key in day}


def _day(moment: datetime) -> date:
    return moment.astimezone(ZoneInfo(MADRID.timezone)).date()


@pytest.mark.parametrize(
    "as_of", [AS_OF, datetime(2026, 11, 24, 23, 30, tzinfo=UTC), datetime(2026, 10, 24, 22, tzinfo=UTC)]
)
def test_hours_ahead_have_the_leads_whose_day_has_come(sandbox: Sandbox, tmp_path: Path, as_of: datetime) -> None:
    """Neither rows of what is not forecast yet, nor gaps: also in the hour after midnight, and where clocks change."""
    zone = ZoneInfo(MADRID.timezone)
    today = as_of.astimezone(zone).date()
    months = [str(Month.of(day)) for day in (today, today + 7 * DAY)]
    frame = pd.concat([fetched(sandbox, tmp_path, month, as_of=as_of)[1].frame for month in dict.fromkeys(months)])
    leads = frame.groupby("date")["lead_days"].agg(list)
    days = {stamp: (stamp.tz_convert(zone).date() - today).days for stamp in leads.index}
    assert {days[stamp] for stamp in leads.index} >= set(range(8))
    for stamp, found in leads.items():
        assert found == list(range(max(1, days[stamp]), 8)), stamp
    provisional = [bool(detail.get("provisional")) for detail in frame["raw_data"]]
    expected = frame["date"] - pd.to_timedelta(frame["lead_days"], "D") >= as_of
    assert provisional == expected.tolist()
    assert 0 < sum(provisional) <= 7 * 25


def test_month_that_begins_beyond_the_forecasts_is_not_yet_published(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(NotYetPublished, match=r"open_meteo_forecast: madrid 2026-12: .*more than 7 days ahead"):
        fetched(sandbox, tmp_path, "2026-12", as_of=datetime(2026, 11, 23, 22, 59, tzinfo=UTC))
    _, made = fetched(sandbox, tmp_path, "2026-12", as_of=datetime(2026, 11, 23, 23, 0, tzinfo=UTC))
    assert made.frame["lead_days"].tolist() == [7] * 24


def test_month_before_the_model_s_first_run_is_missing(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="madrid 2024-01: no forecast of the month is available"):
        fetched(sandbox, tmp_path, "2024-01")


def test_requests_name_the_model_and_provenance_its_cell_and_distance(sandbox: Sandbox, tmp_path: Path) -> None:
    payloads, made = fetched(sandbox, tmp_path, "2026-11")
    assert [payload.name for payload in payloads] == ["previous_runs.json", "forecast.json"]
    past, ahead = (payload.params for payload in payloads)
    assert (past["start_date"], past["end_date"], past["timezone"]) == ("2026-10-31", "2026-11-30", "GMT")
    assert (ahead["start_date"], ahead["end_date"], ahead["hourly"].split(",")) == (
        *("2026-11-24", "2026-11-30"),
        list(hours.COLUMNS.values()),
    )
    assert {payload.params["models"] for payload in payloads} == {MODEL} == {made.provenance["model"]}
    assert made.provenance["grid_cell"] == {"latitude": 40.5, "longitude": -3.75, "elevation": 666.0}
    assert made.provenance["distance_km"] == pytest.approx(10.04)
    other = [replace(payload, params={**payload.params, "models": "icon_global"}) for payload in payloads]
    request = Asked(sandbox, "open_meteo_forecast", "2026-11", as_of=AS_OF).request
    assert OpenMeteoForecast().parse(request, other).provenance["model"] == "icon_global"


@pytest.mark.parametrize(("month", "place"), [("2026-10", MADRID), ("2026-11", LISBON), ("2026-12", MADRID)])
def test_stand_in_s_month_equals_its_oracle(sandbox: Sandbox, tmp_path: Path, month: str, place: Location) -> None:
    payloads, made = fetched(sandbox, tmp_path, month, place=place)
    request = Asked(sandbox, "open_meteo_forecast", month, as_of=AS_OF, place=place).request
    bodies = [Received.of(payload.name, payload.path.read_bytes()) for payload in payloads]
    assert differences(made, oracle(bodies, request), FORECAST.column_names, others=["lead_days"]) == []


def test_doubtful_answer_is_read_cell_by_cell_with_the_same_result(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payloads, made = fetched(sandbox, tmp_path, "2026-11")
    monkeypatch.setattr(hours.Form, "is_clean", lambda *_: False)
    request = Asked(sandbox, "open_meteo_forecast", "2026-11", as_of=AS_OF).request
    slow = accounted(OpenMeteoForecast().parse(request, payloads))
    pd.testing.assert_frame_equal(*(canonical_frame(one.frame, FORECAST) for one in (slow, made)))
    assert replace(slow, frame=made.frame) == made


Change = Callable[[dict[str, Any]], Any]


def parsed(*bodies: bytes, names: Sequence[str] = (PAST.name, AHEAD.name), request: Request = ASKED) -> ParsedMonth:
    received = [Received.of(name, body) for name, body in zip(names, bodies, strict=False)]
    return parse_bytes(OpenMeteoForecast(), request, received)


def changed(path: Path, change: Change) -> bytes:
    document = json.loads(path.read_bytes())
    change(document)
    return json.dumps(document).encode()


def test_spoilt_cells_and_repeated_hours_are_counted() -> None:
    def spoil(document: dict[str, Any]) -> None:
        hourly = document["hourly"]
        hourly["precipitation_previous_day1"][2] = -1
        hourly["temperature_2m_previous_day2"][1] = "warm"
        hourly["pressure_msl_previous_day7"][1] = 101_325
        for values in hourly.values():
            values.append(values[1])

    made = parsed(changed(PAST, spoil), AHEAD.read_bytes())
    assert made.nulled == {
        "negative:precipitation_previous_day1": 1,
        "unreadable:temperature_2m_previous_day2": 1,
        "implausible:pressure_msl_previous_day7": 1,
    }
    assert made.rejected == {"duplicate": 1, "outside_month": 2, "passed": 1}
    assert len(made.frame) == 49


def _in_hundredths(document: dict[str, Any]) -> None:
    values = document["hourly"]["relative_humidity_2m_previous_day2"]
    values[:] = [None if value is None else value * 100 for value in values]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["hourly"].pop("temperature_2m_previous_day3"), "lacks temperature_2m_previous_day3"),
        (lambda d: d["hourly_units"].update(wind_speed_10m_previous_day1="km/h"), "'km/h', not 'm/s'"),
        (lambda d: d["hourly"].update(precipitation_previous_day7=[0.0]), "precipitation_previous_day7 is not a list"),
        (lambda d: d["hourly"]["time"].__setitem__(3, "soon"), "'soon' is not a time"),
        (lambda d: d.update(utc_offset_seconds=7200), "not in GMT"),
        (lambda d: d.update(latitude=48.9), "is about latitude 48.9"),
        (
            _in_hundredths,
            "cells of 'relative_humidity_2m_previous_day2' cannot be used, most of them implausible",
        ),
    ],
)
def test_answer_of_another_structure_is_refused(change: Change, said: str) -> None:
    with pytest.raises(PermanentError, match=f"open_meteo_forecast: madrid 2026-09: .*{said}"):
        parsed(changed(PAST, change), AHEAD.read_bytes())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("previous_runs.json", "lacks relative_humidity_2m_previous_day1"),
        ("historical_forecast.json", "is not in GMT but 7200 s"),
        ("forecast_16_days.json", "lacks temperature_2m_previous_day1"),
        ("forecast_linecast.json", "is not in GMT but -18000 s"),
    ],
)
def test_recorded_answers_to_other_requests_are_refused(recorded: Path, name: str, said: str) -> None:
    body = (recorded / "openmeteo_forecast" / name).read_bytes()
    with pytest.raises(PermanentError, match=f"open_meteo_forecast: madrid 2026-09: .*{said}"):
        parsed(body, names=[f"recorded_{name}"])


def test_recorded_leads_are_read_and_those_that_were_not_requested_are_null(recorded: Path) -> None:
    """The recorded block has two variables of two leads; the others are added as what is missing."""
    document = json.loads((recorded / "openmeteo_forecast" / "previous_runs.json").read_bytes())
    hourly, stamps = document["hourly"], document["hourly"]["time"]
    for name, unit in hours.PAST.units.items():
        hourly.setdefault(name, [None] * len(stamps))
        document["hourly_units"].setdefault(name, unit)
    place = Location("enschede", 52.22, 6.89, "UTC")
    asked = replace(ASKED, location=place, month=Month(2026, 10), as_of=datetime(2026, 10, 3, 18, 30, tzinfo=UTC))
    made = parsed(json.dumps(document).encode(), request=asked)
    rows = rows_of(made.frame)
    first = datetime(2026, 10, 2, tzinfo=UTC)
    for lead in (1, 2):
        told = [rows[first + n * HOUR, lead]["temperature"] for n in range(3)]
        assert told == hourly[f"temperature_2m_previous_day{lead}"]
        assert [rows[first + n * HOUR, lead]["precipitation"] for n in range(2)] == [0.0, 0.0]
    assert set(made.frame["lead_days"]) == {1, 2}
    assert made.provenance["unknown_fields"] == ["precipitation", "temperature_2m"]
    assert made.provenance["distance_km"] == pytest.approx(6.34, abs=0.05)


def test_errors_of_both_services_are_typed(sandbox: Sandbox, tmp_path: Path) -> None:
    for host in OpenMeteoForecast.capabilities.hosts:
        sandbox.faults.order(f"^/{host}/", status=429, body='{"error": true, "reason": "Hourly limit"}')
        with pytest.raises(TransientError, match=r"open_meteo_forecast: madrid 2026-11: .*Hourly limit"):
            fetched(sandbox, tmp_path / host, "2026-11")
        sandbox.faults.clear()
