"""A city's calendar: weekends, holidays of country, region and town, and school vacations of OpenHolidays.
https://github.com/openpotato/openholidaysapi.data

Belongs here: the source's capabilities, a month's payloads, the canonical frame. Does not: the holidays of a month as
they are archived (month_days.py), or the file of school vacations (schools.py, school_lines.py).

The database's files are fetched, not its service: a file shows where its knowledge ends, an answer without vacations
does not. What the `holidays` library and the registry know is archived beside the file, so that a month is built again
as it was, whatever library is installed and whatever the registry says by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo

import pydantic

from city_data.providers.base import (
    Capabilities,
    Meaning,
    ParsedMonth,
    Payload,
    PermanentError,
    Provider,
    RateLimit,
    Request,
    Sample,
    Settings,
    about,
)
from city_data.providers.http import HttpClient
from city_data.providers.openholidays import month_days, schools
from city_data.providers.openholidays.month_days import LIBRARY, Day
from city_data.providers.openholidays.school_lines import Pupils, refuse_partial
from city_data.providers.openholidays.schools import SchoolYears
from city_data.providers.shared import portals

HOST = "raw.githubusercontent.com"
FILES = f"https://{HOST}/openpotato/openholidaysapi.data/main/src"
_DATABASE = "openholidays"
_DayOfYear = Annotated[str, pydantic.Field(pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$")]
_LEVELS = ("public", "country", "region", "town")
_AROUND = ("days_to_holiday", "days_since_holiday", "is_bridge_day")
_LIBRARY_METHOD = "the Python library holidays and the city's list of local holidays, as archived with the month"
_SCHOOL_METHOD = (
    "the file's vacations of the region, with the days that the library holidays adds; NULL beyond the file's last day"
)


class OpenHolidaysSettings(Settings):
    """`school_file`: the file below the database's folder `src`, such as es/holidays/holidays.school.md.csv; without
    it school vacations are not known. `subdivision`: the region or zone in its column Subdivisions, or a part of one.
    `group`: the kind of schools in its column Groups, and `pupils`: words of the comment on the vacations of some
    pupils, where these have their own. `unlisted`: the first and last day, such as 02-01 and 03-01, of a part of each
    year whose vacations towns or schools decide and the file does not have."""

    school_file: str | None = pydantic.Field(
        default=None,
        pattern=r"^[a-z]{2}/holidays/holidays\.school[^/\s?#]*\.csv$",
        description="a file of school holidays below src/, such as pt/holidays/holidays.school.csv",
    )
    subdivision: str | None = None
    group: str | None = None
    pupils: str | None = None
    unlisted: tuple[_DayOfYear, _DayOfYear] | None = None

    @pydantic.field_validator("unlisted")
    @classmethod
    def _in_order(cls, value: tuple[str, str] | None) -> tuple[str, str] | None:
        if value is not None and value[0] > value[1]:
            raise ValueError(f"{value[0]} is after {value[1]} in the year")
        return value

    def is_unlisted(self, day: date) -> bool:
        return self.unlisted is not None and self.unlisted[0] <= f"{day:%m-%d}" <= self.unlisted[1]


def _meanings() -> dict[str, Meaning]:
    area = {"country": "the country", "region": "the city's region", "town": "the municipality"}
    listed = ("the levels together", *area.values())
    names = {
        f"{level}_holiday": Meaning("name of the public holiday", where, "local day", _LIBRARY_METHOD, comparable=True)
        for level, where in zip(_LEVELS, listed, strict=True)
    }
    known = {
        f"{level}_holiday_known": Meaning("whether the holidays are known", where, "local day", _LIBRARY_METHOD,
                                          comparable=True)
        for level, where in zip(_LEVELS, listed, strict=True)
    }  # fmt: skip
    return {
        "weekday": Meaning("day of the week", "the city", "local day", "the civil calendar", comparable=True),
        "is_weekend": Meaning("whether it is weekend", "the country", "local day", _LIBRARY_METHOD, comparable=True),
        **names,
        **known,
        "school_vacation": Meaning("name of the vacation", "schools of the region", "local day", _SCHOOL_METHOD),
        "school_free": Meaning("whether pupils have vacations", "schools of the region", "local day", _SCHOOL_METHOD,
                               comparable=True),
        "days_to_holiday": Meaning("days to the next public holiday", "the levels together", "local day",
                                   _LIBRARY_METHOD, comparable=True),
        "days_since_holiday": Meaning("days since the last public holiday", "the levels together", "local day",
                                      _LIBRARY_METHOD, comparable=True),
        "is_bridge_day": Meaning("whether it is a bridge day", "the levels together", "local day", _LIBRARY_METHOD,
                                 comparable=True),
    }  # fmt: skip


class OpenHolidays(Provider):
    name = "openholidays"
    settings_model: ClassVar[type[Settings]] = OpenHolidaysSettings
    capabilities = Capabilities(
        dataset="calendar",
        columns=tuple(_meanings()),
        resolution="daily",
        # A calendar is there before its days are, and may be corrected for some weeks after them.
        lag=timedelta(0),
        settling=timedelta(days=30),
        pace=timedelta(days=7),  # the database gains a school year once a year
        earliest=None,
        rate_limit=RateLimit(calls=60, seconds=60),  # files of some 20 kB; the host names no figure
        licence="Contains information from OpenHolidays API Data (openpotato/openholidaysapi.data), which is made "
        "available here under the Open Database License (ODbL) 1.0: attribution, share-alike",
        licence_url="https://opendatacommons.org/licenses/odbl/1-0/",
        modelled=False,
        hosts=(HOST,),
        minimum_used_share=0.1,  # France's file has the vacations of every zone and overseas region
        meanings=_meanings(),
    )

    def calls(self, settings: Settings) -> int:
        return 1 if _settings(settings).school_file else 0

    def fetch(self, request: Request, http: HttpClient, into: Path) -> Sequence[Payload]:
        """The holidays of the month's days, and the whole file of school vacations."""
        with about(self.name, request):
            settings = _settings(request.settings)
            payloads = [month_days.write(request, into)]
            if settings.school_file is not None:
                payloads.append(_download(http, settings.school_file, into))
            return payloads

    def sample(self, request: Request, http: HttpClient, into: Path) -> Sample:
        """A month, as new as the last day on which the file knows the schools."""
        payloads = self.fetch(request, http, into)
        with about(self.name, request):
            years = _school_years(request, payloads)
        if years is None:
            return Sample(request, payloads)
        end = datetime.combine(years.last_day + timedelta(days=1), time(), ZoneInfo(request.location.timezone))
        return Sample(request, payloads, end)

    def parse(self, request: Request, payloads: Sequence[Payload]) -> ParsedMonth:
        """One row a local day. A row received is a day of the month or a line of the file; each line of the region is
        used, since it tells a vacation or how far the file's knowledge reaches."""
        import pandas as pd

        with about(self.name, request):
            month = month_days.read(_only(payloads, ".json"), request.month)
            years = _school_years(request, payloads)
            rows = [_row(day, years, _settings(request.settings)) for day in month.days]
            frame = pd.DataFrame(rows, dtype=object)
            frame["date"] = pd.to_datetime(request.month.day_starts(request.location.timezone), utc=True)
            frame["source"] = self.source(payloads)
            added = sum(_sources(row)["school_free"] == LIBRARY for row in rows if "school_free" in _sources(row))
            return ParsedMonth(
                frame,
                received=len(rows) + (years.received if years else 0),
                used=len(rows) + (years.used if years else 0),
                fields=[*Day.model_fields, *(years.fields if years else ())],
                rejected=dict(years.rejected) if years else {},
                nulled=dict(years.nulled) if years else {},
                provenance={
                    "holidays": month.origin,
                    "school": None if years is None else {
                        "file": _settings(request.settings).school_file,
                        "first_day": str(years.first_day),
                        "last_day": str(years.last_day),
                        "days_added_by_the_library": added,
                    },
                },
            )  # fmt: skip

    def check_connection(self, http: HttpClient) -> str:
        response = http.get(f"{FILES}/countries.csv", accept=portals.judge)
        if not response.body.removeprefix(b"\xef\xbb\xbf").startswith(b"IsoCode;"):
            raise PermanentError(f"{response.url} is not the database's list of countries")
        return "answers, no key needed"


def _settings(settings: Settings) -> OpenHolidaysSettings:
    assert isinstance(settings, OpenHolidaysSettings)  # noqa: S101  the registry validates them by `settings_model`
    return settings


def _download(http: HttpClient, file: str, into: Path) -> Payload:
    url = f"{FILES}/{file}"
    response = http.get(url, accept=portals.judge)
    path = into / "schools.csv"
    path.write_bytes(response.body)
    portals.refuse_page(path)
    refuse_partial(path)
    return Payload(path.name, path, url, media_type="text/csv", origin=response.origin)


def _only(payloads: Sequence[Payload], suffix: str) -> Payload:
    named = [payload for payload in payloads if payload.name.endswith(suffix)]
    if len(named) != 1:
        raise PermanentError(f"{len(named)} payloads are *{suffix}, not one")
    return named[0]


def _school_years(request: Request, payloads: Sequence[Payload]) -> SchoolYears | None:
    settings = _settings(request.settings)
    if settings.school_file is None:
        return None
    country = settings.school_file[:2].upper()
    pupils = Pupils(country, settings.subdivision, settings.pupils, settings.group)
    return schools.read(_only(payloads, ".csv").path.read_bytes(), pupils)


def _row(day: Day, years: SchoolYears | None, settings: OpenHolidaysSettings) -> dict[str, Any]:
    """The day's cells, and in `raw_data` the source of each that is known."""
    levels = {name: getattr(day, name) for name in _LEVELS}
    is_free, school, school_source = _school(day, years, settings)
    sources = {"is_weekend": LIBRARY} if day.country.is_known else {}
    sources |= {f"{name}_holiday": level.source for name, level in levels.items() if level.source is not None}
    sources |= {} if school_source is None else {"school_vacation": school_source, "school_free": school_source}
    return {
        "weekday": day.date.weekday(),
        "is_weekend": day.is_weekend,
        **{f"{name}_holiday": level.name for name, level in levels.items()},
        **{f"{name}_holiday_known": level.is_known for name, level in levels.items()},
        "school_vacation": school,
        "school_free": is_free,
        **{name: getattr(day, name) for name in _AROUND},
        "raw_data": {"sources": sources},
    }


def _school(
    day: Day, years: SchoolYears | None, settings: OpenHolidaysSettings
) -> tuple[bool | None, str | None, str | None]:
    """Whether pupils are free, the vacation's name, and the source of both; no source where nothing is known.

    The library invents the school years that are not decreed yet, so it counts within the file's knowledge alone: there
    it has single days that the file lacks, such as those after Ascension.
    """
    if years is None or not years.is_known(day.date):
        return None, None, None
    if years.is_vacation(day.date):
        return True, years.vacation(day.date), _DATABASE
    if day.school_vacation is not None:
        return True, day.school_vacation, LIBRARY
    if settings.is_unlisted(day.date):
        return None, None, None
    return False, None, _DATABASE


def _sources(row: Mapping[str, Any]) -> Mapping[str, str]:
    sources: Mapping[str, str] = row["raw_data"]["sources"]
    return sources
