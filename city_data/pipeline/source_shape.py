"""The drift watch: the shape of what a source sends, against the last good one, before any month depends on it.

Belongs here: which fetches are compared, with what result, and when a changed shape counts as the good one. Does not:
describing bytes (payload_shape.py), months against the month before (drift.py), the refusal of a month (gate.py).

The first fetch of a day is compared, and each of a newer month: fetches of older months are not, since a source's old
files keep their old layout. A changed shape is reported until the source sends the last good one again, or has sent the
changed one for a week, which is then the good one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pydantic

from city_data.frames.checks import Outcome
from city_data.pipeline.payload_shape import TEXT_NUMBERS, ColumnShape, Shape, describe
from city_data.window import Month

if TYPE_CHECKING:
    from city_data.pipeline.feeds import Feed
    from city_data.store.database import Database
    from city_data.store.polls import PollArchive
    from city_data.store.raw import Manifest
    from city_data.store.source_shapes import SourceShape

CHECK = "source_shape"
DESCRIPTION = "The source sends the columns, types, sizes and stamps that it sent before; the first fetch of a day"
ACCEPTED_AFTER = timedelta(days=7)
# Bytes, and the distance of stamps, against the last good shape: pollers do not keep a beat.
SIZE_BAND = STEP_BAND = (0.6, 1.7)
# A column that comes and goes with the weather is in fewer rows.
_REGULAR = 0.9
_FEW_ROWS_S = 7 * 86_400.0
# Stamps that begin a day later are a gap, not another offset.
_LEAST_SHIFT_S, _MOST_SHIFT_S = 900.0, 86_400.0
_POLL = "poll"
_NOT_A_TYPE = frozenset({"empty", "rare", "mixed"})


class KnownShape(pydantic.BaseModel):
    """A fetch's shape, and how far (s) its first and last stamps lie from the month's ends by each clock that a source
    may write: the city's, UTC, and UTC's whole days. Of a poll: the newest stamp's distance from the poll."""

    shape: Shape
    whole: bool
    first: dict[str, float] = {}
    last: dict[str, float] = {}


def watch(feed: Feed, manifest: Manifest, archive: PollArchive, database: Database, moment: datetime) -> Outcome:
    """Compare a fetch with the source's last good shape, and store the result. Raises ArchiveError where its bytes are
    gone, DatabaseUnavailable."""
    from city_data.store.source_shapes import SourceShape, read_shape, update_shape

    key = (manifest.city_id, manifest.dataset, manifest.provider)
    month = Month.parse(manifest.month)
    known = read_shape(database, *key)
    if known is not None and not _is_compared(known, month, moment):
        return outcome(None)
    current = shape_of(feed, manifest, archive)
    first = SourceShape(*key, month, current.model_dump(mode="json"), first_at=moment, checked_at=moment)
    return outcome(update_shape(database, *key, lambda row: next_shape(row, current, first)))


def shape_of(feed: Feed, manifest: Manifest, archive: PollArchive) -> KnownShape:
    """The shape of a fetch, of a live feed of its newest poll. Raises ArchiveError where the bytes are gone."""
    last: dict[str, float] = {}
    if manifest.polls is not None:
        poll = archive.last_stored(manifest.dataset, manifest.city_id, manifest.provider)
        if poll is not None and poll.file is not None and poll.newest is not None:
            month = str(Month.at(poll.at, feed.city.timezone))
            manifest = manifest.model_copy(update={"polls": None, "files": [poll.file], "month": month})
            last = {_POLL: (poll.newest - poll.at).total_seconds()}
    with tempfile.TemporaryDirectory(prefix="city_data-") as folder:
        shape = describe(archive.payloads(manifest, Path(folder)))
    if last:
        return KnownShape(shape=shape, whole=True, last=last)
    start, end = Month.parse(manifest.month).bounds(feed.city.timezone)
    stamps = shape.stamps
    return KnownShape(
        shape=shape,
        whole=manifest.fetched_at >= end,
        first={} if stamps is None else distances(stamps.first, start, feed.city.timezone),
        last={} if stamps is None or stamps.last is None else distances(stamps.last, end, feed.city.timezone),
    )


def next_shape(known: SourceShape | None, current: KnownShape, first: SourceShape) -> SourceShape | None:
    """The source's row after a fetch; None where the fetch is not compared. `first` is the row without a past."""
    if known is None:
        return first
    month, moment = first.month, first.checked_at
    if not _is_compared(known, month, moment):
        return None
    changes = compare(current, KnownShape.model_validate(known.shape))
    good = replace(first, first_at=known.first_at)
    if not changes or (_day(known.first_at) == _day(moment) and not known.changes):
        return good  # on the first day a backfill goes through the source's older layouts
    same = known.changed_shape is not None and not compare(current, KnownShape.model_validate(known.changed_shape))
    since = known.changed_at if same and known.changed_at is not None else moment
    if moment - since >= ACCEPTED_AFTER:
        return good
    shape = current.model_dump(mode="json")
    return replace(known, month=month, checked_at=moment, changes=tuple(changes), changed_at=since, changed_shape=shape)


def _is_compared(known: SourceShape, month: Month, moment: datetime) -> bool:
    return month > known.month or (month == known.month and _day(known.checked_at) != _day(moment))


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()


def outcome(row: SourceShape | None) -> Outcome:
    """The check's result for the row that `next_shape` gave."""
    if row is None:
        return Outcome(CHECK, True, "not compared: not the first fetch of a day of the newest month")
    if not row.changes:
        return Outcome(CHECK, True, "the source's shape is the last good one", {"provider": row.provider})
    text = f"{row.provider} has changed its shape: {'; '.join(row.changes)}"
    return Outcome(CHECK, False, text, {"provider": row.provider, "changes": len(row.changes)})


def compare(now: KnownShape, before: KnownShape) -> list[str]:
    """Each change in words; none for equal shapes."""
    if now.shape.kind != before.shape.kind:
        return [f"the bytes are {now.shape.kind}, and were {before.shape.kind}"]
    return [*_columns(now.shape.columns, before.shape.columns), *_stamps(now, before), *_sizes(now, before)]


def _columns(now: Mapping[str, ColumnShape], before: Mapping[str, ColumnShape]) -> list[str]:
    new = sorted(name for name, column in now.items() if column.share >= _REGULAR and name not in before)
    gone = sorted(name for name, column in before.items() if column.share >= _REGULAR and name not in now)
    texts = [f"{word}: {', '.join(names)}" for word, names in (("new columns", new), ("columns gone", gone)) if names]
    for name in sorted(now.keys() & before.keys()):
        types = {before[name].type, now[name].type}
        if len(types) == 1 or types & _NOT_A_TYPE or (types <= TEXT_NUMBERS and any("whole" in one for one in types)):
            continue
        texts.append(f"{name} is now a {now[name].type}, and was a {before[name].type}")
    return texts


def _stamps(now: KnownShape, before: KnownShape) -> list[str]:
    stamps, old = now.shape.stamps, before.shape.stamps
    if stamps is None or old is None or stamps.column != old.column or stamps.form != old.form:
        return []  # another column or type is a change already
    texts = []
    if _POLL not in now.last and stamps.step and old.step and not _within(stamps.step / old.step, STEP_BAND):
        texts.append(f"stamps are {stamps.step:g} s apart, and were {old.step:g} s apart")
    elif (shift := _shift(now, before)) is not None:
        texts.append(f"stamps are shifted by {shift / 3600:+.2g} h")
    return texts


def _shift(now: KnownShape, before: KnownShape) -> float | None:
    """How far the stamps have moved by every clock, first and last alike; None for gaps, and for nothing."""
    step = now.shape.stamps.step if now.shape.stamps and _POLL not in now.last else None
    least, most = max((step or 0.0) / 2, _LEAST_SHIFT_S), max((step or 0.0) * 1.5, _MOST_SHIFT_S)
    moved = []
    ends = ((now.first, before.first), (now.last, before.last if now.whole and before.whole else {}))
    for current, old in ends:
        shifts = [current[clock] - old[clock] for clock in sorted(current.keys() & old.keys())]
        if shifts:
            moved.append(min(shifts, key=abs))
    if not moved or any(not least <= abs(one) < most for one in moved):
        return None
    return moved[0] if all(abs(one - moved[0]) < least for one in moved) else None


def _sizes(now: KnownShape, before: KnownShape) -> list[str]:
    """The bytes of whole months, of polls, or else of each stamp."""
    if now.whole and before.whole:
        size, old, of = float(now.shape.bytes), float(before.shape.bytes), "bytes"
    else:
        size, old, of = _bytes_a_stamp(now.shape), _bytes_a_stamp(before.shape), "bytes for each stamp"
    if not size or not old or _within(size / old, SIZE_BAND):
        return []
    return [f"{size:,.0f} {of}, and were {old:,.0f}"]


def _bytes_a_stamp(shape: Shape) -> float:
    """0 where less than a week was looked at."""
    stamps = shape.stamps
    if not shape.complete or stamps is None or stamps.count * (stamps.step or 0.0) < _FEW_ROWS_S:
        return 0.0
    return shape.bytes / stamps.count


def _within(ratio: float, band: tuple[float, float]) -> bool:
    return band[0] <= ratio <= band[1]


def distances(stamp: float, moment: datetime, timezone: str) -> dict[str, float]:
    """From one of a month's ends to a stamp as written, by each clock."""
    utc, local = moment.timestamp(), moment.astimezone(ZoneInfo(timezone)).replace(tzinfo=UTC).timestamp()
    return {"city": stamp - local, "UTC": stamp - utc, "UTC's days": stamp - utc // 86_400 * 86_400}
