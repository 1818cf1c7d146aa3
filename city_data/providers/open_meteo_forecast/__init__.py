"""Open-Meteo's forecasts of one model: each hour as it was forecast one to seven days before, and the hours ahead.
https://open-meteo.com/en/docs/previous-runs-api, https://open-meteo.com/en/docs

Belongs here: the two requests, and the month made of their answers. Does not: HTTP, or the answers (hours.py).

`<variable>_previous_dayN` is "the value that was predicted N times 24 hours before valid time", by its documentation;
by its code, of the newest run that began then or before (OmFileSplitter.swift leaves out the first N days of a run, and
newer runs overwrite). So a value is final once its hour lies at most N times 24 hours ahead. The other hours of the
N-th day ahead have the newest forecast's value, as anybody who asks that day has it; `raw_data` calls it provisional.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from city_data.cities import great_circle_km
from city_data.datasets import LEAD_DAYS
from city_data.providers.base import (
    Capabilities,
    Meaning,
    NotYetPublished,
    ParsedMonth,
    Payload,
    Provider,
    Quota,
    RateLimit,
    Request,
    about,
    no_data,
)
from city_data.providers.http import HttpClient
from city_data.providers.open_meteo_forecast.hours import (
    AHEAD,
    AHEAD_FILE,
    COLUMNS,
    PAST,
    Form,
    Reach,
    read,
    refuse_empty,
    rows_of,
)
from city_data.providers.shared.cells import count_nulled
from city_data.providers.shared.open_meteo_answers import judge, refuse_partial
from city_data.window import Month

PREVIOUS_URL = "https://previous-runs-api.open-meteo.com/v1/forecast"
FORECAST_URL = "https://api.open-meteo.com/v1/forecast"
# ECMWF's open data on a grid of 0.25°: of the whole world, four runs a day (frames/leads.py counts on them), ten days
# and more, all columns by lead.
MODEL = "ecmwf_ifs025"
_DAY = timedelta(days=1)


class OpenMeteoForecast(Provider):
    name = "open_meteo_forecast"
    clock = "UTC's days"
    capabilities = Capabilities(
        dataset="forecast",
        columns=tuple(COLUMNS),
        resolution="hourly",
        # The last run that counts for a month began a day before its end, and is public some hours later.
        lag=_DAY,
        settling=2 * _DAY,
        ahead=LEAD_DAYS[-1] * _DAY,
        earliest=Month(2024, 3),
        # The first of two calls counts by its size: 42 variables of ten, 33 days of fourteen.
        rate_limit=RateLimit(
            calls=600, seconds=60, spacing=0.2, weight=5.5, quotas=(Quota(5_000, 3_600), Quota(10_000, 86_400))
        ),
        licence="Forecasts of ECMWF by Open-Meteo.com (CC BY 4.0; the free service is for non-commercial use)",
        licence_url="https://open-meteo.com/en/licence",
        modelled=True,
        hosts=("previous-runs-api.open-meteo.com", "api.open-meteo.com"),
        meanings=Meaning.of_weather(
            COLUMNS,
            area="the model's grid cell of the city's centre",
            per="grid cell",
            method="ECMWF's IFS on 0.25° by days of lead, its rain moved to the hour it fell",
        ),
    )

    def fetch(self, request: Request, http: HttpClient, into: Path) -> Sequence[Payload]:
        """The hours by lead, and the newest forecast where the month has hours ahead."""
        with about(self.name, request):
            reach = Reach.of(request)
            if reach.end <= reach.start:
                raise NotYetPublished(f"the month begins more than {LEAD_DAYS[-1]} days ahead")
            payloads = [_get(http, PREVIOUS_URL, PAST, request, (reach.start, reach.end), into / "previous_runs.json")]
            if request.as_of < reach.end:
                hours = max(reach.start, request.as_of), reach.end
                payloads.append(_get(http, FORECAST_URL, AHEAD, request, hours, into / AHEAD_FILE))
            past, ahead = read(request, payloads, reach, Counter())
            refuse_empty(past, ahead, reach)
            if next(rows_of(reach, past, ahead), None) is None:
                raise no_data(request, self.capabilities, "no forecast of the month is available")
            return payloads

    def parse(self, request: Request, payloads: Sequence[Payload]) -> ParsedMonth:
        """The hours of the local month by lead, as far as they were forecast at the time of the request.

        A row received is an hour of an answer's time axis. The hours around the local month count as rejected, though
        the last one has the rain of the month's last hour.
        """
        import pandas as pd

        with about(self.name, request):
            reach, rejected = Reach.of(request), Counter[str]()
            past, ahead = read(request, payloads, reach, rejected)
            columns = pd.Index(["date", "lead_days", *COLUMNS, "raw_data"])
            frame = pd.DataFrame(rows_of(reach, past, ahead), columns=columns).astype(dict.fromkeys(COLUMNS, "float64"))
            frame["date"] = pd.to_datetime(frame["date"], utc=True)
            frame["source"] = self.source(payloads)
            first = past if past.received else ahead
            return ParsedMonth(
                frame,
                received=past.received + ahead.received,
                used=len(past.hours) + len(ahead.hours),
                fields=first.fields,
                rejected=dict(+rejected),
                nulled=dict(count_nulled([*past.cells.values(), *ahead.cells.values()])),
                provenance={
                    "model": next((one.params["models"] for one in payloads if "models" in one.params), MODEL),
                    "grid_cell": first.cell,
                    **({"grid_cell_ahead": ahead.cell} if ahead.received else {}),
                    "distance_km": _distance_km(request, first.cell),
                    "unknown_fields": sorted({*past.unknown, *ahead.unknown}),
                },
            )

    def check_connection(self, http: HttpClient) -> str:
        day = {"latitude": "40.4", "longitude": "-3.7", "start_date": "2024-05-01", "end_date": "2024-05-01"}
        query = {"hourly": "temperature_2m_previous_day1", "models": MODEL, "timezone": "GMT"}
        http.get(PREVIOUS_URL, params=day | query, accept=judge)
        return "answers, no key needed"


def _get(
    http: HttpClient, url: str, form: Form, request: Request, hours: tuple[datetime, datetime], path: Path
) -> Payload:
    """The answer about the UTC days from the first of two moments to the second, at which the last hour's rain is."""
    first, last = (moment.astimezone(UTC).date() for moment in hours)
    params = {
        "latitude": str(request.location.latitude),
        "longitude": str(request.location.longitude),
        "start_date": str(first),
        "end_date": str(last),
        "hourly": ",".join(form.units),
        "models": MODEL,
        "wind_speed_unit": "ms",
        # Any other zone would get the offset of today for all of history.
        "timezone": "GMT",
    }
    response = http.get(url, params=params, accept=judge)
    path.write_bytes(response.body)
    payload = Payload(path.name, path, url, params, "application/json", origin=response.origin)
    refuse_partial(payload)
    return payload


def _distance_km(request: Request, cell: Mapping[str, float | None]) -> float | None:
    """From the city's centre to the point that the answer is about."""
    north, east = cell.get("latitude"), cell.get("longitude")
    if north is None or east is None:
        return None
    return round(great_circle_km(request.location.latitude, request.location.longitude, north, east), 2)
