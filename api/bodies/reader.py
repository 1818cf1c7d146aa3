"""From a plan to bytes. Belongs here: joining a plan's pieces into one body, answers asked before, single flight.

Does not: which months (query/planning.py), where their pieces come from (month_bodies.py), or HTTP (responses.py). A
whole month is never decompressed, re-serialised or re-compressed once it has been asked for in a form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

import anyio.to_thread
from anyio import CapacityLimiter

from api.bodies.encodings import splice
from api.bodies.month_bodies import Body, Months
from api.bodies.tables import schema
from api.bodies.writers import delimiters_of, parquet
from api.caching import LruCache, SingleFlight
from api.observability import Metrics
from api.query.planning import Plan
from api.query.shapes import Representation
from city_data.datasets import DATASETS

T = TypeVar("T")


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


class Reader:
    """Reads plans. One an app; its memory is bounded, and equal requests under way share one reading."""

    def __init__(
        self,
        months: Months,
        limiter: CapacityLimiter,
        metrics: Metrics,
        *,
        answer_bytes: int,
    ) -> None:
        self._months, self._limiter, self._metrics = months, limiter, metrics
        self._answers: LruCache[str, Answer] = LruCache(answer_bytes)
        self._flights: SingleFlight[str, Answer] = SingleFlight()

    async def answer(self, plan: Plan, form: Representation) -> Answer:
        """Raises SegmentGone, DatabaseUnavailable."""
        known = self.at_hand(plan, form)
        if known is not None:
            self.count_hit(plan)
            return known
        return await self._flights.do(_key(plan, form), lambda: self._make(plan, form))

    def at_hand(self, plan: Plan, form: Representation) -> Answer | None:
        """The answer where memory has it, or its pieces: joining them takes less than the way to a thread and back."""
        known = self._answers.get(_key(plan, form))
        if known is not None or form.format.name == "parquet":
            return known
        bodies = self._months.ready(plan, form)
        return self._joined(plan, form, bodies, "memory") if bodies is not None else None

    def count_hit(self, plan: Plan) -> None:
        """What was at hand is counted once it is sent."""
        self._metrics.looked_up("memory", plan.dataset, len(plan.pieces), 0)

    async def _make(self, plan: Plan, form: Representation) -> Answer:
        if form.format.name == "parquet":
            return await self._in_thread(lambda: self._read_parquet(plan, form))
        look = await self._months.look(plan, form)
        if look.wanted:  # in a thread: it may ask PostgreSQL, and compressing lets others run
            await self._in_thread(lambda: self._months.fill(look))
        self._months.count(look)
        return self._joined(plan, form, look.bodies, look.farthest)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    def _joined(self, plan: Plan, form: Representation, bodies: list[Body], served_from: str) -> Answer:
        filled = [body for body in bodies if body.segment.rows]
        frame = delimiters_of(form.format.name, lambda: schema(DATASETS[plan.dataset], form.shape))
        answer = Answer(
            chunks=splice([body.segment for body in filled], form.encoding, *frame),
            records=sum(body.segment.rows for body in filled),
            first=filled[0].first if filled else None,
            last=filled[-1].last if filled else None,
            served_from=served_from,
        )
        self._keep(plan, form, answer)
        return answer

    def _read_parquet(self, plan: Plan, form: Representation) -> Answer:
        tables, look = self._months.tables(plan, form)
        self._months.count(look)
        filled = [table for table in tables if table.num_rows]
        answer = Answer(
            chunks=(parquet(filled, schema(DATASETS[plan.dataset], form.shape)),),
            records=sum(table.num_rows for table in filled),
            first=filled[0]["date"][0].as_py() if filled else None,
            last=filled[-1]["date"][-1].as_py() if filled else None,
            served_from=look.farthest,
        )
        self._keep(plan, form, answer)
        return answer

    def _keep(self, plan: Plan, form: Representation, answer: Answer) -> None:
        self._answers.put(_key(plan, form), replace(answer, served_from="memory"), answer.length)


def _key(plan: Plan, form: Representation) -> str:
    return plan.tag + form.tag
