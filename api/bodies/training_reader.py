"""The body of a training frame. Belongs here: joined months and their cache.

Does not: reading and joining months (city_data/store/training_months.py), or HTTP (routes/training.py). A joined month
is cached under the versions it is built from, so a stale one is never served. Months at a range's edges are cut on each
request.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import anyio.to_thread
from anyio import CapacityLimiter

from api.bodies.reader import Answer, Answers, answer_key
from api.caching import SingleFlight
from city_data.frames.training_columns import schema
from city_data.lru_cache import LruCache
from city_data.store.database import Database
from city_data.store.encodings import splice
from city_data.store.month_bodies import SegmentGone
from city_data.store.record_formats import delimiters_of, month_segments, parquet
from city_data.store.record_tables import cut
from city_data.store.representations import Representation
from city_data.store.segments import Segment
from city_data.store.training_months import read_months
from city_data.store.training_plans import TrainingPlan
from city_data.store.versions import NoSuchVersion
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
        return self._answers.get(plan, representation)

    def cost(self, plan: TrainingPlan, representation: Representation) -> int:
        """The number of months to build; 0 if memory has the answer."""
        return 0 if self.cached_answer(plan, representation) is not None else len(plan.months)

    async def answer(self, plan: TrainingPlan, representation: Representation) -> Answer:
        """Raises SegmentGone, DatabaseUnavailable."""
        known = self.cached_answer(plan, representation)
        if known is not None:
            return known
        return await self._flights.do(
            answer_key(plan, representation),
            lambda: anyio.to_thread.run_sync(lambda: self._answer(plan, representation), limiter=self._limiter),
        )

    def _answer(self, plan: TrainingPlan, representation: Representation) -> Answer:
        stamps, read = plan.stamps, list[Month]()
        try:
            chunks = (
                self._parquet(plan, read)
                if representation.format == "parquet"
                else self._spliced(plan, representation, read)
            )
        except NoSuchVersion as error:
            raise SegmentGone(str(error)) from error
        answer = Answer(
            chunks=chunks,
            records=len(stamps),
            first=stamps[0] if stamps else None,
            last=stamps[-1] if stamps else None,
            served_from="database" if read else "memory",
        )
        self._answers.put(plan, representation, answer)
        return answer

    def _parquet(self, plan: TrainingPlan, read: list[Month]) -> tuple[bytes, ...]:
        interval = plan.interval
        cuts = [cut(table, interval.start, interval.end) for table in self._joined(plan, plan.months, read)]
        return (parquet(cuts, schema(plan.grid)),)

    def _spliced(self, plan: TrainingPlan, representation: Representation, read: list[Month]) -> tuple[bytes, ...]:
        """The months' bodies, joined. Cut months and uncompressed ones are built on each request."""
        kind, encoding, interval = representation.format, representation.encoding, plan.interval
        whole = [month for month in plan.months if plan.is_whole(month)] if representation.is_compressed else []
        keys = {month: (plan.month_key(month), representation.tag) for month in whole}
        bodies = {month: body for month, key in keys.items() if (body := self._bodies.get(key)) is not None}
        wanted = [month for month in plan.months if month not in bodies]
        rows = (
            table if plan.is_whole(month) else cut(table, interval.start, interval.end)
            for month, table in zip(wanted, self._joined(plan, wanted, read), strict=True)
        )
        for month, body in zip(wanted, month_segments(kind, rows, encoding), strict=True):
            bodies[month] = body
            if month in keys:
                self._bodies.put(keys[month], body, len(body.body))
        filled = [bodies[month] for month in plan.months if bodies[month].rows]
        return splice(filled, encoding, *delimiters_of(kind, lambda: schema(plan.grid)))

    def _joined(self, plan: TrainingPlan, wanted: Sequence[Month], read: list[Month]) -> Iterator[pa.Table]:
        """The wanted months, joined, in order. What memory lacks of them is read, and added to `read`."""
        known = {month: table for month in wanted if (table := self._tables.get(plan.month_key(month))) is not None}
        read += [month for month in wanted if month not in known]
        new = read_months(self._database, plan, read)
        for month in wanted:
            table = known.get(month)
            if table is None:
                table = next(new)
                self._tables.put(plan.month_key(month), table, table.nbytes)
            yield table
