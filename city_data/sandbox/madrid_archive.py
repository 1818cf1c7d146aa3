"""Madrid's month files in the city's format: one CSV of quarter hours in one ZIP.

Belongs here: the CSV's spelling, the ZIP, its cache on disk. Does not: the numbers (traffic.py), HTTP (madrid.py).
The layout is that of 2022 and later: quoted, `NaN` in words, sorted by sensor, Madrid's own clocks, CRLF.
"""

from __future__ import annotations

import io
import os
import threading
import zipfile
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from city_data.sandbox.noise import Floats
from city_data.sandbox.traffic import Holidays, Quarters, Readings, Sensors, quarters, readings, sensors
from city_data.window import Month

LAG = timedelta(days=6)  # after a month's end
TIMEZONE = "Europe/Madrid"
HOLIDAYS = Holidays("MD", ((5, 15), (11, 9)))
SIZES = {"small": 24, "full": 5_000}
HEADER = b'"id";"fecha";"tipo_elem";"intensidad";"ocupacion";"carga";"vmed";"error";"periodo_integracion"\r\n'
_SENSORS_AT_ONCE = 64  # bounds memory: about 190,000 rows
_GENERATION = 1  # to be raised when the numbers change, so that no old file is served


def write_madrid_month(
    path: Path, month: Month, points: int = SIZES["full"], last_day: date | None = None, revision: int = 0
) -> None:
    """Write the ZIP of `month`, up to `last_day` where it is partial; the same bytes at every call.

    Each revision counts a tenth more on every point's second half of the month, a day after the last was published.
    """
    moments = quarters(month, last_day or month.last_day, HOLIDAYS, TIMEZONE)
    network = sensors(month, points)
    inner = zipfile.ZipInfo(f"{month.month:02d}-{month.year}.csv", (month.year, month.month, 1, 0, 0, 0))
    inner.compress_type = zipfile.ZIP_DEFLATED
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with zipfile.ZipFile(part, "w") as archive, archive.open(inner, "w") as file:
        file.write(HEADER)
        for first in range(0, len(network.ids), _SENSORS_AT_ONCE):
            piece = slice(first, first + _SENSORS_AT_ONCE)
            group = Sensors(network.ids[piece], network.m30[piece], network.base[piece])
            values = readings(group, moments, month)
            if revision:
                values.flow[:, len(moments.number) // 2 :] *= 1 + 0.1 * revision
            _write_rows(file, group, moments, values)
    published_on = (month + 1).first_day + LAG + timedelta(days=revision)
    published = datetime.combine(published_on, datetime.min.time(), UTC).timestamp()
    os.utime(part, (published, published))
    part.replace(path)


@dataclass
class Archive:
    """The ZIPs of one size, written to `folder` at their first request."""

    folder: Path
    points: int
    _locks: defaultdict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    def file(self, month: Month, last_day: date, revision: int = 0) -> Path:
        """Equal requests wait for one another: a client that gave up and asks again does not double the work."""
        name = f"madrid-{_GENERATION}-{self.points}-{month}-{last_day.day:02d}"
        path = self.folder / (f"{name}-{revision}.zip" if revision else f"{name}.zip")
        with self._locks[path.name]:
            if not path.exists():
                self.folder.mkdir(parents=True, exist_ok=True)
                write_madrid_month(path, month, self.points, last_day, revision)
        return path


def _write_rows(file: IO[bytes], group: Sensors, moments: Quarters, values: Readings) -> None:
    """Polars writes the text; numbers that the city quotes are passed as strings."""
    rows = np.nonzero(values.present.ravel())[0]
    sensor, quarter = np.divmod(rows, len(moments.number))
    flow, event = values.flow.ravel()[rows], values.event.ravel()[rows]
    load, m30 = values.load.ravel()[rows], group.m30[sensor]
    missing = np.isnan(flow)
    share = 14 * np.clip(np.nan_to_num(flow) / group.base[sensor], 0, 2)
    numbers = pl.DataFrame(
        {
            "id": group.ids[sensor],
            "flow": np.where(missing, -1, flow).astype(np.int64),
            "occupancy": np.where(m30, share.astype(np.int64), load * 2 // 5),
            "load": load,
            "speed": values.speed.ravel()[rows],
            "samples": np.where(m30, 5, np.where(event > 0.9, 3 + (event * 1e4).astype(np.int64) % 12, 15)),
        }
    )
    words = {
        # Mostly `NaN`; some sensors give -1.
        "intensidad": pl.when(pl.Series(missing & (event < 0.8))).then(pl.lit("NaN")).otherwise(_text("flow")),
        "ocupacion": pl.when(pl.Series(missing | (event < 0.02))).then(pl.lit("NaN")).otherwise(_text("occupancy")),
        "carga": pl.when(pl.Series(missing)).then(pl.lit("NaN")).otherwise(_text("load")),
        "vmed": pl.when(pl.Series(missing & m30)).then(pl.lit("NaN")).otherwise(_text("speed")),
    }
    table = numbers.select(
        id="id",
        fecha=pl.Series(moments.stamps).gather(quarter),
        tipo_elem=pl.when(pl.Series(m30)).then(pl.lit("M30")).otherwise(pl.lit("URB")),
        **words,
        error=pl.Series(["N", "E", "S", ""]).gather(_error_codes(missing, event)),
        periodo_integracion=pl.when(pl.Series(missing)).then(pl.lit(0)).otherwise(pl.col("samples")),
    )
    text = io.BytesIO()
    table.write_csv(text, include_header=False, separator=";", quote_style="non_numeric", line_terminator="\r\n")
    file.write(text.getbuffer())


def _text(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String)


def _error_codes(missing: NDArray[np.bool_], event: Floats) -> NDArray[np.int64]:
    """0 N, 1 E, 2 S, 3 blank. A blank is valid too; an S invalidates a plausible number."""
    return np.select([missing, event > 0.995, event > 0.98, event > 0.95], [2, 2, 1, 3], 0)
