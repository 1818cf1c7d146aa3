"""Lyon's synthetic counters: channels of the national schema, and the passages of every channel and interval.

Belongs here: the numbers and the spelling of both tables. Does not: HTTP, the lag (lyon.py).
Every value depends only on its channel and its interval. The real list's quirks are kept: two styles of identifiers,
steps in seconds, channels of bicycles and of several kinds, channels that have fallen silent, and stamps by the city's
clock with its offset.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from city_data.sandbox.noise import Floats, bell, one, uniform
from city_data.sandbox.traffic import Holidays, quarters
from city_data.window import Month

TIMEZONE = "Europe/Paris"
HOLIDAYS = Holidays(None, (), "FR")
SITES = {"small": 6, "full": 52}
COLUMNS = ("channel_id", "channel_provider_id", "site_provider_id", "site_id", "mobility_type", "comment",
           "counter_transmission_type", "publication_transmission_type", "counter_type", "direction",
           "provider_direction_code", "provider_direction_name", "data_provider_name", "temporality", "started_at",
           "ended_at", "last_updated_at", "time_step", "provider_portal_url")  # fmt: skip
_SIZE, _NOISE, _FATE, _START, _GONE = range(701, 706)
_QUARTER_S = 900


@dataclass(frozen=True)
class Channel:
    """A direction of a site. `size` is its passages an hour at the city's peak."""

    number: int
    identifier: str
    site: str
    kinds: str
    step_s: int
    direction: str

    @property
    def size(self) -> float:
        return (260.0 if self.kinds == "PEDESTRIAN" else 60.0) * float(np.exp(0.6 * bell(_SIZE, self.number))[0])


@cache
def channels(sites: int) -> tuple[Channel, ...]:
    """Two directions of pedestrians a site; every third site counts bicycles too, and one scooters with pedestrians."""
    listed: list[Channel] = []
    for site in range(sites):
        is_infrared = site % 2 == 0
        name = f"69382.{640 + site:05d}.02" if is_infrared else str(100_017_700 + site)
        step = 3_600 if is_infrared or site % 4 == 1 else _QUARTER_S
        kinds = ["PEDESTRIAN", "PEDESTRIAN", *(["BIKE", "BIKE"] if site % 3 == 0 else [])]
        kinds += ["E-SCOOTER,PEDESTRIAN"] if site == 1 else []
        for place, kind in enumerate(kinds):
            identifier = f"{name}.{place:02d}" if is_infrared else str(101_017_700 + 10 * site + place)
            listed.append(Channel(10 * site + place, identifier, name, kind, step, ("IN", "OUT")[place % 2]))
    return tuple(listed)


def channels_csv(listed: tuple[Channel, ...], moment: datetime) -> bytes:
    """The table as the portal exports it: semicolons, stamps by the city's clock."""
    text = io.StringIO()
    table = csv.writer(text, delimiter=";", lineterminator="\n")
    table.writerow(COLUMNS)
    updated = _stamp(moment.replace(minute=0, second=0, microsecond=0) - timedelta(hours=2))
    for channel in listed:
        maker = "JCDecaux" if "." in channel.identifier else "EcoCounter"
        counter = "ACTIVE INFRARED" if maker == "JCDecaux" else ""
        step = channel.step_s if channel.number % 7 else 0  # as some channels of the real list
        table.writerow([channel.identifier, channel.identifier, "", channel.site, channel.kinds, "",
                        "REMOTE TRANSMISSION", "API", counter, "", channel.direction, maker, maker, "PERMANENT",
                        "2023-02-22 12:00:00+01:00", "", updated, step, ""])  # fmt: skip
    return text.getvalue().encode()


def measures(month: Month, sites: int, revision: int = 0) -> list[dict[str, Any]]:
    """Every row of a local month by start and channel. Each revision counts a tenth more in the second half."""
    moments = quarters(month, month.last_day, HOLIDAYS, TIMEZONE)
    rows: list[tuple[int, int, dict[str, Any]]] = []
    for channel in channels(sites):
        size = channel.step_s // _QUARTER_S
        demand = moments.demand.reshape(-1, size).mean(axis=1)
        number = moments.number.reshape(-1, size)[:, 0]
        counts = _counts(channel, demand, number, revision)
        present = ~moments.outage.reshape(-1, size).any(axis=1) & _is_working(channel, month, number)
        for begin, count in zip((number[present] * _QUARTER_S).tolist(), counts[present].tolist(), strict=True):
            rows.append((begin, channel.number, _row(channel, begin, count)))
    return [row for _, _, row in sorted(rows, key=lambda entry: entry[:2])]


def _counts(channel: Channel, demand: Floats, number: NDArray[np.int64], revision: int) -> Floats:
    wave = 1 + 0.2 * bell(_NOISE, channel.number, number // 4)
    counts = channel.size * channel.step_s / 3_600 * np.maximum(demand * wave, 0)
    if revision:
        counts[len(counts) // 2 :] *= 1 + 0.1 * revision
    counts = np.round(counts)
    counts[uniform(_GONE, channel.number, number) < 0.005] = np.nan
    return np.asarray(counts, np.float64)


def _is_working(channel: Channel, month: Month, number: NDArray[np.int64]) -> NDArray[np.bool_]:
    """One channel of ten falls silent within a month."""
    keys = (channel.number, month.year, month.month)
    begins = one(_START, *keys) * len(number) if one(_FATE, *keys) < 0.1 else len(number)
    return np.arange(len(number)) < begins


def _row(channel: Channel, begin: int, count: float) -> dict[str, Any]:
    start = datetime.fromtimestamp(begin, UTC)
    return {
        "channel_id": channel.identifier,
        "counter_id": channel.site,
        "start_datetime": _stamp(start),
        "end_datetime": _stamp(start + timedelta(seconds=channel.step_s)),
        "count": None if np.isnan(count) else int(count),
    }


@lru_cache(maxsize=10_000)
def _stamp(moment: datetime) -> str:
    return moment.astimezone(ZoneInfo(TIMEZONE)).isoformat(" ")
