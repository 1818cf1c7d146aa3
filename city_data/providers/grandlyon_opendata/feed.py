"""Grand Lyon's download service: the list of channels, and the measures of a span of days, page by page.
https://data.grandlyon.com

Belongs here: addresses, pages, and the outcome of an answer. Does not: the content of a row (shared/mobility_counts/).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from city_data.providers.base import Payload, PermanentError, TransientError
from city_data.providers.http import HttpClient
from city_data.providers.shared import portals
from city_data.providers.transport.documents import begins_json, read_json

HOST = "download.data.grandlyon.com"
CHANNELS = f"https://{HOST}/ws/rdata/pvo_patrimoine_voirie.pvocomptagechannel/all.csv"
MEASURES = f"https://{HOST}/ws/timeseries/pvo_patrimoine_voirie.pvocomptagemeasure/all.json"
PAGE_ROWS = 100_000  # a month was 407,814 to 526,033 rows, of all kinds of mobility
MOST_PAGES = 31  # of which the last one has to be empty
_LARGEST_PAGE = 100_000_000


def channels(http: HttpClient, url: str, into: Path) -> Payload:
    """The list of all channels, as it is now. Raises TransientError and PermanentError."""
    params = {"maxfeatures": str(PAGE_ROWS), "start": "1"}
    response = http.get(url, params=params, accept=portals.judge)
    path = into / "channels.csv"
    path.write_bytes(response.body)
    portals.refuse_page(path)
    return Payload(path.name, path, url, params, "text/csv", origin=response.origin)


def measures(http: HttpClient, url: str, days: tuple[date, date], into: Path) -> Iterator[tuple[Payload, list[Any]]]:
    """Each page of the rows that start in a span of days (the second one excluded), with its rows; none where the
    portal has none. Only an empty page ends them: a portal may send fewer rows a page than were requested.

    Raises TransientError, also for fewer rows than the portal counts, and PermanentError, also for a portal that
    answers each page with the same rows.
    """
    span = {"start_datetime__gte": str(days[0]), "start_datetime__lt": str(days[1])}
    start, before, received, counted = 1, None, 0, 0
    for _ in range(MOST_PAGES):
        params = span | {"maxfeatures": str(PAGE_ROWS), "start": str(start)}
        path = into / f"measures-{start}.json"
        response = http.download(f"{url}?{urlencode(params)}", path, accept=portals.judge, max_bytes=_LARGEST_PAGE)
        rows, results = _rows(path)
        received, counted = received + len(rows), max(counted, results)
        if not rows:
            if received < counted:
                raise TransientError(f"the portal counts {counted:,} rows and answered {received:,}")
            return
        if rows[0] == before:
            raise PermanentError(f"the page from row {start:,} on begins with the row of the page before it")
        yield Payload(path.name, path, url, params, "application/json", origin=response.origin), rows
        # A page with more rows than requested may have some twice: none is skipped.
        start, before = start + min(len(rows), PAGE_ROWS), rows[0]
    raise PermanentError(f"the portal has more than {MOST_PAGES - 1} pages of at most {PAGE_ROWS:,} rows for a month")


def _rows(path: Path) -> tuple[list[Any], int]:
    """The rows of a page, and the number of results in it: of the page or of all pages, which is not documented."""
    portals.refuse_page(path)
    body = path.read_bytes()
    begins = " ".join(body[:200].decode("latin-1").split())
    if not begins_json(begins):
        raise TransientError(f"{path.name}: the download is not JSON but {begins!r}")
    try:
        document = read_json(body)
    except ValueError as error:
        raise TransientError(f"{path.name}: the download is not a whole document: {error}") from error
    values = document.get("values") if isinstance(document, dict) else None
    if not isinstance(values, list):
        raise PermanentError(f"{path.name} has no list of values; it begins {begins!r}")
    results = document.get("nb_results")
    return values, results if isinstance(results, int) else 0
