"""The effect of a failure on a run and on the ledger, in any step.

Belongs here: recording every failure of a month, and Dagster's retry or failure. Does not: the outcome of a source's
answer (providers/errors.py), or the normal states of a month (raw.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from types import TracebackType

import dagster as dg

from city_data.cities import RegistryError
from city_data.defs.resources import DatabaseResource
from city_data.pipeline.feeds import Feed
from city_data.pipeline.outcomes import words
from city_data.providers.base import PermanentError, ProviderError, SourceBlocked, TransientError
from city_data.store.raw import ArchiveError
from city_data.window import Month

MAX_RETRIES = 3
RETRY_WAIT_S = 10.0
# A waiting run occupies a slot: longer waits, such as for a day's budget that is used up, are left to the daily
# refresh.
LONGEST_WAIT_S = 900.0
_EXPECTED = (ProviderError, ArchiveError, RegistryError)


@dataclass(frozen=True)
class RecordedFailures:
    """A context of one step on one month: every failure is in the ledger before it reaches Dagster.

    Transient errors request a retry after the source's own wait; other expected ones, and long waits, fail the step
    for good; unforeseen ones keep their stack. Two are not recorded: DatabaseUnavailable, which leaves no ledger to
    write to, and a stale load, whose month has newer bytes and no fault.
    """

    database: DatabaseResource
    feed: Feed
    month: Month
    moment: datetime
    run_id: str
    retry_number: int = 0

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from city_data.store.database import DatabaseUnavailable
        from city_data.store.months import StaleLoad

        if not isinstance(error, Exception) or isinstance(error, DatabaseUnavailable | StaleLoad):
            return
        self.database.record_state(self.feed, self.month, "failed", _text(error), self.moment, self.run_id)
        # The client has tried a firewall for minutes: more calls from here make its verdict worse.
        if isinstance(error, TransientError) and not isinstance(error, SourceBlocked):
            wait = RETRY_WAIT_S if error.retry_after is None else error.retry_after
            # Dagster's own text for the last one, "Exceeded max_retries", would hide the source's.
            if wait <= LONGEST_WAIT_S and self.retry_number < MAX_RETRIES:
                raise dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=wait) from error
        if isinstance(error, _EXPECTED):
            raise dg.Failure(str(error), metadata={"kind": _kind(error)}, allow_retries=False) from error


def _text(error: Exception) -> str:
    if isinstance(error, dg.Failure):
        return error.description or words(error)
    return str(error) if isinstance(error, _EXPECTED) else words(error)


def _kind(error: Exception) -> str:
    if isinstance(error, TransientError):
        return "transient"
    return "permanent" if isinstance(error, PermanentError) else "unknown"
