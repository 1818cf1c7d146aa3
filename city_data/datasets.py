"""The datasets, weather, traffic, calendar and forecasts: columns, types, units, plausible ranges and expected rows.

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

from city_data.columns import Column
from city_data.window import Month

Resolution = Literal["hourly", "daily"]
DatasetName = Literal["weather", "traffic", "calendar", "forecast"]

CONGESTION_LEVELS = ("low", "medium", "high", "severe")


@dataclass(frozen=True)
class Dataset:
    """One kind of data, month by month. The canonical frame is `date` (aware UTC, start of the interval), the key
    columns, the value columns, `source` (text, never null) and `raw_data` (dict, or None), sorted by its key.

    It has one row a period; with `key_columns`, one for each of their values, which are the whole numbers from `low` to
    `high`, never null. `months_ahead`: how many months after the open one it reaches. `stands_in_for`: the dataset of
    whose columns it has forecasts, by days of lead, its only key column; frames have these in that dataset's place.
    """

    name: DatasetName
    table: str
    columns: tuple[Column, ...]
    resolution: Resolution | None  # of every source; None where each source, and so each city, has its own
    example_source: str
    records_have_ids: bool = False  # and their location and times, beside the columns
    months_ahead: int = 0
    key_columns: tuple[Column, ...] = ()
    stands_in_for: DatasetName | None = None

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The columns that name a row of a city."""
        return ("date", *(column.name for column in self.key_columns))

    @cached_property
    def values_of_keys(self) -> dict[str, range]:
        """The values of each key column, by its name."""
        return {column.name: range(int(column.low or 0), int(column.high or 0) + 1) for column in self.key_columns}

    @cached_property
    def key_values(self) -> list[tuple[int, ...]]:
        """The rows of one date, by the values of their key columns."""
        return list(product(*self.values_of_keys.values()))

    def expected_rows(self, month: Month, timezone: str, resolution: Resolution) -> int:
        """The rows of a whole month: of each of its `expected_stamps`, one for each of the `key_values`."""
        return len(expected_stamps(month, timezone, resolution)) * len(self.key_values)

    def column(self, name: str) -> Column:
        """Its value column of this name."""
        return next(column for column in self.columns if column.name == name)

    @property
    def column_names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def measured_names(self) -> list[str]:
        return [column.name for column in self.columns if column.is_measured]

    @property
    def record_columns(self) -> list[str]:
        """Of a record by default."""
        return [column.name for column in self.columns if not column.on_request]

    @property
    def promised_names(self) -> list[str]:
        """The measured columns of a record: those that a source which gives them is expected to fill."""
        return [name for name in self.record_columns if name in self.measured_names]

    @property
    def known_flags(self) -> set[str]:
        """The flags that are true where another column is known, and so are that column's mask in frames."""
        return {flag for flag, value in (one.none_where for one in self.columns if one.none_where) if value}

    @property
    def frame_columns(self) -> list[str]:
        return [*self.key, *self.column_names, "source", "raw_data"]

    @cached_property
    def columns_digest(self) -> str:
        """Names the columns as far as the bytes of a served month depend on them, beside its version."""
        columns = [
            (one.name, one.kind, one.unit, one.decimals, *([one.extreme_of] if one.extreme_of else []))
            for one in (*self.key_columns, *self.columns)
        ]
        return hashlib.sha256(repr(columns).encode()).hexdigest()[:8]


# fmt: off
_ON_REQUEST = (
    Column("temperature_min", "number", "°C", "Lowest air temperature of the period", -60, 60, example=9.6,
           day_rule="min", extreme_of="temperature", on_request=True),
    Column("temperature_max", "number", "°C", "Highest air temperature of the period", -60, 60, example=19.1,
           day_rule="max", extreme_of="temperature", on_request=True),
    # Minutes, in which the hours of one source, the minutes of another and the seconds of a third are exact.
    Column("sunshine_duration", "number", "min", "Sunshine in the period", 0, 1440, example=588.0, day_rule="sum",
           on_request=True),
    Column("cloud_cover", "number", "%", "Mean share of the sky under clouds", 0, 100, example=37.5, on_request=True),
    # No city had 80 m/s, and 99 is a sentinel of many sources.
    Column("wind_gust", "number", "m/s", "Strongest gust of the period", 0, 95, example=11.4, day_rule="max",
           on_request=True),
    Column("snowfall", "number", "cm", "Depth of the snow that fell in the period", 0, 300, example=0.7,
           day_rule="sum", on_request=True),
)
WEATHER = Dataset(
    name="weather",
    table="city_weather_data",
    columns=(
        Column("temperature", "number", "°C", "Mean air temperature of the period", -60, 60, example=14.2),
        Column("precipitation", "number", "mm", "Precipitation that fell in the period", 0, 700, example=0.4,
               day_rule="sum"),
        Column("humidity", "number", "%", "Mean relative humidity of the period", 0, 100, example=61.0),
        Column("wind_speed", "number", "m/s", "Mean wind speed of the period", 0, 75, example=3.1),
        Column("pressure", "number", "hPa", "Mean pressure at mean sea level", 850, 1090, example=1015.8),
        Column("description", "text", None, "The weather in words, where the source has them", example="light rain"),
        *_ON_REQUEST,
    ),
    resolution=None,
    example_source="aemet",
    records_have_ids=True,
)
TRAFFIC = Dataset(
    name="traffic",
    table="city_traffic_data",
    columns=(
        Column("traffic_volume", "number", "vehicles/h", "Mean vehicles per hour per measurement point", 0, 20_000,
               example=412.5),
        Column("pedestrian_count", "number", "persons/h", "Mean pedestrians per hour per counting point", 0, 100_000,
               example=230.0),
        Column("congestion_level", "text", None, "Congestion of the city's roads", allowed=CONGESTION_LEVELS,
               example="low", day_rule="worst"),
        Column("average_speed", "number", "km/h", "Flow-weighted mean speed", 0, 200,
               example=38.4, weight="traffic_volume"),
    ),
    resolution="hourly",
    example_source="madrid_opendata",
)
CALENDAR = Dataset(
    name="calendar",
    table="city_calendar_data",
    columns=(
        Column("weekday", "integer", None, "Day of the week, 0 for Monday", 0, 6, example=4),
        Column("is_weekend", "flag", None, "Whether the day is of the country's weekend", example=False),
        Column("public_holiday", "text", None, "Name of the public holiday, of any level", example="San Isidro",
               none_where=("public_holiday_known", True)),
        Column("country_holiday", "text", None, "Name of the country's holiday", example="Fiesta del Trabajo",
               none_where=("country_holiday_known", True)),
        Column("region_holiday", "text", None, "Name of the region's holiday", example="Comunidad de Madrid",
               none_where=("region_holiday_known", True)),
        Column("town_holiday", "text", None, "Name of the municipality's own holiday", example="San Isidro",
               none_where=("town_holiday_known", True)),
        Column("public_holiday_known", "flag", None, "Whether all levels are known, or one names the day",
               example=True),
        Column("country_holiday_known", "flag", None, "Whether the country's holidays are known", example=True),
        Column("region_holiday_known", "flag", None, "Whether the region's holidays are known", example=True),
        Column("town_holiday_known", "flag", None, "Whether the municipality's holidays are known", example=True),
        Column("school_vacation", "text", None, "Name of the school vacation", example="Vacaciones de Navidad",
               none_where=("school_free", False)),
        Column("school_free", "flag", None, "Whether pupils have vacations; NULL where not known", example=False),
        Column("days_to_holiday", "integer", "d", "Days to the next public holiday, 0 on one", 0, 366, example=2),
        Column("days_since_holiday", "integer", "d", "Days since the last public holiday, 0 on one", 0, 366,
               example=12),
        Column("is_bridge_day", "flag", None, "Whether it is the one working day between two days off", example=False),
    ),
    resolution="daily",
    example_source="openholidays",
    months_ahead=12,
)
# fmt: on
LEAD_DAYS = range(1, 8)
_FORECAST_COLUMNS = ("temperature", "precipitation", "humidity", "wind_speed", "pressure", "cloud_cover")
FORECAST = Dataset(
    name="forecast",
    table="city_forecast_data",
    columns=tuple(map(WEATHER.column, _FORECAST_COLUMNS)),
    resolution="hourly",
    example_source="open_meteo_forecast",
    months_ahead=1,
    key_columns=(
        Column(
            "lead_days",
            "integer",
            "d",
            "Forecast at least so many times 24 hours before the hour began, precipitation before it ended",
            LEAD_DAYS[0],
            LEAD_DAYS[-1],
            example=3,
        ),
    ),
    stands_in_for="weather",
)
DATASETS: dict[DatasetName, Dataset] = {dataset.name: dataset for dataset in (WEATHER, TRAFFIC, CALENDAR, FORECAST)}


def stand_ins(dataset: Dataset) -> list[Dataset]:
    """The datasets of its forecasts."""
    return [one for one in DATASETS.values() if one.stands_in_for == dataset.name]


def expected_stamps(month: Month, timezone: str, resolution: Resolution) -> list[datetime]:
    """The `date` of every row that a whole month has: each hour that exists, or the start of each local day."""
    return month.hours(timezone) if resolution == "hourly" else month.day_starts(timezone)
