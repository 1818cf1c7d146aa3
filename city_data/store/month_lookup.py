"""Bodies of a plan's months while they are being found. Belongs here: those found, those still missing, and from where.

Does not: finding or building them (month_bodies.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from city_data.store.plans import MonthSlice, Plan
from city_data.store.representations import Representation
from city_data.store.segments import Segment
from city_data.window import Month

MonthSlices = Sequence[MonthSlice]


class Body(NamedTuple):
    """A month in a representation, with the dates of its first and last record."""

    segment: Segment
    first: datetime | None
    last: datetime | None


@dataclass
class MonthLookup:
    """The lookup of a plan's months: the farthest layer that was read, and the number of slices missing in memory.

    `built` are bodies by slice name; `stored` are segments from which bodies can be built.
    """

    plan: Plan
    representation: Representation
    built: dict[str, Body] = field(default_factory=dict)
    stored: dict[Month, Segment] = field(default_factory=dict)
    farthest: str = "memory"
    missed: int = 0

    @property
    def wanted(self) -> list[MonthSlice]:
        """The slices that have no body yet."""
        return [month_slice for month_slice in self.plan.slices if month_slice.name not in self.built]

    @property
    def bodies(self) -> list[Body]:
        return [self.built[month_slice.name] for month_slice in self.plan.slices]
