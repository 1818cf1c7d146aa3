"""Barcelona's traffic history: one CSV of road states a month from the city's open data portal.
https://opendata-ajuntament.barcelona.cat/data/dataset/trams

Belongs here: the catalogue's months, the download, the canonical frame. Does not: the rows (rows.py), or the
method that turns them into city-hours (hours.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from city_data.providers.barcelona_opendata.hours import METHOD_VERSION
from city_data.providers.base import (
    Capabilities,
    Meaning,
    ParsedMonth,
    Payload,
    PermanentError,
    Provider,
    ProviderError,
    RateLimit,
    Request,
    Sample,
    TransientError,
    about,
    awaited,
    no_data,
)
from city_data.providers.http import HttpClient
from city_data.providers.shared import ckan, portals
from city_data.providers.shared.hour_frames import hour_frame, rounded, unresolved_flag
from city_data.window import Month

if TYPE_CHECKING:
    import pandas as pd

    from city_data.providers.barcelona_opendata.hours import CityHours
    from city_data.providers.barcelona_opendata.rows import Rows

PACKAGE = "trams"
CATALOGUE = "https://opendata-ajuntament.barcelona.cat/data/api/3/action/package_show"
SAMPLE_BYTES = 1_000_000  # some hours of all segments
LARGEST_CSV = 400_000_000  # a month is 20 to 50 MB
_MONTHS = (
    "gener", "febrer", "marc", "abril", "maig", "juny",
    "juliol", "agost", "setembre", "octubre", "novembre", "desembre",
)  # fmt: skip
# "2025_04_Abril_TRAMS_TRAMS.csv", in any case.
_NAMED = re.compile(r"(?P<year>20\d\d)_(?P<number>0[1-9]|1[0-2])_(?P<word>[a-z]+)_trams_trams")


class BarcelonaOpenData(Provider):
    name = "barcelona_opendata"
    whole_files = True
    sampled, clock = f"the catalogue, and the first {SAMPLE_BYTES:,} bytes of a month's CSV", "city"
    capabilities = Capabilities(
        dataset="traffic",
        columns=("congestion_level",),
        resolution="hourly",
        # The city does not document when a month appears, or until when it changes: Madrid's times are used.
        lag=timedelta(days=6),
        settling=timedelta(days=30),
        earliest=Month(2017, 10),
        # Ten at once got 503 on 28 of 30.
        rate_limit=RateLimit(calls=20, seconds=60, spacing=3.0),
        licence="Font: Ajuntament de Barcelona, Open Data BCN (CC BY 4.0)",
        licence_url="https://creativecommons.org/licenses/by/4.0/",
        modelled=False,
        hosts=("opendata-ajuntament.barcelona.cat",),
        grace=timedelta(days=60),
        minimum_used_share=0.1,  # segments that nobody measures are listed all month, with the state 0
        meanings={
            "congestion_level": Meaning(
                quantity="state of a road segment, 1 very fluid to 5 congested; closed segments left out",
                area="city panel of road segments",
                per="road segment",
                method="mean state weighted by time, then its level by a versioned table",
                method_version=METHOD_VERSION,
            )
        },
    )

    def fetch(self, request: Request, http: HttpClient, into: Path) -> Sequence[Payload]:
        """One payload: the month's CSV, read once to verify that it has states. NotAvailable if it never will."""
        with about(self.name, request):
            listed = ckan.resources(http, CATALOGUE, PACKAGE)
            url = ckan.address(listed, months_of, request, self.capabilities)
            path = into / f"{request.month.year}_{request.month.month:02d}_TRAMS_TRAMS.csv"
            for last_try in (False, True):
                response = http.download(url, path, accept=portals.judge, max_bytes=LARGEST_CSV)
                why = _empty(path, request.month)
                if why is None:
                    break
                if last_try:  # one empty answer may be an error of the portal, two are taken for the file
                    raise self._without_states(request, path, why)
            return [ckan.payload(path, url, listed, response, "text/csv")]

    def sample(self, request: Request, http: HttpClient, into: Path) -> Sample:
        """The whole lines at the beginning of the month's CSV."""
        with about(self.name, request):
            listed = ckan.resources(http, CATALOGUE, PACKAGE)
            url = ckan.address(listed, months_of, request, self.capabilities)
            path = into / f"{request.month.year}_{request.month.month:02d}_TRAMS_TRAMS.csv"
            response = http.beginning(url, path, SAMPLE_BYTES, portals.judge)
            portals.refuse_page(path)
            path.write_bytes(response.body[: response.body.rfind(b"\n") + 1])
            return Sample(request, [Payload(path.name, path, url, origin=response.origin)])

    def parse(self, request: Request, payloads: Sequence[Payload]) -> ParsedMonth:
        """The month's city-hours, up to the last that the file reaches."""
        from city_data.providers.barcelona_opendata import hours as method
        from city_data.providers.barcelona_opendata.rows import open_month, read
        from city_data.providers.shared.local_hours import Clock

        with about(self.name, request):
            (payload,) = payloads
            file = open_month(payload.path, request.month)
            rows = read(file)
            if not rows.known:
                raise PermanentError(f"{payload.name} has no state: {_without(rows)}")
            result = method.city_hours(rows, Clock.of(request.month, request.location.timezone))
            provenance = {
                "method_version": METHOD_VERSION,
                "levels": {"version": method.LEVELS_VERSION, "mean_state_at_most": method.LEVELS},
                "carry_limit_s": method.CARRY_LIMIT,
                "minimum_coverage": method.MINIMUM_COVERAGE,
                "segments": result.points,
                "panel": result.panel,
                "states": rows.states,
                "unknown_fields": file.unknown,
            }
            return ParsedMonth(
                _frame(result, request, self.source(payloads)),
                received=rows.total,
                used=result.used,
                fields=file.columns,
                rejected=result.rejected,
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

    def _without_states(self, request: Request, path: Path, why: str) -> ProviderError:
        """The outcome of a file without states: awaited while it may still be filled; an empty file may be
        truncated."""
        if not path.stat().st_size and awaited(request, self.capabilities):
            return TransientError(f"{path.name}: the download is empty")
        return no_data(request, self.capabilities, f"listed, but without a single state ({why})")


def months_of(resource: Mapping[str, Any]) -> set[Month]:
    """The month of a resource, by name and address. More than one if number and word, or name and address, disagree;
    none if it is not a monthly file, such as the live feed."""
    texts = [str(resource.get("name") or ""), str(resource.get("url") or "").rpartition("/")[2]]
    months: set[Month] = set()
    for match in (_NAMED.search(ckan.plain(text)) for text in texts):
        if match is not None:
            numbers = {int(match["number"]), ckan.month_number(match["word"], _MONTHS) or int(match["number"])}
            months |= {Month(int(match["year"]), number) for number in numbers}
    return months


def _empty(path: Path, month: Month) -> str | None:
    """The reason why a downloaded month has no states, as April and May 2020; None if it has some."""
    from city_data.providers.barcelona_opendata.rows import open_month, read

    if not path.stat().st_size:
        return "the file is empty"
    portals.refuse_page(path)
    rows = read(open_month(path, month))
    return None if rows.known else _without(rows)


def _without(rows: Rows) -> str:
    return f"all {rows.total:,} rows are 0, no data" if rows.states["no_data"] else "the file has no rows of the month"


def _frame(result: CityHours, request: Request, source: str) -> pd.DataFrame:
    import pandas as pd

    from city_data.providers.barcelona_opendata.hours import LEVELS_VERSION

    details = [
        {
            "coverage": round(float(result.coverage[slot]), 4),
            "mean_state": rounded(result.state[slot]),
            "closed_share": rounded(result.closed[slot]),
            "segments": int(result.segments[slot]),
            "method_version": METHOD_VERSION,
            "levels_version": LEVELS_VERSION,
            **unresolved_flag(slot, result.unresolved),
        }
        for slot in range(len(result.state))
    ]
    return hour_frame(request, source, {"congestion_level": pd.Series(result.levels, dtype=object)}, details)
