"""The training frame: weather, traffic and calendar of one month on one grid, with a mask of missing values.

Belongs here: the frame's columns, the grid, and the join. Does not: which versions are joined (api/), how hours become
days (daily.py), or holidays (calendar_days.py).

Every hour, or every local day, of the month has its row. A missing value is NULL and masked, never filled. A dataset
of daily resolution is joined to an hourly grid by the local day: each hour has the day's values, its precipitation
being the whole day's. `<dataset>_resolution` says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

from city_data.calendar_days import calendar_day
from city_data.datasets import DATASETS, Column, Dataset, DatasetName, Resolution, expected_stamps
from city_data.frames.daily import day_columns
from city_data.window import Month

if TYPE_CHECKING:
    import pyarrow as pa

    from city_data.cities import City

Kind = Literal["moment", "day", "number", "text", "integer", "flag"]
MASK = "_missing"
_HOLIDAY = "Fiesta Nacional de España"
# Column: its description, and the level of which the mask says whether it is known. A null name may be an ordinary day.
_HOLIDAYS = {
    "public_holiday": (
        "Name of the public holiday of country, region or town, in their language",
        "this day is unnamed and holidays of the country, the region or the town",
    ),
    "country_holiday": ("Name of the whole country's public holiday", "holidays of this country and year"),
    "region_holiday": ("Name of a public holiday that the region adds", "holidays of this region and year"),
    "town_holiday": ("Name of a local holiday of the municipality", "holidays of this town and year"),
}


@dataclass(frozen=True)
class TrainingColumn:
    """A column of the frame. Without `nullable` it has a value in every row."""

    name: str
    kind: Kind
    description: str
    example: datetime | date | float | str | bool
    unit: str | None = None
    nullable: bool = False


@dataclass(frozen=True)
class Part:
    """One version of one dataset's month: its table as `store.versions.decode_frame` gives it, and its resolution."""

    table: pa.Table
    resolution: Resolution


def resolution_of(expected_rows: int, month: Month) -> Resolution:
    """The resolution of a version, from its number of expected rows."""
    return "daily" if expected_rows == len(month.days()) else "hourly"


def training_columns(resolution: Resolution) -> tuple[TrainingColumn, ...]:
    """The frame's columns in order; `date` is the index. A mask follows for every value that may be missing."""
    return _columns(resolution, tuple(DATASETS.values()))


@lru_cache
def _columns(resolution: Resolution, datasets: tuple[Dataset, ...]) -> tuple[TrainingColumn, ...]:
    period = "local day" if resolution == "daily" else "hour"
    grid = [
        TrainingColumn("date", "moment", f"Start of the {period}, UTC", datetime(2026, 9, 30, 22, tzinfo=UTC)),
        TrainingColumn("local_date", "day", "The day on the city's clocks", date(2026, 10, 1)),
        *([TrainingColumn("hour", "integer", "0 to 23 on the city's clocks", 0)] if resolution == "hourly" else []),
    ]
    values = [_value(column, resolution) for dataset in datasets for column in dataset.columns]
    calendar = [
        TrainingColumn("weekday", "integer", "0 is Monday, 6 is Sunday", 3),
        TrainingColumn("is_weekend", "flag", "Whether the country's weekend has this day", False),
        *(TrainingColumn(name, "text", text, _HOLIDAY, None, True) for name, (text, _) in _HOLIDAYS.items()),
        TrainingColumn(
            "school_free", "flag", "Whether schools have vacations; null where that is not known", False, None, True
        ),
    ]
    origins = [column for dataset in datasets for column in _origin(dataset)]
    masked = [column for column in (*values, *calendar) if column.nullable]
    masks = [TrainingColumn(f"{column.name}{MASK}", "flag", _mask_text(column.name), False) for column in masked]
    return (*grid, *values, *origins, *calendar, *masks)


def _origin(dataset: Dataset) -> list[TrainingColumn]:
    name = dataset.name
    source = f"Which provider the {name} comes from; null where none is stored"
    resolution = f"The {name}'s stored resolution: `daily` on an hourly grid is the whole day's; null where none is"
    return [
        TrainingColumn(f"{name}_source", "text", source, dataset.example_source, nullable=True),
        TrainingColumn(f"{name}_resolution", "text", resolution, "hourly", nullable=True),
    ]


def schema(resolution: Resolution) -> pa.Schema:
    """The frame's Arrow schema; a field's metadata has its unit, where it has one."""
    import pyarrow as pa

    types = {
        "moment": pa.timestamp("us", tz="UTC"),
        "day": pa.date32(),
        "number": pa.float64(),
        "text": pa.string(),
        "integer": pa.int64(),
        "flag": pa.bool_(),
    }
    return pa.schema(
        [
            pa.field(column.name, types[column.kind], column.nullable, {"unit": column.unit} if column.unit else None)
            for column in training_columns(resolution)
        ]
    )


def month_frame(city: City, month: Month, resolution: Resolution, parts: Mapping[DatasetName, Part]) -> pa.Table:
    """One row for every hour or local day of the city's month. A dataset that is not in `parts` is missing."""
    import pyarrow as pa

    zone = ZoneInfo(city.timezone)
    stamps = expected_stamps(month, city.timezone, resolution)
    local = [stamp.astimezone(zone) for stamp in stamps]
    days = [moment.date() for moment in local]
    columns: dict[str, Sequence[Any]] = {"date": stamps, "local_date": days, "hour": [moment.hour for moment in local]}
    for name, dataset in DATASETS.items():
        columns |= _joined(dataset, parts.get(name), stamps, days, resolution, city.timezone)
    columns |= _calendar(city, days)
    for column in (one for one in training_columns(resolution) if one.nullable and one.name in columns):
        columns.setdefault(f"{column.name}{MASK}", [value is None for value in columns[column.name]])
    arrow_schema = schema(resolution)
    return pa.table([pa.array(columns[field.name], field.type) for field in arrow_schema], arrow_schema)


def _value(column: Column, resolution: Resolution) -> TrainingColumn:
    day = ", by the rule for days made of hours" if resolution == "daily" else ""
    return TrainingColumn(
        column.name, column.kind, f"{column.description}{day}", column.example_value, column.unit, True
    )


def _mask_text(name: str) -> str:
    if name in _HOLIDAYS:
        return f"Whether {_HOLIDAYS[name][1]} are not known; a null name is an ordinary day else"
    return f"Whether {name} is missing"


def _joined(
    dataset: Dataset,
    part: Part | None,
    stamps: Sequence[datetime],
    days: Sequence[date],
    resolution: Resolution,
    timezone: str,
) -> dict[str, list[Any]]:
    """The dataset's columns, its source and its resolution on the grid, None where it has no row."""
    names = [*dataset.column_names, "source"]
    if part is None:
        return {name: [None] * len(stamps) for name in _column_names(dataset, names)}
    stored = part.table.select(["date", *names]).to_pydict()
    if part.resolution == "hourly" and resolution == "daily":
        stored = day_columns(dataset, stored["date"], stored, timezone)
    by_day = resolution == "daily" or part.resolution == "daily"
    zone = ZoneInfo(timezone)
    keys = [moment.astimezone(zone).date() for moment in stored["date"]] if by_day else stored["date"]
    rows = {key: position for position, key in enumerate(keys)}
    at = [rows.get(key) for key in (days if by_day else stamps)]
    joined = {name: [None if n is None else stored[name][n] for n in at] for name in names}
    joined["resolution"] = [None if n is None else part.resolution for n in at]
    return dict(zip(_column_names(dataset, names), joined.values(), strict=True))


def _column_names(dataset: Dataset, names: Sequence[str]) -> list[str]:
    return [*names[:-1], f"{dataset.name}_source", f"{dataset.name}_resolution"]


def _calendar(city: City, days: Sequence[date]) -> dict[str, list[Any]]:
    """The calendar's columns, and the masks of its holidays, since a day without a name may be an ordinary day."""
    known = {day: calendar_day(day, city.country, city.region, city.local_holidays) for day in dict.fromkeys(days)}
    by_day = [known[day] for day in days]
    columns = {name: [getattr(day, name) for day in by_day] for name in ("weekday", "is_weekend", "school_free")}
    for name in _HOLIDAYS:
        holidays = [getattr(day, name) for day in by_day]
        columns[name] = [holiday.name for holiday in holidays]
        columns[f"{name}{MASK}"] = [not holiday.is_known for holiday in holidays]
    return columns
