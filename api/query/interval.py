"""The time range of a request. Belongs here: parsing start_date, end_date and as_of, and their errors.

Does not: choosing the city (city.py) or the months (city_data/store/plans.py). Dates and times are ISO 8601; both ends
are inclusive; a bare date is that whole local day of the city; a time without an offset is UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from fastapi.exceptions import RequestValidationError

from api.errors import Loc, invalid, problem
from city_data.window import Interval, as_of, day_bounds

FIRST_YEAR, LAST_YEAR = 1900, 2199
_MAX_TEXT = 64
_INSTANT = timedelta(microseconds=1)


def parse_interval(loc: Loc, start_text: str, end_text: str, timezone: str, max_days: int) -> Interval:
    """Raises RequestValidationError, which FastAPI answers with 422."""
    problems: list[dict[str, Any]] = []
    ends: list[Interval] = []
    for field, text in (("start_date", start_text), ("end_date", end_text)):
        try:
            ends.append(_interval_of(text, timezone))
        except ValueError as error:
            problems.append(problem(loc, field, "iso8601", str(error), text))
    if problems:
        raise RequestValidationError(problems)
    interval = Interval(ends[0].start, ends[1].end)
    if interval.start >= interval.end:
        raise invalid(loc, "end_date", "range_order", "end_date is before start_date", end_text)
    if interval.days > max_days + 1:  # one day's grace: a bare last day is inclusive
        message = f"the range is longer than {max_days} days; request it in parts"
        raise invalid(loc, "end_date", "range_too_long", message, end_text)
    return interval


def parse_moment(loc: Loc, text: str, timezone: str) -> datetime:
    """The time of `as_of` in UTC; a bare date is the start of that local day. Raises RequestValidationError, also for a
    time in the future.
    """
    try:
        moment = _interval_of(text, timezone).start
    except ValueError as error:
        raise invalid(loc, "as_of", "iso8601", str(error), text) from None
    if moment > as_of():
        raise invalid(loc, "as_of", "future", "is in the future; leave it out for the newest data", text)
    return moment


def _interval_of(text: str, timezone: str) -> Interval:
    """The interval of a date, which is a whole local day, or of a time, which is one instant."""
    if len(text) > _MAX_TEXT or not text.isascii():
        raise ValueError("not an ISO 8601 date or time, such as 2026-10-01 or 2026-10-01T06:00:00Z")
    day = _date(text)
    if day is not None:
        _check_year(day)
        return Interval(*day_bounds(day, timezone))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        hint = "; in a URL, write the + of an offset as %2B" if " " in text else ""
        raise ValueError(f"not an ISO 8601 date or time, such as 2026-10-01 or 2026-10-01T06:00:00Z{hint}") from None
    _check_year(moment)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return Interval(moment, moment + _INSTANT)


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _check_year(day: date) -> None:
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(f"the year must be between {FIRST_YEAR} and {LAST_YEAR}")
