"""Madrid's traffic history: one ZIP a month from the city's open data portal. https://datos.madrid.es

Belongs here: the catalogue, the download, the canonical frame. Does not: the layouts of files (layout.py), or the
method that turns rows into city-hours (hours.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    about,
)
from city_data.providers.http import HttpClient
from city_data.providers.shared import ckan, portals
from city_data.providers.shared.city_hours import METHOD, METHOD_VERSION
from city_data.providers.shared.hour_frames import hour_frame, panel_details, unresolved_flag
from city_data.window import Month

if TYPE_CHECKING:
    import pandas as pd

    from city_data.providers.madrid_opendata.hours import CityHours

PACKAGE = "208627-0-transporte-ptomedida-historico"
CATALOGUE = "https://datos.madrid.es/api/3/action/package_show"
LARGEST_ZIP = 400_000_000
SAMPLE_BYTES = 1_000_000  # some tens of the city's thousands of points
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


class MadridOpenData(Provider):
    name = "madrid_opendata"
    whole_files = True
    sampled, clock = f"the catalogue, and the first {SAMPLE_BYTES:,} bytes of a month's ZIP", "city"
    capabilities = Capabilities(
        dataset="traffic",
        columns=("traffic_volume", "congestion_level", "average_speed"),
        resolution="hourly",
        lag=timedelta(days=6),
        # Some months' files were replaced within weeks of their first appearance, none later.
        settling=timedelta(days=30),
        negative_is_missing=True,  # beside the text `NaN` and an empty cell
        earliest=Month(2015, 1),
        rate_limit=RateLimit(calls=20, seconds=60, spacing=3.0),
        licence="Origen de los datos: Ayuntamiento de Madrid (CC BY 4.0)",
        licence_url="https://creativecommons.org/licenses/by/4.0/",
        modelled=False,
        hosts=("datos.madrid.es",),
        grace=timedelta(days=60),
        meanings={
            "traffic_volume": Meaning(
                quantity="vehicles in an hour",
                area="city panel: streets (weight 0.9) and the motorway M30 (0.1)",
                per="measurement point",
                method=METHOD,
                method_version=METHOD_VERSION,
            ),
            "congestion_level": Meaning(
                quantity="load of the road (`carga`), in the city's own bands from 25, 50 and 75 % on",
                area="all measurement points of streets, without the M30",
                per="measurement point",
                method="band of the flow-weighted mean load",
                method_version=METHOD_VERSION,
            ),
            "average_speed": Meaning(
                quantity="speed of vehicles",
                area="the motorway M30, not streets",
                per="measurement point",
                method="flow-weighted mean",
                method_version=METHOD_VERSION,
            ),
        },
    )

    def fetch(self, request: Request, http: HttpClient, into: Path) -> Sequence[Payload]:
        """One payload: the month's ZIP, inflated once to verify that it is complete."""
        from city_data.providers.madrid_opendata.reading import open_month
        from city_data.providers.madrid_opendata.zip import verify

        with about(self.name, request):
            listed = ckan.resources(http, CATALOGUE, PACKAGE)
            url = ckan.address(listed, months_of, request, self.capabilities)
            path = into / f"{request.month.month:02d}-{request.month.year}.zip"
            response = http.download(url, path, accept=portals.judge, max_bytes=LARGEST_ZIP)
            portals.refuse_page(path, begins=b"PK")
            verify(path, open_month(path, request.month).info)
            return [ckan.payload(path, url, listed, response, "application/zip")]

    def sample(self, request: Request, http: HttpClient, into: Path) -> Sample:
        """The rows at the beginning of the month's ZIP, packed as a ZIP again."""
        from city_data.providers.madrid_opendata.zip import repack_beginning

        with about(self.name, request):
            listed = ckan.resources(http, CATALOGUE, PACKAGE)
            url = ckan.address(listed, months_of, request, self.capabilities)
            begin, path = into / "begin.zip", into / f"{request.month.month:02d}-{request.month.year}.zip"
            response = http.beginning(url, begin, SAMPLE_BYTES, portals.judge)
            portals.refuse_page(begin, begins=b"PK")
            repack_beginning(begin, path)
            return Sample(request, [Payload(path.name, path, url, origin=response.origin)])

    def parse(self, request: Request, payloads: Sequence[Payload]) -> ParsedMonth:
        """The month's city-hours, up to the last that the file has."""
        from city_data.providers.madrid_opendata.hours import STRATA_WEIGHTS, city_hours
        from city_data.providers.madrid_opendata.reading import open_month

        with about(self.name, request):
            (payload,) = payloads
            file = open_month(payload.path, request.month)
            result = city_hours(file, request.location.timezone)
            outside = result.rejected.get("other_month", 0)
            if not len(result.volume) or outside > result.rows / 2:
                raise PermanentError(
                    f"{payload.name} is not of the month: of {result.rows:,} rows {outside:,} have other dates, "
                    f"or none; rejected: {result.rejected}"
                )
            provenance = {
                "method_version": METHOD_VERSION,
                "strata_weights": STRATA_WEIGHTS,
                "panel": result.panel,
                "points": result.points,
                "layout": {"columns": list(file.layout.columns), "separator": file.layout.separator},
                "unknown_fields": file.layout.unknown,
                "valid_rows": result.valid,
                "relabelled_rows": result.relabelled,
                "csv_bytes": file.bytes,
            }
            return ParsedMonth(
                _frame(result, request, self.source(payloads)),
                received=result.rows,
                used=result.used,
                fields=file.layout.columns,
                rejected=result.rejected,
                nulled=result.nulled,
                provenance=provenance,
            )

    def fingerprint(self, request: Request, http: HttpClient) -> Mapping[str, str]:
        """Two small calls: the catalogue, and the headers of the month's file."""
        with about(self.name, request):
            listed = ckan.resources(http, CATALOGUE, PACKAGE)
            return ckan.current_fingerprint(http, listed, ckan.address(listed, months_of, request, self.capabilities))

    def check_connection(self, http: HttpClient) -> str:
        listed = ckan.resources(http, CATALOGUE, PACKAGE)
        return f"answers, no key needed; {sum(bool(months_of(r)) for r in listed)} months listed"


def months_of(resource: Mapping[str, Any]) -> set[Month]:
    """The month of a resource, by its URL and by its title, since its number has no meaning. More than one if the two
    disagree, none if neither names one."""
    in_url = _IN_URL.search(str(resource.get("url", "")))
    named = {Month(int(in_url[2]), int(in_url[1]))} if in_url else set()
    by_words = _in_words(" ".join(str(resource.get(key) or "") for key in ("description", "name")))
    return named | ({by_words} if by_words else set())


def _in_words(text: str) -> Month | None:
    plain = ckan.plain(text)
    for order in _IN_WORDS:
        for match in order.finditer(plain):
            if number := ckan.month_number(match["word"], _MONTHS):
                return Month(int(match["year"]), number)
    return None


def _frame(result: CityHours, request: Request, source: str) -> pd.DataFrame:
    import pandas as pd

    from city_data.providers.madrid_opendata.hours import congestion

    panel = panel_details(result.coverage, result.stations, METHOD_VERSION)
    details = [detail | unresolved_flag(slot, result.unresolved) for slot, detail in enumerate(panel)]
    columns = {
        "traffic_volume": result.volume,
        "congestion_level": pd.Series([congestion(load) for load in result.load.tolist()], dtype=object),
        "average_speed": result.speed,
    }
    return hour_frame(request, source, columns, details)
