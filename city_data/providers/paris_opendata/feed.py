"""Paris's current counts: a sliding window of about 14 months, by Opendatasoft's API. https://opendata.paris.fr/api/

Belongs here: the extent of a span of hours, its export. Does not: months that have left the window (archive.py), the
content of the export (rows.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from city_data.providers.base import Payload, PermanentError, TransientError
from city_data.providers.http import HttpClient
from city_data.providers.shared import portals
from city_data.providers.transport.documents import read_json

HOST = "opendata.paris.fr"
DATASETS = f"https://{HOST}/api/explore/v2.1/catalog/datasets"
CURRENT = f"{DATASETS}/comptages-routiers-permanents"
# Names, street and shape of the arc stand on each of its rows, and are left out.
COLUMNS = "iu_ac,t_1h,q,k,etat_trafic,etat_barre"
LARGEST_EXPORT = 1_000_000_000  # a month is about 150 MB
_EXTENT = "count(*) as rows,min(t_1h) as first,max(t_1h) as last,count(q) as flows,sum(q) as flow,count(k) as shares"
_PIECE, _DAY = 1 << 20, timedelta(days=1)


@dataclass(frozen=True)
class Extent:
    """The current feed's rows of a span: the numbers of rows and of values, the first and last end of an hour, and sums
    by which a revision is recognised. Sums of whole vehicles are exact in any order."""

    rows: int
    values: int
    first: datetime | None
    last: datetime | None
    fingerprint: Mapping[str, str]

    def has(self, start: datetime, end: datetime) -> bool:
        """Whether there are values, and rows of hours between the two moments: a span has hours beyond them."""
        inside = self.first is not None and self.last is not None and self.first <= end and self.last > start
        return inside and self.values > 0

    def reaches_back_to(self, start: datetime) -> bool:
        """Whether the month's first days are there; a feed that begins within a month has lost them."""
        return self.first is not None and self.first <= start + _DAY


def span_of(start: datetime, end: datetime) -> str:
    """The condition of whole days of UTC with the hours of a month: a date in it is read in the zone of the request, so
    that no clock of the city is needed. The surrounding hours are left out at parsing."""
    last = end.astimezone(UTC) - timedelta(microseconds=1)
    return _between(start.astimezone(UTC).date(), last.date() + timedelta(days=1))


def day_of(end_of_hour: datetime) -> str:
    """The condition of the day of UTC that has this hour."""
    day = (end_of_hour.astimezone(UTC) - timedelta(hours=1)).date()
    return _between(day, day + timedelta(days=1))


def _between(first: date, after: date) -> str:
    """Stamps are the ends of hours: midnight belongs to the day before."""
    return f"t_1h > date'{first}' AND t_1h <= date'{after}'"


def extent(http: HttpClient, where: str | None = None) -> Extent:
    """One small call. Raises TransientError and PermanentError."""
    params = {"select": _EXTENT, "limit": "1", "timezone": "UTC"} | ({"where": where} if where else {})
    response = http.get(f"{CURRENT}/records", params=params, accept=portals.judge_json)
    try:
        (row,) = read_json(response.body)["results"]
        rows, values = int(row["rows"]), int(row.get("flows") or 0) + int(row.get("shares") or 0)
        first, last = (_moment(row.get(name)) for name in ("first", "last"))
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise PermanentError(f"{response.url} did not answer one row of counts: {error}") from error
    names = ("rows", "flows", "flow", "shares")
    return Extent(rows, values, first, last, {f"current:{name}": _plain(row.get(name)) for name in names})


def export(http: HttpClient, where: str, expected: Extent, path: Path) -> Payload:
    """The rows of a span as CSV. Raises TransientError where it has fewer than were counted: an export that breaks off
    has no length to tell by."""
    params = {"select": COLUMNS, "where": where, "order_by": "t_1h,iu_ac", "timezone": "UTC", "delimiter": ";"}
    url = _with_query(f"{CURRENT}/exports/csv", params)
    response = http.download(url, path, accept=portals.judge, max_bytes=LARGEST_EXPORT)
    portals.refuse_page(path)
    rows = _lines(path) - 1
    if rows < expected.rows:
        raise TransientError(f"the export has {rows:,} of {expected.rows:,} rows")
    return Payload(
        path.name,
        path,
        f"{CURRENT}/exports/csv",
        params,
        media_type="text/csv",
        origin=response.origin,
        fingerprint=dict(expected.fingerprint),
    )


def _with_query(url: str, params: Mapping[str, str]) -> str:
    return f"{url}?{urlencode(params)}"


def _lines(path: Path) -> int:
    """Lines with anything in them; the last may lack its end."""
    count, last = 0, b"\n"
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            count, last = count + piece.count(b"\n"), piece[-1:]
    return count + (last != b"\n")


def _moment(text: Any) -> datetime | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(re.sub(r"\.[0-9]+", "", text))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _plain(value: Any) -> str:
    """A count, which the API writes as 3 or 3.0."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
