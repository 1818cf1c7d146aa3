"""Open-Meteo's month from its archive's answers: lists of hours, sums told an hour late."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from city_data_tests.oracles.plain import HOUR, CannotTell, Values, bounds, grouped, json_of, number, times

VARIABLES = {
    "temperature_2m": "temperature",
    "precipitation": "precipitation",
    "relative_humidity_2m": "humidity",
    "wind_speed_10m": "wind_speed",
    "pressure_msl": "pressure",
}
# That an answer may lack.
OTHERS = {
    "sunshine_duration": "seconds_of_an_hour",
    "cloud_cover": "cloud_cover",
    "wind_gusts_10m": "wind_gust",
    "snowfall": "snowfall",
}
LATE = {"precipitation": "precipitation", "sunshine_duration": "seconds_of_an_hour", "snowfall": "snowfall"}


def month(payloads: Sequence[bytes], request: Any) -> Values:
    rows = []
    for body in payloads:
        document = json_of(body, "utf-8-sig")
        if isinstance(document, list) and len(document) == 1:
            document = document[0]
        try:
            hourly, kinds = document["hourly"], dict(VARIABLES)
            kinds |= {name: kind for name, kind in OTHERS.items() if name in hourly}
            lists = [hourly["time"], *(hourly[name] for name in kinds)]
        except (TypeError, KeyError) as error:
            raise CannotTell(f"no hourly block: {error}") from error
        if not all(isinstance(values, list) and len(values) == len(lists[0]) for values in lists):
            raise CannotTell("lists of several lengths")
        for text, *cells in zip(*lists, strict=True):
            row = {c: number(v, ".", c) for c, v in zip(kinds.values(), cells, strict=True)}
            rows.append((moment_of(text), row))
    told = grouped((moment, row) for moment, row in rows if moment.minute == moment.second == 0)
    first, end = bounds(request)
    return {hour: {**row, **_late(told.get(hour + HOUR, {}))} for hour, row in told.items() if first <= hour < end}


def _late(following: dict[str, float | None]) -> dict[str, float | None]:
    """The sums of an hour, from the row after it."""
    sums = {column: following.get(kind) for column, kind in LATE.items()}
    return {**sums, "sunshine_duration": times(sums["sunshine_duration"], 1 / 60)}


def moment_of(text: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise CannotTell(f"no time: {text!r}") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
