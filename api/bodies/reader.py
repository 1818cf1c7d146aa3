"""The body of a plan. Belongs here: joining months into one body, the cache of whole answers, single flight.

Does not: choosing months or reading them (city_data/store/plans.py, month_bodies.py), or HTTP (responses.py). A whole
month is serialised and compressed once for each representation; answers reuse its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import anyio.to_thread
from anyio import CapacityLimiter

from api.caching import SingleFlight
from api.observability import Metrics
from city_data.datasets import DATASETS
from city_data.lru_cache import LruCache
from city_data.store.encodings import splice
from city_data.store.month_bodies import Months
from city_data.store.month_lookup import Body
from city_data.store.plans import Plan
from city_data.store.record_formats import delimiters_of, parquet
from city_data.store.record_tables import schema
from city_data.store.representations import Representation
from city_data.store.training_plans import TrainingPlan


@dataclass(frozen=True)
class Answer:
    """A body in chunks, with its record count and dates. `served_from` is the farthest layer that was read."""

    chunks: tuple[bytes, ...]
    records: int
    first: datetime | None
    last: datetime | None
    served_from: str

    @property
    def length(self) -> int:
        return sum(map(len, self.chunks))


class Answers:
    """Whole answers of histories and frames, together at most `capacity` bytes."""

    def __init__(self, capacity: int) -> None:
        self._answers: LruCache[str, Answer] = LruCache(capacity)

    def get(self, plan: Plan | TrainingPlan, representation: Representation) -> Answer | None:
        return self._answers.get(answer_key(plan, representation))

    def put(self, plan: Plan | TrainingPlan, representation: Representation, answer: Answer) -> None:
        if answer.served_from != "memory":
            answer = replace(answer, served_from="memory")
        self._answers.put(answer_key(plan, representation), answer, answer.length)


class Reader:
    """Reads plans. One per application; its cache is bounded, and equal concurrent requests share one read."""

    def __init__(
        self,
        months: Months,
        limiter: CapacityLimiter,
        expensive: CapacityLimiter,
        metrics: Metrics,
        answers: Answers,
    ) -> None:
        """`expensive` limits the threads that make months of frames, so that all other reads find a thread."""
        self._months, self._limiter, self._expensive, self._metrics = months, limiter, expensive, metrics
        self._answers = answers
        self._flights: SingleFlight[str, Answer] = SingleFlight()

    async def answer(self, plan: Plan, representation: Representation) -> Answer:
        """Raises SegmentGone, DatabaseUnavailable."""
        known = self.cached_answer(plan, representation)
        if known is not None:
            return known
        return await self._flights.do(answer_key(plan, representation), lambda: self._make(plan, representation))

    def cached_answer(self, plan: Plan, representation: Representation) -> Answer | None:
        """The answer if it, or every month of it, is in memory: joining them costs less than a thread switch. It is
        counted as read from there."""
        answer = self._answers.get(plan, representation)
        if answer is None and representation.format != "parquet":
            bodies = self._months.cached_bodies(plan, representation)
            answer = self._join(plan, representation, bodies, "memory") if bodies is not None else None
        if answer is not None:
            self._metrics.count_lookups("memory", plan.dataset, len(plan.slices), 0)
        return answer

    def cost(self, plan: Plan, representation: Representation) -> int:
        """The number of months to build from frames; 0 if memory has the answer or stored segments suffice."""
        if representation.is_from_segments or self._answers.get(plan, representation) is not None:
            return 0
        is_parquet = representation.format == "parquet"
        is_cached = not is_parquet and self._months.cached_bodies(plan, representation) is not None
        return 0 if is_cached else len(plan.slices)

    async def _make(self, plan: Plan, representation: Representation) -> Answer:
        if representation.format == "parquet":
            return await anyio.to_thread.run_sync(self._read_parquet, plan, representation, limiter=self._expensive)
        lookup = await self._months.lookup(plan, representation)
        if lookup.wanted:  # in a thread: it may query PostgreSQL, and compression releases the GIL
            limiter = self._limiter if representation.is_from_segments else self._expensive
            await anyio.to_thread.run_sync(self._months.fill, lookup, limiter=limiter)
        self._months.count(lookup)
        return self._join(plan, representation, lookup.bodies, lookup.farthest)

    def _join(self, plan: Plan, representation: Representation, bodies: list[Body], served_from: str) -> Answer:
        filled = [body for body in bodies if body.segment.rows]
        segments = [body.segment for body in filled]
        delimiters = delimiters_of(representation.format, lambda: schema(DATASETS[plan.dataset], representation.shape))
        answer = Answer(
            chunks=splice(segments, representation.encoding, *delimiters),
            records=sum([segment.rows for segment in segments]),
            first=filled[0].first if filled else None,
            last=filled[-1].last if filled else None,
            served_from=served_from,
        )
        self._answers.put(plan, representation, answer)
        return answer

    def _read_parquet(self, plan: Plan, representation: Representation) -> Answer:
        tables, lookup = self._months.tables(plan, representation)
        self._months.count(lookup)
        filled = [table for table in tables if table.num_rows]
        answer = Answer(
            chunks=(parquet(filled, schema(DATASETS[plan.dataset], representation.shape)),),
            records=sum(table.num_rows for table in filled),
            first=filled[0]["date"][0].as_py() if filled else None,
            last=filled[-1]["date"][-1].as_py() if filled else None,
            served_from=lookup.farthest,
        )
        self._answers.put(plan, representation, answer)
        return answer


def answer_key(plan: Plan | TrainingPlan, representation: Representation) -> str:
    """Equal keys mean equal bytes."""
    return plan.tag + representation.tag
