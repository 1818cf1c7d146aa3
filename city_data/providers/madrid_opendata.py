"""Madrid's traffic history: one ZIP a month from the city's open data portal. https://datos.madrid.es

Belongs here: the catalogue, the download, the canonical frame. Does not: the rows' layouts (_madrid_rows.py), or the
method that makes city-hours of them (_madrid_hours.py).
"""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from city_data.providers._answers import MINUTE, Response, accept_ok, retry_after
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
from city_data.providers.http import HttpClient
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
# "Diciembre 2022" and, as titles once were, "2021. Junio".
_IN_WORDS = (
    re.compile(r"(?P<word>[a-z]+)\W+(?:de\W+)?(?P<year>20\d\d)\b"),
    re.compile(r"\b(?P<year>20\d\d)\W+(?P<word>[a-z]+)"),
)
_ALIKE = 0.85  # "dicembre" is 0.94 like "diciembre"; junio and julio are 0.8 alike


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
        """One payload: the month's ZIP, inflated once to know that it is whole."""
        from city_data.providers._madrid_rows import open_month
        from city_data.providers._madrid_zip import verify

        with about(self.name, request):
            resources = _resources(http.get(CATALOGUE, params={"id": PACKAGE}, accept=_judge_catalogue))
            found = {str(r.get("url")): months_of(r) for r in resources if request.month in months_of(r)}
            if not found:
                raise self._missing(request, len(resources))
            if len(found) > 1:
                raise PermanentError(f"the catalogue lists the month {len(found)} times: {', '.join(found)}")
            ((url, months),) = found.items()
            if len(months) > 1:
                raise PermanentError(f"the catalogue says {' and '.join(map(str, sorted(months)))} of {url}")
            path = into / f"{request.month.month:02d}-{request.month.year}.zip"
            response = http.download(url, path, accept=_judge, max_bytes=LARGEST_ZIP)
            _refuse_page(path)
            verify(path, open_month(path, request.month).info)
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
            outside = made.rejected.get("other_month", 0)
            if not len(made.volume) or outside > made.rows / 2:
                raise PermanentError(
                    f"{payload.name} is not of the month: of {made.rows:,} rows {outside:,} have other dates, or none; "
                    f"rejected: {made.rejected}"
                )
            source = f"{payload.origin}:{self.name}" if payload.origin else self.name
            provenance = {
                "method_version": METHOD_VERSION,
                "strata_weights": STRATA_WEIGHTS,
                "panel": made.panel,
                "points": made.points,
                "layout": {"columns": list(file.layout.columns), "separator": file.layout.separator},
                "unknown_fields": file.layout.unknown,
                "valid_rows": made.valid,
                "csv_bytes": file.bytes,
            }
            return ParsedMonth(
                _frame(made, request, source),
                received=made.rows,
                used=made.used,
                fields=file.layout.columns,
                rejected=made.rejected,
                provenance=provenance,
            )

    def check_connection(self, http: HttpClient) -> str:
        resources = _resources(http.get(CATALOGUE, params={"id": PACKAGE}, accept=_judge_catalogue))
        return f"answers, no key needed; {sum(bool(months_of(r)) for r in resources)} months listed"

    def _missing(self, request: Request, listed: int) -> NotYetPublished | NotAvailable:
        awaited_until = request.month.bounds(request.place.timezone)[1] + self.capabilities.lag + GRACE
        if request.as_of < awaited_until:
            return NotYetPublished(f"not among the {listed} months of the catalogue yet")
        return NotAvailable(f"not among the {listed} months of the catalogue")


def months_of(resource: Mapping[str, Any]) -> set[Month]:
    """The month a resource is for, by its URL and by its words; its number tells nothing. More than one where the two
    disagree, none where neither says."""
    in_url = _IN_URL.search(str(resource.get("url", "")))
    named = {Month(int(in_url[2]), int(in_url[1]))} if in_url else set()
    by_words = _in_words(" ".join(str(resource.get(key) or "") for key in ("description", "name")))
    return named | ({by_words} if by_words else set())


def _in_words(text: str) -> Month | None:
    plain = unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode()
    for order in _IN_WORDS:
        for match in order.finditer(plain):
            if number := _month_number(match["word"]):
                return Month(int(match["year"]), number)
    return None


def _month_number(word: str) -> int | None:
    """The month of a Spanish name, mistyped as the city has done ("diciiembre", "setiembre"); None where two are meant
    alike, which the file inside would not make good."""
    likely = difflib.get_close_matches(word, _MONTHS, n=2, cutoff=_ALIKE)
    if not likely or (len(likely) == 2 and word not in likely):
        return None
    return _MONTHS.index(likely[0]) + 1


def _judge(response: Response) -> None:
    """The portal's firewall answers bursts with 403."""
    if response.status in (403, 429):
        raise TransientError(f"{response.url} answered {response.status}", retry_after(response.headers, MINUTE))
    accept_ok(response)


def _judge_catalogue(response: Response) -> None:
    _judge(response)
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
