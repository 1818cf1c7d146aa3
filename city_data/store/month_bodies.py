"""Bodies of single months. Belongs here: finding them in memory, Redis and PostgreSQL, and building a representation.

Does not: joining months (api/bodies/reader.py). JSON objects are built from stored segments, all other formats from
the versions' frames; both belong to the same version, so every representation has the same values. Compressed bodies
are cached, those of cut months too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import tee
from typing import TYPE_CHECKING

from city_data.datasets import DATASETS, DatasetName
from city_data.errors import CityDataError
from city_data.lru_cache import LruCache
from city_data.store import segments as store_segments
from city_data.store.database import Database
from city_data.store.encodings import pack
from city_data.store.month_lookup import Body, MonthLookup, MonthSlices
from city_data.store.plans import MonthSlice, Plan, loaded_at
from city_data.store.record_formats import from_records, month_segments
from city_data.store.record_tables import Shape, cut, month_table
from city_data.store.representations import Representation
from city_data.store.segments import Segment, record_date
from city_data.store.shared_cache import SharedCache
from city_data.store.versions import NoSuchVersion, decode_frame, read_frames
from city_data.window import Month

if TYPE_CHECKING:
    import pyarrow as pa

_STORED = "-gzip"  # the representation that PostgreSQL and Redis store: JSON objects in deflate blocks
_ZSTD = "-zstd"
_FRAMES_SHARE = 4
_OVERHEAD = 800  # bytes of a cache entry beside its body


# Counts months of a layer and a dataset: found, and not found.
CountLookups = Callable[[str, DatasetName, int, int], None]


class SegmentGone(CityDataError):
    """A version named by the ledger no longer exists: its month was replaced or expired between two queries."""


class Months:
    """Cached months, bounded by `capacity` bytes, a share of which is for frames. Thread-safe except `lookup`."""

    def __init__(self, database: Database, shared: SharedCache, count: CountLookups, capacity: int) -> None:
        self._database, self._shared, self._count = database, shared, count
        frames = capacity // _FRAMES_SHARE
        self._frames: LruCache[str, bytes] = LruCache(frames)
        self._bodies: LruCache[tuple[str, str], Body] = LruCache(capacity - frames)

    def cached_bodies(self, plan: Plan, representation: Representation) -> list[Body] | None:
        """The plan's bodies if all of them are in memory."""
        tag = representation.tag
        return self._bodies.get_all([(month_slice.name, tag) for month_slice in plan.slices])

    async def lookup(self, plan: Plan, representation: Representation) -> MonthLookup:
        """The plan's bodies found in memory and Redis, in any format but Parquet; `fill` adds the missing ones."""
        lookup = MonthLookup(
            plan,
            representation,
            self._remembered([month_slice.name for month_slice in plan.slices], representation.tag),
        )
        if representation.is_from_segments:
            if representation.tag == _ZSTD:
                await self._find_zstd(lookup)
            await self._find_stored(lookup)
        return lookup

    def fill(self, lookup: MonthLookup) -> None:
        """Build the missing bodies, reading the database where needed. Raises SegmentGone, DatabaseUnavailable."""
        built = (self._make_from_segments if lookup.representation.is_from_segments else self._make_from_frames)(
            lookup, lookup.wanted
        )
        if lookup.representation.is_compressed:
            for name, body in built.items():
                self._remember(name, lookup.representation.tag, body)
        lookup.built |= built

    def count(self, lookup: MonthLookup) -> None:
        self._count("memory", lookup.plan.dataset, len(lookup.plan.slices) - lookup.missed, lookup.missed)

    def tables(self, plan: Plan, representation: Representation) -> tuple[list[pa.Table], MonthLookup]:
        """The plan's slices as tables. Raises SegmentGone, DatabaseUnavailable."""
        lookup = MonthLookup(plan, representation)
        frames = self._read_frames(lookup, plan.slices)
        tables = [
            self._table(plan, month_slice, frames[month_slice.entry.month], representation.shape)
            for month_slice in plan.slices
        ]
        return tables, lookup

    async def _find_zstd(self, lookup: MonthLookup) -> None:
        whole = [month_slice for month_slice in lookup.wanted if month_slice.whole]
        segments = await self._in_redis(lookup, whole, [month_slice.zstd_name for month_slice in whole])
        lookup.missed += len(segments)
        for month_slice, segment in segments:
            lookup.built[month_slice.name] = _whole(month_slice, segment)
            self._remember(month_slice.name, _ZSTD, lookup.built[month_slice.name])

    async def _find_stored(self, lookup: MonthLookup) -> None:
        """Find the stored segments of whole months, from which every JSON body can be built."""
        wanted = lookup.wanted
        remembered = self._remembered([month_slice.identity for month_slice in wanted], _STORED)
        for month_slice in wanted:
            if (body := remembered.get(month_slice.identity)) is not None:
                lookup.stored[month_slice.entry.month] = body.segment
        rest = [month_slice for month_slice in wanted if month_slice.identity not in remembered]
        lookup.missed += len(rest)
        for month_slice, segment in await self._in_redis(
            lookup, rest, [month_slice.stored_name for month_slice in rest]
        ):
            body = self._remember_stored(lookup, month_slice, segment)
            if month_slice.whole and lookup.representation.tag == _STORED:
                lookup.built[month_slice.name] = body

    async def _in_redis(
        self, lookup: MonthLookup, wanted: MonthSlices, names: Sequence[str]
    ) -> list[tuple[MonthSlice, Segment]]:
        keys = [(name, month_slice.identity) for name, month_slice in zip(names, wanted, strict=True)]
        pairs = zip(wanted, await self._shared.get_segments(keys), strict=True)
        valid = [
            (month_slice, segment)
            for month_slice, segment in pairs
            if segment is not None and _is_of(month_slice, segment)
        ]
        lookup.farthest = "redis" if valid else lookup.farthest
        self._count("redis", lookup.plan.dataset, len(valid), len(wanted) - len(valid))
        return valid

    def _remember_stored(self, lookup: MonthLookup, month_slice: MonthSlice, segment: Segment) -> Body:
        lookup.stored[month_slice.entry.month], body = segment, _whole(month_slice, segment)
        self._remember(month_slice.identity, _STORED, body)
        return body

    def _make_from_segments(self, lookup: MonthLookup, wanted: MonthSlices) -> dict[str, Body]:
        self._read_segments(lookup, wanted)
        built: dict[str, Body] = {}
        for month_slice in wanted:
            body = built[month_slice.name] = _of_segment(
                month_slice, lookup.stored[month_slice.entry.month], lookup.representation
            )
            if lookup.representation.tag == _ZSTD and month_slice.whole:
                self._shared.put_segment(month_slice.zstd_name, month_slice.identity, body.segment)
        return built

    def _make_from_frames(self, lookup: MonthLookup, wanted: MonthSlices) -> dict[str, Body]:
        frames, shape = self._read_frames(lookup, wanted), lookup.representation.shape
        tables, written = tee(self._table(lookup.plan, one, frames[one.entry.month], shape) for one in wanted)
        segments = month_segments(lookup.representation.format, written, lookup.representation.encoding)
        built: dict[str, Body] = {}
        for month_slice, table, segment in zip(wanted, tables, segments, strict=True):
            first, last = (table["date"][0].as_py(), table["date"][-1].as_py()) if table.num_rows else (None, None)
            built[month_slice.name] = Body(segment, first, last)
        return built

    def _table(self, plan: Plan, month_slice: MonthSlice, frame: bytes, shape: Shape) -> pa.Table:
        dataset = DATASETS[plan.dataset]
        table = decode_frame(frame, dataset)
        if table.num_rows != month_slice.entry.rows:
            raise SegmentGone(month_slice.identity)
        whole = month_table(table, dataset, plan.city.city_id, plan.city.timezone, shape)
        return cut(whole, month_slice.start, month_slice.end)

    def _read_segments(self, lookup: MonthLookup, wanted: MonthSlices) -> None:
        """Read the segments missing in memory and Redis from the database, and write them to Redis."""
        rest = [month_slice for month_slice in wanted if month_slice.entry.month not in lookup.stored]
        if not rest:
            return
        lookup.farthest, (dataset, city_id) = "database", (lookup.plan.dataset, lookup.plan.city.city_id)
        loaded = loaded_at(rest)
        read = store_segments.read_segments(self._database, dataset, city_id, list(loaded), loaded)
        for month_slice in rest:
            segment = read.get(_version(month_slice))
            if segment is not None and _is_of(month_slice, segment):
                self._remember_stored(lookup, month_slice, segment)
                self._shared.put_segment(month_slice.stored_name, month_slice.identity, segment)
        _require(rest, lookup.stored)

    def _read_frames(self, lookup: MonthLookup, wanted: MonthSlices) -> dict[Month, bytes]:
        frames: dict[Month, bytes] = {}
        for month_slice in wanted:
            frame = self._frames.get(month_slice.identity)
            if frame is not None:
                frames[month_slice.entry.month] = frame
        rest = [month_slice for month_slice in wanted if month_slice.entry.month not in frames]
        lookup.missed += len(rest)
        if rest:
            plan, lookup.farthest = lookup.plan, "database"
            loaded = loaded_at(rest)
            try:
                read = read_frames(self._database, plan.dataset, plan.city.city_id, list(loaded), loaded)
            except NoSuchVersion as error:
                raise SegmentGone(str(error)) from error
            for month_slice in rest:
                frame = frames[month_slice.entry.month] = read[_version(month_slice)]
                self._frames.put(month_slice.identity, frame, len(frame) + _OVERHEAD)
        return frames

    def _remembered(self, names: Sequence[str], tag: str) -> dict[str, Body]:
        return {name: body for name in names if (body := self._bodies.get((name, tag))) is not None}

    def _remember(self, name: str, tag: str, body: Body) -> None:
        self._bodies.put((name, tag), body, len(body.segment.body) + _OVERHEAD)


def _of_segment(month_slice: MonthSlice, segment: Segment, representation: Representation) -> Body:
    """A stored month, or its records within the slice."""
    if month_slice.whole and representation.tag == _STORED:
        return _whole(month_slice, segment)
    if month_slice.whole and representation.format == "json":
        return _whole(month_slice, pack(store_segments.text_of(segment), segment.rows, representation.encoding))
    selected = store_segments.cut(segment, month_slice.start, month_slice.end)
    text = from_records(representation.format, selected)
    first, last = (record_date(selected[0]), record_date(selected[-1])) if selected else (None, None)
    return Body(pack(text, len(selected), representation.encoding), first, last)


def _whole(month_slice: MonthSlice, segment: Segment) -> Body:
    return Body(segment, month_slice.entry.first_date, month_slice.entry.last_date)


def _version(month_slice: MonthSlice) -> tuple[Month, int]:
    return month_slice.entry.month, month_slice.version


def _is_of(month_slice: MonthSlice, segment: Segment) -> bool:
    """A row count that differs from the ledger means the month was dropped and reloaded."""
    return segment.rows == month_slice.entry.rows


def _require(wanted: MonthSlices, available: Mapping[Month, object]) -> None:
    if missing := [month_slice.identity for month_slice in wanted if month_slice.entry.month not in available]:
        raise SegmentGone(", ".join(missing))
