"""OpenWeather's payloads, recorded and written: refused, or read with their units, gaps and rain."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from city_data.providers.base import (
    Payload,
    PermanentError,
)
from city_data.providers.openweather import OpenWeather
from city_data.sandbox.openweather import NO_DATA, NO_SUBSCRIPTION, UNSUBSCRIBED
from city_data_tests.providers.openweather_files import SEPTEMBER, parsed
from city_data_tests.providers.wire import FIXTURES


@pytest.mark.parametrize(
    ("name", "month", "said"),
    [
        ("history_city_kelvin_2021-10-01.EXCERPT.json", "2021-10", "announces 25 hours and has 3"),
        ("history_city_metric_2024-05-31.EXCERPT.json", "2024-05", "announces 145 hours and has 3"),
        ("history_city_doc_example_2017-01.json", "2017-01", "279.946: in kelvin"),
        ("timemachine_paris_2023-03-21.json", "2023-03", "is not a list of hours"),
        ("timemachine_london_2023-03-16.json", "2023-03", "is not a list of hours"),
        ("day_summary_sao_paulo_2021-09-16.json", "2021-09", "is not a list of hours"),
        ("error_401_onecall_subscription.json", "2026-09", "is not a list of hours"),
        ("error_404_history_no_data.json", "2026-09", "is not a list of hours"),
        ("error_429.json", "2026-09", "is not a list of hours"),
    ],
)
def test_recorded_answers_of_other_products_and_units_are_refused(
    recorded: Path, name: str, month: str, said: str
) -> None:
    with pytest.raises(PermanentError, match=f"openweather: madrid {month}: .*{said}"):
        parsed(recorded / "openweather" / name, month)


def mended(file: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A recorded answer with the count that its excerpt really has, and `change`d."""
    document = json.loads(file.read_bytes())
    document["cnt"] = len(document["list"])
    change(document)
    (folder / file.name).write_text(json.dumps(document))
    return folder / file.name


def test_recorded_excerpt_is_read_and_its_gap_is_counted(recorded: Path, tmp_path: Path) -> None:
    excerpt = recorded / "openweather" / "history_city_metric_2024-05-31.EXCERPT.json"
    made = parsed(mended(excerpt, tmp_path, lambda _: None), "2024-05")
    assert made.provenance["missing_hours"] == 142
    assert made.frame["temperature"].tolist() == [22.87, 22.34]
    assert made.frame["pressure"].tolist() == [1013, 1013]
    assert made.frame["wind_speed"].tolist() == [1.11, 0.68]
    # The second hour tells of the first one's rain, by having no such key; of its own nothing does.
    assert made.frame["precipitation"].fillna(-1).tolist() == [0, -1]
    assert made.frame["raw_data"].tolist() == [{"modelled": True, "precipitation_by_absence": True}, {"modelled": True}]
    assert made.rejected == {"outside_month": 1}


def test_kelvin_is_refused_and_the_old_example_has_no_whole_hour(recorded: Path, tmp_path: Path) -> None:
    kelvin = recorded / "openweather" / "history_city_kelvin_2021-10-01.EXCERPT.json"
    with pytest.raises(PermanentError, match=r"285\.27: in kelvin"):
        parsed(mended(kelvin, tmp_path, lambda _: None), "2021-10")

    def to_celsius(document: dict[str, Any]) -> None:
        for item in document["list"]:
            item["main"]["temp"] -= 273.15

    example = recorded / "openweather" / "history_city_doc_example_2017-01.json"
    made = parsed(mended(example, tmp_path, to_celsius), "2017-01")
    assert made.frame.empty
    assert made.rejected == {"off_the_hour": 3}


def test_the_stand_in_s_errors_are_the_recorded_ones(recorded: Path) -> None:
    folder = recorded / "openweather"
    assert (folder / "error_404_history_no_data.json").read_bytes().strip() == NO_DATA
    assert (folder / "error_401_onecall_subscription.json").read_bytes().strip() == NO_SUBSCRIPTION
    assert UNSUBSCRIBED not in NO_SUBSCRIPTION.decode()


def test_rain_in_the_fixture_belongs_to_the_hour_before() -> None:
    folder = FIXTURES / "openweather"
    payloads = [
        Payload(name, folder / name, "https://example.org") for name in sorted(p.name for p in folder.glob("2*"))
    ]
    made = OpenWeather().parse(SEPTEMBER, payloads)
    frame = made.frame.set_index("date")["precipitation"]
    assert frame[pd.Timestamp("2026-08-31T23:00Z")] == 1.5  # rain and snow told at midnight
    assert made.nulled == {"no_hourly_sum:precipitation": 1, "negative:humidity": 1}
    assert "rain.1h" in made.fields
