"""Malformed weather, one test for each kind of fault, over every wire format."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from city_data_tests.relations import Outcome, assert_same, outcome
from city_data_tests.relations.weather import WIRES, Row, open_meteo_json

COMMA = ("aemet", "meteo_france orders")
BY_STATION = ("aemet", "meteo_france files", "meteo_france orders")
# A field of each format, and its column.
HEAT = {"aemet": "tmed", "open_meteo": "temperature_2m", "openweather": "temp"} | dict.fromkeys(BY_STATION[1:], "T")
NAMES = list(HEAT)


def month_of(name: str, change: Callable[[Row, int], Row | None] = lambda row, place: row) -> Outcome:
    """What comes of September, whose rows are changed one by one."""
    wire = WIRES[name]
    request = wire.request("2026-09")
    rows = [json.loads(json.dumps(row)) for row in wire.rows(request, random.Random(7))]
    made = [changed for place, row in enumerate(rows) if (changed := change(row, place)) is not None]
    return outcome(wire.provider, request, [wire.encode(made)])


def put(row: Row, field: str, value: object) -> Row:
    """The row with another value of the field, wherever in it that stands."""
    return {
        key: put(found, field, value) if isinstance(found, dict) else value if key == field else found
        for key, found in row.items()
    }


def rewritten(row: Row, field: str, write: Callable[[Any], object]) -> Row:
    return {
        key: rewritten(found, field, write) if isinstance(found, dict) else write(found) if key == field else found
        for key, found in row.items()
    }


def other_mark(value: Any) -> str:
    """`7,6` as `7.6`, and the other way round; JSON's numbers as texts with a comma."""
    text = str(value)
    return text.replace(",", ".") if "," in text else text.replace(".", ",")


@pytest.mark.parametrize("name", NAMES)
def test_a_column_in_another_notation_is_a_change_of_format(name: str) -> None:
    field = HEAT[name]
    made = month_of(name, lambda row, _: rewritten(row, field, lambda value: value and other_mark(value)))
    assert made.month is None
    shown = "temperature" if name == "openweather" else field
    for word in ("cannot be used", "unreadable", f"column {shown!r}", "in row "):
        assert word in made.refusal


@pytest.mark.parametrize("quality", ["9.0", "1.0", " 9 "])
def test_quality_codes_in_another_notation_are_read(quality: str) -> None:
    good = month_of("meteo_france files", lambda row, _: put(row, "QT", "9" if row["T"] else ""))
    assert_same(good, month_of("meteo_france files", lambda row, _: put(row, "QT", quality if row["T"] else "")))


def test_quality_codes_of_another_list_are_a_change_of_format() -> None:
    made = month_of("meteo_france files", lambda row, _: put(row, "QT", "A" if row["T"] else ""))
    assert "unknown_quality" in made.refusal


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [999.9, -999, 1e6])
def test_a_few_implausible_values_are_nulled_and_counted(name: str, value: float) -> None:
    text: Any = value if name in ("open_meteo", "openweather") else f"{value:.1f}"
    text = text.replace(".", ",") if name in COMMA else text
    made = month_of(name, lambda row, place: put(row, HEAT[name], text) if place in (5, 9) else row)
    assert made.month is not None, made.refusal
    assert sum(count for key, count in made.month.nulled.items() if key.startswith("implausible:")) in (1, 2)
    assert made.month.frame["temperature"].dropna().between(-60, 60).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_month_of_implausible_values_is_refused(name: str) -> None:
    text: Any = 290.1 if name in ("open_meteo", "openweather") else "290,1" if name in COMMA else "290.1"
    made = month_of(name, lambda row, _: put(row, HEAT[name], text))
    assert made.month is None
    assert "290" in made.refusal


def test_one_bad_station_does_not_affect_the_mean() -> None:
    """A mean of 20 and 60.1 would be plausible: each station's file is judged by itself."""
    wire = WIRES["aemet"]
    request = wire.request("2026-09")
    rows = wire.rows(request, random.Random(7))
    one, two = ([row for row in rows if row["indicativo"] == station] for station in ("3195", "3129"))
    hot = [put(row, "tmed", "60,1") for row in two]
    assert outcome(wire.provider, request, [wire.encode(one), wire.encode(two)]).month is not None
    assert "'60,1' in row" in outcome(wire.provider, request, [wire.encode(one), wire.encode(hot)]).refusal
    few = month_of("aemet", lambda row, place: put(row, "tmed", "999,9") if place == 3 else row)
    alone = month_of("aemet", lambda row, place: put(row, "tmed", None) if place == 3 else row)
    assert_same(alone, few)


@pytest.mark.parametrize("altitude", ["1.015", "1,015", "99999", "-9999", "x"])
@pytest.mark.parametrize("name", BY_STATION[:2])
def test_implausible_altitude_does_not_change_pressure(name: str, altitude: str) -> None:
    field = "altitud" if name == "aemet" else "ALTI"
    good = month_of(name)
    made = month_of(name, lambda row, _: put(row, field, altitude))
    if made.month is not None:
        for stamp, row in made.values.items():
            assert row["pressure"] in (None, good.values[stamp]["pressure"])


@pytest.mark.parametrize(
    ("latitude", "longitude", "read"),
    [
        (40.38664, -3.6790466, True),
        (40.25, -3.75, True),
        (-33.0, 151.0, False),
        (40.4168, 3.7038, False),
        (41.4, -3.7, False),
        (None, None, False),
        ("40.4", "x", False),
        (float("nan"), -3.7, False),
    ],
)
def test_an_answer_about_another_place_is_refused(latitude: Any, longitude: Any, read: bool) -> None:
    wire = WIRES["open_meteo"]
    request = wire.request("2026-09")
    document = json.loads(wire.encode(wire.rows(request, random.Random(1))))
    document |= {"latitude": latitude, "longitude": longitude}
    made = outcome(wire.provider, request, [json.dumps(document).encode()])
    assert (made.month is not None) == read
    if not read:
        assert "about" in made.refusal


@pytest.mark.parametrize("east", [179.99, -179.99])
def test_place_at_the_date_line_matches_its_grid_cell(east: float) -> None:
    wire = WIRES["open_meteo"]
    fiji = replace(wire.place, city_id="fiji", latitude=-16.8, longitude=east, timezone="Pacific/Fiji")
    request = replace(wire.request("2026-09"), location=fiji)
    body = open_meteo_json(wire.rows(request, random.Random(1)), replace(fiji, longitude=-east))
    assert outcome(wire.provider, request, [body]).month is not None


@pytest.mark.parametrize("offset", ["+01:00", "-00:30", "+02:00"])
def test_timestamp_with_an_offset_other_than_gmt_is_refused(offset: str) -> None:
    made = month_of("open_meteo", lambda row, _: row | {"time": row["time"] + offset})
    assert "is not in GMT" in made.refusal


@pytest.mark.parametrize("form", ["{}Z", "{}+00:00", "{}:00", "{}:00Z"])
def test_timestamp_marked_gmt_is_accepted(form: str) -> None:
    assert_same(month_of("open_meteo"), month_of("open_meteo", lambda row, _: row | {"time": form.format(row["time"])}))


@pytest.mark.parametrize(
    "text", ["2026-09-01", "20260901T0000", "2026-W36-2T00:00", "1788220800", "2026-09-01 00:00", None]
)
def test_timestamp_in_another_notation_is_refused(text: str | None) -> None:
    assert (
        "is not a time"
        in month_of("open_meteo", lambda row, place: row | {"time": text} if place == 9 else row).refusal
    )


@pytest.mark.parametrize("name", ["open_meteo", "openweather"])
def test_timestamps_off_the_hour_are_rejected(name: str) -> None:
    """1,440 rows where 720 are expected: those at half past are rejected, and alone they are no month."""

    def half_past(row: Row) -> Row:
        return row | ({"time": row["time"][:-2] + "30"} if "time" in row else {"dt": row["dt"] + 1800})

    wire = WIRES[name]
    request = wire.request("2026-09")
    rows = wire.rows(request, random.Random(7))
    whole = outcome(wire.provider, request, [wire.encode(rows)])
    both = outcome(wire.provider, request, [wire.encode([stamp for row in rows for stamp in (row, half_past(row))])])
    assert_same(whole, both)
    assert both.month is not None
    assert both.month.rejected["off_the_hour"] == len(rows)
    alone = outcome(wire.provider, request, [wire.encode([half_past(row) for row in rows])])
    assert alone.month is None or alone.values == {}


@pytest.mark.parametrize("form", ["{}T00:00:00", "{} 00:00:00.0", "{}T00:00"])
def test_day_of_aemet_at_its_midnight_is_the_day(form: str) -> None:
    assert_same(month_of("aemet"), month_of("aemet", lambda row, _: row | {"fecha": form.format(row["fecha"])}))
    made = month_of("aemet", lambda row, _: row | {"fecha": form.format(row["fecha"]).replace("00:00", "07:00", 1)})
    assert "records without `fecha`" in made.refusal


def test_repeated_key_is_refused_unless_its_values_agree() -> None:
    assert_same(month_of("aemet"), month_of("aemet", lambda row, _: row | {"FECHA": row["fecha"]}))
    made = month_of("aemet", lambda row, place: row | {"TMED": "1,0"} if "tmed" in row else row)
    assert "two fields 'tmed'" in made.refusal


@pytest.mark.parametrize("name", ["aemet", "open_meteo", "openweather"])
def test_json_key_with_two_values_is_refused(name: str) -> None:
    wire = WIRES[name]
    request = wire.request("2026-09")
    body = wire.encode(wire.rows(request, random.Random(7)))
    key = f'"{HEAT[name]}": '.encode()
    doubled = body.replace(key, key + b'"99", ' + key)
    assert "has two values" in outcome(wire.provider, request, [doubled]).refusal or name == "openweather"
    assert outcome(wire.provider, request, [doubled]).month is None


def test_rain_key_in_upper_case_is_read() -> None:
    plain = month_of("openweather")
    assert_same(plain, month_of("openweather", lambda row, _: {key.upper(): value for key, value in row.items()}))


BROKEN = {"fecha": "2026-09-31", "indicativo": "3195", "dt": "soon", "main": {}}


@pytest.mark.parametrize("broken", [None, {}, [], 7, BROKEN])
@pytest.mark.parametrize(("name", "reason"), [("aemet", "no_day_or_station"), ("openweather", "no_hour")])
def test_one_broken_record_does_not_lose_the_month(name: str, reason: str, broken: Any) -> None:
    wire = WIRES[name]
    request = wire.request("2026-09")
    rows: list[Any] = wire.rows(request, random.Random(7))
    made = outcome(wire.provider, request, [wire.encode([*rows, broken])])
    assert_same(month_of(name), made)
    assert made.month is not None
    assert made.month.rejected[reason] == 1
    assert outcome(wire.provider, request, [wire.encode([broken] * 5 + rows[:4])]).month is None


def test_description_that_cannot_be_stored_is_null() -> None:
    def spoilt(row: Row, place: int) -> Row:
        return row | {"weather": [{"description": "light\x00rain \ud800"}]} if place == 40 else row

    made = month_of("openweather", spoilt)
    assert made.month is not None
    assert made.month.nulled.get("unreadable:description") == 1


@pytest.mark.parametrize("block", [3.0, "3.0", [3.0], True])
@pytest.mark.parametrize(("name", "field"), [("wind", "wind_speed"), ("rain", "precipitation")])
def test_block_of_another_shape_is_unreadable(name: str, field: str, block: object) -> None:
    """A number in the place of OpenWeather's block could be of another unit or period."""
    few = month_of("openweather", lambda row, place: row | {name: block} if place in (20, 40) else row)
    assert few.month is not None
    assert few.month.nulled[f"unreadable:{field}"] == 2
    assert "of 'wind_speed' cannot be used" in month_of("openweather", lambda row, _: row | {"wind": block}).refusal
