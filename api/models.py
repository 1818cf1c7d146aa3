"""The shapes of answers and bodies, for OpenAPI and for what is not served as ready-made bytes.

Belongs here: fields, units, examples. Units and descriptions come from city_data/datasets.py. Does not: making answers.
"""

from __future__ import annotations

import datetime as dt
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from api.snapshot_ids import MAX_LENGTH
from city_data.datasets import TRAFFIC, WEATHER, Dataset, DatasetName, Resolution
from city_data.store.ledger import Recheck, State


class SourceInfo(BaseModel):
    """Who gives a dataset, what they give, and under which licence. Null where the platform has not told yet."""

    dataset: DatasetName
    provider: str = Field(examples=["aemet"])
    fallback: bool = Field(description="Asked only where the first source has no such month")
    licence: str | None = Field(default=None, description="To be shown to whoever sees the data")
    licence_url: str | None = None
    modelled: bool | None = Field(default=None, description="Computed by a model, not observed")
    resolution: Resolution | None = None
    columns: list[str] | None = Field(default=None, description="The columns that have values; all others are null")
    earliest_month: str | None = Field(default=None, description="Null without limit", examples=["2013-01"])
    forward_only: bool | None = Field(default=None, description="Its history begins when the platform first asked")
    lag_days: float | None = Field(default=None, description="From a month's end until its data appears")
    settling_days: float | None = Field(default=None, description="After that, how long it may still change")


class CityInfoResponse(BaseModel):
    """One enabled city: its centre (degrees), its reach, and who gives its data."""

    city_id: str = Field(examples=["madrid"])
    name: str
    country: str = Field(description="ISO 3166-1 alpha-2", examples=["ES"])
    latitude: float
    longitude: float
    radius_km: float
    timezone: str = Field(
        description="Whose calendar its months and days follow, by IANA name", examples=["Europe/Madrid"]
    )
    weather_provider: str | None
    traffic_provider: str | None
    enabled: bool
    sources: list[SourceInfo] = Field(description="Each dataset's sources, with their licences")


class CoverageInfo(BaseModel):
    """Values of one column: how many there should be, how many there are. A source without the column owes none."""

    expected: int = Field(examples=[745])
    observed: int = Field(examples=[744])
    percent: float | None = Field(description="Rounded down; null where none is expected", examples=[99.86])


class DayInfo(BaseModel):
    """One local day of a month, by the columns that its source gives."""

    date: dt.date
    columns: dict[str, CoverageInfo]


class MonthInfo(BaseModel):
    """What is known of one month. `coverage` is the share (0..1) of expected rows that have a value."""

    month: str = Field(examples=["2026-10"])
    state: State
    coverage: float | None
    version: int | None
    rows: int
    expected_rows: int
    source: str | None
    columns: dict[str, CoverageInfo] = Field(description="Coverage of every column over the month")
    days: list[DayInfo] | None = Field(description="The same by local day, with `days=true`")
    received: int = Field(description="Rows that the provider sent: used, or rejected under one reason")
    used: int = Field(description="Provider rows that the month was made of")
    rejected: dict[str, int] = Field(description="Provider rows rejected, by reason", examples=[{"duplicate": 4}])
    nulled: dict[str, int] = Field(description="Single values of used rows that became null, by reason:field")
    settled_at: datetime | None
    checked_at: datetime | None = Field(description="When its source was last asked")
    rechecked_at: datetime | None = Field(description="When the settled month was last looked at again")
    recheck: Recheck | None = Field(description="What that look found")
    last_error: str | None = Field(description="Why the last try brought nothing, where it did not")


class MonthsInfo(BaseModel):
    weather: list[MonthInfo]
    traffic: list[MonthInfo]


class DataAvailabilityResponse(BaseModel):
    """What is held of a city. Dates are the first and last record's, UTC."""

    city_id: str
    city_name: str
    weather_available: bool
    weather_start_date: datetime | None
    weather_end_date: datetime | None
    weather_record_count: int
    traffic_available: bool
    traffic_start_date: datetime | None
    traffic_end_date: datetime | None
    traffic_record_count: int
    months: MonthsInfo


class HistoricalRequest(BaseModel):
    """The deprecated routes' body: the same questions as the query of the routes that replace them."""

    model_config = ConfigDict(extra="ignore")

    latitude: float | None = Field(default=None, ge=-90, le=90, allow_inf_nan=False)
    longitude: float | None = Field(default=None, ge=-180, le=180, allow_inf_nan=False)
    start_date: str = Field(max_length=64, examples=["2026-10-01"])
    end_date: str = Field(max_length=64, examples=["2026-10-31"])
    version: str | None = Field(default=None, max_length=MAX_LENGTH)
    as_of: str | None = Field(default=None, max_length=64)


class HealthResponse(BaseModel):
    status: Literal["alive", "ready", "waiting"]
    detail: str


class ErrorResponse(BaseModel):
    """Why there is no answer, in words."""

    detail: str


class Problem(BaseModel):
    type: str
    loc: list[str | int]
    msg: str
    input: Any = None


class ValidationErrorResponse(BaseModel):
    """FastAPI's own shape: one entry for each thing that is wrong with the request."""

    detail: list[Problem]


def _record(name: str, dataset: Dataset, before: dict[str, Any], after: dict[str, Any]) -> type[BaseModel]:
    columns: dict[str, Any] = {
        column.name: (
            (float if column.kind == "number" else str) | None,
            Field(description=f"{column.description}{f', {column.unit}' if column.unit else ''}; null where missing"),
        )
        for column in dataset.columns
    }
    source = (str, Field(description="Which provider the record comes from", examples=["aemet"]))
    return create_model(name, **before, **columns, source=source, **after)


_DATE = (datetime, Field(description="Start of the interval, UTC", examples=["2026-10-01T00:00:00Z"]))
WeatherRecord = _record(
    "WeatherRecord",
    WEATHER,
    {
        "id": (str, Field(description="UUID, the same for the same city and date for ever")),
        "location_id": (str, Field(description="City and local day", examples=["madrid_2026-10-01"])),
        "date": _DATE,
    },
    {"created_at": (datetime, ...), "updated_at": (datetime, ...)},
)
TrafficRecord = _record("TrafficRecord", TRAFFIC, {"date": _DATE}, {})
RECORDS: dict[str, type[BaseModel]] = {"weather": WeatherRecord, "traffic": TrafficRecord}
