"""Local holidays: the feasts of one municipality, as its entry in the registry declares them.

Belongs here: the form of `local_holidays` in cities.yaml, its validation, and the days of one year. Does not: holidays
of country and region (calendar_days.py), or the rest of an entry (cities.py).

No library has them. A Spanish municipality, for example, decides each year on two days, which its region's gazette
publishes. Outside the years that an entry covers nothing is known.
"""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from typing import Annotated, Self

import pydantic

from city_data.strict_model import StrictModel

_FIRST_EASTER, _LAST_EASTER = 1583, 4099  # of the Gregorian calendar, as far as its rule is computed
_Year = Annotated[int, pydantic.Field(ge=_FIRST_EASTER, le=_LAST_EASTER)]
_Text = Annotated[str, pydantic.Field(min_length=1)]
_FORMS = ("every_year", "days_after_easter", "dates")


class LocalHoliday(StrictModel):
    """A feast with its source, in one of three forms: `every_year`, a month and day such as 06-13; `days_after_easter`,
    50 for Whit Monday; or `dates`, single days of a feast that is decided or moved year by year."""

    name: _Text
    source: _Text
    every_year: str | None = None
    days_after_easter: int | None = pydantic.Field(default=None, ge=-80, le=250)  # always within Easter's own year
    dates: tuple[date, ...] | None = None

    @pydantic.field_validator("every_year")
    @classmethod
    def _day_of_any_year(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            date.fromisoformat(f"2001-{value}")
        except ValueError:
            raise ValueError(f"{value!r} is not a day of every year; write month and day, such as 06-13") from None
        return value

    @pydantic.model_validator(mode="after")
    def _one_form(self) -> Self:
        if sum(getattr(self, form) is not None for form in _FORMS) != 1:
            raise ValueError(f"{self.name!r} needs exactly one of {', '.join(_FORMS)}")
        return self

    def days(self, year: int) -> list[date]:
        if self.every_year is not None:
            return [date.fromisoformat(f"{year:04}-{self.every_year}")]
        if self.days_after_easter is not None:
            from dateutil.easter import easter

            return [easter(year) + timedelta(days=self.days_after_easter)]
        return [day for day in self.dates or () if day.year == year]


class LocalHolidays(StrictModel):
    """The complete list of a municipality's feasts from `first_year` to `last_year`, or for good without a last year.

    `source` says by which law or decision the list is complete; an empty list says that the municipality has none.
    """

    first_year: _Year
    last_year: _Year | None = None
    source: _Text
    days: tuple[LocalHoliday, ...] = ()

    @pydantic.model_validator(mode="after")
    def _within_the_years(self) -> Self:
        last = _LAST_EASTER if self.last_year is None else self.last_year
        if last < self.first_year:
            raise ValueError(f"last_year {last} is before first_year {self.first_year}")
        dated = [(feast.name, day) for feast in self.days for day in feast.dates or ()]
        if dated and self.last_year is None:
            raise ValueError(
                f"{dated[0][0]!r} has dates of single years, so last_year is needed: none is known after it"
            )
        for name, day in dated:
            if not self.first_year <= day.year <= last:
                raise ValueError(f"{name!r}: {day} is outside {self.years}")
        return self

    @property
    def years(self) -> str:
        return f"{self.first_year}-{self.last_year or ''}"

    @property
    def digest(self) -> str:
        """Differs wherever two lists may name another day or feast."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:8]

    def of_year(self, year: int) -> dict[date, list[str]] | None:
        """The feasts of a year by day; None for a year that is not covered."""
        if not self.first_year <= year <= (self.last_year or _LAST_EASTER):
            return None
        names: dict[date, list[str]] = {}
        for feast in self.days:
            for day in feast.days(year):
                names.setdefault(day, []).append(feast.name)
        return names

    def source_of(self, day: date) -> str | None:
        """The sources of the day's feasts, or the list's on an ordinary day; None for a year that is not covered."""
        if self.of_year(day.year) is None:
            return None
        sources = [feast.source for feast in self.days if day in feast.days(day.year)]
        return "; ".join(dict.fromkeys(sources)) or self.source
