"""Paris's synthetic road counts, as rows of the current feed and as weekly files of the archive.

Belongs here: the numbers, the spelling of both, the year's ZIP on disk. Does not: HTTP, the windows (paris.py).
Every value depends only on its arc and its hour. The real feed's quirks are kept: arcs without a working sensor are
listed all month, October's doubled hour has one row, the hour at which clocks go forward has no value, and weekly files
of the archive overlap.
"""

from __future__ import annotations

import os
import threading
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from city_data.sandbox.noise import bell, uniform
from city_data.sandbox.traffic import Holidays, quarters
from city_data.window import Month

TIMEZONE = "Europe/Paris"
HOLIDAYS = Holidays(None, (), "FR")
SIZES = {"small": 24, "full": 3_305}
WORDS = ("Inconnu", "Fluide", "Pré-saturé", "Saturé", "Bloqué")
HEADER = "iu_ac;libelle;iu_nd_amont;libelle_nd_amont;iu_nd_aval;libelle_nd_aval;t_1h;q;k;etat_trafic;etat_barre;dessin"
_SIZE, _TILT, _DEAD, _FATE, _START, _NOISE, _GONE, _WAVE = range(601, 609)
_BANDS = np.array([15.0, 30.0, 50.0])
_GENERATION = 1  # to be raised when the numbers change, so that no old file is served
_HOUR = timedelta(hours=1)


def month_rows(month: Month, arcs: int, revision: int = 0) -> pl.DataFrame:
    """Every row of a local month by `end` of its hour (UTC) and arc: `q` in vehicles, `k` in %, `state` of 0 to 4.

    Each revision counts a tenth more in the second half of the month.
    """
    moments = quarters(month, month.last_day, HOLIDAYS, TIMEZONE)
    demand, tilt = (values.reshape(-1, 4).mean(axis=1) for values in (moments.demand, moments.tilt))
    ends = month.hours(TIMEZONE)
    number = np.array([int(end.timestamp()) // 3600 + 1 for end in ends])
    ids = 40 + 7 * np.arange(arcs)
    arc, hour = ids[:, None], number[None, :]
    ratio = demand * (1 + 0.3 * (2 * uniform(_TILT, arc) - 1) * tilt) * (1 + 0.08 * bell(_NOISE, arc, hour))
    flow = np.round(620 * np.exp(0.5 * bell(_SIZE, arc)) * np.maximum(ratio, 0))
    share = np.round(np.clip(17 * ratio**1.4 * (1 + 0.2 * bell(_WAVE, arc, hour // 3)), 0, 99), 5)
    if revision:
        flow[:, len(ends) // 2 :] = np.round(flow[:, len(ends) // 2 :] * (1 + 0.1 * revision))
    fate, begins = uniform(_FATE, arc, month.year, month.month), uniform(_START, arc, month.year, month.month)
    silent = (uniform(_DEAD, arc) < 0.4) | ((fate < 0.15) & (np.arange(len(ends)) > begins * len(ends)))
    silent = silent | (uniform(_GONE, arc, hour) < 0.01) | np.isin(number, [_forward(month)])
    flow[silent], share[silent] = np.nan, np.nan
    share[uniform(_GONE, arc, hour, 1) < 0.005] = np.nan
    state = np.where(np.isnan(share), 0, 1 + np.digitize(np.nan_to_num(share), _BANDS))
    keys = {"end": np.repeat(number, arcs), "arc": np.tile(ids, len(ends))}
    rows = pl.DataFrame(keys | {"q": flow.T.ravel(), "k": share.T.ravel(), "state": state.T.ravel()})
    return rows.with_columns(
        pl.col("q", "k").fill_nan(None), pl.from_epoch(pl.col("end") * 3600).dt.replace_time_zone("UTC").alias("end")
    )


def _forward(month: Month) -> int:
    """The end of the hour before which clocks go forward, in hours since 1970; 0 in a month without one."""
    zone = ZoneInfo(TIMEZONE)
    for start in month.hours(TIMEZONE):
        local, after = start.astimezone(zone), (start + _HOUR).astimezone(zone)
        if after.replace(tzinfo=None) - local.replace(tzinfo=None) == 2 * _HOUR:
            return int(start.timestamp()) // 3600 + 1
    return 0


def doubled_end(end: datetime) -> bool:
    """Whether an hour ends at the first of two equal local times, which the source has no row of."""
    zone = ZoneInfo(TIMEZONE)
    return end.astimezone(zone).replace(tzinfo=None) == (end + _HOUR).astimezone(zone).replace(tzinfo=None)


def export_csv(rows: pl.DataFrame) -> bytes:
    """The API's export with the columns that the platform asks for: a byte order mark, CRLF, names of columns."""
    table = rows.select(
        iu_ac="arc",
        t_1h=pl.col("end").dt.strftime("%Y-%m-%dT%H:%M:%S+00:00"),
        q="q",
        k="k",
        etat_trafic=pl.lit(pl.Series(WORDS)).gather(pl.col("state")),
        etat_barre=pl.when(pl.col("arc") % 3 == 0).then(pl.lit("Invalide")).otherwise(pl.lit("Ouvert")),
    )
    text = table.write_csv(separator=";", line_terminator="\r\n", quote_style="never")
    return b"\xef\xbb\xbf" + text.encode()


def week_txt(rows: pl.DataFrame) -> bytes:
    """A weekly file: local stamps without offset, states as codes. In March there is a row of 02:00, which no clock
    showed."""
    local = rows.with_columns(stamp=pl.col("end").dt.convert_time_zone(TIMEZONE).dt.replace_time_zone(None))
    ghosts = local.filter((pl.col("stamp").dt.hour() == 3) & pl.col("q").is_null() & _after_the_jump("end"))
    ghosts = ghosts.with_columns(pl.col("stamp") - pl.duration(hours=1), k=pl.lit(None, pl.Float64), state=pl.lit(0))
    local = pl.concat([local, ghosts.select(local.columns)], how="vertical_relaxed").sort("arc", "stamp")
    name = pl.format("Rue_{}", "arc")
    table = local.select(
        iu_ac="arc",
        libelle=name,
        iu_nd_amont=pl.col("arc") * 2,
        libelle_nd_amont=pl.format("{}-Nord", name),
        iu_nd_aval=pl.col("arc") * 2 + 1,
        libelle_nd_aval=pl.format("{}-Sud", name),
        t_1h=pl.col("stamp").dt.strftime("%Y-%m-%d %H:%M:%S"),
        q="q",
        k="k",
        etat_trafic="state",
        etat_barre=pl.lit(1),
        dessin=pl.lit(1),
    )
    return f"{HEADER}\n".encode() + table.write_csv(separator=";", include_header=False, quote_style="never").encode()


def _after_the_jump(name: str) -> pl.Expr:
    """Whether the clock went forward in the hour that ends then."""
    before = (pl.col(name) - pl.duration(hours=1)).dt.convert_time_zone(TIMEZONE).dt.replace_time_zone(None)
    return pl.col(name).dt.convert_time_zone(TIMEZONE).dt.replace_time_zone(None) - before == timedelta(hours=2)


@dataclass
class Counts:
    """The rows of months, kept in memory while they are asked for, and the years' ZIPs, written to `folder` at their
    first request."""

    folder: Path
    arcs: int
    _months: dict[tuple[Month, int], pl.DataFrame] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def month(self, month: Month, revision: int = 0) -> pl.DataFrame:
        with self._lock:
            if (month, revision) not in self._months:
                rows = month_rows(month, self.arcs, revision)
                gone = [end for end in rows["end"].unique().to_list() if doubled_end(end)]
                self._months[month, revision] = rows.filter(~pl.col("end").is_in(gone))
            return self._months[month, revision]

    def year(self, year: int, first: Month) -> Path:
        """The ZIP of a year's weeks from the month `first` on. Equal requests wait for one another."""
        months = [month for month in (Month(year, n) for n in range(1, 13)) if month >= first]
        path = self.folder / f"paris-{_GENERATION}-{self.arcs}-{year}-{len(months)}.zip"
        rows = pl.concat([self.month(month) for month in months]) if months else self.month(Month(year, 12)).head(0)
        with self._lock:
            if not path.exists():
                self.folder.mkdir(parents=True, exist_ok=True)
                part = path.with_name(f"{path.name}.{os.getpid()}.part")
                with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
                    for name, text in _weeks(year, rows):
                        archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED, 1)
                published = datetime(year + 2, 2, 1, tzinfo=UTC).timestamp()
                os.utime(part, (published, published))
                part.replace(path)
        return path


def _weeks(year: int, rows: pl.DataFrame) -> list[tuple[str, bytes]]:
    """Names and texts of the weekly files; every fourth has a day of the next week too."""
    files, monday = [], date(year, 1, 1) - timedelta(days=date(year, 1, 1).weekday())
    for week in range(54):
        begins, ends = monday + timedelta(weeks=week), monday + timedelta(weeks=week + 1, days=week % 4 == 3)
        local = pl.col("end").dt.convert_time_zone(TIMEZONE).dt.replace_time_zone(None)
        inside = rows.filter(local.is_between(pl.lit(_midnight(begins)), pl.lit(_midnight(ends)), closed="right"))
        if len(inside):
            name = f"trafic_capteurs_{year}_W{week:02d}_{begins:%Y%m%d}_{ends:%Y%m%d}.txt"
            files.append((f"opendata_txt_{year}/{name}", week_txt(inside)))
    return files


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001  on the city's clock, as the files are written
