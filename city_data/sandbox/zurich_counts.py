"""Zurich's synthetic counts: motor vehicles by direction and hour, and the pedestrians of Bahnhofstrasse.

Belongs here: the numbers, the spelling of the pedestrians' file. Does not: HTTP, SQL, the lags (zurich.py).
Every value depends only on its series and its hour. The real data's quirks are kept: series that are missing for whole
days, single hours filled by the city, October's hour as two rows that follow each other, gaps of the pedestrians as
absent rows, and a running hour at the end of their file.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from city_data.sandbox.noise import Floats, bell, uniform
from city_data.sandbox.traffic import Holidays, quarters
from city_data.window import Month

TIMEZONE = "Europe/Zurich"
HOLIDAYS = Holidays("ZH", (), "CH")
# Numbers of the 113 sites of 2026, and of those with one direction.
SITES = tuple(n for n in range(1, 119) if n not in (23, 94, 115, 116, 117))
SINGLE = frozenset({39, 42, 67, 74, 77, 91, 108, 110, 118})
MOTORWAYS = frozenset({24, 33, 79, 80, 110})
SMALL = (1, 2, 3, 4, 5, 6, 7, 8, 24, 33, 79, 80, 110)
FOOT_HEADER = (
    "timestamp,location_id,location_name,ltr_label,rtl_label,weather_condition,temperature,pedestrians_count,unverified,"
    "collection_type,zone_3_pedestrians_count,zone_99_pedestrians_count"
)
_FOOT_SITES = {
    329: ("Bahnhofstrasse (Mitte)", "Hauptbahnhof", "Bürkliplatz", 2_600),
    330: ("Bahnhofstrasse (Süd)", "Bürkliplatz", "Hauptbahnhof", 1_500),
    331: ("Bahnhofstrasse (Nord)", "Bürkliplatz", "Hauptbahnhof", 3_200),
    670: ("Lintheschergasse", "Hauptbahnhof", "Uraniastraße", 900),
}
# Share of the peak at each full local hour, on workdays and Saturdays, and on Sundays.
# fmt: off
_WALKS = (0.03, 0.02, 0.01, 0.01, 0.01, 0.02, 0.06, 0.15, 0.25, 0.35, 0.5, 0.65, 0.85,
          0.9, 0.85, 0.85, 0.9, 1.0, 0.85, 0.55, 0.3, 0.2, 0.12, 0.06)
# fmt: on
_SUNDAY, _RUNNING = 0.35, 0.3
_SIZE, _TILT, _NOISE, _FATE, _DAY, _HOUR, _STEPS, _GAP = range(701, 709)
_HOURS_A_YEAR = 8_800


def series(small: bool) -> list[tuple[str, int, int]]:
    """Name, site and direction of every series, in the order of the table."""
    sites = SMALL if small else SITES
    return [(f"Z{n:03d}M00{way}", n, way) for n in sites for way in ((1,) if n in SINGLE else (1, 2))]


@cache
def month_rows(month: Month, small: bool, revision: int = 0) -> pl.DataFrame:
    """Every row of a local month, series by series: `id`, `msid`, `zsid`, local `stamp`, `vehicles`, `status`.

    Each revision counts a tenth more in the second half of the month.
    """
    names = series(small)
    moments = quarters(month, month.last_day, HOLIDAYS, TIMEZONE)
    demand, tilt = (values.reshape(-1, 4).mean(axis=1) for values in (moments.demand, moments.tilt))
    starts = month.hours(TIMEZONE)
    number = np.array([int(start.timestamp()) // 3600 for start in starts])
    one = np.array([10 * site + way for _, site, way in names])[:, None]
    hour = number[None, :]
    size = np.where(np.array([site in MOTORWAYS for _, site, _ in names])[:, None], 2_400, 380)
    ratio = demand * (1 + 0.3 * (2 * uniform(_TILT, one) - 1) * tilt) * (1 + 0.07 * bell(_NOISE, one, hour))
    flow = np.round(size * np.exp(0.4 * bell(_SIZE, one)) * np.maximum(ratio, 0))
    if revision:
        flow[:, len(starts) // 2 :] = np.round(flow[:, len(starts) // 2 :] * (1 + 0.1 * revision))
    silent = (uniform(_FATE, one, month.year, month.month) < 0.04) | (uniform(_DAY, one, hour // 24) < 0.01)
    filled = (uniform(_HOUR, one, hour) < 0.004) & ~silent
    local = [start.astimezone(ZoneInfo(TIMEZONE)) for start in starts]
    first = int(datetime(month.year, 1, 1, tzinfo=ZoneInfo(TIMEZONE)).timestamp()) // 3600
    ids = np.arange(len(names))[:, None] * _HOURS_A_YEAR + (number - first)[None, :] + 1
    count, hours = len(names), len(starts)
    return pl.DataFrame(
        {
            "id": ids.ravel(),
            "msid": np.repeat([name for name, _, _ in names], hours),
            "zsid": np.repeat([f"Z{site:03d}" for _, site, _ in names], hours),
            "stamp": [f"{moment:%Y-%m-%dT%H:%M:%S}" for moment in local] * count,
            "vehicles": np.where(silent, np.nan, flow).ravel(),
            "status": np.where(silent, "Fehlend", np.where(filled, "Imputiert", "Gemessen")).ravel(),
        }
    ).with_columns(pl.col("vehicles").fill_nan(None).cast(pl.Int64))


def foot_csv(months: list[Month], running: datetime) -> bytes:
    """The pedestrians' file with the hours of these months up to the running one, of which some minutes are counted."""
    starts = [start for month in months for start in month.hours(TIMEZONE) if start <= running]
    local = [start.astimezone(ZoneInfo(TIMEZONE)) for start in starts]
    number = np.array([int(start.timestamp()) // 3600 for start in starts])
    walks = np.array([_WALKS[t.hour] * (_SUNDAY if t.weekday() == 6 else 1.0) for t in local])
    walks = np.where(number == int(running.timestamp()) // 3600, _RUNNING * walks, walks)
    stamp = [f"{start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for start in starts]
    degrees = np.round(11 - 10 * np.cos((number / 24 - 15) * 2 * np.pi / 365), 2)
    tables = [_foot_site(site, number, walks, stamp, degrees) for site in _FOOT_SITES] if starts else []
    if not tables:
        return f"{FOOT_HEADER}\n".encode()
    text = pl.concat(tables).sort("timestamp", "location_name").write_csv(include_header=False)
    return f"{FOOT_HEADER}\n{text}".encode()


def _foot_site(site: int, number: NDArray[np.int64], walks: Floats, stamp: list[str], degrees: Floats) -> pl.DataFrame:
    """A site's rows, without those of its gaps."""
    name, left, right, peak = _FOOT_SITES[site]
    persons = np.round(peak * walks * (1 + 0.1 * bell(_STEPS, site, number))).astype(np.int64)
    gap = (uniform(_GAP, site, number) < 0.004) | (uniform(_GAP, site, number // 24, 1) < 0.01)
    counts = pl.Series([site != 670 or text >= "2024-03-13" for text in stamp])
    table = pl.DataFrame({"timestamp": stamp, "persons": persons, "counts": counts, "degrees": degrees, "gap": gap})
    return table.filter(~pl.col("gap")).select(
        "timestamp",
        location_id=pl.lit(site),
        location_name=pl.lit(name),
        ltr_label=pl.lit(left),
        rtl_label=pl.lit(right),
        weather_condition=pl.lit("cloudy"),
        temperature="degrees",
        pedestrians_count=pl.when("counts").then("persons").otherwise(0),
        unverified=pl.lit("False"),
        collection_type=pl.when("counts").then(pl.lit("measured")),
        zone_3_pedestrians_count=pl.when("counts").then((pl.col("persons") // 3).cast(pl.Float64)),
        zone_99_pedestrians_count=pl.lit(None, pl.Float64),
    )
