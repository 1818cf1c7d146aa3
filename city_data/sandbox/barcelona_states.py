"""Barcelona's synthetic road states and their month files, in the city's format.

Belongs here: the states, the CSV's spelling, its cache on disk. Does not: HTTP and the catalogue (barcelona.py).
Every value depends only on its segment and its moment. Rows are written snapshot after snapshot, with the city's own
clocks and no offset; identifiers with blanks and a BOM come and go with the year, as in other files of the city.
"""

from __future__ import annotations

import codecs
import io
import os
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from city_data.sandbox.noise import Floats, bell, one, smooth, uniform
from city_data.sandbox.traffic import Holidays, quarters
from city_data.window import Month

LAG = timedelta(days=3)  # after a month's end
TIMEZONE = "Europe/Madrid"
HOLIDAYS = Holidays("CT", ((9, 24),))
SIZES = {"small": 36, "full": 534}
HEADER = b"idTram,data,estatActual,estatPrevist\n"
YEAR_OF_BLANKS, YEAR_OF_BOM = 2024, 2025
_STEP = 300  # seconds between the live feed's snapshots
_ACTIVE, _PLACE, _LATE, _KEPT, _FATE, _START, _LENGTH, _NOISE, _WAVE, _OUTAGE, _FORECAST = range(401, 412)
_GENERATION = 1  # to be raised when the numbers change, so that no old file is served
# A segment's load at which it is fluid, dense, very dense, congested.
_THRESHOLDS = np.array([0.42, 0.78, 1.0, 1.2])
_DEAD, _CLOSED_AWHILE, _SILENT_AWHILE = 0.12, 0.17, 0.25


@dataclass(frozen=True)
class Snapshots:
    """The moments of the feed's snapshots: seconds since 1970, the local stamp, and the city's share of its peak."""

    second: NDArray[np.int64]
    stamps: list[str]
    demand: Floats


def write_barcelona_month(path: Path, month: Month, segments: int = SIZES["full"]) -> None:
    """Write the CSV of `month`; the same bytes at every call."""
    moments = snapshots(month)
    ids = 1 + np.arange(segments)
    states = states_of(ids, moments, month)
    ahead = np.roll(states, -3, axis=1)  # the forecast is of a quarter hour later; of many it is none
    forecast = np.where(uniform(_FORECAST, ids)[:, None] < 0.6, 0, ahead)
    names = [f" {n}" for n in ids] if month.year == YEAR_OF_BLANKS else [str(n) for n in ids]
    table = pl.DataFrame(
        {
            "idTram": np.tile(names, len(moments.stamps)),
            "data": np.repeat(moments.stamps, segments),
            "estatActual": states.T.ravel(),
            "estatPrevist": forecast.T.ravel(),
        }
    )
    text = io.BytesIO(codecs.BOM_UTF8 if month.year == YEAR_OF_BOM else b"")
    text.seek(0, io.SEEK_END)
    text.write(HEADER)
    # A name with a blank is quoted, as the city's other files do.
    text.write(table.with_columns(_quoted(month)).write_csv(include_header=False, quote_style="never").encode())
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(text.getvalue())
    published = datetime.combine((month + 1).first_day + LAG, datetime.min.time(), UTC).timestamp()
    os.utime(part, (published, published))
    part.replace(path)


def _quoted(month: Month) -> pl.Expr:
    name = pl.col("idTram")
    return pl.concat_str(pl.lit('"'), name, pl.lit('"')).alias("idTram") if month.year == YEAR_OF_BLANKS else name


def snapshots(month: Month) -> Snapshots:
    """In order of time: in October the clock goes back once. Where nothing changes, above all at night, snapshots are
    left out, about two of three; and in one month of four the feed stops for half a day."""
    moments = quarters(month, month.last_day, HOLIDAYS, TIMEZONE)
    number = np.arange(moments.number[0] * 900 // _STEP, (moments.number[-1] + 1) * 900 // _STEP)
    demand = moments.demand[number * _STEP // 900 - moments.number[0]]
    written = uniform(_KEPT, number) < 0.12 + 0.3 * np.minimum(demand, 1)
    written &= ~_outage(month, number)
    written[0] = True
    number, demand = number[written], demand[written]
    second = number * _STEP + 40 + (20 * uniform(_LATE, number)).astype(np.int64)
    zone = ZoneInfo(TIMEZONE)
    stamps = [f"{datetime.fromtimestamp(t, UTC).astimezone(zone):%Y%m%d%H%M%S}" for t in second.tolist()]
    return Snapshots(second, stamps, demand)


def states_of(ids: NDArray[np.int64], moments: Snapshots, month: Month) -> NDArray[np.int64]:
    """Segments by snapshots, 0 to 6. Some segments are always dead, some silent or closed for a while."""
    segment, second = ids[:, None], moments.second[None, :]
    busy = 0.5 + 0.75 * uniform(_PLACE, segment)
    wave = np.stack([smooth(_WAVE * 1000 + int(n), moments.second / 3600, 2.0) for n in ids])
    load = busy * moments.demand * (1 + 0.12 * wave + 0.05 * bell(_NOISE, segment, second // 900))
    states = 1 + np.digitize(load, _THRESHOLDS)
    dead = uniform(_ACTIVE, segment) < _DEAD
    keys = (segment, month.year, month.month)
    fate = uniform(_FATE, *keys)
    length = 3600 * (6 + 120 * uniform(_LENGTH, *keys) ** 2)
    begins = moments.second[0] + uniform(_START, *keys) * len(month.days()) * 86400
    within = (second >= begins) & (second < begins + length)
    states = np.where(within & (fate < _CLOSED_AWHILE), 6, states)
    return np.where(dead | (within & (fate >= _CLOSED_AWHILE) & (fate < _SILENT_AWHILE)), 0, states)


@dataclass
class States:
    """The CSVs of one size, written to `folder` at their first request."""

    folder: Path
    segments: int
    _locks: defaultdict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    def file(self, month: Month) -> Path:
        """Equal requests wait for one another: a client that gave up and asks again does not double the work."""
        path = self.folder / f"barcelona-{_GENERATION}-{self.segments}-{month}.csv"
        with self._locks[path.name]:
            if not path.exists():
                self.folder.mkdir(parents=True, exist_ok=True)
                write_barcelona_month(path, month, self.segments)
        return path


def _outage(month: Month, number: NDArray[np.int64]) -> NDArray[np.bool_]:
    keys = (_OUTAGE, month.year, month.month)
    if one(*keys, 1) > 1 / 4:
        return np.zeros(len(number), np.bool_)
    first = number[0] + int(one(*keys, 2) * len(number))
    return np.asarray((number >= first) & (number < first + timedelta(hours=12).seconds // _STEP), np.bool_)
