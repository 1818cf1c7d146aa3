"""The datasets, weather and traffic: columns, types, units, plausible ranges and expected rows.

Belongs here: every fact about the canonical frame; schema, checks, API and documentation derive from it.
Does not: the sources of the numbers (providers/), or their storage (store/).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import product
from typing import Literal

from city_data.window import Month

Resolution = Literal["hourly", "daily"]
DatasetName = Literal["weather", "traffic"]
Kind = Literal["number", "text", "integer", "flag"]
DayRule = Literal["mean", "sum", "worst"]

CONGESTION_LEVELS = ("low", "medium", "high", "severe")


@dataclass(frozen=True)
class Column:
    """One value column. `low` and `high` are inclusive plausible bounds, in `unit`; missing is NULL, never 0.

    Numbers are rounded to `decimals` digits, so that a value has one spelling and a reload is byte-identical.
    An integer is a whole number that is never rounded, a flag is true or false.
    `day_rule` makes a day of hours: by the mean, which another column may `weight`; by the sum; or by the worst of
    `allowed`, which stand from best to worst. Of other texts, integers and flags a day made of hours has no value.
    Stored versions of months keep the columns of their load: a column added since is NULL in them. A column's kind and
    unit never change, since stored values keep theirs; a column with another name takes its place.
    """

    name: str
    kind: Kind
    unit: str | None
    description: str
    low: float | None = None
    high: float | None = None
    allowed: tuple[str, ...] | None = None
    decimals: int = 2
    example: float | str | bool | None = None
    day_rule: DayRule = "mean"
    weight: str | None = None

    @property
    def example_value(self) -> float | str | bool:
        """`example`, or a value of the column's kind and range."""
        if self.example is not None:
            return self.example
        if self.kind == "text":
            return self.allowed[0] if self.allowed else self.name.replace("_", " ")
        if self.kind == "flag":
            return False
        bounds = [bound for bound in (self.low, self.high) if bound is not None]
        middle = sum(bounds) / max(len(bounds), 1)
        return int(middle) if self.kind == "integer" else round(middle, self.decimals) + 0.0

    @property
    def is_measured(self) -> bool:
        """Whether every row of a source should have a value: all but free text, which has its occasions."""
        return self.kind != "text" or self.allowed is not None


@dataclass(frozen=True)
class Dataset:
    """One kind of data, month by month. The canonical frame is `date` (aware UTC, start of the interval), the key
    columns, the value columns, `source` (text, never null) and `raw_data` (dict, or None), sorted by its key.

    It has one row a period; with `key_columns`, one for each of their values, which are the whole numbers from `low` to
    `high`, never null. `months_ahead`: how many months after the open one it reaches.
    """

    name: DatasetName
    table: str
    columns: tuple[Column, ...]
    resolution: Resolution | None  # of every source; None where each source, and so each city, has its own
    example_source: str
    records_have_ids: bool = False  # and their location and times, beside the columns
    months_ahead: int = 0
    key_columns: tuple[Column, ...] = ()

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The columns that name a row of a city."""
        return ("date", *(column.name for column in self.key_columns))

    @cached_property
    def key_values(self) -> list[tuple[int, ...]]:
        """The rows of one date, by the values of their key columns."""
        return list(product(*(range(int(column.low or 0), int(column.high or 0) + 1) for column in self.key_columns)))

    def expected_rows(self, month: Month, timezone: str, resolution: Resolution) -> int:
        """The rows of a whole month: of each of its `expected_stamps`, one for each of the `key_values`."""
        return len(expected_stamps(month, timezone, resolution)) * len(self.key_values)

    @property
    def column_names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def measured_names(self) -> list[str]:
        return [column.name for column in self.columns if column.is_measured]

    @property
    def frame_columns(self) -> list[str]:
        return [*self.key, *self.column_names, "source", "raw_data"]

    @cached_property
    def columns_digest(self) -> str:
        """Names the columns as far as the bytes of a served month depend on them, beside its version."""
        columns = [(one.name, one.kind, one.unit, one.decimals) for one in (*self.key_columns, *self.columns)]
        return hashlib.sha256(repr(columns).encode()).hexdigest()[:8]


WEATHER = Dataset(
    name="weather",
    table="city_weather_data",
    columns=(
        Column("temperature", "number", "°C", "Mean air temperature of the period", -60, 60, example=14.2),
        Column(
            "precipitation",
            "number",
            "mm",
            "Precipitation that fell in the period",
            0,
            700,
            example=0.4,
            day_rule="sum",
        ),
        Column("humidity", "number", "%", "Mean relative humidity of the period", 0, 100, example=61.0),
        Column("wind_speed", "number", "m/s", "Mean wind speed of the period", 0, 75, example=3.1),
        Column("pressure", "number", "hPa", "Mean pressure at mean sea level", 850, 1090, example=1015.8),
        Column("description", "text", None, "The weather in words, where the source has them", example="light rain"),
    ),
    resolution=None,
    example_source="aemet",
    records_have_ids=True,
)
TRAFFIC = Dataset(
    name="traffic",
    table="city_traffic_data",
    columns=(
        Column(
            "traffic_volume",
            "number",
            "vehicles/h",
            "Mean vehicles per hour per measurement point",
            0,
            20_000,
            example=412.5,
        ),
        Column(
            "pedestrian_count",
            "number",
            "persons/h",
            "Mean pedestrians per hour per counting point",
            0,
            100_000,
            example=230.0,
        ),
        Column(
            "congestion_level",
            "text",
            None,
            "Congestion of the city's roads",
            allowed=CONGESTION_LEVELS,
            example="low",
            day_rule="worst",
        ),
        Column(
            "average_speed", "number", "km/h", "Flow-weighted mean speed", 0, 200, example=38.4, weight="traffic_volume"
        ),
    ),
    resolution="hourly",
    example_source="madrid_opendata",
)
DATASETS: dict[DatasetName, Dataset] = {dataset.name: dataset for dataset in (WEATHER, TRAFFIC)}


def expected_stamps(month: Month, timezone: str, resolution: Resolution) -> list[datetime]:
    """The `date` of every row that a whole month has: each hour that exists, or the start of each local day."""
    return month.hours(timezone) if resolution == "hourly" else month.day_starts(timezone)
