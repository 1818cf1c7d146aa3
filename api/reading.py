"""From a plan to bytes. Belongs here: joining a plan's pieces into one body, answers asked before, single flight.

Does not: which months (planning.py), where their pieces come from (months.py), or HTTP (responses.py). A whole month is
never decompressed, re-serialised or re-compressed once it has been asked for in a form.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import anyio.to_thread
from anyio import CapacityLimiter

from api.encodings import splice
from api.memory import BoundedMemory, SingleFlight
from api.months import Body, Months
from api.observe import Metrics
from api.planning import Plan
from api.rendering import frame_of, parquet
from api.shapes import Form
from api.tables import schema
from city_data.store.cache import Cache
from city_data.store.database import Database


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
        database: Database,
        cache: Cache,
        limiter: CapacityLimiter,
        metrics: Metrics,
        *,
        segment_bytes: int,
        answer_bytes: int,
    ) -> None:
        self._limiter = limiter
        self._metrics = metrics
        self._months = Months(database, cache, metrics, segment_bytes)
        self._answers: BoundedMemory[str, Answer] = BoundedMemory(answer_bytes)
        self._flights: SingleFlight[str, Answer] = SingleFlight()

    async def answer(self, plan: Plan, form: Form) -> Answer:
        """Raises SegmentGone, DatabaseUnavailable."""
        key = plan.tag + form.tag
        known = self._answers.get(key)
        if known is not None:
            self._metrics.looked_up("memory", plan.dataset, len(plan.pieces), 0)
            return known
        ready = self._months.ready(plan, form) if form.format.name != "parquet" else None
        if ready is not None:  # joining what is there takes less than the way to a thread and back
            answer = self._joined(plan, form, ready, "memory")
            self._answers.put(key, answer, answer.length)
            return answer
        return await self._flights.do(key, lambda: self._make(plan, form, key))

    async def _make(self, plan: Plan, form: Form, key: str) -> Answer:
        # In a thread: it may ask Redis and PostgreSQL, and compressing lets others run.
        answer = await anyio.to_thread.run_sync(lambda: self._read(plan, form), limiter=self._limiter)
        self._answers.put(key, replace(answer, served_from="memory"), answer.length)
        return answer

    def _read(self, plan: Plan, form: Form) -> Answer:
        if form.format.name == "parquet":
            return self._read_parquet(plan, form)
        bodies, look = self._months.bodies(plan, form)
        return self._joined(plan, form, bodies, look.farthest)

    def _joined(self, plan: Plan, form: Form, bodies: list[Body], served_from: str) -> Answer:
        filled = [body for body in bodies if body.segment.rows]
        frame = frame_of(form.format.name, lambda: schema(plan.dataset, form.shape))
        return Answer(
            chunks=splice([body.segment for body in filled], form.encoding, *frame),
            records=sum(body.segment.rows for body in filled),
            first=filled[0].first if filled else None,
            last=filled[-1].last if filled else None,
            served_from=served_from,
        )

    def _read_parquet(self, plan: Plan, form: Form) -> Answer:
        tables, look = self._months.tables(plan, form.shape)
        filled = [table for table in tables if table.num_rows]
        return Answer(
            chunks=(parquet(filled, schema(plan.dataset, form.shape)),),
            records=sum(table.num_rows for table in filled),
            first=filled[0]["date"][0].as_py() if filled else None,
            last=filled[-1]["date"][-1].as_py() if filled else None,
            served_from=look.farthest,
        )
