"""Zurich's motor counts by SQL: a table a year in the DataStore of the city's CKAN portal.

Belongs here: the tables' ids, the extent of a span of days, its pages. Does not: the content of a row (rows.py), or the
pedestrians' file (foot_file.py). https://docs.ckan.org/en/2.10/maintaining/datastore.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from city_data.providers.base import Payload, PermanentError, TransientError
from city_data.providers.http import HttpClient
from city_data.providers.shared import ckan, portals
from city_data.providers.transport.documents import read_json
from city_data.providers.transport.response import Response
from city_data.window import Month

HOST = "data.stadt-zuerich.ch"
CATALOGUE = f"https://{HOST}/api/3/action/package_show"
SQL = f"https://{HOST}/api/3/action/datastore_search_sql"
PACKAGE = "sid_dav_verkehrszaehlung_miv_od2031"
# The names of site, street, detectors and position stand on each row, and are left out.
COLUMNS = ("_id", "MSID", "ZSID", "MessungDatZeit", "AnzFahrzeuge", "AnzFahrzeugeStatus")
PAGE = 5_000
MEASURED = "Gemessen"
_YEAR = re.compile(r"_(20[0-9]{2})\.csv", re.IGNORECASE)
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Span:
    """Local days of one year in its table. Stamps are compared as text: they are the city's clock without an offset."""

    table: str
    first: date
    after: date

    @classmethod
    def of(cls, table: str, month: Month) -> Span:
        return cls(table, month.first_day, month.last_day + _DAY)

    @property
    def rows(self) -> str:
        return (
            f'FROM "{self.table}" WHERE "MessungDatZeit" >= \'{self.first}T00:00:00\''
            f" AND \"MessungDatZeit\" < '{self.after}T00:00:00'"
        )


@dataclass(frozen=True)
class Extent:
    """The number of a span's rows, and of its measured ones their number and sum, by which a revision is recognised."""

    rows: int
    fingerprint: Mapping[str, str]


def tables(http: HttpClient) -> dict[int, str]:
    """The id of each year's table, which changes within a year. Raises TransientError and PermanentError."""
    by_year: dict[int, dict[str, str]] = {}
    for resource in ckan.resources(http, CATALOGUE, PACKAGE):
        match = _YEAR.search(str(resource.get("name")))
        if match and resource.get("datastore_active") is True:
            modified = str(resource.get("last_modified") or resource.get("created") or "")
            by_year.setdefault(int(match[1]), {})[str(resource.get("id"))] = modified
    if not by_year:
        raise PermanentError(f"{CATALOGUE} lists no table of a year for {PACKAGE}")
    return {year: _newest(year, by_id) for year, by_id in sorted(by_year.items())}


def _newest(year: int, modified: Mapping[str, str]) -> str:
    """Of several tables of a year, as while one replaces another, the one modified last."""
    table = max(modified, key=lambda one: modified[one])
    if list(modified.values()).count(modified[table]) > 1:
        raise PermanentError(f"the catalogue lists {year} {len(modified)} times: {', '.join(sorted(modified))}")
    if not _ID.fullmatch(table):
        raise PermanentError(f"the table of {year} has no CKAN identifier but {table[:60]!r}")
    return table


def extent(http: HttpClient, span: Span) -> Extent:
    """Two small calls. Raises TransientError and PermanentError."""
    rows = _whole(http, f"SELECT count(*) AS n {span.rows}", "n")
    sums = f'SELECT count(*) AS n, sum("AnzFahrzeuge"::INT) AS vehicles {span.rows}'
    response = _answer(http, f"{sums} AND \"AnzFahrzeugeStatus\" = '{MEASURED}'")
    measured, vehicles = (_number(response, name) for name in ("n", "vehicles"))
    values = {"rows": rows, "measured": measured, "vehicles": vehicles}
    return Extent(rows, {f"counts:{name}": str(value) for name, value in values.items()})


def newest_day(http: HttpClient, table: str) -> date:
    """The local day of the newest row. Raises TransientError and PermanentError, also for a table without rows."""
    sql = f'SELECT max("MessungDatZeit") AS newest FROM "{table}"'  # noqa: S608  an identifier of letters and digits
    response = _answer(http, sql)
    try:
        (row,) = _records(response)
        return date.fromisoformat(str(row["newest"])[:10])
    except (ValueError, KeyError) as error:
        raise PermanentError(f"{response.url} did not answer the newest stamp: {error}") from error


def pages(http: HttpClient, span: Span, expected: Extent, into: Path, stem: str) -> list[Payload]:
    """The span's rows in the table's order, some thousand a payload.

    Raises TransientError where they are not the rows that were counted before and after: the tables are delivered
    anew every day, and a page of the new one does not continue a page of the old one.
    """
    payloads: list[Payload] = []
    ids: list[Any] = []
    while len(ids) < expected.rows:
        columns = ",".join(f'"{name}"' for name in COLUMNS)
        sql = f'SELECT {columns} {span.rows} ORDER BY "_id" LIMIT {PAGE} OFFSET {len(ids)}'
        response = _answer(http, sql)
        records = _records(response)
        if not records:
            break
        ids += [json.dumps(record.get("_id")) for record in records]
        path = into / f"{stem}-{len(payloads) + 1:03d}.json"
        path.write_bytes(response.body)
        payloads.append(
            Payload(
                path.name,
                path,
                SQL,
                {"sql": sql},
                media_type="application/json",
                origin=response.origin,
                fingerprint=dict(expected.fingerprint),
            )
        )
    if len(set(ids)) != expected.rows:
        raise TransientError(f"{len(payloads)} pages have {len(set(ids)):,} of {expected.rows:,} rows")
    if extent(http, span) != expected:
        raise TransientError("the table was replaced while it was read")
    return payloads


def _whole(http: HttpClient, sql: str, name: str) -> int:
    return _number(_answer(http, sql), name)


def _number(response: Response, name: str) -> int:
    """A whole number of the answer's one row, which the API may write as text; 0 for a sum of nothing."""
    try:
        (row,) = _records(response)
        return int(row[name] or 0)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise PermanentError(f"{response.url} did not answer one row with {name}: {error}") from error


def _answer(http: HttpClient, sql: str) -> Response:
    return http.get(SQL, params={"sql": sql}, accept=_judge)


def _judge(response: Response) -> None:
    """A table that is gone has been replaced since its id was looked up."""
    text = response.body[:2_000].decode("latin-1")
    if response.status in (404, 409) and re.search(r"does not exist|not found", text, re.IGNORECASE):
        raise TransientError(f"{response.url} answered {response.status}: {' '.join(text[:200].split())}")
    portals.judge_json(response)


def _records(response: Response) -> list[dict[str, Any]]:
    try:
        return records_of(read_json(response.body))
    except ValueError as error:
        raise PermanentError(f"{response.url} did not answer rows: {error}") from error


def records_of(document: Any) -> list[dict[str, Any]]:
    """The rows of an answer. Raises ValueError for another document."""
    result = document.get("result") if isinstance(document, dict) else None
    records = result.get("records") if isinstance(result, dict) else None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ValueError("the answer has no list of records")
    return records
