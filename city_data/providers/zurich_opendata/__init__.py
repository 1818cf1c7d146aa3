"""Zurich's counts: motor vehicles in 217 directions of the city, pedestrians of Bahnhofstrasse. https://data.stadt-zuerich.ch

Belongs here: the choice of what is fetched, the canonical frame. Does not: the calls (datastore.py, foot_file.py), the
rows (rows.py, foot_rows.py), or the method that turns them into hours (hours.py).

The two columns are of two data sets. A month is there with its vehicles; pedestrians never hold it up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

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
    awaited,
    no_data,
)
from city_data.providers.http import HttpClient
from city_data.providers.shared.city_hours import METHOD, METHOD_VERSION
from city_data.providers.shared.hour_frames import hour_frame, unresolved_flag
from city_data.providers.zurich_opendata import datastore, foot_file
from city_data.window import Month, day_bounds

if TYPE_CHECKING:
    import pandas as pd

    from city_data.providers.shared.city_hours import Estimate
    from city_data.providers.zurich_opendata.rows import Counts

_SMALL_CALLS, _PAGES = 8, 33  # 217 series of 745 hours


class ZurichOpenData(Provider):
    name = "zurich_opendata"
    sampled = "one day of all series, and the pedestrians' file"
    capabilities = Capabilities(
        dataset="traffic",
        columns=("traffic_volume", "pedestrian_count"),
        resolution="hourly",
        # A day is published by 07:00 of the next one; by the text of 2021 a day later.
        lag=timedelta(days=2),
        settling=timedelta(days=28),
        earliest=Month(2012, 1),
        rate_limit=RateLimit(calls=120, seconds=60, spacing=0.5),
        licence="Verkehrszählung motorisierter Individualverkehr: Stadt Zürich, Dienstabteilung Verkehr; "
        "Fussgängerfrequenzen Bahnhofstrasse: hystreet, Stadt Zürich (Creative Commons CCZero)",
        licence_url="https://creativecommons.org/publicdomain/zero/1.0/",
        modelled=False,
        hosts=(datastore.HOST,),
        grace=timedelta(days=60),
        meanings={
            "traffic_volume": Meaning(
                quantity="motor vehicles in an hour",
                area="city panel of counted directions of streets and motorways, each with its fixed share",
                per="measured direction",
                method=METHOD,
                method_version=METHOD_VERSION,
            ),
            "pedestrian_count": Meaning(
                quantity="persons in an hour, both directions of walking",
                area="one street, not the city: three sites on Bahnhofstrasse",
                per="site",
                method=f"{METHOD}; only months in which all three sites count",
                method_version=METHOD_VERSION,
            ),
        },
    )

    def fetch(self, request: Request, http: HttpClient, into: Path) -> Sequence[Payload]:
        """The pages of the vehicles, and the extract of the pedestrians. A month without vehicles is not yet published
        while they are awaited; then its pedestrians are taken alone, or it is not available."""
        with about(self.name, request):
            month, why = request.month, "the city's tables have no row of the month"
            pages = self._pages(request, http, into)
            if not pages and awaited(request, self.capabilities):
                raise no_data(request, self.capabilities, why)
            payloads = [*pages, *foot_file.fetch(http, into, month.bounds(request.location.timezone), str(month))]
            if not payloads:
                raise no_data(request, self.capabilities, why)
            return payloads

    def _pages(self, request: Request, http: HttpClient, into: Path) -> list[Payload]:
        table = datastore.tables(http).get(request.month.year)
        if table is None:
            return []
        span = datastore.Span.of(table, request.month)
        return datastore.pages(http, span, datastore.extent(http, span), into, str(request.month))

    def sample(self, request: Request, http: HttpClient, into: Path) -> Sample:
        """The newest day of the vehicles, and that day's pedestrians."""
        with about(self.name, request):
            tables = datastore.tables(http)
            table = tables[max(tables)]
            day = datastore.newest_day(http, table)
            span = datastore.Span(table, day, day + timedelta(days=1))
            pages = datastore.pages(http, span, datastore.extent(http, span), into, str(day))
            pages = [replace(page, fingerprint={}) for page in pages]
            foot = foot_file.fetch(http, into, day_bounds(day, request.location.timezone), str(day))
            return Sample(replace(request, month=Month.of(day)), [*pages, *foot])

    def parse(self, request: Request, payloads: Sequence[Payload]) -> ParsedMonth:
        """The month's hours, up to the last that either data set has."""
        from city_data.providers.shared.local_hours import Clock
        from city_data.providers.zurich_opendata import foot_rows, hours, rows

        with about(self.name, request):
            clock = Clock.of(request.month, request.location.timezone)
            starts = request.month.hours(request.location.timezone)
            # By the names that they were fetched under: archived files have others.
            pages, files = ([p for p in payloads if p.name.endswith(".csv") is foot] for foot in (False, True))
            counts, foot = rows.read(pages, request.month, clock), foot_rows.read(files, starts, request.as_of)
            rejected = counts.rejected + foot.rejected
            used, total = len(counts.vehicles) + len(foot.persons), counts.total + foot.total
            if not used:
                raise PermanentError(f"no row of {total:,} has a value; rejected: {dict(rejected)}")
            vehicles, persons = hours.volume(counts, clock), hours.persons(foot.persons, clock)
            nulled = {
                f"no_panel_{stratum}:AnzFahrzeuge": len(counts.vehicles)
                for stratum, size in vehicles.panel.items()
                if counts.vehicles and not size
            }
            if foot.persons and sum(persons.panel.values()) < len(foot_rows.SITES):
                nulled["no_panel:pedestrians_count"] = len(foot.persons)
            provenance = {
                "method_version": METHOD_VERSION,
                "strata_version": hours.STRATA_VERSION,
                "panel": vehicles.panel | persons.panel,
                "series": len(counts.sites),
                "rows_of_another_site": counts.other_site,
                "pedestrian_sites": list(foot_rows.SITES),
            }
            return ParsedMonth(
                _frame(request, vehicles, persons, counts, self.source(payloads)),
                received=total,
                used=used,
                fields=[*counts.fields, *foot.fields],
                rejected={reason: count for reason, count in rejected.items() if count},
                nulled=nulled,
                provenance=provenance,
            )

    def fingerprint(self, request: Request, http: HttpClient) -> Mapping[str, str]:
        """Three small calls, of the vehicles: the pedestrians' file changes every hour, and names no month."""
        with about(self.name, request):
            table = datastore.tables(http).get(request.month.year)
            current = datastore.extent(http, datastore.Span.of(table, request.month)) if table else None
            if current is None or not current.rows:
                raise no_data(request, self.capabilities, "the city's tables have no row of the month")
            return current.fingerprint

    def calls(self, settings: object) -> int:  # noqa: ARG002
        return _SMALL_CALLS + _PAGES

    def check_connection(self, http: HttpClient) -> str:
        years = list(datastore.tables(http))
        foot_file.address(http)
        return f"answers, no key needed; motor counts of {years[0]} to {years[-1]}, and the pedestrians' file"


def _frame(request: Request, vehicles: Estimate, persons: Estimate, counts: Counts, source: str) -> pd.DataFrame:
    import numpy as np

    size = max(len(vehicles.volume), len(persons.volume))
    volume, count = np.full(size, np.nan), np.full(size, np.nan)
    volume[: len(vehicles.volume)], count[: len(persons.volume)] = vehicles.volume, persons.volume
    details = [
        {
            **_detail(vehicles, slot, "coverage", "stations"),
            **_detail(persons, slot, "pedestrian_coverage", "pedestrian_sites"),
            "method_version": METHOD_VERSION,
            **unresolved_flag(slot, counts.unresolved),
        }
        for slot in range(size)
    ]
    return hour_frame(request, source, {"traffic_volume": volume, "pedestrian_count": count}, details)


def _detail(panel: Estimate, slot: int, coverage: str, number: str) -> dict[str, float]:
    """The panel's coverage of an hour and its counting members; of an hour that is not there yet, none."""
    there = slot < len(panel.volume)
    return {
        coverage: round(float(panel.coverage[slot]), 4) if there else 0.0,
        number: int(panel.stations[slot]) if there else 0,
    }
