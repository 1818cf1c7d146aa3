"""OpenWeather's stand-in: items as recorded, the week that it stops at, the units, the keys."""

from __future__ import annotations

import json
from typing import Any

import pytest

from city_data.sandbox.openweather import NO_DATA, NO_SUBSCRIPTION, UNSUBSCRIBED
from city_data_tests.providers.wire import RECORDED
from city_data_tests.sandbox.conftest import Call

URL = "https://history.openweathermap.org/data/2.5/history/city"
OCTOBER = 1_790_805_600  # 2026-09-30T22:00Z, when it begins in Madrid
HOUR = 3600


def query(call: Call, hours: int, **changes: str) -> Any:
    span = {"start": str(OCTOBER), "end": str(OCTOBER + hours * HOUR)}
    query = {"lat": "40.4168", "lon": "-3.7038", "type": "hour", "units": "metric", "appid": "good"}
    return call(URL, params={**query, **span, **changes})


def shape(value: Any) -> Any:
    """The keys in their order and the types, of every depth."""
    if isinstance(value, dict):
        return [(name, shape(inner)) for name, inner in value.items()]
    return [shape(inner) for inner in value] if isinstance(value, list) else type(value).__name__


@pytest.mark.skipif(not RECORDED.is_dir(), reason="no recorded payloads")
def test_items_have_the_recorded_keys_and_types(call: Call) -> None:
    recorded = json.loads((RECORDED / "openweather/history_city_metric_2024-05-31.EXCERPT.json").read_bytes())
    answer = query(call, 500).json()
    assert shape({**answer, "list": []}) == shape({**recorded, "list": []})
    dry = [item for item in answer["list"] if not {"rain", "snow"} & set(item)]
    assert shape(dry[0]) == shape(recorded["list"][0])
    wet = [item for item in answer["list"] if "rain" in item]
    assert wet
    assert list(wet[0]["rain"]) == ["1h"]


def test_range_includes_both_ends_and_is_cut_to_its_first_week(call: Call) -> None:
    day, month = query(call, 24).json(), query(call, 700).json()
    assert (day["cnt"], day["message"], day["cod"]) == (25, "Count: 25", "200")
    assert (month["cnt"], len(month["list"])) == (168, 168)
    assert month["list"][0]["dt"] == OCTOBER
    assert month["list"][-1]["dt"] == OCTOBER + 167 * HOUR


def test_without_units_it_is_kelvin(call: Call) -> None:
    metric, kelvin = query(call, 1).json()["list"][0], query(call, 1, units="standard").json()["list"][0]
    assert kelvin["main"]["temp"] == pytest.approx(metric["main"]["temp"] + 273.15)
    assert kelvin["wind"] == metric["wind"]


def test_errors_come_as_recorded(call: Call) -> None:
    for changes, status, body in (
        ({"start": "2000000000", "end": "2000003600"}, 404, NO_DATA),
        ({"appid": UNSUBSCRIBED}, 401, NO_SUBSCRIPTION),
    ):
        answer = query(call, 1, **changes)
        assert (answer.status_code, answer.content) == (status, body)
    wrong = query(call, 1, appid="")
    assert (wrong.status_code, wrong.json()["cod"]) == (401, 401)
    assert query(call, 1, lat="north").status_code == 400
