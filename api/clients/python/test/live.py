"""Every method of the installed client against a running service: `python live.py URL`. Prints one JSON object of what
came out. It is run by the oldest and the newest supported Python, which have nothing of the platform."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl

import city_data_client
from city_data_client import AsyncCityData, CityData, CityDataError, Range

OCTOBER: Range = {"latitude": 40.42, "longitude": -3.70, "start": "2026-10-01", "end": pd.Timestamp("2026-10-31")}
ONE_COLUMN: Range = {**OCTOBER, "columns": pd.Index(["temperature"])}
SEPTEMBER: Range = {**OCTOBER, "start": "2026-09-01", "end": "2026-09-30"}
FAR_AWAY: Range = {**OCTOBER, "latitude": 0.0, "longitude": 0.0}


async def awaited(url: str) -> pd.DataFrame:
    async with AsyncCityData(url, cache=False) as service:
        return await service.traffic(**OCTOBER)


def read(url: str, folder: Path) -> dict[str, Any]:
    with CityData(url, cache=folder) as service:
        traffic, again = service.traffic(**OCTOBER), service.traffic(**OCTOBER)
        weather = service.weather(**ONE_COLUMN)
        polars = service.traffic(**OCTOBER, to="polars")
        training = service.training_frame(**OCTOBER)
        calendar, skill = service.calendar(**OCTOBER), service.skill("madrid")
        empty = service.weather(**SEPTEMBER)
        try:
            service.weather(**FAR_AWAY)
            refusal = ""
        except CityDataError as error:
            refusal = type(error).__name__
        cities = list(service.cities().index)
    pd.testing.assert_frame_equal(traffic, again)
    pd.testing.assert_frame_equal(traffic, asyncio.run(awaited(url)))
    return {
        "python": sys.version_info[:2],
        "versions": {name: version(name) for name in ("pandas", "numpy", "httpx", "pyarrow", "polars")},
        "file": city_data_client.__file__,
        "cities": cities,
        "traffic": [len(traffic), int(traffic["traffic_volume"].isna().sum()), float(traffic["traffic_volume"].sum())],
        "types": {str(name): str(kind) for name, kind in traffic.dtypes.items()},
        "index": str(traffic.index.dtype),
        "coverage": traffic.attrs["coverage"],
        "weather": [list(weather.columns), len(weather)],
        "polars": [isinstance(polars, pl.DataFrame), polars["traffic_volume"].null_count()],
        "training": [len(training), training["public_holiday"].dropna().tolist()],
        "calendar": [len(calendar), {name: str(calendar[name].dtype) for name in ("weekday", "is_weekend")}],
        "skill": [len(skill), str(skill["mae"].dtype)],
        "empty": [len(empty), str(empty["temperature"].dtype)],
        "refusal": refusal,
    }


with tempfile.TemporaryDirectory() as kept:
    json.dump(read(sys.argv[1], Path(kept)), sys.stdout)
