"""The columns of frames: of the grid, of each dataset, of each dataset's origin, and the masks.

Belongs here: names, kinds, texts and order, as far as they follow from datasets.py. Does not: values (training.py).

A dataset that stands in for another one has no columns of its own: in a frame of forecasts, its values fill the other's
columns. A flag that says whether another column is known becomes that column's mask, and no column.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from city_data.columns import Column, Kind, arrow_type
from city_data.datasets import DATASETS, Dataset, stand_ins
from city_data.frames.grids import DAYPARTS_TEXT, Grid

if TYPE_CHECKING:
    import pyarrow as pa

FrameKind = Literal["moment", "day"] | Kind
MASK = "_missing"
_PERIODS: dict[Grid, str] = {"daily": "local day", "dayparts": "part of the local day", "hourly": "hour"}
_RULES: dict[Grid, str] = {
    "daily": ", by the rule for days made of hours",
    "dayparts": ", by the rule for parts of days made of hours",
}


@dataclass(frozen=True)
class TrainingColumn:
    """A column of the frame. Without `nullable` it has a value in every row."""

    name: str
    kind: FrameKind
    description: str
    example: datetime | date | float | str
    unit: str | None = None
    nullable: bool = False


_WITHIN_DAY: dict[Grid, tuple[TrainingColumn, ...]] = {
    "hourly": (TrainingColumn("hour", "integer", "0 to 23 on the city's clocks", 0),),
    "dayparts": (
        TrainingColumn("daypart", "text", f"Part of the day on the city's clocks: {DAYPARTS_TEXT}", "morning"),
    ),
}


def framed() -> tuple[Dataset, ...]:
    """The datasets with columns of their own in frames."""
    return tuple(dataset for dataset in DATASETS.values() if dataset.stands_in_for is None)


def training_columns(grid: Grid) -> tuple[TrainingColumn, ...]:
    """The frame's columns in order; `date` is the index. A mask follows for every value that may be missing."""
    return _columns(grid, framed())


def columns_of_every_grid() -> list[tuple[TrainingColumn, Grid | None]]:
    """The columns of all grids, and of those that one grid alone has, its name."""
    columns = [(column, None) for column in training_columns("daily")]
    within_day = [(column, grid) for grid, ones in _WITHIN_DAY.items() for column in ones]
    after = next(n for n, (column, _) in enumerate(columns, 1) if column.kind == "day")
    return [*columns[:after], *within_day, *columns[after:]]


def schema(grid: Grid) -> pa.Schema:
    """The frame's Arrow schema; a field's metadata has its unit, where it has one."""
    return _schema(training_columns(grid))


@lru_cache(maxsize=8)
def _schema(columns: tuple[TrainingColumn, ...]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            pa.field(
                column.name, _arrow_type(column.kind), column.nullable, {"unit": column.unit} if column.unit else None
            )
            for column in columns
        ]
    )


def _arrow_type(kind: FrameKind) -> pa.DataType:
    import pyarrow as pa

    if kind == "moment":
        return pa.timestamp("us", tz="UTC")
    return pa.date32() if kind == "day" else arrow_type(kind)


@lru_cache(maxsize=8)
def _columns(grid: Grid, datasets: tuple[Dataset, ...]) -> tuple[TrainingColumn, ...]:
    place = [
        TrainingColumn("date", "moment", f"Start of the {_PERIODS[grid]}, UTC", datetime(2026, 9, 30, 22, tzinfo=UTC)),
        TrainingColumn("local_date", "day", "The day on the city's clocks", date(2026, 10, 1)),
        *_WITHIN_DAY.get(grid, ()),
        TrainingColumn("weekday", "integer", "0 is Monday, 6 is Sunday", 3),
        TrainingColumn("daylight_hours", "number", "Time from sunrise to sunset of the local day, computed", 11.4, "h"),
    ]
    placed = {column.name for column in place}
    stored = [
        (dataset, column)
        for dataset in datasets
        for column in dataset.columns
        if column.name not in placed | dataset.known_flags
    ]
    values = [_value(dataset, column, grid) for dataset, column in stored]
    masks = [TrainingColumn(f"{one.name}{MASK}", "flag", _mask_text(one), False) for _, one in stored]
    return (*place, *values, *(column for dataset in datasets for column in _origin(dataset)), *masks)


def _value(dataset: Dataset, column: Column, grid: Grid) -> TrainingColumn:
    rule = "" if dataset.resolution == "daily" else _RULES.get(grid, "")
    text = f"{column.description}{rule}"
    if rule and column.extreme_of is not None:
        text += f", and of {column.extreme_of} where the hours have none"
    return TrainingColumn(column.name, column.kind, text, column.example_value, column.unit, True)


def _origin(dataset: Dataset) -> list[TrainingColumn]:
    name = dataset.name
    source = f"Which provider the {name} comes from; null where none is stored"
    resolution = f"The {name}'s stored resolution: `daily` on a finer grid is the whole day's; null where none is"
    columns = [
        TrainingColumn(f"{name}_source", "text", source, dataset.example_source, nullable=True),
        TrainingColumn(f"{name}_resolution", "text", resolution, dataset.resolution or "hourly", nullable=True),
    ]
    if stand_ins(dataset):
        lead = f"How many days before the {name} was forecast; null where it was observed, or none is stored"
        columns.append(TrainingColumn(f"{name}_lead_days", "integer", lead, 3, nullable=True))
    return columns


def _mask_text(column: Column) -> str:
    if column.none_where is not None:
        return f"Whether {column.name} is not known; where it is, null means none"
    return f"Whether {column.name} is missing"
