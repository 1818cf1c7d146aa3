"""A synthetic, plausible road network: flow, load and speed a quarter hour at every measurement point of Madrid.

Belongs here: the numbers. Does not: how they are written (madrid_archive.py).
Every value depends only on its sensor and its moment, so a partial month is the beginning of the whole one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import holidays
import numpy as np
from numpy.typing import NDArray

from city_data.sandbox.noise import Floats, bell, bits, one, smooth, uniform
from city_data.window import Month, day_bounds

CENSUS = Month(2026, 9)  # the month at which a network has exactly its nominal number of points
GROWTH_A_MONTH = 0.004
_BASE, _TILT, _FATE, _START, _LENGTH, _NOISE, _HOURLY, _DAY, _CITY = range(201, 210)
_SEASON = (0.97, 1.0, 1.01, 0.97, 1.01, 1.0, 0.9, 0.68, 0.98, 1.02, 1.02, 1.0)
# Share of the peak at each full hour, 0 to 24.
# fmt: off
_WORKDAY = (0.22, 0.13, 0.09, 0.07, 0.09, 0.2, 0.48, 0.82, 1.0, 0.88, 0.75, 0.74, 0.77,
            0.82, 0.88, 0.9, 0.84, 0.86, 0.95, 0.97, 0.86, 0.66, 0.47, 0.33, 0.22)
_RESTDAY = (0.38, 0.3, 0.23, 0.18, 0.15, 0.14, 0.18, 0.23, 0.3, 0.4, 0.52, 0.62, 0.69,
            0.72, 0.68, 0.6, 0.56, 0.57, 0.61, 0.66, 0.67, 0.61, 0.52, 0.43, 0.34)
# fmt: on


@dataclass(frozen=True)
class Holidays:
    """A country's, one region's, and a city's own (month, day)."""

    region: str | None
    city: tuple[tuple[int, int], ...]
    country: str = "ES"


@dataclass(frozen=True)
class Quarters:
    """The quarter hours of a month up to a day: number since 1970 (UTC), local stamp, and the city's share of peak."""

    number: NDArray[np.int64]
    stamps: list[str]
    demand: Floats
    tilt: Floats
    outage: NDArray[np.bool_]


@dataclass(frozen=True)
class Sensors:
    """The points of a month, by ascending id."""

    ids: NDArray[np.int64]
    m30: NDArray[np.bool_]
    base: Floats


@dataclass(frozen=True)
class Readings:
    """Matrices, sensors by quarters; a missing flow is NaN. `present` is False where the file has no row."""

    flow: Floats
    load: NDArray[np.int64]
    speed: NDArray[np.int64]
    present: NDArray[np.bool_]
    event: Floats


def sensors(month: Month, points: int) -> Sensors:
    """The network grows: each month has a little more of the same points."""
    age = (month.year - CENSUS.year) * 12 + month.month - CENSUS.month
    index = np.arange(max(4, round(points * (1 + GROWTH_A_MONTH * age))))
    m30 = index % 8 == 0
    newcomers = index >= round(points * (1 - 12 * GROWTH_A_MONTH))
    ids = np.where(m30, 1001 + index // 8, 3395 + index) + np.where(newcomers, 10_000, 0)
    size = np.exp(0.45 * bell(_BASE, ids))
    order = np.argsort(ids)
    return Sensors(ids[order], m30[order], np.where(m30, 3000 * np.clip(size, 0.5, 1.8), 480 * size)[order])


def quarters(month: Month, last_day: date, holiday_set: Holidays, timezone: str) -> Quarters:
    """In order of time, on a city's clocks: in October the local stamps of the doubled hour come
    twice, in March an hour has none."""
    start, end = month.bounds(timezone)[0], day_bounds(last_day, timezone)[1]
    first, last = (int(moment.timestamp()) // 900 for moment in (start, end))
    number = np.arange(first, last)
    zone = ZoneInfo(timezone)
    local = [datetime.fromtimestamp(n * 900, UTC).astimezone(zone) for n in number.tolist()]
    hour = np.array([moment.hour + moment.minute / 60 for moment in local])
    days = np.array([(moment.date() - month.first_day).days for moment in local])
    rest = np.array([_is_rest(month.first_day + timedelta(days=n), holiday_set) for n in range(32)])[days]
    weekday = (days + month.first_day.weekday()) % 7
    shape = np.where(rest, np.interp(hour, range(25), _RESTDAY), np.interp(hour, range(25), _WORKDAY))
    level = _season(month, days) * np.where(weekday == 4, 1.04, 1.0) * np.where(weekday == 6, 0.9, 1.0)
    level = (
        level * (1 + 0.03 * bell(_DAY, days, month.year, month.month)) * (1 + 0.03 * smooth(_CITY, number / 96, 9.0))
    )
    tilt = np.where(rest, 0.0, np.interp(hour, [0, 6, 9, 14, 18, 21, 24], [0, 0.3, 1, 0, -1, -0.3, 0]))
    return Quarters(
        number, [f"{moment:%Y-%m-%d %H:%M:%S}" for moment in local], shape * level, tilt, _outage(month, start, number)
    )


def readings(group: Sensors, moments: Quarters, month: Month) -> Readings:
    """What `group` measured. Dead sensors, gaps, spikes and bad quarters included."""
    ids, number = group.ids[:, None], moments.number[None, :]
    lean = 0.3 * (2 * uniform(_TILT, ids) - 1)
    raw = bits(_NOISE, ids, number)
    fine = ((raw & np.uint64(0xFFFF)) + ((raw >> np.uint64(16)) & np.uint64(0xFFFF))) / 65536.0 - 1.0
    ratio = (
        moments.demand * (1 + lean * moments.tilt) * (1 + 0.06 * bell(_HOURLY, ids, number // 4)) * (1 + 0.12 * fine)
    )
    flow = np.round(group.base[:, None] * ratio)
    load = np.where(group.m30[:, None], 0, np.clip(np.round(55 * ratio**1.15), 0, 100)).astype(np.int64)
    speed = np.where(group.m30[:, None], np.clip(np.round(87 - 34 * ratio**3 + 4 * fine), 12, 99), 0).astype(np.int64)
    event = np.asarray((raw >> np.uint64(32)) * 2.0**-32, np.float64)
    flow[event < 2e-5] = 27_943  # a spike, such as the city really publishes
    silent, present = _fates(group, moments, month)
    flow[silent | moments.outage | ((event > 0.5) & (event < 0.504))] = np.nan
    return Readings(flow, load, speed, present, event)


def _fates(group: Sensors, moments: Quarters, month: Month) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where a sensor has rows without values, and where it has rows at all."""
    keys = (group.ids[:, None], month.year, month.month)
    fate, length = uniform(_FATE, *keys), 1 + 1400 * uniform(_LENGTH, *keys) ** 2
    whole = len(month.days()) * 96
    index = np.arange(len(moments.number))[None, :]
    begins = uniform(_START, *keys) * whole
    within = (index >= begins) & (index < begins + length)
    silent = (fate < 0.03) | (within & (fate < 0.12))
    absent = (fate >= 0.95) | (within & (fate >= 0.12) & (fate < 0.3))
    return silent, ~absent


def _outage(month: Month, start: datetime, number: NDArray[np.int64]) -> NDArray[np.bool_]:
    """In one month of three the whole collection stops for some hours."""
    keys = (_CITY, month.year, month.month)
    if one(*keys, 1) > 1 / 3:
        return np.zeros(len(number), np.bool_)
    first = int(start.timestamp()) // 900 + int(one(*keys, 2) * len(month.days()) * 96)
    return (number >= first) & (number < first + 6 + int(one(*keys, 3) * 14))


def _season(month: Month, days: NDArray[np.int64]) -> Floats:
    """From the middle of a month to the middle of the next without a jump, a little higher every year."""
    middle = month.month - 1 + (days - 14) / 30
    level = np.interp(middle % 12, range(13), [*_SEASON, _SEASON[0]])
    return np.asarray(level * 1.01 ** (month.year - CENSUS.year))


@cache
def _closed(year: int, holiday_set: Holidays) -> frozenset[date]:
    regional = holidays.country_holidays(holiday_set.country, subdiv=holiday_set.region, years=year)
    return frozenset(regional) | {date(year, month, day) for month, day in holiday_set.city}


def _is_rest(day: date, holiday_set: Holidays) -> bool:
    return day.weekday() >= 5 or day in _closed(day.year, holiday_set)
