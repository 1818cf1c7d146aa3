"""Meteo-France: France's hourly climatology by station. https://www.data.gouv.fr/datasets/6569b4473bedf2e7abad3b72

Belongs here: capabilities, settings, and the choice between its two products. Does not: the department files, which
need no key (bulk_files.py), DPClim, which needs one (orders.py), or their lines (lines.py, hours.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import pydantic

from city_data.providers.base import (
    Capabilities,
    Meaning,
    NotYetPublished,
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
from city_data.providers.http import HttpClient
from city_data.providers.meteo_france import bulk_files as bulk
from city_data.providers.meteo_france import orders as orders
from city_data.providers.meteo_france.hours import NUMBERS, city_hours, read
from city_data.providers.meteo_france.samples import SAMPLE_BYTES, beginning
from city_data.providers.shared.stations import NoData
from city_data.window import Month


class MeteoFranceSettings(Settings):
    """A city's stations. `department`: two or three digits, such as "75" or "974". `stations`: eight digits each
    (`NUM_POSTE`), the first of which are the department's; the city's hour is their mean."""

    department: str = pydantic.Field(
        pattern=r"^([0-9]{2}|9[78][0-9])$", description="a department's number, such as 75 or 974"
    )
    stations: tuple[Annotated[str, pydantic.Field(pattern="^[0-9]{8}$")], ...] = pydantic.Field(
        min_length=1, description="a station's id of eight digits, such as 75114001"
    )

    @pydantic.model_validator(mode="after")
    def _of_the_department(self) -> MeteoFranceSettings:
        foreign = [station for station in self.stations if not station.startswith(self.department)]
        if foreign:
            raise ValueError(f"not of department {self.department}: {', '.join(foreign)}")
        return self


class MeteoFrance(Provider):
    name = "meteo_france"
    whole_files = True
    sampled = f"the catalogue, and the first {SAMPLE_BYTES:,} bytes of a department's file; with a key, one day"
    clock, stamps_end = "UTC", True
    settings_model = MeteoFranceSettings
    capabilities = Capabilities(
        dataset="weather",
        columns=(*NUMBERS, "description"),
        resolution="hourly",
        lag=timedelta(days=2),
        # Quality codes of 9 become 1, or 2, for weeks.
        settling=timedelta(days=25),
        earliest=None,
        rate_limit=RateLimit(calls=50, seconds=60),
        licence="Source: Météo-France, données climatologiques de base horaires (Licence Ouverte / Open Licence "
        "Etalab 2.0)",
        licence_url="https://www.etalab.gouv.fr/licence-ouverte-open-licence/",
        modelled=False,
        hosts=(
            "www.data.gouv.fr",
            # Hosts of the catalogue's files: until 2025, and since.
            "object.files.data.gouv.fr",
            "meteofrance.s3.sbg.io.cloud.ovh.net",
            "public-api.meteofrance.fr",
            "portail-api.meteofrance.fr",
        ),
        meanings=Meaning.of_weather(
            (*NUMBERS, "description"),
            area="the city's configured stations",
            per="station",
            method="each station's hour, then the mean of the stations that have one",
        ),
        # No `key_variable`, which names a required key: METEO_FRANCE_API_KEY or METEO_FRANCE_APPLICATION_ID only
        # select DPClim.
    )

    def fetch(self, request: Request, http: HttpClient, into: Path) -> Sequence[Payload]:
        """The month's lines as CSV: extracts of department files, or, with a key, a DPClim file a station."""
        with about(self.name, request):
            settings, bounds = _settings(request), request.month.bounds(request.location.timezone)
            if request.as_of <= bounds[0]:
                raise NotYetPublished("the month has not begun")
            access = orders.Access.of()
            try:
                if access is None:
                    payloads = bulk.fetch(http, into, settings.department, settings.stations, bounds)
                else:
                    payloads = orders.fetch(access, http, into, settings.stations, bounds, request.as_of)
            except NoData as error:
                raise no_data(request, self.capabilities, str(error)) from error
            if self.is_without_values(request, payloads):
                why = f"no line of {', '.join(settings.stations)} has a usable value"
                raise no_data(request, self.capabilities, why)
            return payloads

    def parse(self, request: Request, payloads: Sequence[Payload]) -> ParsedMonth:
        """The mean of the stations for every hour that any of them has. A row received is a line of the CSV."""
        import pandas as pd

        with about(self.name, request):
            stations, bounds = _settings(request).stations, request.month.bounds(request.location.timezone)
            reading = read(payloads, stations, bounds)
            rows = list(city_hours(reading, stations, self.source(payloads)))
            columns = ["date", *self.capabilities.columns, "source", "raw_data"]
            frame = pd.DataFrame(rows, columns=pd.Index(columns))
            frame["date"] = pd.to_datetime(frame["date"], utc=True)
            return ParsedMonth(
                frame,
                received=reading.received,
                used=reading.used,
                fields=reading.fields,
                rejected=dict(reading.rejected),
                nulled=dict(reading.nulled),
                provenance={"stations": reading.stations, "quality_codes": reading.quality_codes},
            )

    def sample(self, request: Request, http: HttpClient, into: Path) -> Sample:
        """The first month of the department's newest file, of the station that it begins with; with a key, the month's
        first day of the first station."""
        with about(self.name, request):
            settings, access = _settings(request), orders.Access.of()
            if access is not None:
                start = request.month.bounds(request.location.timezone)[0]
                day = (start, start + timedelta(days=1))
                payloads = orders.fetch(access, http, into, settings.stations[:1], day, request.as_of)
                return Sample(request, payloads)
            begin = beginning(http, into, settings.department, request.as_of.year)
            settings = settings.model_copy(update={"stations": (begin.station,)})
            part = replace(request, month=Month(begin.year, 1), settings=settings)
            return Sample(part, [begin.payload], begin.changed_at)

    def stations(self, settings: Settings) -> Sequence[str]:
        return settings.stations if isinstance(settings, MeteoFranceSettings) else ()

    def check_connection(self, http: HttpClient) -> str:
        access = orders.Access.of()
        if access is None:
            departments = {file.department for file in bulk.catalogue(http)}
            return f"answers, no key needed: files of {len(departments)} departments"
        return f"answers, and accepts the key: {orders.stations_of(access, http, '75')} stations in Paris"


def _settings(request: Request) -> MeteoFranceSettings:
    if not isinstance(request.settings, MeteoFranceSettings):
        raise PermanentError(f"settings of another provider: {request.settings!r}")
    return request.settings
