"""The time of the sandbox: its clock, the start of history, months withheld and revised for a test.

Belongs here: what holds for every source. Does not: when one source publishes what, which its speaker knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from city_data.window import Month

HISTORY_MONTHS = 30


@dataclass
class Publication:
    """`clock` gives the moment; `unpublished` months are withheld by every source; `revisions` counts how often each
    source has changed a month since it first published it. All may change while serving.

    With `list_open_month`, Madrid lists a month from its third day on, partial until it has closed for six days.
    """

    clock: Callable[[], datetime]
    unpublished: set[Month] = field(default_factory=set)
    list_open_month: bool = True
    revisions: dict[Month, int] = field(default_factory=dict)

    @classmethod
    def at(
        cls,
        as_of: datetime | Callable[[], datetime],
        unpublished: Iterable[Month] = (),
        list_open_month: bool = True,
    ) -> Publication:
        if isinstance(as_of, datetime):
            moment = as_of.replace(tzinfo=UTC) if as_of.tzinfo is None else as_of.astimezone(UTC)
            return cls(lambda: moment, set(unpublished), list_open_month)
        return cls(as_of, set(unpublished), list_open_month)

    @property
    def today(self) -> date:
        return self.clock().astimezone(UTC).date()

    def revision(self, month: Month) -> int:
        return self.revisions.get(month, 0)

    @property
    def first_month(self) -> Month:
        return Month.of(self.today) - HISTORY_MONTHS
