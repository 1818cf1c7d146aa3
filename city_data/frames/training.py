"""The training frame: every dataset of some months on one grid, with a mask of missing values.

Belongs here: the join. Does not: which versions are joined (api/), the columns (training_columns.py), the rows
(grids.py), how hours become one value (daily.py), or which forecast of a day it is (leads.py).

Every row of the grid is there: hours, parts of days, or local days. A missing value is NULL and masked, never filled. A
daily dataset is joined to a finer grid by the local day: each row has the day's values, and its precipitation is the
whole day's. `<dataset>_resolution` says so.

Columns are joined as a whole: an hourly month has 68,000 cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from city_data.columns import Column, arrow_type
from city_data.datasets import Dataset, DatasetName, Resolution
from city_data.daylight import daylight_hours
from city_data.frames.daily import period_columns
from city_data.frames.grids import Grid, day_of, daypart, fewest_hours, grid_stamps, row_bounds
from city_data.frames.leads import Lead, microseconds
from city_data.frames.training_columns import MASK, framed, schema
from city_data.window import Month

if TYPE_CHECKING:
    import pyarrow as pa

    from city_data.cities import City

Columns = Mapping[str, Any]  # of arrays, chunked or not
_LEAD = "lead_days"
_REMEMBERED = 100  # 3 MB of hourly months


@dataclass(frozen=True)
class Part:
    """One dataset's stored rows of the months, one version of each, as `store.versions.decode_frame` gives them, and
    their resolution.

    `lead` names the rows to use of a dataset of forecasts.
    """

    dataset: Dataset
    table: pa.Table
    resolution: Resolution
    lead: Lead | None = None


def resolution_of(expected_rows: int, month: Month) -> Resolution:
    """The resolution of a version, from its number of expected rows."""
    return "daily" if expected_rows == len(month.days()) else "hourly"


@dataclass(frozen=True)
class _Rows:
    """The rows of a grid: their columns; and for rows made of hours where they begin, in microseconds, with the end of
    the last, and how many hours with a value each needs."""

    columns: Columns
    edges: Sequence[int]
    fewest: Sequence[int]


@lru_cache(maxsize=_REMEMBERED)  # on the city's clocks two years of hours take 40 ms, whatever the values
def _rows(month: Month, timezone: str, grid: Grid) -> _Rows:
    import pyarrow as pa

    stamps, zone = grid_stamps(month, timezone, grid), ZoneInfo(timezone)
    local = [stamp.astimezone(zone) for stamp in stamps]
    kinds = schema(grid)
    columns = {"date": stamps, "local_date": [moment.date() for moment in local]}
    columns |= {"hour": [moment.hour for moment in local], "daypart": [daypart(moment) for moment in local]}
    columns |= {"weekday": [moment.weekday() for moment in local]}
    arrays = {name: pa.array(columns[name], kinds.field(name).type) for name in columns if name in kinds.names}
    edges = microseconds(pa.array([*stamps, month.bounds(timezone)[1]], kinds.field("date").type))
    return _Rows(arrays, edges, [] if grid == "hourly" else fewest_hours(month, timezone, grid))


def _rows_of(months: Sequence[Month], timezone: str, grid: Grid) -> _Rows:
    import pyarrow as pa

    each = [_rows(month, timezone, grid) for month in months]
    columns = {name: pa.concat_arrays([one.columns[name] for one in each]) for name in each[0].columns}
    # Where a month is left out no part has rows of it, so the row before may end where the row after begins.
    edges = [edge for one in each for edge in one.edges[:-1]] + [each[-1].edges[-1]]
    return _Rows(columns, edges, [fewest for one in each for fewest in one.fewest])


def training_frame(city: City, months: Sequence[Month], grid: Grid, parts: Mapping[DatasetName, Part]) -> pa.Table:
    """One row for every hour, part of a day, or local day of the city's months, which are in order.

    `parts` is by the dataset whose columns it fills. Rows of which it has none are missing.
    """
    import pyarrow as pa

    rows, columns = _rows_of(months, city.timezone, grid), dict[str, Any]()
    for dataset in framed():
        joined = _joined(dataset, parts.get(dataset.name), rows, grid, city.timezone)
        columns |= joined
        columns |= {f"{column.name}{MASK}": _mask(column, joined) for column in dataset.columns}
    columns |= rows.columns
    columns["daylight_hours"] = _daylight(city, months, rows)
    arrow_schema = schema(grid)
    return pa.table([columns[field.name] for field in arrow_schema], arrow_schema)


def _daylight(city: City, months: Sequence[Month], rows: _Rows) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    days = [day for month in months for day in month.days()]
    hours = [round(daylight_hours(day, city.latitude, city.longitude), 2) for day in days]
    return pa.array(hours).take(pc.index_in(rows.columns["local_date"], value_set=pa.array(days)))


def _mask(column: Column, joined: Columns) -> Any:
    import pyarrow.compute as pc

    is_null = pc.is_null(joined[column.name])
    if column.none_where is None:
        return is_null
    flag, none = column.none_where
    return pc.and_not(is_null, pc.fill_null(pc.equal(joined[flag], none), False))


def _joined(dataset: Dataset, part: Part | None, rows: _Rows, grid: Grid, timezone: str) -> Columns:
    """The dataset's columns and their origin on the grid, NULL where it has no row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    source, resolution, lead = (f"{dataset.name}_{name}" for name in ("source", "resolution", _LEAD))
    joined: dict[str, Any] = {}
    if part is not None:
        stored, at = _placed(dataset, part, rows, grid, timezone)
        filled = {name: name for name in dataset.column_names if name in stored.column_names}
        filled |= {source: "source"} if part.lead is None else {source: "source", lead: _LEAD}
        joined = {name: stored[of].take(at) for name, of in filled.items()}  # a table's would start threads
        joined[resolution] = pc.if_else(pc.is_valid(at), part.resolution, pa.scalar(None, pa.string()))
    kinds = {column.name: arrow_type(column.kind) for column in dataset.columns}
    kinds |= {source: pa.string(), resolution: pa.string(), lead: pa.int64()}
    absent = {name: pa.nulls(len(rows.columns["date"]), kind) for name, kind in kinds.items() if name not in joined}
    return joined | absent


def _placed(dataset: Dataset, part: Part, rows: _Rows, grid: Grid, timezone: str) -> tuple[pa.Table, pa.Array[Any]]:
    """The part's rows, of hours combined where a row of the grid has several; and the position among them of each row
    of the grid, NULL where it has none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = ["date", *part.dataset.column_names, "source"]
    stored = part.table.select([*names, *part.dataset.key[1:]])
    if part.lead is not None:
        stored = part.lead.select(stored, part.dataset, timezone).rename_columns([*names, _LEAD])
    stored = stored.combine_chunks()
    if part.resolution == "daily":
        days = pa.array(map(day_of(timezone), stored["date"].to_pylist()), pa.date32())
        return stored, pc.index_in(rows.columns["local_date"], value_set=days)
    if grid == "hourly":
        return stored, pc.index_in(rows.columns["date"], value_set=stored["date"])
    bounds = row_bounds(rows.edges, microseconds(stored["date"]))
    filled = [name for name in stored.column_names if name != "date" and stored[name].null_count < stored.num_rows]
    hours = {"source": [], **stored.select(filled).to_pydict()}
    columns = period_columns(dataset, bounds, hours, rows.fewest)
    if part.lead is not None:
        columns[_LEAD] = [hours[_LEAD][start] if start < end else None for start, end in bounds]
    fields = [stored.schema.field(name) for name in stored.column_names if name != "date"]
    fields += [  # of days that a dataset of forecasts has hours of, and no extremes
        pa.field(column.name, arrow_type(column.kind))
        for column in dataset.columns
        if column.name not in stored.column_names and column.extreme_of in hours
    ]
    combined = pa.table([pa.array(columns[field.name], field.type) for field in fields], pa.schema(fields))
    return combined, pa.array([n if start < end else None for n, (start, end) in enumerate(bounds)], pa.int32())
