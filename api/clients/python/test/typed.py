"""What a type checker must find in a program that uses the client. It is checked by mypy and pyright, and not run."""

from __future__ import annotations

from datetime import date

import pandas as pd
import polars as pl
from typing_extensions import assert_type

from city_data_client import AsyncCityData, CityData, Range

HERE: Range = {"latitude": 40.42, "longitude": -3.70, "start": "2026-10-01", "end": date(2026, 10, 31)}


def blocking(service: CityData) -> None:
    assert_type(service.weather(**HERE), pd.DataFrame)
    assert_type(service.traffic(**HERE, to="polars"), pl.DataFrame)
    assert_type(service.training_frame(**HERE, to="pandas"), pd.DataFrame)
    assert_type(service.training_frame(**HERE, weather="forecast", lead_days=3), pd.DataFrame)
    assert_type(service.forecast_frame(days=3, latitude=40.42, longitude=-3.70, to="polars"), pl.DataFrame)
    assert_type(service.cities(), pd.DataFrame)
    assert_type(service.calendar(**HERE), pd.DataFrame)
    assert_type(service.history("calendar", city_id="lyon", start="2026-10", end="2026-10", to="polars"), pl.DataFrame)
    assert_type(service.skill("madrid"), pd.DataFrame)


async def awaiting(service: AsyncCityData) -> None:
    assert_type(await service.traffic(**HERE), pd.DataFrame)
    assert_type(await service.weather(**HERE, to="polars"), pl.DataFrame)
    assert_type(await service.history("calendar", **HERE), pd.DataFrame)
    assert_type(await service.skill("madrid"), pd.DataFrame)
    assert_type(await service.forecast_frame(days=3, latitude=40.42, longitude=-3.70), pd.DataFrame)
