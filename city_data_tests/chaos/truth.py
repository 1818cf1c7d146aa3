"""The values that a source has, computed without the platform: by the sandbox's answer and the oracle of its format.

Belongs here: expected values of Open-Meteo's weather by hour. Does not: their comparison (watcher.py).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import httpx

from city_data.sandbox import Sandbox
from city_data.window import Month
from city_data_tests.chaos.watcher import Series, Truth
from city_data_tests.oracles import open_meteo

_VARIABLES = "temperature_2m,precipitation,relative_humidity_2m,wind_speed_10m,pressure_msl"
# Later days are still to be published while the platform runs.
_CERTAIN = timedelta(days=8)


def weather(sandbox: Sandbox, series: Series, months: list[Month]) -> Truth:
    now = datetime.now(UTC)
    hours: dict[str, dict[str, float | None]] = {}
    for month in months:
        start, end = month.bounds(series.timezone)
        query = {
            "latitude": str(series.latitude),
            "longitude": str(series.longitude),
            "start_date": str(start.date()),
            "end_date": str(min((end + timedelta(hours=1)).date(), now.date())),
            "hourly": _VARIABLES,
            "wind_speed_unit": "ms",
            "timezone": "GMT",
        }
        answer = httpx.get(f"{sandbox.base_url}/archive-api.open-meteo.com/v1/archive", params=query, timeout=60)
        request = SimpleNamespace(month=month, location=SimpleNamespace(timezone=series.timezone))
        for hour, values in open_meteo.month([answer.raise_for_status().content], request).items():
            if hour < now - _CERTAIN:
                hours[f"{hour:%Y-%m-%dT%H:%M:%SZ}"] = {name: values[name] for name in open_meteo.VARIABLES.values()}
    return hours
