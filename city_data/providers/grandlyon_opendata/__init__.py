"""Lyon's pedestrians: passages an hour at the counting sites of the Métropole de Lyon. https://data.grandlyon.com

Belongs here: the portal's capabilities, a month's payloads, the canonical frame. Does not: its calls (feed.py), or the
national schema and its city-hours (shared/mobility_counts/), which serve any city that publishes in it.

No answer of the portal's measures has been recorded: their wire rests on the schema's own examples and on two public
clients. `city-data doctor` says so, and `city-data doctor --live` settles it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
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
    Settings,
    about,
    no_data,
)
from city_data.providers.grandlyon_opendata import feed
from city_data.providers.http import HttpClient
from city_data.providers.shared.hour_frames import hour_frame, panel_details
from city_data.providers.shared.mobility_counts.hours import SITE_METHOD, SITE_METHOD_VERSION
from city_data.providers.shared.mobility_counts.measures import moment_of

if TYPE_CHECKING:
    import pandas as pd

    from city_data.providers.shared.mobility_counts.channels import Channel
    from city_data.providers.shared.mobility_counts.hours import SiteHours

KIND = "PEDESTRIAN"
_DAY = timedelta(days=1)


class GrandLyonSettings(Settings):
    """The addresses of two tables in the national schema; another city's are an entry of the registry."""

    channels: str = feed.CHANNELS
    measures: str = feed.MEASURES


class GrandLyonOpenData(Provider):
    name = "grandlyon_opendata"
    settings_model = GrandLyonSettings
    sampled = "the channels, and the counts of the two newest days"
    capabilities = Capabilities(
        dataset="traffic",
        columns=("pedestrian_count",),
        resolution="hourly",
        # Channels were some hours behind; when the city corrects counts is not documented.
        lag=timedelta(days=2),
        settling=timedelta(days=28),
        earliest=None,
        rate_limit=RateLimit(calls=20, seconds=60, spacing=1.0),
        licence="Mesures des comptages de mobilité: Métropole de Lyon (Licence Ouverte / Open Licence Etalab 2.0)",
        licence_url="https://www.etalab.gouv.fr/licence-ouverte-open-licence/",
        modelled=False,
        hosts=(feed.HOST,),
        minimum_used_share=0.05,  # pages have the bicycles, scooters and cars too: 137 of 723 channels are pedestrians'
        meanings={
            "pedestrian_count": Meaning(
                quantity="pedestrians that pass in an hour, in all directions together",
                area="city panel of permanent counting sites of the Métropole de Lyon",
                per="site",
                method=SITE_METHOD,
                method_version=SITE_METHOD_VERSION,
            )
        },
    )

    def fetch(self, request: Request, http: HttpClient, into: Path) -> Sequence[Payload]:
        """The channels and the month's pages of measures, of all kinds of mobility."""
        with about(self.name, request):
            start, end = (bound.astimezone(ZoneInfo(request.location.timezone)) for bound in _bounds(request))
            # Whether a date in a condition begins by UTC or by the city's clock is not documented: the day before is
            # requested too, and left out at parsing.
            return self._payloads(request, http, into, (start.date() - _DAY, end.date()))

    def sample(self, request: Request, http: HttpClient, into: Path) -> Sample:
        """The days of the month up to the moment, two at most."""
        with about(self.name, request):
            zone = ZoneInfo(request.location.timezone)
            last = min(request.as_of, _bounds(request)[1] - timedelta(hours=1)).astimezone(zone).date()
            return Sample(request, self._payloads(request, http, into, (last - _DAY, last + _DAY)))

    def _payloads(self, request: Request, http: HttpClient, into: Path, days: tuple[date, date]) -> list[Payload]:
        settings = _settings(request)
        payloads, has_month = [feed.channels(http, settings.channels, into)], False
        start, end = (int(bound.timestamp()) for bound in _bounds(request))
        for payload, rows in feed.measures(http, settings.measures, days, into):
            payloads.append(payload)
            has_month = has_month or any(_is_inside(row, start, end) for row in rows)
        if not has_month:
            raise no_data(request, self.capabilities, "the portal has no count of the month")
        return payloads

    def parse(self, request: Request, payloads: Sequence[Payload]) -> ParsedMonth:
        """The month's city-hours, up to the last that has a count."""
        from city_data.providers.shared.local_hours import Clock
        from city_data.providers.shared.mobility_counts import hours, measures, tables
        from city_data.providers.shared.mobility_counts.channels import channels_of

        with about(self.name, request):
            lists, fields, reader = list[tables.Table](), dict[str, None](), None
            channels: dict[str, Channel | None] = {}
            for path in tables.channels_first([payload.path for payload in payloads]):
                table = tables.read(path)
                if table.is_channels:
                    lists.append(table)
                    continue
                fields |= dict.fromkeys(table.fields)
                if reader is None:
                    channels = channels_of(lists)
                    _pedestrian_channels(channels)
                    reader = measures.MeasureReader(channels, KIND, _bounds(request))
                reader.add(table)
            if reader is None:
                raise PermanentError("there is no table of measures among the files")
            reader.intervals.refuse_another_format()
            result = hours.site_hours(reader.intervals, channels, Clock.of(request.month, request.location.timezone))
            return ParsedMonth(
                _frame(result, request, self.source(payloads)),
                received=reader.intervals.total,
                used=result.used,
                fields=list(fields),
                rejected=result.rejected,
                nulled=result.nulled,
                provenance={
                    "method_version": SITE_METHOD_VERSION,
                    "panel": {"channels": result.channels, "sites": result.sites},
                    "incomplete_sites": result.incomplete,
                },
            )

    def calls(self, settings: Settings) -> int:  # noqa: ARG002
        """The channels, and the pages of a month with the empty one that ends them: six and one in March 2026."""
        return 8

    def check_connection(self, http: HttpClient) -> str:
        from city_data.providers.shared.mobility_counts.channels import channels_of
        from city_data.providers.shared.mobility_counts.tables import read

        with TemporaryDirectory(prefix="city_data-") as folder:
            table = read(feed.channels(http, feed.CHANNELS, Path(folder)).path)
        counted = _pedestrian_channels(channels_of([table]) if table.is_channels else {})
        return (
            f"answers, no key needed; {len(counted)} pedestrian channels on "
            f"{len({channel.site for channel in counted})} sites; the wire of the measures is the national schema's, "
            "and no answer was recorded: `city-data doctor --live` settles it"
        )


def _settings(request: Request) -> GrandLyonSettings:
    if not isinstance(request.settings, GrandLyonSettings):
        raise PermanentError(f"settings of another provider: {request.settings!r}")
    return request.settings


def _bounds(request: Request) -> tuple[datetime, datetime]:
    """From the month's first hour to the end of its last one."""
    hours = request.month.hours(request.location.timezone)
    return hours[0], hours[-1] + timedelta(hours=1)


def _is_inside(row: Any, start: int, end: int) -> bool:
    """Whether a row starts in the month. An unreadable one counts as inside: the parser refuses it, or counts it."""
    moment = moment_of(stamp) if isinstance(row, dict) and isinstance(stamp := row.get("start_datetime"), str) else ""
    return isinstance(moment, str) or start <= moment < end


def _pedestrian_channels(channels: Mapping[str, Channel | None]) -> list[Channel]:
    """The channels that count pedestrians and nothing else. Raises PermanentError where there are none."""
    counted = [channel for channel in channels.values() if channel is not None and channel.kinds == {KIND}]
    if not counted:
        raise PermanentError(f"none of the {len(channels):,} channels counts {KIND} alone")
    return counted


def _frame(result: SiteHours, request: Request, source: str) -> pd.DataFrame:
    hours = result.hours
    details = panel_details(hours.coverage, hours.stations, SITE_METHOD_VERSION)
    return hour_frame(request, source, {"pedestrian_count": hours.volume}, details)
