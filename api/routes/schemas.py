"""Response models, for OpenAPI and for answers that FastAPI serialises.

Belongs here: fields, units, examples; those of columns come from city_data/datasets.py. Does not: building answers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field, create_model

from city_data.columns import Column
from city_data.datasets import DATASETS, Dataset, Resolution
from city_data.store.ledger import Recheck, State
from city_data.store.record_tables import HOURS, RAW

_MOMENT = "2026-10-31T23:00:00Z"


def _field(description: str, example: Any) -> Any:
    return Field(description=description, examples=[example])


class MeaningInfo(BaseModel):
    """The meaning of a column's values in one source's cities. Values of two cities can be compared only where
    `comparable` is true for both."""

    quantity: str = _field("The counted or measured thing", "vehicles in an hour")
    area: str = _field("The part of the city that it is measured in", "city panel of traffic loops")
    per: str = _field("The unit that a value is the mean of", "loop")
    method: str = _field("How measurements become one value", "mean over a fixed monthly panel")
    method_version: int = _field("Changes with the method", 1)
    comparable: bool = _field("Whether values of cities can be compared, where it is set for both", False)


class SourceInfo(BaseModel):
    """A provider of a dataset, with its columns and licence. Null where the platform has not recorded the fact yet."""

    dataset: str = Field(description="Datasets may be added: those that a caller does not know are to be left out")
    provider: str = Field(examples=["aemet"])
    fallback: bool = Field(description="Used only for months that the primary source does not have")
    licence: str | None = Field(default=None, description="To be displayed with the data")
    licence_url: str | None = None
    modelled: bool | None = Field(default=None, description="Computed by a model, not observed")
    resolution: Resolution | None = None
    columns: list[str] | None = Field(default=None, description="The columns that have values; all others are null")
    earliest_month: str | None = Field(default=None, description="Null without limit", examples=["2013-01"])
    forward_only: bool | None = Field(default=None, description="Its history begins with the platform's first request")
    lag_days: float | None = Field(default=None, description="From a month's end until its data appears")
    settling_days: float | None = Field(default=None, description="How long the data may still change after that")
    meanings: dict[str, MeaningInfo] = Field(default={}, description="The meaning of each column; by its name")


def of_each_dataset(fields: Callable[[Dataset], Mapping[str, Any]]) -> dict[str, Any]:
    """Fields that a model has once for each dataset."""
    return {name: field for dataset in DATASETS.values() for name, field in fields(dataset).items()}


class _Place(BaseModel):
    city_id: str = _field("The city's id in all routes", "madrid")
    name: str = _field("Display name", "Madrid")
    country: str = _field("ISO 3166-1 alpha-2", "ES")
    latitude: float = _field("Of the centre, degrees", 40.4168)
    longitude: float = _field("Of the centre, degrees", -3.7038)
    radius_km: float = _field("Greatest distance from the centre of a served location, km", 30)
    timezone: str = _field("IANA time zone of the city's months and days", "Europe/Madrid")


def _provider(dataset: Dataset) -> dict[str, Any]:
    text = f"Null for a city without {dataset.name}"
    return {f"{dataset.name}_provider": (str | None, _field(text, dataset.example_source))}


CityInfoResponse = create_model(
    "CityInfoResponse",
    __base__=_Place,
    __doc__="One enabled city: its centre, its radius and its sources.",
    **of_each_dataset(_provider),
    enabled=(bool, _field("Whether the city is served", True)),
    sources=(list[SourceInfo], Field(description="Each dataset's sources, with their licences")),
)


class CoverageInfo(BaseModel):
    """Expected and observed values of one column. None are expected of a source without the column."""

    expected: int = Field(examples=[745])
    observed: int = Field(examples=[744])
    percent: float | None = Field(description="Rounded down; null where no value is expected", examples=[99.86])


class DayInfo(BaseModel):
    """The coverage of one local day, for the columns of its source."""

    date: dt.date
    columns: dict[str, CoverageInfo]


class MonthInfo(BaseModel):
    """The availability of one month."""

    month: str = _field("Calendar month in the city's time zone", "2026-10")
    state: State = _field("A provisional month may still change", "settled")
    coverage: float | None = _field(
        "Mean share (0..1) of the values that its source promises: numbers and levels, descriptions left out", 0.998
    )
    version: int | None = _field("Grows with every change of the data; null without data", 3)
    rows: int = _field("Number of records", 745)
    expected_rows: int = _field("Number of records of a complete month", 745)
    source: str | None = _field("The provider of its records", "madrid_opendata")
    columns: dict[str, CoverageInfo] = Field(description="Coverage of every column over the month")
    days: list[DayInfo] | None = Field(description="The same by local day, with `days=true`")
    received: int = _field("Rows that the provider sent: used, or rejected under one reason", 749)
    used: int = _field("Provider rows that were used", 745)
    rejected: dict[str, int] = _field("Provider rows rejected, by reason", {"duplicate": 4})
    nulled: dict[str, int] = _field("Single values of used rows that became null, by reason:field", {})
    used_share: float | None = _field("Share (0..1) of the provider's rows that were used, repeats left out", 1.0)
    empty_columns: list[str] = _field("Columns that its source promises and of which it has no value", [])
    settled_at: datetime | None = _field("UTC", _MOMENT)
    checked_at: datetime | None = _field("Time of the last request to its source", _MOMENT)
    rechecked_at: datetime | None = _field("Time of the last recheck of the settled month", _MOMENT)
    recheck: Recheck | None = _field("Result of that recheck", "unchanged")
    last_error: str | None = _field("Error of the last fetch, where it failed", "status 500 from the source")


MonthsInfo = create_model("MonthsInfo", **of_each_dataset(lambda dataset: {dataset.name: (list[MonthInfo], ...)}))


def _extent(dataset: Dataset) -> dict[str, Any]:
    return {
        f"{dataset.name}_available": (bool, _field("Whether any month has data", True)),
        f"{dataset.name}_start_date": (datetime | None, _field("First record's date, UTC", _MOMENT)),
        f"{dataset.name}_end_date": (datetime | None, _field("Last record's date, UTC", _MOMENT)),
        f"{dataset.name}_record_count": (int, _field("Number of records", 18_264)),
    }


DataAvailabilityResponse = create_model(
    "DataAvailabilityResponse",
    __doc__="The data available for a city.",
    city_id=(str, _field("As in the list of cities", "madrid")),
    city_name=(str, _field("Display name", "Madrid")),
    **of_each_dataset(_extent),
    months=(MonthsInfo, ...),
)


class HealthResponse(BaseModel):
    status: Literal["alive", "ready", "waiting"]
    detail: str


JSON_TYPES: dict[str, Any] = {"number": float, "text": str, "integer": int, "flag": bool}


def _key_field(column: Column) -> Any:
    text = f"{column.description}{f', {column.unit}' if column.unit else ''}"
    return Field(description=text, examples=[column.example_value], ge=column.low, le=column.high)


def record_model(
    name: str, dataset: Dataset, before: dict[str, Any], after: dict[str, Any], on_request: bool = False
) -> type[BaseModel]:
    """A record with the columns that it has by default, or with every column."""
    columns: dict[str, Any] = {column.name: (int, _key_field(column)) for column in dataset.key_columns}
    for column in dataset.columns:
        if column.on_request and not on_request:
            continue
        text = f"{column.description}{f', {column.unit}' if column.unit else ''}; null where missing"
        columns[column.name] = JSON_TYPES[column.kind] | None, _field(text, column.example_value)
    source = (str, Field(description="The provider of the record", examples=["aemet"]))
    return create_model(name, **before, **columns, source=source, **after)


_DATE = (datetime, Field(description="Start of the interval, UTC", examples=["2026-10-01T00:00:00Z"]))
_IDS: dict[str, Any] = {
    "id": (str, _field("UUID, always the same for the same city and date", "5d5c7d5f-7b8f-5f0e-8a4e-0a8c6c2f3c11")),
    "location_id": (str, Field(description="City and local day", examples=["madrid_2026-10-01"])),
}
_TIMES: dict[str, Any] = {
    "created_at": (datetime, _field("When the record was first stored, UTC", _MOMENT)),
    "updated_at": (datetime, _field("When the record last changed, UTC", _MOMENT)),
}


def _record(dataset: Dataset, on_request: bool = False) -> type[BaseModel]:
    before, after = (_IDS, _TIMES) if dataset.records_have_ids else ({}, {})
    return record_model(f"{dataset.name.capitalize()}Record", dataset, {**before, "date": _DATE}, after, on_request)


RECORDS: dict[str, type[BaseModel]] = {name: _record(dataset) for name, dataset in DATASETS.items()}


def _selection(dataset: Dataset, record: type[BaseModel]) -> type[BaseModel]:
    """A record in which every field but the key is optional, and with fields that are sent on request only."""
    fields: dict[str, Any] = {
        field: (info.annotation, ...)
        if field in dataset.key
        else (info.annotation | None, Field(default=None, description=info.description))  # type: ignore[operator]
        for field, info in record.model_fields.items()
    }
    hours = Field(default=None, description="Number of hours of the day with a value; for days aggregated from hours")
    raw = Field(default=None, description="The source's extra data; with `include=raw`")
    fields |= {HOURS: (int | None, hours), RAW: (dict[str, Any] | None, raw)}
    return create_model(f"{dataset.name.capitalize()}Selection", **fields)


SELECTIONS: dict[str, type[BaseModel]] = {
    name: _selection(dataset, _record(dataset, on_request=True)) for name, dataset in DATASETS.items()
}
