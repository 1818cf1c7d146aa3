"""Madrid's traffic history: one ZIP a month from the city's open data portal. https://datos.madrid.es

Belongs here: the catalogue, the download, the canonical frame. Does not: the rows' layouts (_madrid_rows.py), or the
method that makes city-hours of them (_madrid_hours.py).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from city_data.providers.base import (
    Capabilities,
    NotAvailable,
    NotYetPublished,
    ParsedMonth,
    Payload,
    PermanentError,
    Provider,
    RateLimit,
    Request,
    TransientError,
    about,
)
from city_data.providers.http import HttpClient, Response, accept_ok
from city_data.window import Month

if TYPE_CHECKING:
    import pandas as pd

    from city_data.providers._madrid_hours import CityHours

PACKAGE = "208627-0-transporte-ptomedida-historico"
CATALOGUE = "https://datos.madrid.es/api/3/action/package_show"
LARGEST_ZIP = 400_000_000
GRACE = timedelta(days=60)
_MONTHS = (
    "enero", "febrero", "marzo", "abril", "mayo", "junio",
    "julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre",
)  # fmt: skip
_IN_URL = re.compile(r"(?:^|[/_-])(0[1-9]|1[0-2])-(20\d\d)\.zip$")
_IN_WORDS = re.compile(r"([a-z]+)\W+(?:de\W+)?(20\d\d)\b|\b(20\d\d)\W+([a-z]+)")


class MadridOpenData(Provider):
    name = "madrid_opendata"
    capabilities = Capabilities(
        dataset="traffic",
        columns=("traffic_volume", "congestion_level", "average_speed"),
        resolution="hourly",
        lag=timedelta(days=6),
        # A month's file was seen replaced within weeks of its first appearance, not later.
        settling=timedelta(days=30),
        earliest=Month(2015, 1),
        rate_limit=RateLimit(calls=20, seconds=60, spacing=3.0),
        licence="Origen de los datos: Ayuntamiento de Madrid (CC BY 4.0)",
        licence_url="https://creativecommons.org/licenses/by/4.0/",
        modelled=False,
        hosts=("datos.madrid.es",),
    )

    def fetch(self, request: Request, http: HttpClient, into: Path) -> Sequence[Payload]:
        """One payload: the month's ZIP."""
        with about(self.name, request):
            resources = _resources(http.get(CATALOGUE, params={"id": PACKAGE}, accept=_judge_catalogue))
            found = {str(r.get("url")): r for r in resources if month_of(r) == request.month}
            if not found:
                raise self._missing(request, len(resources))
            if len(found) > 1:
                raise PermanentError(f"the catalogue lists the month {len(found)} times: {', '.join(found)}")
            (url,) = found
            path = into / f"{request.month.month:02d}-{request.month.year}.zip"
            response = http.download(url, path, accept=accept_ok, max_bytes=LARGEST_ZIP)
            _refuse_page(path)
            return [
                Payload(
                    path.name,
                    path,
                    url,
                    media_type="application/zip",
                    last_modified=response.headers.get("last-modified"),
                    origin=response.origin,
                )
            ]

    def parse(self, request: Request, payloads: Sequence[Payload]) -> ParsedMonth:
        """The month's city-hours, up to the last that the file has."""
        from city_data.providers._madrid_hours import METHOD_VERSION, STRATA_WEIGHTS, city_hours
        from city_data.providers._madrid_rows import open_month

        with about(self.name, request):
            (payload,) = payloads
            file = open_month(payload.path, request.month)
            made = city_hours(file, request.place.timezone)
            if not len(made.volume):
                raise PermanentError(f"{payload.name} has no valid row of the month; rejected: {made.rejected}")
            source = f"{payload.origin}:{self.name}" if payload.origin else self.name
            provenance = {
                "method_version": METHOD_VERSION,
                "strata_weights": STRATA_WEIGHTS,
                "panel": made.panel,
                "points": made.points,
                "layout": {"columns": list(file.layout.columns), "separator": file.layout.separator},
                "unknown_fields": file.layout.unknown,
                "csv_bytes": file.bytes,
            }
            return ParsedMonth(_frame(made, request, source), made.rejected, provenance)

    def check_connection(self, http: HttpClient) -> str:
        resources = _resources(http.get(CATALOGUE, params={"id": PACKAGE}, accept=_judge_catalogue))
        return f"answers, no key needed; {sum(month_of(r) is not None for r in resources)} months listed"

    def _missing(self, request: Request, listed: int) -> NotYetPublished | NotAvailable:
        awaited_until = request.month.bounds(request.place.timezone)[1] + self.capabilities.lag + GRACE
        if request.as_of < awaited_until:
            return NotYetPublished(f"not among the {listed} months of the catalogue yet")
        return NotAvailable(f"not among the {listed} months of the catalogue")


def month_of(resource: Mapping[str, Any]) -> Month | None:
    """The month a resource is for, by its URL or else its words; its number tells nothing. None where neither says.

    Raises PermanentError where the two disagree.
    """
    in_url = _IN_URL.search(str(resource.get("url", "")))
    by_url = Month(int(in_url[2]), int(in_url[1])) if in_url else None
    by_words = _in_words(" ".join(str(resource.get(key) or "") for key in ("description", "name")))
    if by_url and by_words and by_url != by_words:
        raise PermanentError(f"the catalogue says {by_words} of {resource.get('url')}")
    return by_url or by_words


def _in_words(text: str) -> Month | None:
    plain = unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode()
    for match in _IN_WORDS.finditer(plain):
        word, year = (match[1], match[2]) if match[1] else (match[4], match[3])
        number = _month_number(word)
        if number:
            return Month(int(year), number)
    return None


def _month_number(word: str) -> int | None:
    """The month of a Spanish name, with letters doubled or dropped as the city has done ("diciiembre", "setiembre")."""
    known = {_squeezed(name): number for number, name in enumerate(_MONTHS, start=1)} | {"setiembre": 9}
    return known.get(_squeezed(word))


def _squeezed(word: str) -> str:
    return re.sub(r"(.)\1+", r"\1", word)


def _judge_catalogue(response: Response) -> None:
    accept_ok(response)
    text = response.text("latin-1").strip()
    if not text:
        raise TransientError(f"{response.url} answered with an empty body")
    if text[0] != "{":
        raise TransientError(f"{response.url} answered what is not JSON: {' '.join(text[:200].split())}")


def _resources(response: Response) -> list[Mapping[str, Any]]:
    try:
        document = json.loads(response.body)
        resources = document["result"]["resources"]
    except (ValueError, KeyError, TypeError) as error:
        raise PermanentError(f"the catalogue is not CKAN's: {type(error).__name__}: {error}") from error
    if not isinstance(resources, list) or not all(isinstance(r, dict) for r in resources):
        raise PermanentError("the catalogue's resources are no list of objects")
    return resources


def _refuse_page(path: Path) -> None:
    """The portal's firewall and its error pages answer 200 with HTML, or with nothing: another try can help."""
    with path.open("rb") as file:
        head = file.read(200)
    if not head:
        raise TransientError(f"{path.name}: the download is empty")
    if not head.startswith(b"PK"):
        raise TransientError(f"{path.name}: the download is no ZIP but {head.decode('latin-1').strip()!r}")


def _frame(made: CityHours, request: Request, source: str) -> pd.DataFrame:
    import pandas as pd

    from city_data.providers._madrid_hours import METHOD_VERSION, congestion

    stamps = request.month.hours(request.place.timezone)[: len(made.volume)]
    details = [
        {
            "coverage": round(float(made.coverage[slot]), 4),
            "stations": int(made.stations[slot]),
            "method_version": METHOD_VERSION,
            **({"flag": "doubled_hour_unresolved"} if slot in made.unresolved else {}),
        }
        for slot in range(len(stamps))
    ]
    return pd.DataFrame(
        {
            "date": pd.to_datetime(stamps, utc=True),
            "traffic_volume": made.volume,
            "congestion_level": pd.Series([congestion(load) for load in made.load.tolist()], dtype=object),
            "average_speed": made.speed,
            "source": source,
            "raw_data": pd.Series(details, dtype=object),
        }
    )
