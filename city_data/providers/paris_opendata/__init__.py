"""Paris's road counts: vehicles and occupancy an hour on about 3,300 arcs. https://opendata.paris.fr

Belongs here: the choice between current feed and archive, the canonical frame. Does not: their calls (feed.py,
archive.py), the rows (rows.py), or the method that turns them into city-hours (hours.py).

Months perish at this source: the current feed keeps about 14, and the archive of a year appears after the year. A month
that has left the one and is not in the other cannot be fetched until the archive has its year.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

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
    no_data,
)
from city_data.providers.http import HttpClient
from city_data.providers.paris_opendata import archive, feed
from city_data.providers.shared.city_hours import METHOD, METHOD_VERSION
from city_data.providers.shared.hour_frames import hour_frame, rounded, unresolved_flag
from city_data.window import Month

if TYPE_CHECKING:
    import pandas as pd

    from city_data.providers.paris_opendata.hours import CityHours

_HOUR = timedelta(hours=1)


class ParisOpenData(Provider):
    name = "paris_opendata"
    sampled, clock, stamps_end = "the extent of a month, and one day of all arcs", "UTC's days", True
    capabilities = Capabilities(
        dataset="traffic",
        columns=("traffic_volume", "congestion_level"),
        resolution="hourly",
        # Days were there on the day itself; when the city corrects them is not documented.
        lag=timedelta(days=2),
        settling=timedelta(days=28),
        earliest=Month(2010, 1),
        rate_limit=RateLimit(calls=20, seconds=60, spacing=1.0),
        licence="Comptage routier, données trafic issues des capteurs permanents: Ville de Paris, Direction de la "
        "Voirie et des Déplacements (Open Database License, ODbL)",
        licence_url="https://opendatacommons.org/licenses/odbl/1-0/",
        modelled=False,
        hosts=(feed.HOST,),
        grace=timedelta(days=60),
        minimum_used_share=0.1,  # arcs without a working sensor are listed all month: 57 % of the values of 2024
        meanings={
            "traffic_volume": Meaning(
                quantity="vehicles in an hour",
                area="city panel of road arcs with permanent counters",
                per="arc",
                method=METHOD,
                method_version=METHOD_VERSION,
            ),
            "congestion_level": Meaning(
                quantity="occupancy of the road, in the portal's bands from 15, 30 and 50 % on",
                area="city panel of road arcs with permanent counters",
                per="arc",
                method=f"band of the occupancy: {METHOD}",
                method_version=METHOD_VERSION,
            ),
        },
    )

    def fetch(self, request: Request, http: HttpClient, into: Path) -> Sequence[Payload]:
        """The current feed's export, or the archive's weekly files where the month has left the feed. NotAvailable for
        a month that lies in neither."""
        with about(self.name, request):
            start, end = request.month.bounds(request.location.timezone)
            where, path = feed.span_of(start, end), into / f"{request.month}.csv"
            current = feed.extent(http, where)
            if current.has(start, end) and current.reaches_back_to(start):
                return [feed.export(http, where, current, path)]
            years = archive.years(http)
            payloads: list[Payload] = []
            if request.month.year in years:
                payloads = archive.fetch(http, into, request.month.year, (start, end), request.location.timezone)
            if not payloads and current.has(start, end):
                payloads = [feed.export(http, where, current, path)]
            if not payloads:
                raise no_data(request, self.capabilities, _hole(http, years, request.location.timezone))
            return payloads

    def sample(self, request: Request, http: HttpClient, into: Path) -> Sample:
        """The newest day of UTC that the current feed has of the month."""
        with about(self.name, request):
            month = feed.extent(http, feed.span_of(*request.month.bounds(request.location.timezone)))
            if month.last is None or not month.values:
                raise no_data(request, self.capabilities, "the current feed has no value of the month")
            where = feed.day_of(month.last)
            payload = feed.export(http, where, feed.extent(http, where), into / f"{request.month}.csv")
            return Sample(request, [replace(payload, fingerprint={})])

    def parse(self, request: Request, payloads: Sequence[Payload]) -> ParsedMonth:
        """The month's city-hours, up to the last that the files have."""
        from city_data.providers.paris_opendata.hours import BANDS, city_hours
        from city_data.providers.paris_opendata.rows import read
        from city_data.providers.shared.local_hours import Clock

        with about(self.name, request):
            timezone = request.location.timezone
            rows = read(payloads, request.month, timezone)
            result = city_hours(rows, Clock.of(request.month, timezone))
            if not result.used:
                raise PermanentError(f"no row of {rows.total:,} has a value; rejected: {result.rejected}")
            unresolved = [] if rows.has_offsets else rows.doubled
            provenance = {
                "method_version": METHOD_VERSION,
                "bands": {name: below for name, below in BANDS.items() if below < 1_000},
                "panel": {"q": sum(result.flow.panel.values()), "k": sum(result.occupancy.panel.values())},
                "arcs": result.arcs,
                "product": "current" if rows.has_offsets else "archive",
            }
            return ParsedMonth(
                _frame(result, request, self.source(payloads), unresolved),
                received=rows.total,
                used=result.used,
                fields=list(dict.fromkeys(column for header in rows.headers for column in header.columns)),
                rejected=result.rejected,
                nulled=result.nulled,
                provenance=provenance,
            )

    def fingerprint(self, request: Request, http: HttpClient) -> Mapping[str, str]:
        """One small call while the current feed has the month, else two more. NotAvailable for a month that has left
        the feed and that the archive does not have: the stored one then stays."""
        with about(self.name, request):
            start, end = request.month.bounds(request.location.timezone)
            current = feed.extent(http, feed.span_of(start, end))
            if current.has(start, end) and current.reaches_back_to(start):
                return current.fingerprint
            years = archive.years(http)
            if request.month.year in years:
                return archive.fingerprint(http, request.month.year)
            raise no_data(request, self.capabilities, _hole(http, years, request.location.timezone))

    def calls(self, settings: object) -> int:  # noqa: ARG002
        """The extent, the attachments, the feed's beginning, and an export or a year's archive."""
        return 4

    def check_connection(self, http: HttpClient) -> str:
        known = feed.extent(http)
        if known.first is None or known.last is None:
            raise PermanentError(f"{feed.CURRENT} has no rows")
        return f"answers, no key needed; counts from {known.first:%Y-%m-%d} to {known.last:%Y-%m-%d}"


def _hole(http: HttpClient, years: Sequence[int], timezone: str) -> str:
    known = feed.extent(http)
    begins = "is empty"
    if known.first is not None:
        begins = f"begins on {(known.first - _HOUR).astimezone(ZoneInfo(timezone)):%Y-%m-%d}"
    return f"the current feed {begins}, and the archive has {years[0]} to {years[-1]}: the month is in neither"


def _frame(result: CityHours, request: Request, source: str, unresolved: Sequence[int]) -> pd.DataFrame:
    import pandas as pd

    flow, occupancy = result.flow, result.occupancy
    details = [
        {
            "coverage": round(float(flow.coverage[slot]), 4),
            "stations": int(flow.stations[slot]),
            "occupancy": rounded(occupancy.volume[slot]),
            "occupancy_coverage": round(float(occupancy.coverage[slot]), 4),
            "method_version": METHOD_VERSION,
            **unresolved_flag(slot, unresolved),
        }
        for slot in range(len(flow.volume))
    ]
    levels = pd.Series(result.levels, dtype=object)
    return hour_frame(request, source, {"traffic_volume": flow.volume, "congestion_level": levels}, details)
