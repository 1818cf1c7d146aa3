"""Months as ready pieces of an answer. Belongs here: finding them in memory, Redis and PostgreSQL, and deriving a form.

Does not: joining pieces (reading.py). JSON objects come from the stored segments, all else from the versions' frames:
both are of the same version, so every form has the same values. Whatever was made for a client that takes compressed
bytes is remembered, edges of cut months too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from api.encodings import pack
from api.memory import BoundedMemory
from api.observe import Metrics
from api.planning import Piece, Plan
from api.rendering import from_records, month_text
from api.shapes import Form, Shape
from api.tables import cut, month_table
from city_data.store import segments as store_segments
from city_data.store.cache import Cache
from city_data.store.database import Database
from city_data.store.segments import Segment
from city_data.store.versions import decode_frame, read_frame_bytes
from city_data.window import Month

if TYPE_CHECKING:
    import pyarrow as pa

Pieces = Sequence[Piece]
_STORED = "-gzip"  # the tag of the form that PostgreSQL and Redis hold: JSON objects in deflate blocks
_ZSTD = "-zstd"
_FRAMES_SHARE = 4
_OVERHEAD = 400  # what an entry takes beside its bytes
_DATE_MARK = b'"date":"'
_DATE_LENGTH = len("2026-10-01T00:00:00Z")


class SegmentGone(Exception):
    """The ledger named a version that is no longer there: its month left the window between two looks."""


@dataclass(frozen=True)
class Body:
    """A piece in a form, and the dates of its first and last record."""

    segment: Segment
    first: datetime | None
    last: datetime | None


@dataclass
class Look:
    """One look at a plan's months: how far it went, and how many pieces memory did not have."""

    plan: Plan
    farthest: str = "memory"
    missed: int = 0


class Months:
    """Bounded by `capacity` bytes, of which frames take their share. Safe between threads."""

    def __init__(self, database: Database, cache: Cache, metrics: Metrics, capacity: int) -> None:
        self._database, self._cache, self._metrics = database, cache, metrics
        frames = capacity // _FRAMES_SHARE
        self._frames: BoundedMemory[str, bytes] = BoundedMemory(frames)
        self._bodies: BoundedMemory[tuple[Piece, str], Body] = BoundedMemory(capacity - frames)

    def bodies(self, plan: Plan, form: Form) -> tuple[list[Body], Look]:
        """The plan's pieces in a form other than Parquet, and whence. Raises SegmentGone, DatabaseUnavailable."""
        look, found = Look(plan), self._remembered(plan.pieces, form.tag)
        wanted = [piece for piece in plan.pieces if piece not in found]
        if wanted:
            from_segments = form.shape.is_default and form.format.name in ("json", "ndjson")
            made = (self._from_segments if from_segments else self._from_frames)(look, wanted, form)
            if form.encoding != "identity":
                for piece, body in made.items():
                    self._remember(piece, form.tag, body)
            found |= made
        self._count(look)
        return [found[piece] for piece in plan.pieces], look

    def ready(self, plan: Plan, form: Form) -> list[Body] | None:
        """The plan's pieces where memory has them all."""
        found = [self._bodies.get((piece, form.tag)) for piece in plan.pieces]
        if any(body is None for body in found):
            return None
        self._count(Look(plan))
        return [body for body in found if body is not None]

    def tables(self, plan: Plan, shape: Shape) -> tuple[list[pa.Table], Look]:
        """The plan's pieces as tables. Raises SegmentGone, DatabaseUnavailable."""
        look = Look(plan)
        frames = self._read_frames(look, plan.pieces)
        made = [self._table(plan, piece, frames[piece.entry.month], shape) for piece in plan.pieces]
        self._count(look)
        return made, look

    def _from_segments(self, look: Look, wanted: Pieces, form: Form) -> dict[Piece, Body]:
        made = self._kept_zstd(look, wanted) if form.tag == _ZSTD else {}
        rest = [piece for piece in wanted if piece not in made]
        segments = self._read_segments(look, rest)
        for piece in rest:
            made[piece] = _of_segment(piece, segments[piece.entry.month], form)
            if form.tag == _ZSTD and piece.whole:
                self._cache.put_segment(*_zstd_key(look.plan), *_version(piece), made[piece].segment)
        return made

    def _from_frames(self, look: Look, wanted: Pieces, form: Form) -> dict[Piece, Body]:
        frames, made = self._read_frames(look, wanted), {}
        for piece in wanted:
            table = self._table(look.plan, piece, frames[piece.entry.month], form.shape)
            first, last = (table["date"][0].as_py(), table["date"][-1].as_py()) if table.num_rows else (None, None)
            text = month_text(form.format.name, table) if table.num_rows else b""
            made[piece] = Body(pack(text, table.num_rows, form.encoding), first, last)
        return made

    def _table(self, plan: Plan, piece: Piece, frame: bytes, shape: Shape) -> pa.Table:
        table = decode_frame(frame)
        if table.num_rows != piece.entry.rows:
            raise SegmentGone(piece.identity)
        whole = month_table(table, plan.dataset, plan.city.city_id, plan.city.timezone, shape)
        return cut(whole, piece.start, piece.end)

    def _read_segments(self, look: Look, wanted: Pieces) -> dict[Month, Segment]:
        """The stored form of whole months."""
        remembered = self._remembered([piece.uncut for piece in wanted], _STORED)
        found = {piece.entry.month: body.segment for piece, body in remembered.items()}
        look.missed += len(wanted) - len(found)
        for layer, read in (("redis", self._in_redis), ("database", self._in_database)):
            rest = [piece for piece in wanted if piece.entry.month not in found]
            if not rest:
                break
            hits = self._accepted(rest, read(look.plan, rest))
            if layer == "redis":
                self._metrics.looked_up(layer, look.plan.dataset, len(hits), len(rest) - len(hits))
            look.farthest = layer if hits else look.farthest
            for piece, segment in hits.items():
                self._remember(piece.uncut, _STORED, _whole(piece, segment))
                found[piece.entry.month] = segment
        _require(wanted, found)
        return found

    def _read_frames(self, look: Look, wanted: Pieces) -> dict[Month, bytes]:
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

    def _kept_zstd(self, look: Look, wanted: Pieces) -> dict[Piece, Body]:
        whole = [piece for piece in wanted if piece.whole]
        read = self._cache.get_segments(*_zstd_key(look.plan), [_version(piece) for piece in whole])
        hits = self._accepted(whole, read)
        look.missed += len(hits)
        look.farthest = "redis" if hits else look.farthest
        self._metrics.looked_up("redis", look.plan.dataset, len(hits), len(whole) - len(hits))
        return {piece: _whole(piece, segment) for piece, segment in hits.items()}

    def _in_redis(self, plan: Plan, wanted: Pieces) -> dict[tuple[Month, int], Segment]:
        return self._cache.get_segments(plan.dataset, plan.city.city_id, [_version(piece) for piece in wanted])

    def _in_database(self, plan: Plan, wanted: Pieces) -> dict[tuple[Month, int], Segment]:
        versions = [_version(piece) for piece in wanted]
        found = store_segments.read_segments(self._database, plan.dataset, plan.city.city_id, versions)
        for (month, version), segment in found.items():
            self._cache.put_segment(plan.dataset, plan.city.city_id, month, version, segment)
        return found

    def _accepted(self, wanted: Pieces, read: Mapping[tuple[Month, int], Segment]) -> dict[Piece, Segment]:
        """A count that is not the ledger's is another month's or another life's bytes: not found."""
        found = ((piece, read.get(_version(piece))) for piece in wanted)
        return {piece: one for piece, one in found if one is not None and one.rows == piece.entry.rows}

    def _remembered(self, pieces: Iterable[Piece], tag: str) -> dict[Piece, Body]:
        found = ((piece, self._bodies.get((piece, tag))) for piece in pieces)
        return {piece: body for piece, body in found if body is not None}

    def _remember(self, piece: Piece, tag: str, body: Body) -> None:
        self._bodies.put((piece, tag), body, len(body.segment.body) + _OVERHEAD)

    def _count(self, look: Look) -> None:
        self._metrics.looked_up("memory", look.plan.dataset, len(look.plan.pieces) - look.missed, look.missed)


def record_date(record: bytes) -> datetime:
    """The date of a record: the mark cannot occur inside a JSON string, whose quotes are escaped."""
    at = record.index(_DATE_MARK) + len(_DATE_MARK)
    return datetime.fromisoformat(record[at : at + _DATE_LENGTH].decode("ascii"))


def _of_segment(piece: Piece, segment: Segment, form: Form) -> Body:
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


def _whole(piece: Piece, segment: Segment) -> Body:
    return Body(segment, piece.entry.first_date, piece.entry.last_date)


def _version(piece: Piece) -> tuple[Month, int]:
    return piece.entry.month, piece.version


def _zstd_key(plan: Plan) -> tuple[str, str]:
    """Beside the stored form, under a name of its own."""
    return f"{plan.dataset}/zstd", plan.city.city_id


def _require(wanted: Pieces, found: Mapping[Month, object]) -> None:
    if missing := [piece.identity for piece in wanted if piece.entry.month not in found]:
        raise SegmentGone(", ".join(missing))
