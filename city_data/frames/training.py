"""The training frame: every dataset of one month on one grid, with a mask of missing values.

Belongs here: the join. Does not: which versions are joined (api/), the columns (training_columns.py), the rows
(grids.py), how hours become one value (daily.py), or which forecast of a day it is (leads.py).

Every row of the grid, which is of hours, parts of days, or local days, is there. A missing value is NULL and masked,
never filled. A dataset of daily resolution is joined to a finer grid by the local day: each row has the day's values,
its precipitation being the whole day's. `<dataset>_resolution` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from city_data.columns import Column
from city_data.datasets import Dataset, DatasetName, Resolution
from city_data.daylight import daylight_hours
from city_data.frames.daily import period_columns
from city_data.frames.grids import Grid, daypart, fewest_hours, grid_stamps, row_of
from city_data.frames.leads import Lead
from city_data.frames.training_columns import MASK, framed, schema
from city_data.window import Month

if TYPE_CHECKING:
    import pyarrow as pa

    from city_data.cities import City

Values = Sequence[Any]
_LEAD = "lead_days"


@dataclass(frozen=True)
class Part:
    """One version of one dataset's month: its table as `store.versions.decode_frame` gives it, and its resolution.

    `lead` names the rows to use of a dataset of forecasts.
    """

    dataset: Dataset
    table: pa.Table
    resolution: Resolution
    lead: Lead | None = None


def resolution_of(expected_rows: int, month: Month) -> Resolution:
    """The resolution of a version, from its number of expected rows."""
    return "daily" if expected_rows == len(month.days()) else "hourly"


def month_frame(city: City, month: Month, grid: Grid, parts: Mapping[DatasetName, Part]) -> pa.Table:
    """One row for every hour, part of a day, or local day of the city's month.

    `parts` is by the dataset whose columns it fills. One that is not there is missing.
    """
    import pyarrow as pa

    stamps = grid_stamps(month, city.timezone, grid)
    zone = ZoneInfo(city.timezone)
    local = [stamp.astimezone(zone) for stamp in stamps]
    columns: dict[str, Values] = {}
    for dataset in framed():
        joined = _joined(dataset, parts.get(dataset.name), stamps, month, grid, city.timezone)
        columns |= joined
        columns |= {f"{column.name}{MASK}": _mask(column, joined) for column in dataset.columns}
    columns |= {"date": stamps, "local_date": [moment.date() for moment in local]}
    columns |= {"hour": [moment.hour for moment in local], "daypart": [daypart(moment) for moment in local]}
    columns |= {"weekday": [moment.weekday() for moment in local], "daylight_hours": _daylight(city, local)}
    arrow_schema = schema(grid)
    return pa.table([pa.array(columns[field.name], field.type) for field in arrow_schema], arrow_schema)


def _daylight(city: City, local: Sequence[datetime]) -> list[float]:
    days = [moment.date() for moment in local]
    hours = {day: round(daylight_hours(day, city.latitude, city.longitude), 2) for day in dict.fromkeys(days)}
    return [hours[day] for day in days]


def _mask(column: Column, joined: Mapping[str, Values]) -> list[bool]:
    values = joined[column.name]
    if column.none_where is None:
        return [value is None for value in values]
    flag, none = column.none_where
    return [value is None and known is not none for value, known in zip(values, joined[flag], strict=True)]


def _joined(
    dataset: Dataset, part: Part | None, stamps: Sequence[datetime], month: Month, grid: Grid, timezone: str
) -> dict[str, Values]:
    """The dataset's columns and their origin on the grid, None where it has no row."""
    absent = [None] * len(stamps)
    source, resolution, lead = (f"{dataset.name}_{name}" for name in ("source", "resolution", _LEAD))
    joined: dict[str, Values] = dict.fromkeys([*dataset.column_names, source, resolution, lead], absent)
    if part is None:
        return joined
    place = row_of("daily" if part.resolution == "daily" else grid, timezone)
    stored, keys = _rows(part, place, month, grid, timezone)
    rows = {key: position for position, key in enumerate(keys)}
    at = [rows.get(place(stamp)) for stamp in stamps]
    for name in (name for name in dataset.column_names if name in stored):
        joined[name] = [None if n is None else stored[name][n] for n in at]
    joined[source] = [None if n is None else stored["source"][n] for n in at]
    joined[resolution] = [None if n is None else part.resolution for n in at]
    if part.lead is not None:
        joined[lead] = [None if n is None else stored[_LEAD][n] for n in at]
    return joined


def _rows(
    part: Part, place: Callable[[datetime], Hashable], month: Month, grid: Grid, timezone: str
) -> tuple[Mapping[str, Values], Sequence[Hashable]]:
    """The part's columns, and which row of the grid each of their values belongs to; hours are combined where a row of
    the grid has several."""
    names = ["date", *part.dataset.column_names, "source"]
    if part.lead is None:
        stored = part.table.select(names).to_pydict()
    else:
        (key,) = part.dataset.key_columns
        stored = part.lead.select(part.table, part.dataset, timezone).select([*names, key.name]).to_pydict()
        stored[_LEAD] = stored.pop(key.name)
    keys = list(map(place, stored["date"]))
    if part.resolution == "daily" or grid == "hourly":
        return stored, keys
    combined = period_columns(part.dataset, keys, stored, fewest_hours(month, timezone, grid))
    if part.lead is not None:
        lead_of = dict(zip(keys, stored[_LEAD], strict=True))
        combined[_LEAD] = [lead_of[row] for row in combined["period"]]
    return combined, combined["period"]
