"""The shapes of answers and bodies, for OpenAPI and for what is not served as ready-made bytes.

Belongs here: fields, units, examples. Units and descriptions come from city_data/datasets.py. Does not: making answers.
"""

from __future__ import annotations

import datetime as dt
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from api.query.formats import FormatName
from api.query.shapes import HOURS, MAX_COLUMNS_TEXT, RAW, AskedResolution, Include
from api.query.snapshot_ids import MAX_LENGTH
from city_data.datasets import TRAFFIC, WEATHER, Dataset, DatasetName, Resolution
from city_data.store.ledger import Recheck, State

_MOMENT = "2026-10-31T23:00:00Z"


def _field(description: str, example: Any) -> Any:
    return Field(description=description, examples=[example])


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
    """One enabled city: its centre, its reach, and who gives its data."""

    city_id: str = _field("Names the city everywhere", "madrid")
    name: str = _field("As people say it", "Madrid")
    country: str = _field("ISO 3166-1 alpha-2", "ES")
    latitude: float = _field("Of the centre, degrees", 40.4168)
    longitude: float = _field("Of the centre, degrees", -3.7038)
    radius_km: float = _field("How far from its centre a location is served, km", 30)
    timezone: str = _field("Whose calendar its months and days follow, by IANA name", "Europe/Madrid")
    weather_provider: str | None = _field("Null where it has no weather", "aemet")
    traffic_provider: str | None = _field("Null where it has no traffic", "madrid_opendata")
    enabled: bool = _field("Whether it is served", True)
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
    """What is known of one month."""

    month: str = _field("Calendar month of the city's clocks", "2026-10")
    state: State = _field("A provisional month may still change", "settled")
    coverage: float | None = _field("Share (0..1) of expected rows that have a value", 0.998)
    version: int | None = _field("Grows with every change of its data; null where there is none", 3)
    rows: int = _field("Records held", 745)
    expected_rows: int = _field("Records of a whole month", 745)
    source: str | None = _field("Which provider its records come from", "madrid_opendata")
    columns: dict[str, CoverageInfo] = Field(description="Coverage of every column over the month")
    days: list[DayInfo] | None = Field(description="The same by local day, with `days=true`")
    received: int = _field("Rows that the provider sent: used, or rejected under one reason", 749)
    used: int = _field("Provider rows that the month was made of", 745)
    rejected: dict[str, int] = _field("Provider rows rejected, by reason", {"duplicate": 4})
    nulled: dict[str, int] = _field("Single values of used rows that became null, by reason:field", {})
    settled_at: datetime | None = _field("UTC", _MOMENT)
    checked_at: datetime | None = _field("When its source was last asked", _MOMENT)
    rechecked_at: datetime | None = _field("When the settled month was last looked at again", _MOMENT)
    recheck: Recheck | None = _field("What that look found", "unchanged")
    last_error: str | None = _field("Why the last try brought nothing, where it did not", "status 500 from the source")


class MonthsInfo(BaseModel):
    weather: list[MonthInfo]
    traffic: list[MonthInfo]


class DataAvailabilityResponse(BaseModel):
    """What is held of a city."""

    city_id: str = _field("As in the list of cities", "madrid")
    city_name: str = _field("As people say it", "Madrid")
    weather_available: bool = _field("Whether any month is held", True)
    weather_start_date: datetime | None = _field("First record's date, UTC", _MOMENT)
    weather_end_date: datetime | None = _field("Last record's date, UTC", _MOMENT)
    weather_record_count: int = _field("Records held", 760)
    traffic_available: bool = _field("Whether any month is held", True)
    traffic_start_date: datetime | None = _field("First record's date, UTC", _MOMENT)
    traffic_end_date: datetime | None = _field("Last record's date, UTC", _MOMENT)
    traffic_record_count: int = _field("Records held", 18_264)
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
    format: FormatName | None = None
    resolution: AskedResolution | None = None
    columns: str | None = Field(default=None, max_length=MAX_COLUMNS_TEXT)
    include: Include | None = None


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


def record_model(name: str, dataset: Dataset, before: dict[str, Any], after: dict[str, Any]) -> type[BaseModel]:
    columns: dict[str, Any] = {}
    for column in dataset.columns:
        text = f"{column.description}{f', {column.unit}' if column.unit else ''}; null where missing"
        columns[column.name] = (float if column.kind == "number" else str) | None, _field(text, column.example_value)
    source = (str, Field(description="Which provider the record comes from", examples=["aemet"]))
    return create_model(name, **before, **columns, source=source, **after)


_DATE = (datetime, Field(description="Start of the interval, UTC", examples=["2026-10-01T00:00:00Z"]))
WeatherRecord = record_model(
    "WeatherRecord",
    WEATHER,
    {
        "id": (
            str,
            _field("UUID, the same for the same city and date for ever", "5d5c7d5f-7b8f-5f0e-8a4e-0a8c6c2f3c11"),
        ),
        "location_id": (str, Field(description="City and local day", examples=["madrid_2026-10-01"])),
        "date": _DATE,
    },
    {
        "created_at": (datetime, _field("When the record was first held, UTC", _MOMENT)),
        "updated_at": (datetime, _field("When the record last changed, UTC", _MOMENT)),
    },
)
TrafficRecord = record_model("TrafficRecord", TRAFFIC, {"date": _DATE}, {})
RECORDS: dict[str, type[BaseModel]] = {"weather": WeatherRecord, "traffic": TrafficRecord}


def _selection(name: str, record: type[BaseModel]) -> type[BaseModel]:
    """A record of which any field but the date may be left out, and some come on request."""
    fields: dict[str, Any] = {
        field: (info.annotation if field == "date" else info.annotation | None, ... if field == "date" else None)  # type: ignore[operator]
        for field, info in record.model_fields.items()
    }
    hours = Field(default=None, description="Hours of the day that have a value; of days made of hours")
    raw = Field(default=None, description="What the source said beside the values; with `include=raw`")
    fields |= {HOURS: (int | None, hours), RAW: (dict[str, Any] | None, raw)}
    return create_model(name, **fields)


SELECTIONS: dict[str, type[BaseModel]] = {
    "weather": _selection("WeatherSelection", WeatherRecord),
    "traffic": _selection("TrafficSelection", TrafficRecord),
}
