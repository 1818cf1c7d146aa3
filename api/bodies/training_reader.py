"""From two plans to one training frame. Belongs here: the snapshot both make, months as tables, what is remembered.

Does not: how a month is joined (city_data/training.py), or HTTP (routes/training.py). A joined month is remembered by
the versions that it is made of, so that nothing stale can be served; months at the range's edges are cut when asked
for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import anyio.to_thread
from anyio import CapacityLimiter

from api.bodies.encodings import pack, splice
from api.bodies.month_bodies import SegmentGone
from api.bodies.reader import Answer
from api.bodies.tables import cut
from api.bodies.writers import delimiters_of, month_text, parquet
from api.caching import LruCache, SingleFlight
from api.query.interval import Interval
from api.query.planning import MonthSlice, Plan
from api.query.shapes import Representation
from api.query.snapshot_ids import SnapshotId, digest
from city_data import calendar_days
from city_data.cities import City
from city_data.datasets import DATASETS, DatasetName, Resolution, expected_stamps
from city_data.frames import training
from city_data.store.database import Database
from city_data.store.segments import Segment
from city_data.store.versions import NoSuchVersion, read_frames
from city_data.window import Month

if TYPE_CHECKING:
    import pyarrow as pa

# Of the columns and how they are made: a change of either is another answer.
METHOD = 1


@dataclass(frozen=True)
class TrainingPlan:
    """A plan for each dataset, over the same range. `snapshot` and `tag` name both; `months` are those of the range."""

    city: City
    resolution: Resolution
    interval: Interval
    plans: Mapping[DatasetName, Plan]
    months: tuple[Month, ...]
    snapshot: SnapshotId
    tag: str

    @property
    def stamps(self) -> list[datetime]:
        """The `date` of every row."""
        whole = (
            stamp for month in self.months for stamp in expected_stamps(month, self.city.timezone, self.resolution)
        )
        return [stamp for stamp in whole if self.interval.start <= stamp < self.interval.end]

    def pieces(self, dataset: DatasetName) -> dict[Month, MonthSlice]:
        return {piece.entry.month: piece for piece in self.plans[dataset].pieces}

    def resolutions(self, dataset: DatasetName) -> list[Resolution]:
        """How the dataset is held in the range: usually one, none where nothing is."""
        held = [training.resolution_of(p.entry.expected_rows, p.entry.month) for p in self.plans[dataset].pieces]
        return list(dict.fromkeys(held))


def join_plans(plans: Mapping[DatasetName, Plan], resolution: Resolution) -> TrainingPlan:
    """`plans` has every dataset, of one city and interval."""
    ordered = {name: plans[name] for name in DATASETS}
    first = next(iter(ordered.values()))
    city, interval = first.city, first.interval
    months = {name: plan.snapshot.months[name] for name, plan in ordered.items()}
    identities = [piece.identity for plan in ordered.values() for piece in plan.pieces]
    # Calendar columns change with the library's knowledge, and with the registry's word of where the city lies.
    calendar = f"{calendar_days.method()}/{city.country}/{city.region}/{city.timezone}"
    named = [*(plan.tag for plan in ordered.values()), resolution, calendar, str(METHOD)]
    last = Month.at(interval.end, city.timezone)
    touched = Month.at(interval.start, city.timezone).until(last + 1)
    return TrainingPlan(
        city=city,
        resolution=resolution,
        interval=interval,
        plans=ordered,
        months=tuple(month for month in touched if month.bounds(city.timezone)[0] < interval.end),
        snapshot=SnapshotId(city.city_id, months, digest(identities)),
        tag=hashlib.sha256("\n".join(named).encode()).hexdigest()[:32],
    )


class Joiner:
    """Makes training frames. One an app; its memory is bounded, and equal requests under way share one making."""

    def __init__(self, database: Database, limiter: CapacityLimiter, *, capacity: int) -> None:
        """Half of `capacity` (bytes) is for joined months, half for what was made of them."""
        self._database = database
        self._limiter = limiter
        self._tables: LruCache[str, pa.Table] = LruCache(capacity // 2)
        self._bodies: LruCache[tuple[str, str], Segment] = LruCache(capacity // 2)
        self._flights: SingleFlight[str, Answer] = SingleFlight()

    async def answer(self, plan: TrainingPlan, form: Representation) -> Answer:
        """Raises SegmentGone, DatabaseUnavailable."""
        return await self._flights.do(
            plan.tag + form.tag,
            lambda: anyio.to_thread.run_sync(lambda: self._answer(plan, form), limiter=self._limiter),
        )

    def _answer(self, plan: TrainingPlan, form: Representation) -> Answer:
        stamps, read = plan.stamps, list[Month]()
        chunks = self._parquet(plan, read) if form.format.name == "parquet" else self._spliced(plan, form, read)
        return Answer(
            chunks=chunks,
            records=len(stamps),
            first=stamps[0] if stamps else None,
            last=stamps[-1] if stamps else None,
            served_from="database" if read else "memory",
        )

    def _parquet(self, plan: TrainingPlan, read: list[Month]) -> tuple[bytes, ...]:
        tables = self._months(plan, plan.months, read)
        cuts = [cut(tables[month], plan.interval.start, plan.interval.end) for month in plan.months]
        return (parquet(cuts, training.schema(plan.resolution)),)

    def _spliced(self, plan: TrainingPlan, form: Representation, read: list[Month]) -> tuple[bytes, ...]:
        """Months' bodies put together. Those that the range cuts are made anew, and so are large, plain ones."""
        whole = [month for month in plan.months if _is_whole(plan, month)] if form.encoding != "identity" else []
        keys = {month: (_key(plan, month), form.tag) for month in whole}
        bodies = {month: body for month, key in keys.items() if (body := self._bodies.get(key)) is not None}
        tables = self._months(plan, [month for month in plan.months if month not in bodies], read)
        for month, table in tables.items():
            rows = cut(table, plan.interval.start, plan.interval.end)
            text = month_text(form.format.name, rows) if rows.num_rows else b""
            bodies[month] = pack(text, rows.num_rows, form.encoding)
            if month in keys:
                self._bodies.put(keys[month], bodies[month], len(bodies[month].body))
        filled = [bodies[month] for month in plan.months if bodies[month].rows]
        return splice(filled, form.encoding, *delimiters_of(form.format.name, lambda: training.schema(plan.resolution)))

    def _months(self, plan: TrainingPlan, wanted: Iterable[Month], read: list[Month]) -> dict[Month, pa.Table]:
        """Joined months; those that memory does not have are added to `read`."""
        keys = {month: _key(plan, month) for month in wanted}
        found = {month: table for month, key in keys.items() if (table := self._tables.get(key)) is not None}
        absent = [month for month in keys if month not in found]
        read += absent
        held = {name: self._held(plan, name, absent) for name in plan.plans}
        for month in absent:
            parts = {name: tables[month] for name, tables in held.items() if month in tables}
            found[month] = training.month_frame(plan.city, month, plan.resolution, parts)
            self._tables.put(keys[month], found[month], found[month].nbytes)
        return found

    def _held(self, plan: TrainingPlan, dataset: DatasetName, months: Iterable[Month]) -> dict[Month, training.Part]:
        pieces = plan.pieces(dataset)
        wanted = [pieces[month] for month in months if month in pieces]
        try:
            tables = read_frames(
                self._database, dataset, plan.city.city_id, [(piece.entry.month, piece.version) for piece in wanted]
            )
        except NoSuchVersion as error:
            raise SegmentGone(str(error)) from error
        parts: dict[Month, training.Part] = {}
        for piece in wanted:
            month, table = piece.entry.month, tables[piece.entry.month, piece.version]
            if table.num_rows != piece.entry.rows:  # another life's: the month was dropped and loaded anew
                raise SegmentGone(piece.identity)
            parts[month] = training.Part(table, training.resolution_of(piece.entry.expected_rows, month))
        return parts


def _is_whole(plan: TrainingPlan, month: Month) -> bool:
    start, end = month.bounds(plan.city.timezone)
    return plan.interval.start <= start and end <= plan.interval.end


def _key(plan: TrainingPlan, month: Month) -> str:
    made_of = [pieces[month].identity if month in (pieces := plan.pieces(name)) else "" for name in plan.plans]
    return "\n".join([plan.resolution, plan.city.city_id, str(month), *made_of])
