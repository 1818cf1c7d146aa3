"""The body of a training frame. Belongs here: joined months and their cache.

Does not: joining a month (city_data/frames/training.py), or HTTP (routes/training.py). A joined month is cached under
the versions it is built from, so a stale one is never served; months at the range's edges are cut on each request.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import anyio.to_thread
from anyio import CapacityLimiter

from api.bodies.reader import Answer, Answers
from api.caching import SingleFlight
from city_data.datasets import DATASETS, DatasetName
from city_data.frames import training
from city_data.frames.training_columns import schema
from city_data.lru_cache import LruCache
from city_data.store.database import Database
from city_data.store.encodings import splice
from city_data.store.month_bodies import SegmentGone, loaded_at
from city_data.store.record_formats import delimiters_of, month_segment, parquet
from city_data.store.record_tables import cut
from city_data.store.representations import Representation
from city_data.store.segments import Segment
from city_data.store.training_plans import TrainingPlan
from city_data.store.versions import NoSuchVersion, read_frames
from city_data.window import Month

if TYPE_CHECKING:
    import pyarrow as pa


class Joiner:
    """Builds training frames. One per application; its cache is bounded, equal concurrent requests share one build."""

    def __init__(self, database: Database, limiter: CapacityLimiter, answers: Answers, *, capacity: int) -> None:
        """Half of `capacity` (bytes) is for joined months, half for their bodies."""
        self._database, self._limiter, self._answers = database, limiter, answers
        self._tables: LruCache[str, pa.Table] = LruCache(capacity // 2)
        self._bodies: LruCache[tuple[str, str], Segment] = LruCache(capacity // 2)
        self._flights: SingleFlight[str, Answer] = SingleFlight()

    def cached_answer(self, plan: TrainingPlan, representation: Representation) -> Answer | None:
        """The answer if memory has it."""
        return self._answers.get(plan.tag + representation.tag)

    def cost(self, plan: TrainingPlan, representation: Representation) -> int:
        """The number of months to build; 0 if memory has the answer."""
        return 0 if self.cached_answer(plan, representation) is not None else len(plan.months)

    async def answer(self, plan: TrainingPlan, representation: Representation) -> Answer:
        """Raises SegmentGone, DatabaseUnavailable."""
        known = self.cached_answer(plan, representation)
        if known is not None:
            return known
        return await self._flights.do(
            plan.tag + representation.tag,
            lambda: anyio.to_thread.run_sync(lambda: self._answer(plan, representation), limiter=self._limiter),
        )

    def _answer(self, plan: TrainingPlan, representation: Representation) -> Answer:
        stamps, read = plan.stamps, list[Month]()
        chunks = (
            self._parquet(plan, read)
            if representation.format == "parquet"
            else self._spliced(plan, representation, read)
        )
        answer = Answer(
            chunks=chunks,
            records=len(stamps),
            first=stamps[0] if stamps else None,
            last=stamps[-1] if stamps else None,
            served_from="database" if read else "memory",
        )
        self._answers.put(plan.tag + representation.tag, answer)
        return answer

    def _parquet(self, plan: TrainingPlan, read: list[Month]) -> tuple[bytes, ...]:
        tables = self._months(plan, plan.months, read)
        cuts = [cut(tables[month], plan.interval.start, plan.interval.end) for month in plan.months]
        return (parquet(cuts, schema(plan.grid)),)

    def _spliced(self, plan: TrainingPlan, representation: Representation, read: list[Month]) -> tuple[bytes, ...]:
        """The months' bodies, joined. Cut months and uncompressed ones are built on each request."""
        whole = [month for month in plan.months if _is_whole(plan, month)] if representation.is_compressed else []
        keys = {month: (_key(plan, month), representation.tag) for month in whole}
        bodies = {month: body for month, key in keys.items() if (body := self._bodies.get(key)) is not None}
        tables = self._months(plan, [month for month in plan.months if month not in bodies], read)
        for month, table in tables.items():
            rows = cut(table, plan.interval.start, plan.interval.end)
            bodies[month] = month_segment(representation.format, rows, representation.encoding)
            if month in keys:
                self._bodies.put(keys[month], bodies[month], len(bodies[month].body))
        filled = [bodies[month] for month in plan.months if bodies[month].rows]
        return splice(
            filled,
            representation.encoding,
            *delimiters_of(representation.format, lambda: schema(plan.grid)),
        )

    def _months(self, plan: TrainingPlan, wanted: Iterable[Month], read: list[Month]) -> dict[Month, pa.Table]:
        """Joined months; those missing in the cache are added to `read`."""
        keys = {month: _key(plan, month) for month in wanted}
        joined = {month: table for month, key in keys.items() if (table := self._tables.get(key)) is not None}
        absent = [month for month in keys if month not in joined]
        read += absent
        parts_of = {name: self._read_parts(plan, name, absent) for name in plan.plans}
        for month in absent:
            parts = {name: tables[month] for name, tables in parts_of.items() if month in tables}
            joined[month] = training.month_frame(plan.city, month, plan.grid, parts)
            self._tables.put(keys[month], joined[month], joined[month].nbytes)
        return joined

    def _read_parts(self, plan: TrainingPlan, name: DatasetName, months: Iterable[Month]) -> dict[Month, training.Part]:
        """The parts that fill the columns of the dataset `name`."""
        slices, dataset = plan.slices[name], DATASETS[plan.plans[name].dataset]
        lead = plan.lead if dataset.stands_in_for else None
        wanted = [slices[month] for month in months if month in slices]
        try:
            loaded = loaded_at(wanted)
            tables = read_frames(self._database, dataset.name, plan.city.city_id, list(loaded), loaded)
        except NoSuchVersion as error:
            raise SegmentGone(str(error)) from error
        parts: dict[Month, training.Part] = {}
        for month_slice in wanted:
            month, table = month_slice.entry.month, tables[month_slice.entry.month, month_slice.version]
            if table.num_rows != month_slice.entry.rows:  # the month was dropped and reloaded
                raise SegmentGone(month_slice.identity)
            resolution = training.resolution_of(month_slice.entry.expected_rows, month)
            parts[month] = training.Part(dataset, table, resolution, lead)
        return parts


def _is_whole(plan: TrainingPlan, month: Month) -> bool:
    start, end = month.bounds(plan.city.timezone)
    return plan.interval.start <= start and end <= plan.interval.end


def _key(plan: TrainingPlan, month: Month) -> str:
    identities = [slices[month].identity if month in slices else "" for slices in plan.slices.values()]
    return "\n".join([plan.grid, str(plan.lead), plan.city.city_id, str(month), *identities])
