"""Open-Meteo's month from its archive's answers: lists of hours, rain told an hour late."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from city_data_tests.oracles.plain import HOUR, CannotTell, Values, bounds, grouped, json_of, number

VARIABLES = {
    "temperature_2m": "temperature",
    "precipitation": "precipitation",
    "relative_humidity_2m": "humidity",
    "wind_speed_10m": "wind_speed",
    "pressure_msl": "pressure",
}


def month(payloads: Sequence[bytes], request: Any) -> Values:
    rows = []
    for body in payloads:
        document = json_of(body, "utf-8-sig")
        if isinstance(document, list) and len(document) == 1:
            document = document[0]
        try:
            hourly = document["hourly"]
            lists = [hourly["time"], *(hourly[name] for name in VARIABLES)]
        except (TypeError, KeyError) as error:
            raise CannotTell(f"no hourly block: {error}") from error
        if not all(isinstance(values, list) and len(values) == len(lists[0]) for values in lists):
            raise CannotTell("lists of several lengths")
        for text, *cells in zip(*lists, strict=True):
            row = {c: number(v, ".", c) for c, v in zip(VARIABLES.values(), cells, strict=True)}
            rows.append((_moment(text), row))
    told = grouped((moment, row) for moment, row in rows if moment.minute == moment.second == 0)
    first, end = bounds(request)
    return {
        hour: {**row, "precipitation": told.get(hour + HOUR, {}).get("precipitation")}
        for hour, row in told.items()
        if first <= hour < end
    }


def _moment(text: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise CannotTell(f"no time: {text!r}") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
