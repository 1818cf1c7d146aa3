"""Arguments of a question as the service's query parameters.

Belongs here: which keywords there are, the kinds of dates and columns that pandas, numpy and polars give, and what is
refused before anything is sent. Does not: requests (questions.py).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from typing import TypedDict, get_type_hints

import numpy as np
import pandas as pd
from typing_extensions import Required

When = str | date | datetime | np.datetime64 | pd.Period


class Range(TypedDict, total=False):
    """`start` and `end` are included: a date is that whole local day of the city, and so is a midnight without a zone,
    as pandas and polars give days; a month is all its days; any other time must be aware. Without coordinates or a
    `city_id` the tenant's own location is used, where the service knows it. `columns`: names, in any sequence, or one
    name. `version` is a snapshot's id, `as_of` a moment: the data as served then. `resolution`: hourly, daily or
    native (the default), the source's own; of a frame daily (the default), dayparts or hourly."""

    start: Required[When]
    end: Required[When]
    latitude: float
    longitude: float
    city_id: str
    resolution: str
    columns: Iterable[str]
    version: str
    as_of: When


class Frame(Range, total=False):
    """A range of a training frame. With `weather="forecast"` each day has the values that were known `lead_days` (1 to
    7) days before it; by default what was measured. It comes with all its columns: `columns` is refused."""

    weather: str
    lead_days: int


class Ahead(TypedDict, total=False):
    """Days ahead: `days` of them (1 to 7; 7 by default), after today or the day of `as_of`. The rest as in `Range`."""

    days: int
    latitude: float
    longitude: float
    city_id: str
    resolution: str
    version: str
    as_of: When


_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_RENAMED = {"start": "start_date", "end": "end_date"}


def query_of(question: Mapping[str, object], keywords: type = Range) -> dict[str, str]:
    """The query parameters of a question. Raises TypeError for an unknown keyword, ValueError for a value that has no
    one meaning."""
    known = tuple(get_type_hints(keywords))
    for name in question:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise TypeError(f"unknown keyword {name!r}; {hint}")
    if missing := [name for name in ("start", "end") if name in known and question.get(name) is None]:
        raise TypeError(f"missing: {' and '.join(missing)}")
    return {_RENAMED.get(name, name): _text(name, value) for name, value in question.items() if value is not None}


def service_url(url: str) -> str:
    """The service's address without a slash at its end. Raises ValueError where it does not begin with http(s)://."""
    if not re.match(r"https?://[^/]", url):
        raise ValueError(f"the service's address {url!r} must begin with http:// or https://, such as https://{url}")
    return url.rstrip("/")


def _text(name: str, value: object) -> str:
    if name == "columns":
        return value if isinstance(value, str) else ",".join(map(str, value))  # type: ignore[call-overload]
    if name in ("start", "end", "as_of"):
        return _when(name, value)
    return str(value)


def _when(name: str, value: object) -> str:
    if isinstance(value, str) and _MONTH.fullmatch(value):
        value = pd.Period(value, "M")
    if isinstance(value, np.datetime64) and np.datetime_data(value)[0] in ("Y", "M") and not np.isnat(value):
        value = pd.Period(str(value))  # a whole month or year, as a pandas period is
    if isinstance(value, pd.Period):
        value = (value.end_time if name == "end" else value.start_time).date()
    elif isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if value is pd.NaT:
        raise ValueError(f"{name} is NaT, no time")
    if isinstance(value, datetime) and value.tzinfo is None:
        if value.time() != time():
            raise ValueError(f"{name}: {value} has no time zone; pass an aware time, or a date for whole local days")
        value = value.date()
    return value.isoformat() if isinstance(value, date) else str(value)
