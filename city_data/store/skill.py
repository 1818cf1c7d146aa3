"""The skill of stored forecasts: bias, mean absolute error and number of pairs, by column, lead and month of the year.

Belongs here: the pairs of stored forecasts and observations, and their query. Does not: who shows the numbers (api/,
defs/), or which dataset forecasts which (datasets.py).

An observed hour is paired with the forecasts of that hour. An observed day is paired with the mean, sum, lowest or
highest of the day's forecast hours, by the column's own rule. A source whose day is not the local one says so in
`raw_data`, as AEMET does of its rain (`precipitation_day`: 07-07 UTC): its days are paired with the same hours. Days
whose bounds cannot be read are left out, and counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from city_data.cities import City
from city_data.columns import Column
from city_data.datasets import DATASETS, Dataset
from city_data.frames.daily import MINIMUM_HOURS
from city_data.frames.training import resolution_of
from city_data.store.database import Database
from city_data.store.ledger import read_months
from city_data.store.schema import DATA
from city_data.window import Month

_UTC_DAY = re.compile(r"(\d\d)-\1 UTC")
_AGGREGATES: dict[str, Callable[[sa.ColumnElement[Any]], sa.ColumnElement[Any]]] = {
    "mean": sa.func.avg,
    "sum": sa.func.sum,
    "min": sa.func.min,
    "max": sa.func.max,
}


@dataclass(frozen=True)
class Skill:
    """The errors, forecast less observed, of one column's forecasts of one lead in one month of the year, 1 to 12."""

    column: str
    lead_days: int
    month: int
    bias: float
    mae: float
    count: int


@dataclass(frozen=True)
class LeftOut:
    """Observed values without a pair, since the hours of their day are not known."""

    column: str
    day: str
    count: int


def read_skill(
    database: Database, city: City, forecast: Dataset, month: Month | None = None
) -> tuple[list[Skill], list[LeftOut]]:
    """Of every number that the forecasts have, from all stored months or of one, by column, lead and month.

    Raises DatabaseUnavailable.
    """
    pairs = _Pairs.of(city, forecast)
    months: dict[str, list[Month]] = {"hourly": [], "daily": []}
    for entry in read_months(database, city_id=city.city_id, dataset=pairs.observed.name, first=month, last=month):
        if entry.has_data:
            months[resolution_of(entry.expected_rows, entry.month)].append(entry.month)
    skill, left_out = list[Skill](), list[LeftOut]()
    with database.read() as connection:
        # Of rows that were loaded a moment ago PostgreSQL has no statistics: it expects one, and would compare each
        # hour with each forecast of the month, 3.6 million times in 0.3 s. A hash join takes 0.01 s.
        connection.execute(sa.select(sa.func.set_config("enable_nestloop", "off", True)))
        if months["hourly"]:
            skill += _skill(connection, pairs.of_hours(months["hourly"]), pairs.columns)
        by_day: dict[str | None, dict[str, int]] = {}
        for name, day, count in connection.execute(pairs.days_of_sources(months["daily"])):
            by_day.setdefault(day, {})[name] = count
        for day, counts in by_day.items():
            columns = [column for column in pairs.columns if column.name in counts]
            if day is None or _UTC_DAY.fullmatch(day):
                skill += _skill(connection, pairs.of_days(months["daily"], day, columns), columns)
            else:
                left_out += [LeftOut(name, day, count) for name, count in counts.items()]
    return sorted(_merged(skill), key=lambda one: (one.column, one.lead_days, one.month)), left_out


@dataclass(frozen=True)
class _Pairs:
    """The queries of one city: rows of lead, month of the year, and an error by column, named as the column is."""

    city: City
    observed: Dataset
    forecasts: Dataset
    columns: list[Column]

    @classmethod
    def of(cls, city: City, forecast: Dataset) -> _Pairs:
        if forecast.stands_in_for is None:
            raise ValueError(f"{forecast.name} forecasts no dataset")
        observed = DATASETS[forecast.stands_in_for]
        numbers = {column.name for column in observed.columns if column.kind == "number"}
        return cls(city, observed, forecast, [column for column in forecast.columns if column.name in numbers])

    def of_hours(self, months: Sequence[Month]) -> sa.Subquery:
        observed, forecast = self._tables
        month = sa.extract("month", sa.func.timezone(self.city.timezone, observed.c.date))
        errors = [(forecast.c[column.name] - observed.c[column.name]).label(column.name) for column in self.columns]
        same_hour = (
            (forecast.c.month == observed.c.month)
            & (forecast.c.city_id == observed.c.city_id)
            & (forecast.c.date == observed.c.date)
        )
        query = sa.select(self._lead.label("lead"), month.label("month"), *errors).join_from(
            observed, forecast, same_hour
        )
        return query.where(
            observed.c.city_id == self.city.city_id, observed.c.month.in_([month.first_day for month in months])
        ).subquery()

    def of_days(self, months: Sequence[Month], day: str | None, columns: Sequence[Column]) -> sa.Subquery:
        """`day`: the bounds of a source's day, None for the local day."""
        observed, forecast = self._tables
        local_day = sa.cast(sa.func.timezone(self.city.timezone, observed.c.date), sa.Date)
        values = [
            sa.case((sa.func.count(value) >= MINIMUM_HOURS, _AGGREGATES[column.day_rule](value))).label(column.name)
            for column in columns
            for value in [forecast.c[column.name]]
        ]
        days = (
            sa.select(self._lead.label("lead"), self._day(day).label("day"), *values)
            .where(
                forecast.c.city_id == self.city.city_id,
                # A source's day has hours of the month after, or west of UTC of the one before.
                forecast.c.month.between((min(months) - 1).first_day, (max(months) + 1).first_day),
            )
            .group_by("lead", "day")
            .subquery()
        )
        errors = [
            sa.case(
                (_day_text(observed, column).is_not_distinct_from(day), days.c[column.name] - observed.c[column.name])
            )
            for column in columns
        ]
        named = [error.label(column.name) for error, column in zip(errors, columns, strict=True)]
        query = sa.select(days.c.lead, sa.extract("month", days.c.day).label("month"), *named)
        query = query.join_from(observed, days, days.c.day == local_day)
        return query.where(
            observed.c.city_id == self.city.city_id, observed.c.month.in_([month.first_day for month in months])
        ).subquery()

    def days_of_sources(self, months: Sequence[Month]) -> sa.CompoundSelect[tuple[str, str | None, int]]:
        """The bounds of the sources' days, None for the local day, and the number of values, by column."""
        observed, _ = self._tables
        here = (observed.c.city_id == self.city.city_id) & observed.c.month.in_([month.first_day for month in months])
        counts = []
        for column in self.columns:
            day = _day_text(observed, column)
            query = sa.select(sa.literal(column.name), day.label("day"), sa.func.count())
            counts.append(query.where(here, observed.c[column.name].is_not(None)).group_by("day"))
        return sa.union_all(*counts)

    @property
    def _tables(self) -> tuple[sa.Table, sa.Table]:
        return DATA[self.observed.name], DATA[self.forecasts.name]

    @property
    def _lead(self) -> sa.Column[int]:
        (key,) = self.forecasts.key_columns
        return DATA[self.forecasts.name].c[key.name]

    def _day(self, day: str | None) -> sa.ColumnElement[date]:
        """The day of a forecast hour."""
        moment = DATA[self.forecasts.name].c.date
        if day is None:
            return sa.cast(sa.func.timezone(self.city.timezone, moment), sa.Date)
        hours = sa.func.make_interval(0, 0, 0, 0, int(day[:2]))
        return sa.cast(sa.func.timezone("UTC", moment - hours), sa.Date)


def _day_text(table: sa.Table, column: Column) -> sa.ColumnElement[str | None]:
    text: sa.ColumnElement[str | None] = table.c.raw_data[f"{column.name}_day"].astext
    return text


def _skill(connection: sa.Connection, errors: sa.Subquery, columns: Sequence[Column]) -> Iterator[Skill]:
    numbers = [
        number
        for column in columns
        for error in [errors.c[column.name]]
        for number in (sa.func.avg(error), sa.func.avg(sa.func.abs(error)), sa.func.count(error))
    ]
    query = sa.select(errors.c.lead, errors.c.month, *numbers).group_by(errors.c.lead, errors.c.month)
    for lead, month, *numbers_of_month in connection.execute(query):
        for position, column in enumerate(columns):
            bias, mae, count = numbers_of_month[3 * position : 3 * position + 3]
            if count:
                yield Skill(column.name, lead, int(month), float(bias), float(mae), count)


def _merged(skill: Iterable[Skill]) -> Iterator[Skill]:
    """One for each column, lead and month: pairs of hours, of days and of a fallback's days together."""
    same: dict[tuple[str, int, int], list[Skill]] = {}
    for one in skill:
        same.setdefault((one.column, one.lead_days, one.month), []).append(one)
    for (column, lead, month), parts in same.items():
        count = sum(part.count for part in parts)
        bias, mae = (
            round(sum(getattr(part, name) * part.count for part in parts) / count, 4) for name in ("bias", "mae")
        )
        yield Skill(column, lead, month, bias, mae, count)
