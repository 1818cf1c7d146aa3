"""AEMET's words and sentinels in place of numbers, and rain of several days.

Belongs here: cells that have no value. Does not: the calls, or the other words for rain (test_aemet.py).
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from city_data.providers.aemet import Aemet
from city_data.providers.base import Payload
from city_data_tests.providers.test_aemet import day, question


@pytest.mark.parametrize(
    ("field", "text", "column", "nulled"),
    [
        ("racha", "Varias", "wind_gust", "several:racha"),
        ("racha", "99", "wind_gust", "implausible:racha"),
        ("racha", "99,9", "wind_gust", "implausible:racha"),
        ("sol", "24,0", "sunshine_duration", "implausible:sol"),
        ("sol", "99", "sunshine_duration", "implausible:sol"),
        ("tmin", "-99,9", "temperature_min", "implausible:tmin"),
        ("tmax", "99,9", "temperature_max", "implausible:tmax"),
    ],
)
def test_words_and_sentinels_of_extremes_are_null_and_counted(
    tmp_path: Path, field: str, text: str, column: str, nulled: str
) -> None:
    row, made = day(tmp_path, **{"tmed": "15,0", field: text})
    assert pd.isna(row[column])
    assert row["temperature"] == 15
    assert made.nulled == {nulled: 1}


def test_column_of_nothing_but_varias_costs_no_month(tmp_path: Path) -> None:
    days = [
        {"fecha": f"2026-09-{n:02d}", "indicativo": "3195", "tmed": "20,0", "racha": "Varias"} for n in range(1, 31)
    ]
    file = tmp_path / "days.json"
    file.write_text(json.dumps(days))
    made = Aemet().parse(question(), [Payload(file.name, file, "https://example.org/")])
    assert (made.nulled, set(made.frame["temperature"])) == ({"several:racha": 30}, {20.0})


def test_amount_of_several_days_is_no_day_s_amount(tmp_path: Path) -> None:
    """`Acum` marks rain that was measured with a later day's, so that day's number is the rain of both."""
    rain = {"01": "0,4", "02": "Acum", "03": "acum", "04": None, "05": "31,0", "06": "2,0", "07": "Acum", "08": "0,0"}
    days = [
        {"fecha": f"2026-09-{day}", "indicativo": "3195", "tmed": "20,0", **({"prec": text} if text else {})}
        for day, text in rain.items()
    ]
    file = tmp_path / "days.json"
    file.write_text(json.dumps(days[::-1]))
    made = Aemet().parse(question(), [Payload(file.name, file, "https://example.org/")])
    fallen = [None if pd.isna(value) else float(value) for value in made.frame["precipitation"]]
    assert fallen == [0.4, None, None, None, None, 2.0, None, 0.0]
    assert made.nulled == {"accumulated:prec": 4}
    assert made.frame["raw_data"][4]["stations"]["3195"]["flags"] == ["accumulated_precipitation"]
