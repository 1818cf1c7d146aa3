"""Months as ready pieces of an answer. Belongs here: finding them in memory, Redis and PostgreSQL, and deriving a form.

Does not: joining pieces (reader.py). JSON objects come from the stored segments, all else from the versions' frames:
both are of the same version, so every form has the same values. Whatever was made for a client that takes compressed
bytes is remembered, edges of cut months too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from api.bodies.encodings import pack
from api.bodies.redis import SharedCache
from api.bodies.tables import cut, month_table
from api.bodies.writers import from_records, month_text
from api.caching import LruCache
from api.observability import Metrics
from api.query.planning import MonthSlice, Plan
from api.query.shapes import Representation, Shape
from city_data.datasets import DATASETS
from city_data.errors import CityDataError
from city_data.store import segments as store_segments
from city_data.store.cache import Cache, name_of
from city_data.store.database import Database
from city_data.store.segments import Segment
from city_data.store.versions import decode_frame, read_frame_bytes
from city_data.window import Month

if TYPE_CHECKING:
    import pyarrow as pa

MonthSlices = Sequence[MonthSlice]
_STORED = "-gzip"  # the tag of the form that PostgreSQL and Redis hold: JSON objects in deflate blocks
_ZSTD = "-zstd"
_FRAMES_SHARE = 4
_OVERHEAD = 800  # what an entry takes beside its bytes
_DATE_MARK = b'"date":"'
_DATE_LENGTH = len("2026-10-01T00:00:00Z")


class SegmentGone(CityDataError):
    """The ledger named a version that is no longer there: its month left the window between two looks."""


class Body(NamedTuple):
    """A piece in a form, and the dates of its first and last record."""

    segment: Segment
    first: datetime | None
    last: datetime | None


@dataclass
class MonthLookup:
    """One look at a plan's months: how far it went, and how many pieces memory did not have.

    `made` are pieces in the form, by name; `stored` are months that others can be made of."""

    plan: Plan
    form: Representation
    made: dict[str, Body] = field(default_factory=dict)
    stored: dict[Month, Segment] = field(default_factory=dict)
    farthest: str = "memory"
    missed: int = 0

    @property
    def wanted(self) -> list[MonthSlice]:
        """The pieces that are still to be made in the form."""
        return [piece for piece in self.plan.pieces if piece.name not in self.made]

    @property
    def bodies(self) -> list[Body]:
        return [self.made[piece.name] for piece in self.plan.pieces]


class Months:
    """Bounded by `capacity` bytes, of which frames take their share. Safe between threads, but for `look`."""

    def __init__(self, database: Database, shared: SharedCache, cache: Cache, metrics: Metrics, capacity: int) -> None:
        """Redis is read by `shared`, and written by `cache`."""
        self._database, self._shared, self._cache, self._metrics = database, shared, cache, metrics
        frames = capacity // _FRAMES_SHARE
        self._frames: LruCache[str, bytes] = LruCache(frames)
        self._bodies: LruCache[tuple[str, str], Body] = LruCache(capacity - frames)

    def ready(self, plan: Plan, form: Representation) -> list[Body] | None:
        """The plan's pieces where memory has them all."""
        tag, found = form.tag, list[Body]()
        for body in self._bodies.get_all([(piece.name, tag) for piece in plan.pieces]):
            if body is None:
                return None
            found.append(body)
        return found

    async def look(self, plan: Plan, form: Representation) -> MonthLookup:
        """What memory and Redis have of the plan in a form other than Parquet; the rest is for `fill`."""
        look = MonthLookup(plan, form, self._remembered([piece.name for piece in plan.pieces], form.tag))
        if _from_segments(form):
            if form.tag == _ZSTD:
                await self._look_for_zstd(look)
            await self._look_for_stored(look)
        return look

    def fill(self, look: MonthLookup) -> None:
        """Make what is still wanted, from the database too. Raises SegmentGone, DatabaseUnavailable."""
        made = (self._make_from_segments if _from_segments(look.form) else self._make_from_frames)(look, look.wanted)
        if look.form.encoding != "identity":
            for name, body in made.items():
                self._remember(name, look.form.tag, body)
        look.made |= made

    def count(self, look: MonthLookup) -> None:
        self._metrics.looked_up("memory", look.plan.dataset, len(look.plan.pieces) - look.missed, look.missed)

    def tables(self, plan: Plan, form: Representation) -> tuple[list[pa.Table], MonthLookup]:
        """The plan's pieces as tables. Raises SegmentGone, DatabaseUnavailable."""
        look = MonthLookup(plan, form)
        frames = self._read_frames(look, plan.pieces)
        made = [self._table(plan, piece, frames[piece.entry.month], form.shape) for piece in plan.pieces]
        return made, look

    async def _look_for_zstd(self, look: MonthLookup) -> None:
        whole = [piece for piece in look.wanted if piece.whole]
        hits = await self._in_redis(look, whole, [piece.zstd_name for piece in whole])
        look.missed += len(hits)
        for piece, segment in hits:
            look.made[piece.name] = _whole(piece, segment)
            self._remember(piece.name, _ZSTD, look.made[piece.name])

    async def _look_for_stored(self, look: MonthLookup) -> None:
        """The stored form of whole months: what is wanted, or what that is made of."""
        wanted = look.wanted
        remembered = self._remembered([piece.identity for piece in wanted], _STORED)
        for piece in wanted:
            if (body := remembered.get(piece.identity)) is not None:
                look.stored[piece.entry.month] = body.segment
        rest = [piece for piece in wanted if piece.identity not in remembered]
        look.missed += len(rest)
        for piece, segment in await self._in_redis(look, rest, [piece.stored_name for piece in rest]):
            body = self._keep_stored(look, piece, segment)
            if piece.whole and look.form.tag == _STORED:
                look.made[piece.name] = body

    async def _in_redis(
        self, look: MonthLookup, wanted: MonthSlices, names: Sequence[str]
    ) -> list[tuple[MonthSlice, Segment]]:
        found = zip(wanted, await self._shared.get_segments(names), strict=True)
        hits = [(piece, segment) for piece, segment in found if segment is not None and _is_of(piece, segment)]
        look.farthest = "redis" if hits else look.farthest
        self._metrics.looked_up("redis", look.plan.dataset, len(hits), len(wanted) - len(hits))
        return hits

    def _keep_stored(self, look: MonthLookup, piece: MonthSlice, segment: Segment) -> Body:
        look.stored[piece.entry.month], body = segment, _whole(piece, segment)
        self._remember(piece.identity, _STORED, body)
        return body

    def _make_from_segments(self, look: MonthLookup, wanted: MonthSlices) -> dict[str, Body]:
        self._read_segments(look, wanted)
        made: dict[str, Body] = {}
        for piece in wanted:
            body = made[piece.name] = _of_segment(piece, look.stored[piece.entry.month], look.form)
            if look.form.tag == _ZSTD and piece.whole:
                self._cache.put_segment(piece.zstd_name, body.segment)
        return made

    def _make_from_frames(self, look: MonthLookup, wanted: MonthSlices) -> dict[str, Body]:
        frames, made = self._read_frames(look, wanted), {}
        for piece in wanted:
            table = self._table(look.plan, piece, frames[piece.entry.month], look.form.shape)
            first, last = (table["date"][0].as_py(), table["date"][-1].as_py()) if table.num_rows else (None, None)
            text = month_text(look.form.format.name, table) if table.num_rows else b""
            made[piece.name] = Body(pack(text, table.num_rows, look.form.encoding), first, last)
        return made

    def _table(self, plan: Plan, piece: MonthSlice, frame: bytes, shape: Shape) -> pa.Table:
        dataset = DATASETS[plan.dataset]
        table = decode_frame(frame, dataset)
        if table.num_rows != piece.entry.rows:
            raise SegmentGone(piece.identity)
        whole = month_table(table, dataset, plan.city.city_id, plan.city.timezone, shape)
        return cut(whole, piece.start, piece.end)

    def _read_segments(self, look: MonthLookup, wanted: MonthSlices) -> None:
        """From the database, what neither memory nor Redis has, and into Redis."""
        rest = [piece for piece in wanted if piece.entry.month not in look.stored]
        if not rest:
            return
        look.farthest, (dataset, city_id) = "database", (look.plan.dataset, look.plan.city.city_id)
        versions = [_version(piece) for piece in rest]
        read = store_segments.read_segments(self._database, dataset, city_id, versions)
        for key, segment in read.items():
            self._cache.put_segment(name_of(dataset, city_id, *key), segment)
        for piece in rest:
            found = read.get(_version(piece))
            if found is not None and _is_of(piece, found):
                self._keep_stored(look, piece, found)
        _require(rest, look.stored)

    def _read_frames(self, look: MonthLookup, wanted: MonthSlices) -> dict[Month, bytes]:
        found: dict[Month, bytes] = {}
        for piece in wanted:
            frame = self._frames.get(piece.identity)
            if frame is not None:
                found[piece.entry.month] = frame
        rest = [piece for piece in wanted if piece.entry.month not in found]
        look.missed += len(rest)
        if rest:
            plan, look.farthest = look.plan, "database"
            read = read_frame_bytes(self._database, plan.dataset, plan.city.city_id, [_version(one) for one in rest])
            for piece in rest:
                if (frame := read.get(_version(piece))) is not None:
                    found[piece.entry.month] = frame
                    self._frames.put(piece.identity, frame, len(frame) + _OVERHEAD)
        _require(wanted, found)
        return found

    def _remembered(self, names: Sequence[str], tag: str) -> dict[str, Body]:
        found = zip(names, self._bodies.get_all([(name, tag) for name in names]), strict=True)
        return {name: body for name, body in found if body is not None}

    def _remember(self, name: str, tag: str, body: Body) -> None:
        self._bodies.put((name, tag), body, len(body.segment.body) + _OVERHEAD)


def _from_segments(form: Representation) -> bool:
    return form.shape.is_default and form.format.name in ("json", "ndjson")


def record_date(record: bytes) -> datetime:
    """The date of a record: the mark cannot occur inside a JSON string, whose quotes are escaped."""
    at = record.index(_DATE_MARK) + len(_DATE_MARK)
    return datetime.fromisoformat(record[at : at + _DATE_LENGTH].decode("ascii"))


def _of_segment(piece: MonthSlice, segment: Segment, form: Representation) -> Body:
    """A stored month, or the records of it that the piece asks for: they are in order, so two searches find them."""
    if piece.whole and form.tag == _STORED:
        return _whole(piece, segment)
    if piece.whole and form.format.name == "json":
        return _whole(piece, pack(store_segments.text_of(segment), segment.rows, form.encoding))
    records = store_segments.records(segment)
    start = 0 if piece.start is None else bisect_left(records, piece.start, key=record_date)
    end = len(records) if piece.end is None else bisect_left(records, piece.end, lo=start, key=record_date)
    kept = records[start:end]
    text = from_records(form.format.name, kept)
    first, last = (record_date(kept[0]), record_date(kept[-1])) if kept else (None, None)
    return Body(pack(text, len(kept), form.encoding), first, last)


def _whole(piece: MonthSlice, segment: Segment) -> Body:
    return Body(segment, piece.entry.first_date, piece.entry.last_date)


def _version(piece: MonthSlice) -> tuple[Month, int]:
    return piece.entry.month, piece.version


def _is_of(piece: MonthSlice, segment: Segment) -> bool:
    """A count that is not the ledger's is another month's or another life's bytes."""
    return segment.rows == piece.entry.rows


def _require(wanted: MonthSlices, found: Mapping[Month, object]) -> None:
    if missing := [piece.identity for piece in wanted if piece.entry.month not in found]:
        raise SegmentGone(", ".join(missing))
