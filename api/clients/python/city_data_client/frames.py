"""Answers as DataFrames: typed columns, an index of aware times, and what the answer says of itself.

Belongs here: JSON and Arrow to pandas. Does not: requests (questions.py).
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pandas as pd

from city_data_client.errors import UnexpectedAnswer

if TYPE_CHECKING:
    import polars as pl

ARROW = "application/vnd.apache.arrow.stream"
JSON = "application/json"
CSV = "text/csv"
_LEVELS = pd.CategoricalDtype(["low", "medium", "high", "severe"], ordered=True)
_HOLIDAYS = [f"{level}_holiday" for level in ("public", "country", "region", "town")]
_TEXT = ("description", "source", "id", "location_id", "daypart", "school_vacation", *_HOLIDAYS)
# Of a frame, where each dataset's values are from.
_ORIGINS = ("_source", "_resolution")
# Flags and whole numbers that may be missing. A frame's masks never are, and are plain.
_FLAGS = ("is_weekend", "school_free", "is_bridge_day", *(f"{name}_known" for name in _HOLIDAYS))
_INTEGERS = ("weekday", "days_to_holiday", "days_since_holiday", "weather_lead_days")
_DAY = "local_date"
_MOMENTS = ("created_at", "updated_at")
_WHOLE = frozenset({"lead_days"})  # never missing
_NOT_NUMBERS = frozenset({"date", "congestion_level", "raw_data", *_FLAGS, *_INTEGERS, _DAY, *_TEXT, *_MOMENTS})
_NO_CITY = {
    "city_id": "",
    "name": "",
    "country": "",
    "latitude": 0.0,
    "longitude": 0.0,
    "radius_km": 0.0,
    "timezone": "",
    "weather_provider": "",
    "traffic_provider": "",
    "calendar_provider": "",
    "forecast_provider": "",
    "enabled": True,
    "sources": [],
}
_SKILL = {
    "column": "string",
    "unit": "string",
    "lead_days": "int64",
    "month": "int64",
    "bias": "float64",
    "mae": "float64",
    "count": "int64",
}
# Header to the name in `attrs`, and how it is read.
_TOLD: dict[str, tuple[str, type]] = {
    "x-city-id": ("city_id", str),
    "x-city-distance-km": ("distance_km", float),
    "x-coverage": ("coverage", float),
    "x-snapshot-id": ("snapshot_id", str),
    "x-data-version": ("data_version", str),
    "x-served-start": ("served_start", str),
    "x-served-end": ("served_end", str),
    "x-missing-months": ("missing_months", str),
    "x-calendar": ("calendar", str),
    "x-attribution": ("attribution", str),
    "link": ("link", str),
}
# As in `x-weather-coverage`: of each dataset of a frame.
_TOLD_BY_DATASET: dict[str, type] = {"-coverage": float, "-resolution": str}


def accepted() -> str:
    """Arrow where pyarrow is installed: it is parsed 600 times faster than JSON; JSON always."""
    return f"{ARROW}, {JSON};q=0.5" if find_spec("pyarrow") else JSON


def frame_of(headers: Mapping[str, str], body: bytes) -> pd.DataFrame:
    """Index `date` (aware, UTC, start of the interval); numbers float64 with NaN where missing; `congestion_level` an
    ordered category. Raises UnexpectedAnswer for what is no such answer."""
    kind = headers.get("content-type", "").partition(";")[0].strip()
    if kind == ARROW:
        frame = _from_arrow(body)
    elif kind == JSON:
        frame = _from_json(body)
    else:
        raise UnexpectedAnswer(f"an answer of type {kind or 'nothing'}, not {JSON} or {ARROW}")
    if "date" in frame:
        frame = frame.set_index(pd.DatetimeIndex(_moments(frame["date"]), name="date")).drop(columns="date")
    frame.attrs.update(attributes(headers))
    return frame


def empty_frame(headers: Mapping[str, str], header: bytes) -> pd.DataFrame:
    """A frame without rows, with the columns that a header of CSV names, and their types."""
    frame = pd.read_csv(io.BytesIO(header), nrows=0)
    numbers = {name: "int64" if name in _WHOLE else "float64" for name in frame.columns if name not in _NOT_NUMBERS}
    frame = _typed(frame.astype(numbers)).set_index(pd.DatetimeIndex([], dtype="datetime64[us, UTC]", name="date"))
    frame.attrs.update(attributes(headers))
    return frame.drop(columns="date", errors="ignore")


def cities_frame(cities: list[dict[str, Any]]) -> pd.DataFrame:
    """One row a city by `city_id`; a service without cities has the columns all the same."""
    frame = pd.DataFrame.from_records(cities or [_NO_CITY])
    return frame.set_index("city_id").iloc[: len(cities)]


def skill_frame(document: dict[str, Any]) -> pd.DataFrame:
    """A row for each column, lead and month of the year; a city without forecasts has the columns all the same."""
    columns = {name: [row[name] for row in document["skill"]] for name in _SKILL}
    frame = pd.DataFrame({name: pd.Series(columns[name], dtype=kind) for name, kind in _SKILL.items()})
    frame.attrs.update({name: value for name, value in document.items() if name != "skill"})
    return frame


def polars_of(frame: pd.DataFrame) -> pl.DataFrame:
    """The frame with `date` as its first column; what is missing is null. Raises ImportError without polars."""
    import polars as pl

    return pl.from_pandas(frame.reset_index() if frame.index.name else frame)


def attributes(headers: Mapping[str, str]) -> dict[str, Any]:
    """What the answer says of itself: city, distance, coverage, snapshot, what was served."""
    told = {name: read(headers[header]) for header, (name, read) in _TOLD.items() if header in headers}
    for header, value in headers.items():
        for ending, read in _TOLD_BY_DATASET.items():
            if header.startswith("x-") and header.endswith(ending) and header not in _TOLD:
                told[header.removeprefix("x-").replace("-", "_")] = read(value)
    return told


def _from_arrow(body: bytes) -> pd.DataFrame:
    import pyarrow as pa

    try:
        table = pa.ipc.open_stream(io.BytesIO(body)).read_all()
    except pa.ArrowInvalid as error:
        raise UnexpectedAnswer(f"a broken Arrow stream: {error}") from error
    return _typed(table.to_pandas())


def _from_json(body: bytes) -> pd.DataFrame:
    try:
        records = json.loads(body)
    except ValueError as error:
        raise UnexpectedAnswer(f"broken JSON: {error}") from error
    if not isinstance(records, list):
        raise UnexpectedAnswer(f"not a list of records but {str(records)[:100]}")
    return _typed(pd.DataFrame.from_records(records))


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The same types whichever way the values came, also where a column is all missing."""
    for name in frame.columns:
        values = frame[name]
        if name == "congestion_level":
            frame[name] = values.astype("object").astype(_LEVELS)
        elif name in _TEXT or str(name).endswith(_ORIGINS):
            frame[name] = values.astype("string")
        elif name in _MOMENTS:
            frame[name] = _moments(values)
        elif name == _DAY:
            frame[name] = pd.to_datetime(values.astype("object")).astype("datetime64[us]")
        elif name in _FLAGS:
            frame[name] = values.astype("object").astype("boolean")
        elif name in _INTEGERS:
            frame[name] = pd.to_numeric(values).astype("Int64")
        elif name != "date" and values.dtype == object and not values.map(lambda v: isinstance(v, str | dict)).any():
            frame[name] = pd.to_numeric(values)
    return frame


def _moments(values: pd.Series) -> pd.Series:
    return pd.to_datetime(values, utc=True, format="ISO8601" if values.dtype == object else None).astype(
        "datetime64[us, UTC]"
    )
