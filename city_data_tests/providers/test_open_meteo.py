"""Open-Meteo's archive: recorded payloads, units and GMT, rain of the hour before, holes, and its errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from city_data.datasets import WEATHER
from city_data.frames.daily import daily
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
from city_data.providers.http import HttpClient, HttpSettings
from city_data.providers.open_meteo import OpenMeteo
from city_data.window import Month
from city_data_tests.providers.wire import FIXTURES, Answer, Site
from city_data_tests.sandbox.asking import MADRID, StillClock, accounted

HOST = "archive-api.open-meteo.com"
PATH = f"/{HOST}/v1/archive"
FIXTURE = FIXTURES / "open_meteo" / "archive.json"
SEPTEMBER = Request(MADRID, Month(2026, 9), OpenMeteo.settings_model(), datetime(2026, 11, 24, tzinfo=UTC))
Change = Callable[[dict[str, Any]], Any]


def parsed(path: Path, month: str = "2026-09", place: Location = MADRID) -> ParsedMonth:
    asked = replace(SEPTEMBER, month=Month.parse(month), location=place)
    return accounted(OpenMeteo().parse(asked, [Payload(path.name, path, "https://example.org")]))


def changed(folder: Path, change: Change) -> Path:
    """The fixture, changed in place or replaced."""
    document = json.loads(FIXTURE.read_bytes())
    result = change(document)
    file = folder / "changed.json"
    file.write_text(json.dumps(document if result is None else result))
    return file


@pytest.mark.parametrize(
    ("name", "month", "said"),
    [
        ("archive_hourly_savannah_2026-07-21_22.json", "2026-07", "not in GMT but -14400 s"),
        ("archive_hourly_two_locations_2025-06-15.json", "2025-06", "holds 2 locations"),
        ("archive_daily_brasilia_2022-12-29_2023-01-08.json", "2022-12", "no hourly block"),
        ("archive_hourly_and_daily_brasilia_2022-12-29.json", "2022-12", "not in GMT"),
        ("archive_daily_all_null_2026-08-30.EXCERPT.json", "2026-08", "no hourly block"),
        ("error_400_out_of_range.DERIVED.json", "2026-08", "out of allowed range"),
        ("error_429_minutely.DERIVED.json", "2026-08", "Minutely"),
        ("error_429_concurrent.DERIVED.json", "2026-08", "concurrent"),
    ],
)
def test_recorded_answers_to_other_requests_are_refused(recorded: Path, name: str, month: str, said: str) -> None:
    with pytest.raises(PermanentError, match=f"open_meteo: madrid {month}: .*{said}"):
        parsed(recorded / "openmeteo" / name, month)


def test_recorded_location_is_read_in_our_units(recorded: Path, tmp_path: Path) -> None:
    """The recorded block lacks what we ask for beside it, and is in knots: each is said in turn."""
    both = json.loads((recorded / "openmeteo" / "archive_hourly_two_locations_2025-06-15.json").read_bytes())
    one, file = both[0], tmp_path / "one.json"
    file.write_text(json.dumps([one]))
    with pytest.raises(PermanentError, match="lacks precipitation"):
        parsed(file, "2025-06")
    for name, unit in {"precipitation": "mm", "relative_humidity_2m": "%", "weather_code": "wmo code"}.items():
        one["hourly"][name], one["hourly_units"][name] = [0] * 24, unit
    file.write_text(json.dumps([one]))
    with pytest.raises(PermanentError, match="wind_speed_10m is in 'kn', not 'm/s'"):
        parsed(file, "2025-06")
    one["hourly_units"]["wind_speed_10m"] = "m/s"
    file.write_text(json.dumps([one]))
    with pytest.raises(PermanentError, match=r"about latitude 43\.760983, longitude 15\.362538, not about 40\.4168"):
        parsed(file, "2025-06")
    made = parsed(file, "2025-06", Location("sibenik", 43.73, 15.35, "UTC"))
    assert made.frame["temperature"].tolist() == [float(value) for value in one["hourly"]["temperature_2m"]]
    assert made.frame["pressure"].tolist() == one["hourly"]["pressure_msl"]
    assert made.provenance["unknown_fields"] == ["wind_direction_10m"]
    assert made.frame["cloud_cover"].tolist() == [float(share) for share in one["hourly"]["cloud_cover"]]


@pytest.mark.parametrize(
    ("name", "status", "kind", "said"),
    [
        ("error_400_out_of_range.DERIVED.json", 400, PermanentError, "out of allowed range"),
        ("error_429_minutely.DERIVED.json", 429, TransientError, "Minutely"),
        ("error_429_concurrent.DERIVED.json", 429, TransientError, "concurrent"),
    ],
)
def test_recorded_errors_are_typed(
    recorded: Path, web: Site, tmp_path: Path, name: str, status: int, kind: type[Exception], said: str
) -> None:
    web.on(PATH, Answer((recorded / "openmeteo" / name).read_bytes(), status))
    with pytest.raises(kind, match=f"open_meteo: madrid 2026-09: .*{said}") as caught:
        fetch(web, tmp_path)
    assert getattr(caught.value, "retry_after", 60) == 60


def fetch(web: Site, into: Path, asked: Request = SEPTEMBER) -> Payload:
    routes = {HOST: f"{web.url}/{HOST}"}
    settings = HttpSettings(attempts=2)
    http = HttpClient("open_meteo", OpenMeteo.capabilities, settings=settings, clock=StillClock(), routes=routes)
    (payload,) = OpenMeteo().fetch(asked, http, into)
    return payload


def test_request_names_place_dates_units_and_columns(web: Site, tmp_path: Path) -> None:
    web.on(PATH, Answer(FIXTURE.read_bytes()))
    payload = fetch(web, tmp_path)
    assert payload.path.read_bytes() == FIXTURE.read_bytes()
    asked = web.calls[0].path
    # September of Madrid is 22:00Z to 22:00Z; its last hour's rain is told at 22:00Z.
    for word in ("start_date=2026-08-31", "end_date=2026-09-30", "timezone=GMT", "wind_speed_unit=ms", "pressure_msl"):
        assert word in asked
    fetch(web, tmp_path, replace(SEPTEMBER, as_of=datetime(2026, 9, 2, 12, tzinfo=UTC)))
    assert "end_date=2026-09-02" in web.calls[1].path


def test_a_month_of_nulls_is_a_state(web: Site, tmp_path: Path) -> None:
    def empty(document: dict[str, Any]) -> None:
        document["hourly"] |= {name: [None] * 72 for name in document["hourly"] if name != "time"}

    web.on(PATH, Answer(changed(tmp_path, empty).read_bytes()))
    end = SEPTEMBER.month.bounds(MADRID.timezone)[1]
    for days, kind in ((34, NotYetPublished), (36, NotAvailable)):
        with pytest.raises(kind):
            fetch(web, tmp_path, replace(SEPTEMBER, as_of=end + timedelta(days=days)))
    with pytest.raises(NotYetPublished, match="not begun"):
        fetch(web, tmp_path, replace(SEPTEMBER, as_of=datetime(2026, 8, 30, tzinfo=UTC)))


ADDED = {
    "sunshine_duration": "sunshine_duration",
    "cloud_cover": "cloud_cover",
    "wind_gusts_10m": "wind_gust",
    "snowfall": "snowfall",
}


def without(document: dict[str, Any], names: Iterable[str]) -> None:
    for name in names:
        del document["hourly"][name], document["hourly_units"][name]


def test_answer_archived_before_a_variable_was_requested_has_null_in_its_column(tmp_path: Path) -> None:
    whole = parsed(FIXTURE)
    for names in (list(ADDED), *([name] for name in ADDED)):
        made = parsed(changed(tmp_path, lambda document, names=names: without(document, names)))
        columns = [ADDED[name] for name in names]
        assert made.frame[columns].isna().all(axis=None)
        pd.testing.assert_frame_equal(made.frame.drop(columns=columns), whole.frame.drop(columns=columns))
        assert (made.used, made.rejected, made.nulled) == (whole.used, whole.rejected, whole.nulled)


@pytest.mark.parametrize("name", ADDED)
def test_answer_without_a_requested_variable_is_refused(tmp_path: Path, name: str) -> None:
    file = changed(tmp_path, lambda document: without(document, [name]))
    params = {"hourly": "temperature_2m," + ",".join(ADDED)}
    with pytest.raises(PermanentError, match=f"lacks {name}"):
        OpenMeteo().parse(SEPTEMBER, [Payload(file.name, file, "https://example.org", params)])


def test_sums_belong_to_the_hour_before_their_stamp_and_other_values_to_their_own(tmp_path: Path) -> None:
    hourly = json.loads(FIXTURE.read_bytes())["hourly"]
    at = hourly["time"].index("2026-09-01T12:00")

    def mark(document: dict[str, Any]) -> None:
        values = {"sunshine_duration": 1800.0, "cloud_cover": 55, "wind_gusts_10m": 17.5, "snowfall": 0.35}
        for name, value in values.items():
            document["hourly"][name][at] = value

    frame = parsed(changed(tmp_path, mark)).frame.set_index("date")
    before, own = (frame.loc[pd.Timestamp(f"2026-09-01T{hour}:00Z")] for hour in (11, 12))
    assert (before["sunshine_duration"], before["snowfall"]) == (30.0, 0.35)  # min, cm
    assert (own["cloud_cover"], own["wind_gust"]) == (55.0, 17.5)
    assert (own["snowfall"], before["wind_gust"]) == (0.0, hourly["wind_gusts_10m"][at - 1])


def test_rain_belongs_to_the_hour_before_and_gaps_are_null_or_absent(tmp_path: Path) -> None:
    frame = parsed(FIXTURE).frame.set_index("date")
    assert frame["precipitation"].idxmax() == pd.Timestamp("2026-09-01T16:00Z")  # told at 17:00
    hole = frame.loc[pd.Timestamp("2026-09-01T06:00Z")]  # its rain is told at 07:00
    assert hole["precipitation"] == 0
    assert hole[["temperature", "humidity", "wind_speed", "pressure", "description"]].isna().all()
    assert frame.index[0] == pd.Timestamp("2026-08-31T22:00Z")
    assert all(detail == {"modelled": True} for detail in frame["raw_data"])
    assert set(frame["description"].dropna()) == {
        "clear sky",
        "mainly clear",
        "partly cloudy",
        "overcast",
        "slight rain",
    }

    def widen(document: dict[str, Any]) -> None:
        for name in document["hourly"].keys() - {"time"}:
            document["hourly"][name][31] = None

    assert pd.Timestamp("2026-09-01T06:00Z") not in set(parsed(changed(tmp_path, widen)).frame["date"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["hourly"].pop("temperature_2m"), "lacks temperature_2m"),
        (lambda d: d["hourly"].update(temperature_2m=None), "temperature_2m is not a list"),
        (lambda d: d["hourly"].update(precipitation=[1.0]), "precipitation is not a list"),
        (lambda d: d["hourly"].update(time="2026"), "no hourly block"),
        (lambda d: d["hourly_units"].update(wind_speed_10m="km/h"), "'km/h', not 'm/s'"),
        (lambda d: d["hourly_units"].update(wind_gusts_10m="km/h"), "wind_gusts_10m is in 'km/h', not 'm/s'"),
        (lambda d: d["hourly_units"].update(sunshine_duration="h"), "sunshine_duration is in 'h', not 's'"),
        (lambda d: d["hourly"].update(snowfall=[0.0]), "snowfall is not a list"),
        (lambda d: d["hourly"]["time"].__setitem__(3, "soon"), "'soon' is not a time"),
        (lambda d: d.update(utc_offset_seconds=7200), "not in GMT"),
    ],
)
def test_answer_of_another_structure_is_refused(tmp_path: Path, change: Change, said: str) -> None:
    def quietly(document: dict[str, Any]) -> None:
        change(document)

    with pytest.raises(PermanentError, match=f"open_meteo: madrid 2026-09: .*{said}"):
        parsed(changed(tmp_path, quietly))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"3", b"null", "{}".encode("utf-16")])
def test_invalid_answer_is_refused(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "x.json").write_bytes(body)
    with pytest.raises(PermanentError, match="open_meteo: madrid 2026-09"):
        parsed(tmp_path / "x.json")


def test_bad_numbers_and_repeated_hours_are_counted(tmp_path: Path) -> None:
    def spoil(document: dict[str, Any]) -> None:
        hourly = document["hourly"]
        hourly["precipitation"][40] = -1
        hourly["temperature_2m"][40] = "warm"
        hourly["wind_speed_10m"][40] = float("inf")
        for values in hourly.values():
            values.append(values[40])

    made = parsed(changed(tmp_path, spoil))
    assert made.rejected == {"duplicate": 1, "outside_month": 22, "no_value": 6}
    assert made.nulled == {
        "negative:precipitation": 1,
        "unreadable:temperature_2m": 1,
        "unreadable:wind_speed_10m": 1,
    }
    assert len(made.frame) == len(parsed(FIXTURE).frame)


def test_a_daily_city_gets_days_of_enough_hours() -> None:
    made = daily(parsed(FIXTURE).frame, WEATHER, "Europe/Madrid").set_index("date")
    whole, part = made.loc[pd.Timestamp("2026-08-31T22:00Z")], made.loc[pd.Timestamp("2026-09-01T22:00Z")]
    hours = parsed(FIXTURE).frame.iloc[:24]
    assert whole["precipitation"] == pytest.approx(hours["precipitation"].sum())
    assert whole["temperature"] == round(hours["temperature"].mean(), 2)
    assert (whole["raw_data"]["aggregated_from"], whole["raw_data"]["hours"]) == ("hourly", 23)
    assert part["raw_data"]["hours"] == 20
    assert part["temperature"] == part["temperature"]
    assert pd.isna(part["precipitation"])  # told for 19 hours only
