"""Snapshots of Valencia's traffic loops: what an answer is, and how a month of them becomes city-hours.

Belongs here: ArcGIS's answer, the readings in it, which are data. Does not: calls and the canonical frame
(valencia_opendata.py), or the method that makes city-hours of station-hours (shared/city_hours.py).

Each loop tells its own moment of measurement in UTC, so October's doubled hour needs no rule. A reading counts in the
quarter hour of its own stamp, once, however often it was seen: a stamp that does not move is not data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from city_data.providers.base import NoSnapshot, Payload, PermanentError
from city_data.providers.shared.city_hours import QUARTERS_AN_HOUR, QUARTERS_NEEDED, SPIKE, Estimate, estimate
from city_data.providers.shared.local_hours import Clock

if TYPE_CHECKING:
    import polars as pl

    from city_data.window import Month

POINT, FLOW, STAMP = FIELDS = ("idpm", "ih", "fecha_actualizacion")
# One stratum: the city tells no classes of its loops.
STRATA_WEIGHTS = {"city": 1.0}
# Clocks of roadside controllers run a little ahead; what lies further in the future is no moment of measurement.
AHEAD = timedelta(minutes=10)
_NAME = "%Y%m%dT%H%M%SZ.json"
_QUARTER_MS = 900_000

Rows = list[Mapping[str, Any]]


@dataclass(frozen=True)
class Page:
    """One answer: its rows, and whether the layer has more than it sends at once."""

    rows: Rows
    more: bool


@dataclass(frozen=True)
class MadeHours:
    """City-hours from hour `first` of the month on, and what became of every reading."""

    first: int
    hours: Estimate
    points: int
    received: int
    used: int
    fields: list[str]
    rejected: dict[str, int]


def read_page(body: bytes) -> Page:
    """An answer to a query (https://developers.arcgis.com/rest/services-reference/enterprise/query-map-service-layer/).

    Raises NoSnapshot for what is no data: feeds of this city have sent a header alone, one byte, and HTML, all with
    status 200. Raises PermanentError where the layer has other fields.
    """
    text = body.strip(b"\xef\xbb\xbf \t\r\n")
    if len(text) <= 1:
        raise NoSnapshot("empty", f"the answer is {len(body)} bytes long")
    if text.startswith(b"<"):
        raise NoSnapshot("html", f"the answer is a page: {text[:100].decode('latin-1')!r}")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NoSnapshot("not_json", f"the answer is not JSON: {error}") from error
    return _page(document)


def _page(document: object) -> Page:
    if not isinstance(document, dict):
        raise NoSnapshot("not_features", f"the answer is a {type(document).__name__}, not a set of features")
    if "error" in document:
        raise NoSnapshot("service_error", f"the service answers with an error: {str(document['error'])[:200]}")
    features = document.get("features")
    if not isinstance(features, list):
        raise NoSnapshot("not_features", f"the answer has no features but {', '.join(document) or 'nothing'}")
    try:
        rows: Rows = [feature["attributes"] for feature in features]
        lacking = {name for row in rows for name in FIELDS if name not in row}
    except (KeyError, TypeError) as error:
        raise PermanentError(f"the features are not ArcGIS's: {type(error).__name__}: {error}") from error
    if lacking:
        raise PermanentError(f"the layer lacks {', '.join(sorted(lacking))}; its fields are {', '.join(rows[0])}")
    return Page(rows, document.get("exceededTransferLimit") is True)


def pages(body: bytes) -> Iterator[Page]:
    """The pages of an archived snapshot, which follow each other."""
    decoder, text, place = json.JSONDecoder(), body.decode("utf-8-sig").strip(), 0
    while place < len(text):
        try:
            document, place = decoder.raw_decode(text, place)
            yield _page(document)
        except (ValueError, NoSnapshot) as error:
            raise PermanentError(f"the archived snapshot cannot be read: {error}") from error
        while place < len(text) and text[place].isspace():
            place += 1


def measured(rows: Rows) -> list[tuple[str, int]]:
    """Each loop and its stamp (epoch ms), of rows that have both, sorted."""
    return sorted({(str(r[POINT]), int(r[STAMP])) for r in rows if r[POINT] is not None and _is_number(r[STAMP])})


def mark(moments: Sequence[tuple[str, int]]) -> str:
    return hashlib.sha256(repr(list(moments)).encode()).hexdigest()


def newest(moments: Sequence[tuple[str, int]], taken: datetime) -> datetime:
    """The latest stamp that can be one. Raises NoSnapshot where there is none."""
    latest = (taken + AHEAD).timestamp() * 1000
    stamps = [stamp for _, stamp in moments if 0 < stamp <= latest]
    if not stamps:
        raise NoSnapshot("no_stamps", "no loop tells when it measured")
    return datetime.fromtimestamp(max(stamps) / 1000, UTC)


def name(taken: datetime) -> str:
    """A snapshot's file name, which tells when it was taken."""
    return taken.astimezone(UTC).strftime(_NAME)


def city_hours(payloads: Sequence[Payload], month: Month, timezone: str) -> MadeHours:
    """The method, on a month's snapshots. Raises PermanentError where one is none."""
    import numpy as np
    import polars as pl

    readings, fields = _readings(payloads)
    start, end = (int(bound.timestamp() * 1000) for bound in month.bounds(timezone))
    judged = _judged(readings, start, end)
    counts = judged.drop_nulls("reason").group_by("reason").len().sort("reason")
    good = judged.filter(pl.col("reason").is_null())
    quarters = good.group_by("point", ((pl.col("stamp") - start) // _QUARTER_MS).alias("quarter")).agg(
        pl.col("flow").mean()
    )
    hourly = (
        quarters.group_by("point", (pl.col("quarter") // QUARTERS_AN_HOUR).alias("hour"))
        .agg(pl.col("flow").mean(), pl.len().alias("quarters"))
        .sort("point", "hour")
    )
    points, row = np.unique(hourly["point"].to_numpy(), return_inverse=True)
    hour = hourly["hour"].to_numpy()
    first, last = (int(hour.min()), int(hour.max())) if len(hour) else (0, -1)
    flow = np.full((len(points), last + 1), np.nan)
    flow[row, hour] = np.where(hourly["quarters"].to_numpy() >= QUARTERS_NEEDED, hourly["flow"].to_numpy(), np.nan)
    made = estimate(
        flow[:, first:],
        {"city": np.ones(len(points), dtype=bool)},
        STRATA_WEIGHTS,
        np.array(Clock.of(month, timezone).week_hours)[first : last + 1],
        # The collector began at some hour and may have been down for others: a loop is no worse for that.
        judged=(~np.isnan(flow[:, first:])).any(axis=0),
    )
    rejected = dict(zip(counts["reason"].to_list(), counts["len"].to_list(), strict=True))
    return MadeHours(first, made, len(points), len(judged), len(good), fields, rejected)


def _readings(payloads: Sequence[Payload]) -> tuple[pl.DataFrame, list[str]]:
    """Every row of every snapshot: `snapshot`, `taken` and `stamp` (epoch ms), `point`, `flow` (vehicles/h); and
    the names of the rows' fields."""
    import polars as pl

    codes: dict[str, int] = {}
    fields: set[str] = set()
    parts = []
    for number, payload in enumerate(payloads):
        taken = datetime.strptime(payload.name, _NAME).replace(tzinfo=UTC)
        rows = [row for page in pages(payload.path.read_bytes()) for row in page.rows]
        fields.update(*rows[:1])
        points = [None if row[POINT] is None else codes.setdefault(str(row[POINT]), len(codes)) for row in rows]
        parts.append(
            pl.DataFrame(
                {
                    "snapshot": pl.Series([number], dtype=pl.Int32).new_from_index(0, len(rows)),
                    "taken": pl.Series([int(taken.timestamp() * 1000)]).new_from_index(0, len(rows)),
                    "point": pl.Series(points, dtype=pl.Int32),
                    "stamp": pl.Series([_number(row[STAMP]) for row in rows], dtype=pl.Float64).cast(pl.Int64),
                    "flow": pl.Series([_number(row[FLOW]) for row in rows], dtype=pl.Float64),
                }
            )
        )
    if not parts:
        raise PermanentError("no snapshot was given")
    return pl.concat(parts), sorted(fields)


def _judged(readings: pl.DataFrame, start: int, end: int) -> pl.DataFrame:
    """`reason` tells why a reading is not used, null where it is: each under the first that holds."""
    import polars as pl

    stamp, flow = pl.col("stamp"), pl.col("flow")
    whys = {
        "no_point": pl.col("point").is_null(),
        "no_stamp": stamp.is_null(),
        "future_stamp": stamp > pl.col("taken") + int(AHEAD.total_seconds() * 1000),
        "outside_month": (stamp < start) | (stamp >= end),
        "no_value": flow.is_null(),
        "negative": flow < 0,
        "spike": flow > SPIKE,
    }
    reason: Any = pl.lit(None, pl.String)
    for word, holds in reversed(whys.items()):
        reason = pl.when(holds).then(pl.lit(word)).otherwise(reason)
    told = readings.with_columns(reason.alias("reason"))
    usable, rest = told.filter(pl.col("reason").is_null()), told.filter(pl.col("reason").is_not_null())
    again = (
        pl.when(pl.struct("point", "stamp").is_first_distinct())
        .then(pl.lit(None, pl.String))
        .when(pl.struct("snapshot", "point", "stamp").is_first_distinct())
        .then(pl.lit("unmoved_stamp"))
        .otherwise(pl.lit("duplicate"))  # within one snapshot: paging a live layer, or the feed itself
    )
    return pl.concat([usable.with_columns(again.alias("reason")), rest])


def _is_number(value: Any) -> bool:
    """Finite, and of a size that any count or moment may have: JSON as it is read here may hold NaN."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def _number(value: Any) -> float | None:
    return float(value) if _is_number(value) else None
