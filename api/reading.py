"""From a plan to bytes. Belongs here: finding month segments (memory, Redis, PostgreSQL), cutting edges and splicing.

Does not: which months (planning.py), or HTTP (responses.py). A whole month is never decompressed, re-serialised or
re-compressed for a client that takes gzip.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Literal

import anyio.to_thread
from anyio import CapacityLimiter

from api.memory import BoundedMemory, SingleFlight
from api.observe import LAYERS, Metrics
from api.planning import Piece, Plan
from api.ranges import Interval
from city_data.store import segments as store_segments
from city_data.store.cache import Cache
from city_data.store.database import Database
from city_data.store.segments import Segment
from city_data.window import Month

Pieces = tuple[Piece, ...]
Encoding = Literal["gzip", "identity"]
_DATE_MARK = b'"date":"'
_DATE_LENGTH = len("2026-10-01T00:00:00Z")


class SegmentGone(Exception):
    """The ledger named a version that is no longer there: its month left the window between two looks."""


@dataclass(frozen=True)
class Answer:
    """A body in chunks, and what it holds. `served_from` is the farthest layer that had to be asked."""

    chunks: tuple[bytes, ...]
    records: int
    first: datetime | None
    last: datetime | None
    served_from: str

    @property
    def length(self) -> int:
        return sum(map(len, self.chunks))


def record_date(record: bytes) -> datetime:
    """The date of a record: the mark cannot occur inside a JSON string, whose quotes are escaped."""
    return _date_at(record, record.index(_DATE_MARK))


def _date_at(text: bytes, mark: int) -> datetime:
    at = mark + len(_DATE_MARK)
    return datetime.fromisoformat(text[at : at + _DATE_LENGTH].decode("ascii"))


def cut(segment: Segment, interval: Interval) -> list[bytes]:
    """The records of a segment that lie in the interval: they are in order, so two binary searches find them."""
    records = store_segments.records(segment)
    first = bisect_left(records, interval.start, key=record_date)
    return records[first : bisect_left(records, interval.end, lo=first, key=record_date)]


class Part:
    """One month's share of an answer: its whole segment, or the records cut from it."""

    def __init__(self, whole: Segment | None, records: list[bytes]) -> None:
        self._whole = whole
        self._records = records
        self.rows = whole.rows if whole is not None else len(records)

    @property
    def segment(self) -> Segment:
        return self._whole or store_segments.encode(self._records)

    @cached_property
    def text(self) -> bytes:
        """The records, joined as in a segment."""
        if self._whole is None:
            return store_segments.SEPARATOR.join(self._records)
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(self._whole.body)

    @property
    def first(self) -> datetime:
        return record_date(self.text)

    @property
    def last(self) -> datetime:
        return _date_at(self.text, self.text.rindex(_DATE_MARK))


class Reader:
    """Reads plans. One an app; its memory is bounded, and equal requests under way share one reading."""

    def __init__(
        self,
        database: Database,
        cache: Cache,
        limiter: CapacityLimiter,
        metrics: Metrics,
        *,
        segment_bytes: int,
        answer_bytes: int,
    ) -> None:
        self._database = database
        self._cache = cache
        self._limiter = limiter
        self._metrics = metrics
        self._segments: BoundedMemory[str, Segment] = BoundedMemory(segment_bytes)
        self._answers: BoundedMemory[tuple[str, Encoding], Answer] = BoundedMemory(answer_bytes)
        self._flights: SingleFlight[tuple[str, Encoding], Answer] = SingleFlight()

    async def answer(self, plan: Plan, encoding: Encoding) -> Answer:
        """Raises SegmentGone, DatabaseUnavailable."""
        key = (plan.tag, encoding)
        known = self._answers.get(key)
        if known is not None:
            self._metrics.looked_up("memory", plan.dataset, len(plan.pieces), 0)
            return known
        return await self._flights.do(key, lambda: self._make(plan, encoding))

    async def _make(self, plan: Plan, encoding: Encoding) -> Answer:
        # In a thread: it may ask Redis and PostgreSQL, and cutting an edge compresses, which lets others run.
        answer = await anyio.to_thread.run_sync(lambda: self._read(plan, encoding), limiter=self._limiter)
        self._answers.put((plan.tag, encoding), replace(answer, served_from="memory"), answer.length)
        return answer

    def _read(self, plan: Plan, encoding: Encoding) -> Answer:
        found, served_from = self._find(plan)
        parts: list[Part] = []
        for piece in plan.pieces:
            segment = found[piece.entry.month]
            part = Part(segment, []) if piece.whole else Part(None, cut(segment, plan.interval))
            if part.rows:
                parts.append(part)
        return Answer(
            chunks=_gzip(parts) if encoding == "gzip" else _identity(parts),
            records=sum(part.rows for part in parts),
            first=parts[0].first if parts else None,
            last=parts[-1].last if parts else None,
            served_from=served_from,
        )

    def _find(self, plan: Plan) -> tuple[Mapping[Month, Segment], str]:
        """Every piece's segment, from the nearest layer that has it, and the farthest layer that was needed."""
        found: dict[Month, Segment] = {}
        wanted, farthest = plan.pieces, "memory"
        for layer, look in (("memory", self._in_memory), ("redis", self._in_redis), ("database", self._in_database)):
            hits = look(plan, wanted)
            if layer in LAYERS:
                self._metrics.looked_up(layer, plan.dataset, len(hits), len(wanted) - len(hits))
            farthest = layer if hits else farthest
            found |= hits
            wanted = tuple(piece for piece in wanted if piece.entry.month not in found)
            if not wanted:
                return found, farthest
        raise SegmentGone(", ".join(piece.identity for piece in wanted))

    def _in_memory(self, _: Plan, wanted: Pieces) -> dict[Month, Segment]:
        looked = {piece.entry.month: self._segments.get(piece.identity) for piece in wanted}
        return {month: segment for month, segment in looked.items() if segment is not None}

    def _in_redis(self, plan: Plan, wanted: Pieces) -> dict[Month, Segment]:
        found = self._cache.get_segments(plan.dataset, plan.city.city_id, _versions(wanted))
        return self._remember(wanted, found)

    def _in_database(self, plan: Plan, wanted: Pieces) -> dict[Month, Segment]:
        found = store_segments.read_segments(self._database, plan.dataset, plan.city.city_id, _versions(wanted))
        for (month, version), segment in found.items():
            self._cache.put_segment(plan.dataset, plan.city.city_id, month, version, segment)
        return self._remember(wanted, found)

    def _remember(self, wanted: Pieces, found: Mapping[tuple[Month, int], Segment]) -> dict[Month, Segment]:
        by_month: dict[Month, Segment] = {}
        for piece in wanted:
            segment = found.get((piece.entry.month, piece.version))
            # A count that is not the ledger's is another month's or another life's bytes: not found.
            if segment is not None and segment.rows == piece.entry.rows:
                by_month[piece.entry.month] = segment
                self._segments.put(piece.identity, segment, len(segment.body))
        return by_month


def _versions(pieces: Pieces) -> list[tuple[Month, int]]:
    return [(piece.entry.month, piece.version) for piece in pieces]


def _gzip(parts: list[Part]) -> tuple[bytes, ...]:
    return (store_segments.splice([part.segment for part in parts]),)


def _identity(parts: list[Part]) -> tuple[bytes, ...]:
    """A chunk a month: joining megabytes for every request costs more than sending them one after the other."""
    if not parts:
        return (b"[]",)
    return (b"[" + parts[0].text, *(store_segments.SEPARATOR + part.text for part in parts[1:]), b"]")
