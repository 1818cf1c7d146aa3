"""The hours by lead of Open-Meteo's answers: which of two answers has the value of an hour and lead.

Belongs here: the forms of the two answers, and how far ahead they reach. Does not: requests (__init__.py), or what all
of Open-Meteo's answers have in common (shared/open_meteo_answers.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from city_data.datasets import LEAD_DAYS
from city_data.providers.base import Payload, Request, TransientError
from city_data.providers.open_meteo_forecast.doubt import Numbers, refuse_equal_leads, refuse_shares
from city_data.providers.shared.cells import Field, Row, refuse_spoilt_files
from city_data.providers.shared.numbers import JSON_NUMBERS
from city_data.providers.shared.open_meteo_answers import (
    check_axis,
    check_location,
    check_period,
    grid_cell,
    hour_rows,
    read_document,
    read_stamp,
    sums_moved,
)
from city_data.window import day_bounds

_DAY = timedelta(days=1)
AHEAD_FILE = "forecast.json"
COLUMNS = {
    "temperature": "temperature_2m",
    "precipitation": "precipitation",
    "humidity": "relative_humidity_2m",
    "wind_speed": "wind_speed_10m",
    "pressure": "pressure_msl",
    "cloud_cover": "cloud_cover",
}
_UNITS = {
    "temperature": "°C",
    "precipitation": "mm",
    "humidity": "%",
    "wind_speed": "m/s",
    "pressure": "hPa",
    "cloud_cover": "%",
}
_BY_LEAD = {lead: {column: f"{name}_previous_day{lead}" for column, name in COLUMNS.items()} for lead in LEAD_DAYS}
_FINAL, _PROVISIONAL = {"modelled": True}, {"modelled": True, "provisional": True}


@dataclass(frozen=True)
class Form:
    """The variables of one API: their units, and how their cells are read."""

    units: Mapping[str, str]
    fields: Sequence[Field]
    rain: Collection[str]

    @classmethod
    def of(cls, named: Sequence[Mapping[str, str]]) -> Form:
        """`named` gives the variables' names by column."""
        variables = [(column, name) for names in named for column, name in names.items()]
        return cls(
            {name: _UNITS[column] for column, name in variables},
            [Field.of_weather(column, name, JSON_NUMBERS) for column, name in variables],
            {name for column, name in variables if column == "precipitation"},
        )

    def cells(self, hourly: Mapping[str, Any], file: str, position: int) -> Row:
        return {field.name: field.read(hourly[field.name][position], file, position + 1) for field in self.fields}

    def is_clean(self, hourly: Mapping[str, Any]) -> bool:
        """Whether each value is null or a plausible number, and each stamp another hour: then nothing is doubtful."""
        stamps = {read_stamp(text) for text in hourly["time"]}
        return (
            len(stamps) == len(hourly["time"])
            and not any(stamp.minute or stamp.second for stamp in stamps)
            and all(
                value is None or (type(value) in (float, int) and field.low <= value <= field.high)
                for field in self.fields
                for value in hourly[field.name]
            )
        )


PAST, AHEAD = Form.of(list(_BY_LEAD.values())), Form.of([COLUMNS])


@dataclass(frozen=True)
class Answer:
    """What one API answered: its hours, each with its own rain; their cells, where there are doubtful ones; the number
    of hours received; its fields, those among them that are not known here, and the cell that it is about."""

    hours: Mapping[datetime, Numbers]
    cells: Mapping[datetime, Row]
    received: int
    fields: list[str]
    unknown: list[str]
    cell: dict[str, float | None]

    @classmethod
    def of(cls, request: Request, payloads: Sequence[Payload], form: Form, rejected: Counter[str]) -> Answer:
        documents = [(payload.name, read_document(payload, form.units)) for payload in payloads]
        for payload, (name, document) in zip(payloads, documents, strict=True):
            check_location(name, document, request)
            check_axis(payload, document)
        blocks = [document["hourly"] for _, document in documents]
        fields = sorted({field for block in blocks for field in block})
        hours: Mapping[datetime, Numbers]
        if len(blocks) == 1 and form.is_clean(blocks[0]):
            # A `Cell` for each of a month's 32,000 values took half the time of loading it.
            stamps, lists = map(read_stamp, blocks[0]["time"]), (blocks[0][name] for name in form.units)
            rows = (dict(zip(form.units, row, strict=True)) for row in zip(*lists, strict=True))
            hours, cells = sums_moved(dict(zip(stamps, rows, strict=True)), form.rain), {}
        else:
            cells = sums_moved(hour_rows(documents, form.cells, rejected), form.rain)
            hours = {hour: {name: cell.number for name, cell in row.items()} for hour, row in cells.items()}
        return cls(
            hours,
            cells,
            sum(len(block["time"]) for block in blocks),
            fields,
            [field for field in fields if field not in (*form.units, "time")],
            grid_cell(documents[0][1]) if documents else {},
        )

    def within(self, reach: Reach, rejected: Counter[str], after: datetime) -> Answer:
        """The answer with the hours of the reach that have a value and begin at `after` or later; the others are
        counted. Raises PermanentError where a field's format has changed."""
        inside = {hour: self.hours[hour] for hour in sorted(self.hours) if reach.start <= hour < reach.end}
        later = {hour: row for hour, row in inside.items() if hour >= after}
        refuse_spoilt_files(self.cells[hour] for hour in later if hour in self.cells)
        used = {hour: row for hour, row in later.items() if any(value is not None for value in row.values())}
        rejected["outside_month"] += len(self.hours) - len(inside)
        rejected["passed"] += len(inside) - len(later)
        rejected["no_value"] += len(later) - len(used)
        return replace(self, hours=used, cells={hour: self.cells[hour] for hour in used if hour in self.cells})


@dataclass(frozen=True)
class Reach:
    """The month's hours from `start` to before `end` that were forecast at `as_of`, on the day `today` of `zone`."""

    start: datetime
    end: datetime
    as_of: datetime
    today: date
    zone: ZoneInfo

    @classmethod
    def of(cls, request: Request) -> Reach:
        name, zone = request.location.timezone, ZoneInfo(request.location.timezone)
        start, end = request.month.bounds(name)
        today = request.as_of.astimezone(zone).date()
        last = day_bounds(today + LEAD_DAYS[-1] * _DAY, name)[1]
        return cls(start, min(end, last), request.as_of, today, zone)


def read(request: Request, payloads: Sequence[Payload], reach: Reach, rejected: Counter[str]) -> tuple[Answer, Answer]:
    """The hours by lead, and the newest forecast of hours ahead. Raises PermanentError for those of another period, on
    other clocks, and for what no forecasts can be."""
    past = Answer.of(request, [one for one in payloads if one.name != AHEAD_FILE], PAST, rejected)
    ahead = Answer.of(request, [one for one in payloads if one.name == AHEAD_FILE], AHEAD, rejected)
    for answer in (past, ahead):
        check_period(answer.hours, answer.received, reach.start, reach.end)
    past, ahead = past.within(reach, rejected, reach.start), ahead.within(reach, rejected, reach.as_of)
    refuse_equal_leads(past.hours, _BY_LEAD, reach.as_of)
    for answer, names in [*((past, names) for names in _BY_LEAD.values()), (ahead, COLUMNS)]:
        refuse_shares(answer.hours, names)
    return past, ahead


def refuse_empty(past: Answer, ahead: Answer, reach: Reach) -> None:
    """Raises TransientError where one of two answers has no value though the other has: the service has no such hours
    for a while, and the month that is stored is better than half of one."""
    if past.hours and not ahead.hours and reach.as_of < reach.end - _DAY:
        raise TransientError("the forecast has no value of the days ahead")
    # Of hours that passed a day ago every lead is public.
    if ahead.hours and not past.hours and reach.start < reach.as_of - _DAY:
        raise TransientError("the forecasts of days before have no value")


def rows_of(reach: Reach, past: Answer, ahead: Answer) -> Iterator[tuple[object, ...]]:
    """The hour, the lead, its columns' values and its details, for each lead that an hour has a value of."""
    for hour in sorted(past.hours.keys() | ahead.hours.keys()):
        away = (hour.astimezone(reach.zone).date() - reach.today).days
        for lead in range(max(away, LEAD_DAYS[0]), LEAD_DAYS[-1] + 1):
            is_final = hour - lead * _DAY < reach.as_of
            answer, names = (past, _BY_LEAD[lead]) if is_final else (ahead, COLUMNS)
            row = answer.hours.get(hour, {})
            values = [row.get(name) for name in names.values()]
            if any(value is not None for value in values):
                yield (hour, lead, *values, _FINAL if is_final else _PROVISIONAL)
