"""The training frame: weather, traffic and calendar of one month on one grid, with a mask of missing values.

Belongs here: the frame's columns, and the join. Does not: which versions are joined (api/), the rows (grids.py), how
hours become one value (daily.py), holidays (calendar_days.py), or the way to the next one (days_off.py).

Every row of the grid, which is of hours, parts of days, or local days, is there. A missing value is NULL and masked,
never filled. A dataset of daily resolution is joined to a finer grid by the local day: each row has the day's values,
its precipitation being the whole day's. `<dataset>_resolution` says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

from city_data.calendar_days import CalendarDay, calendar_day
from city_data.datasets import DATASETS, Column, Dataset, DatasetName, Resolution
from city_data.daylight import daylight_hours
from city_data.days_off import DayOff, surroundings
from city_data.frames.daily import period_columns
from city_data.frames.grids import DAYPARTS_TEXT, Grid, daypart, fewest_hours, grid_stamps, row_of
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
# Column: its kind, description and example.
_AROUND: dict[str, tuple[Kind, str, float]] = {
    "days_to_holiday": (
        "integer",
        "Days to the next public holiday, 0 on one; null where a day before it may be a holiday that is not known",
        2,
    ),
    "days_since_holiday": (
        "integer",
        "Days since the last public holiday, 0 on one; null where a day after it may be a holiday that is not known",
        12,
    ),
    "is_bridge_day": (
        "flag",
        "Whether this is a single working day between two days off, one of them a public holiday; null where that "
        "depends on a holiday that is not known",
        False,
    ),
}
_PERIODS: dict[Grid, str] = {"daily": "local day", "dayparts": "part of the local day", "hourly": "hour"}
_RULES: dict[Grid, str] = {
    "daily": ", by the rule for days made of hours",
    "dayparts": ", by the rule for parts of days made of hours",
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


_WITHIN_DAY: dict[Grid, tuple[TrainingColumn, ...]] = {
    "hourly": (TrainingColumn("hour", "integer", "0 to 23 on the city's clocks", 0),),
    "dayparts": (
        TrainingColumn("daypart", "text", f"Part of the day on the city's clocks: {DAYPARTS_TEXT}", "morning"),
    ),
}


@dataclass(frozen=True)
class Part:
    """One version of one dataset's month: its table as `store.versions.decode_frame` gives it, and its resolution."""

    table: pa.Table
    resolution: Resolution


def resolution_of(expected_rows: int, month: Month) -> Resolution:
    """The resolution of a version, from its number of expected rows."""
    return "daily" if expected_rows == len(month.days()) else "hourly"


def joined_datasets() -> dict[DatasetName, Dataset]:
    """The datasets that a frame joins: those of days that have passed."""
    return {name: dataset for name, dataset in DATASETS.items() if not dataset.months_ahead}


def training_columns(grid: Grid) -> tuple[TrainingColumn, ...]:
    """The frame's columns in order; `date` is the index. A mask follows for every value that may be missing."""
    return _columns(grid, tuple(joined_datasets().values()))


@lru_cache
def _columns(grid: Grid, datasets: tuple[Dataset, ...]) -> tuple[TrainingColumn, ...]:
    place = [
        TrainingColumn("date", "moment", f"Start of the {_PERIODS[grid]}, UTC", datetime(2026, 9, 30, 22, tzinfo=UTC)),
        TrainingColumn("local_date", "day", "The day on the city's clocks", date(2026, 10, 1)),
        *_WITHIN_DAY.get(grid, ()),
        TrainingColumn("daylight_hours", "number", "Time from sunrise to sunset of the local day, computed", 11.4, "h"),
    ]
    values = [_value(column, grid) for dataset in datasets for column in dataset.columns]
    calendar = [
        TrainingColumn("weekday", "integer", "0 is Monday, 6 is Sunday", 3),
        TrainingColumn("is_weekend", "flag", "Whether the country's weekend has this day", False),
        *(TrainingColumn(name, "text", text, _HOLIDAY, None, True) for name, (text, _) in _HOLIDAYS.items()),
        TrainingColumn(
            "school_free", "flag", "Whether schools have vacations; null where that is not known", False, None, True
        ),
        *(TrainingColumn(name, kind, text, example, None, True) for name, (kind, text, example) in _AROUND.items()),
    ]
    origins = [column for dataset in datasets for column in _origin(dataset)]
    masked = [column for column in (*values, *calendar) if column.nullable]
    masks = [TrainingColumn(f"{column.name}{MASK}", "flag", _mask_text(column.name), False) for column in masked]
    return (*place, *values, *origins, *calendar, *masks)


def columns_of_every_grid() -> list[tuple[TrainingColumn, Grid | None]]:
    """The columns of all grids, and of those that one grid alone has, its name."""
    columns = [(column, None) for column in training_columns("daily")]
    within_day = [(column, grid) for grid, ones in _WITHIN_DAY.items() for column in ones]
    after = next(n for n, (column, _) in enumerate(columns, 1) if column.kind == "day")
    return [*columns[:after], *within_day, *columns[after:]]


def _origin(dataset: Dataset) -> list[TrainingColumn]:
    name = dataset.name
    source = f"Which provider the {name} comes from; null where none is stored"
    resolution = f"The {name}'s stored resolution: `daily` on a finer grid is the whole day's; null where none is"
    return [
        TrainingColumn(f"{name}_source", "text", source, dataset.example_source, nullable=True),
        TrainingColumn(f"{name}_resolution", "text", resolution, "hourly", nullable=True),
    ]


def schema(grid: Grid) -> pa.Schema:
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
            for column in training_columns(grid)
        ]
    )


def month_frame(city: City, month: Month, grid: Grid, parts: Mapping[DatasetName, Part]) -> pa.Table:
    """One row for every hour, part of a day, or local day of the city's month. A dataset that is not in `parts` is
    missing."""
    import pyarrow as pa

    zone = ZoneInfo(city.timezone)
    stamps = grid_stamps(month, city.timezone, grid)
    local = [stamp.astimezone(zone) for stamp in stamps]
    days = [moment.date() for moment in local]
    columns: dict[str, Sequence[Any]] = {"date": stamps, "local_date": days}
    columns |= {"hour": [moment.hour for moment in local], "daypart": [daypart(moment) for moment in local]}
    columns["daylight_hours"] = _daylight(city, days)
    for name, dataset in joined_datasets().items():
        columns |= _joined(dataset, parts.get(name), stamps, month, grid, city.timezone)
    columns |= _calendar(city, days)
    for column in (one for one in training_columns(grid) if one.nullable and one.name in columns):
        columns.setdefault(f"{column.name}{MASK}", [value is None for value in columns[column.name]])
    arrow_schema = schema(grid)
    return pa.table([pa.array(columns[field.name], field.type) for field in arrow_schema], arrow_schema)


def _daylight(city: City, days: Sequence[date]) -> list[float]:
    hours = {day: round(daylight_hours(day, city.latitude, city.longitude), 2) for day in dict.fromkeys(days)}
    return [hours[day] for day in days]


def _value(column: Column, grid: Grid) -> TrainingColumn:
    text = f"{column.description}{_RULES.get(grid, '')}"
    return TrainingColumn(column.name, column.kind, text, column.example_value, column.unit, True)


def _mask_text(name: str) -> str:
    if name in _HOLIDAYS:
        return f"Whether {_HOLIDAYS[name][1]} are not known; a null name is an ordinary day else"
    return f"Whether {name} is missing"


def _joined(
    dataset: Dataset, part: Part | None, stamps: Sequence[datetime], month: Month, grid: Grid, timezone: str
) -> dict[str, list[Any]]:
    """The dataset's columns, its source and its resolution on the grid, None where it has no row."""
    names = [*dataset.column_names, "source"]
    if part is None:
        return {name: [None] * len(stamps) for name in _column_names(dataset, names)}
    stored = part.table.select(["date", *names]).to_pydict()
    place = row_of("daily" if part.resolution == "daily" else grid, timezone)
    keys = list(map(place, stored["date"]))
    if part.resolution == "hourly" and grid != "hourly":
        stored = period_columns(dataset, keys, stored, fewest_hours(month, timezone, grid))
        keys = stored["period"]
    rows = {key: position for position, key in enumerate(keys)}
    at = [rows.get(place(stamp)) for stamp in stamps]
    joined = {name: [None if n is None else stored[name][n] for n in at] for name in names}
    joined["resolution"] = [None if n is None else part.resolution for n in at]
    return dict(zip(_column_names(dataset, names), joined.values(), strict=True))


def _column_names(dataset: Dataset, names: Sequence[str]) -> list[str]:
    return [*names[:-1], f"{dataset.name}_source", f"{dataset.name}_resolution"]


def _calendar(city: City, days: Sequence[date]) -> dict[str, list[Any]]:
    """The calendar's columns, and the masks of its holidays, since a day without a name may be an ordinary day."""
    known = _CalendarDays(city)
    by_day = [known[day] for day in days]
    columns = {name: [getattr(day, name) for day in by_day] for name in ("weekday", "is_weekend", "school_free")}
    for name in _HOLIDAYS:
        holidays = [getattr(day, name) for day in by_day]
        columns[name] = [holiday.name for holiday in holidays]
        columns[f"{name}{MASK}"] = [not holiday.is_known for holiday in holidays]
    around = surroundings(list(dict.fromkeys(days)), lambda day: _day_off(known[day]))
    columns |= {name: [getattr(around[day], name) for day in days] for name in _AROUND}
    return columns


class _CalendarDays(dict[date, CalendarDay]):
    """The calendar of a city's days, each of which is looked up once."""

    def __init__(self, city: City) -> None:
        super().__init__()
        self._city = city

    def __missing__(self, day: date) -> CalendarDay:
        city = self._city
        self[day] = calendar_day(day, city.country, city.region, city.local_holidays)
        return self[day]


def _day_off(day: CalendarDay) -> DayOff:
    holiday = day.public_holiday
    return DayOff(day.is_weekend, holiday.name is not None if holiday.is_known else None)
