"""The Python client reads any dataset by its name, the calendar, and the skill of forecasts, over real HTTP."""

from __future__ import annotations

import pandas as pd
import pytest
from city_data_client import CityData, NotCovered, UnexpectedAnswer

from city_data_tests.clients.conftest import Service

OCTOBER = {"latitude": 40.42, "longitude": -3.70, "start": "2026-10-01", "end": "2026-10-31"}


@pytest.mark.parametrize("arrow", [True, False])
def test_calendar_is_typed_and_tells_an_ordinary_day_from_an_unknown_one(
    service: Service, client: CityData, monkeypatch: pytest.MonkeyPatch, arrow: bool
) -> None:
    if not arrow:
        monkeypatch.setattr("city_data_client.frames.find_spec", lambda _: None)
    service.load("calendar", "2026-10")
    service.load("calendar", "2026-11", has_feasts=False)
    frame = client.calendar(city_id="madrid", start="2026-10", end=pd.Period("2026-11", "M"))
    pd.testing.assert_frame_equal(client.history("calendar", city_id="madrid", start="2026-10", end="2026-11"), frame)
    assert len(frame) == 61
    assert frame["weekday"].tolist()[:3] == [3, 4, 5]
    assert frame["public_holiday"].dropna().tolist()[:1] == ["Fiesta Nacional de España"]
    assert frame["town_holiday_known"].tolist() == [True] * 31 + [False] * 30
    flags = [name for name in frame if name.startswith("is_") or name.endswith(("_known", "_free"))]
    integers = [name for name in frame if name.startswith("days_")]
    assert (len(flags), len(integers)) == (7, 2)
    assert {str(frame[name].dtype) for name in flags} == {"boolean"}
    assert {str(frame[name].dtype) for name in ("weekday", *integers)} == {"Int64"}
    assert frame["days_to_holiday"].isna().any()
    polars = client.calendar(city_id="madrid", start="2026-10", end="2026-11", to="polars")
    assert polars["days_to_holiday"].null_count() == frame["days_to_holiday"].isna().sum()
    assert polars["is_weekend"].sum() == frame["is_weekend"].sum()


def test_skill_has_a_row_for_each_column_and_lead(service: Service, client: CityData) -> None:
    service.load("weather", "2026-10")
    service.load("forecast", "2026-10")
    skill = client.skill("madrid")
    assert skill["column"].unique().tolist() == ["temperature"]
    assert skill["lead_days"].tolist() == list(range(1, 8))
    assert (skill["mae"] >= skill["bias"].abs()).all()
    assert set(skill["unit"]) == {"°C"}
    assert (skill["month"] == 10).all()
    assert skill.attrs == {"city_id": "madrid", "left_out": []}
    service.faulty.statuses.clear()
    with pytest.raises(NotCovered, match="atlantis"):
        client.skill("atlantis")


def test_dataset_that_the_service_does_not_have_is_named(client: CityData) -> None:
    with pytest.raises(UnexpectedAnswer, match=r"historical-wether.*404: Not Found; no such dataset, or"):
        client.history("wether", **OCTOBER)
    with pytest.raises(UnexpectedAnswer, match="404"):
        client.history("../weather", **OCTOBER)
