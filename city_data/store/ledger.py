"""The ledger `city_month`: the state of every month of every city, read by the reader, the CLI and retention.

Belongs here: reading it, writing states without data, and the history of states. Does not: publishing rows (months.py
writes both at once).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from functools import cached_property
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from city_data.datasets import DATASETS, DatasetName
from city_data.frames import coverage
from city_data.store import totals
from city_data.store.database import Database
from city_data.store.schema import CITY_MONTH, MONTH_STATE
from city_data.window import Month

State = Literal["provisional", "settled", "not_yet_published", "not_available", "failed"]
Recheck = Literal["unchanged", "revised", "fetched", "withdrawn"]


class Identified:
    """Identifies a version's bytes: by number, content and load time, since a dropped month may be loaded again."""

    @cached_property
    def identity(self: Any) -> str:
        loaded = self.loaded_at.isoformat() if self.loaded_at else ""
        return f"{self.dataset}/{self.city_id}/{self.month}/{self.version}/{self.content_sha256}/{loaded}"


@dataclass(frozen=True)
class MonthEntry(Identified):
    """One month of one city's dataset. `column_coverage` are the columns' shares (0..1) of `expected_rows`, `coverage`
    is the mean of those that its source measures (frames/coverage.py); of months loaded before that rule it is the
    share of rows with any value.

    `received` provider rows = `used` + the sum of `rejected`; `days` as frames/coverage.py has it. `recheck` is the
    result of the last recheck of the settled month: `fetched` where the source has no fingerprints, so that it was
    fetched again. A month with data keeps its state through later failures, which are in `last_error`.
    `unavailable_since`: when its first source was first without it; `fallback_reason`: the first source's outcome,
    where the fallback serves the month.
    """

    city_id: str
    dataset: DatasetName
    month: Month
    state: State
    version: int | None
    rows: int
    expected_rows: int
    coverage: float | None
    column_coverage: Mapping[str, float]
    first_date: datetime | None
    last_date: datetime | None
    source: str | None
    content_sha256: str | None
    raw_files: Sequence[Mapping[str, Any]]
    received: int
    used: int
    rejected: Mapping[str, int]
    nulled: Mapping[str, int]
    days: Mapping[str, Any]
    provenance: Mapping[str, Any]
    code_version: str
    run_id: str | None
    attempt: int
    fetched_at: datetime | None
    loaded_at: datetime | None
    settled_at: datetime | None
    checked_at: datetime | None
    rechecked_at: datetime | None
    recheck: Recheck | None
    last_error: str | None
    last_error_at: datetime | None
    unavailable_since: datetime | None = None
    fallback_reason: str | None = None

    @property
    def has_data(self) -> bool:
        return self.version is not None

    @property
    def used_share(self) -> float | None:
        """The share (0..1) of its provider's rows that the month was made of, repeats left out."""
        return coverage.used_share(self.received, self.used, self.rejected)

    @property
    def empty_columns(self) -> list[str]:
        """The measured columns that its source gives and of which it has no value."""
        return coverage.empty_columns(self.days, DATASETS[self.dataset]) if self.has_data else []


@dataclass(frozen=True)
class StateChange:
    """A month's state, from `at` until the next change. `reason` is the text of the source or the error."""

    at: datetime
    state: State
    version: int | None
    run_id: str | None
    reason: str | None


def read_months(
    database: Database,
    *,
    city_id: str | None = None,
    dataset: str | None = None,
    first: Month | None = None,
    last: Month | None = None,
) -> list[MonthEntry]:
    """The ledger's rows, by city, dataset and month; `first` and `last` are included. Raises DatabaseUnavailable."""
    query = sa.select(CITY_MONTH).order_by(CITY_MONTH.c.city_id, CITY_MONTH.c.dataset, CITY_MONTH.c.month)
    if city_id is not None:
        query = query.where(CITY_MONTH.c.city_id == city_id)
    if dataset is not None:
        query = query.where(CITY_MONTH.c.dataset == dataset)
    if first is not None:
        query = query.where(CITY_MONTH.c.month >= first.first_day)
    if last is not None:
        query = query.where(CITY_MONTH.c.month <= last.first_day)
    with database.read() as connection:
        return [entry(row) for row in connection.execute(query).mappings()]


def record_state(
    database: Database,
    city_id: str,
    dataset: str,
    month: Month,
    state: State,
    *,
    at: datetime,
    run_id: str | None = None,
    message: str | None = None,
    expected_rows: int = 0,
) -> None:
    """Write that a month brought no data, and the reason. A month with data keeps its rows, version and state.

    Raises DatabaseUnavailable.
    """
    failed = state == "failed"
    error = {"last_error": message if failed else None, "last_error_at": at if failed else None}
    since = {"unavailable_since": at} if state == "not_available" else {}
    without = {"state": state, "run_id": run_id, "expected_rows": expected_rows}
    fresh: dict[str, Any] = {
        "city_id": city_id,
        "dataset": dataset,
        "month": month.first_day,
        "rows": 0,
        "column_coverage": {},
        "raw_files": [],
        "rejected": {},
        "provenance": {} if failed or message is None else {"reason": message},
        "code_version": "",
        "attempt": 0,
        "checked_at": at,
        **without,
        **error,
        **since,
    }
    statement = insert(CITY_MONTH).values(fresh)
    changed = {name: _unless_data(name, statement.excluded[name]) for name in (*without, "provenance")}
    if since:
        # Growing intervals are counted from the first time.
        changed["unavailable_since"] = sa.func.coalesce(CITY_MONTH.c.unavailable_since, at)
    if not failed:
        # The reason of a fallback's month follows its first source.
        changed["fallback_reason"] = sa.case((CITY_MONTH.c.fallback_reason.is_not(None), message))
    statement = statement.on_conflict_do_update(
        index_elements=["city_id", "dataset", "month"], set_={**changed, "checked_at": at, **error}
    )
    of_month = sa.and_(CITY_MONTH.c.city_id == city_id, CITY_MONTH.c.dataset == dataset)
    current = sa.select(CITY_MONTH.c.state, CITY_MONTH.c.version).where(of_month, CITY_MONTH.c.month == month.first_day)
    with database.write() as connection:
        before = connection.execute(current).one_or_none()
        connection.execute(statement)
        if failed:
            totals.add_failure(connection, city_id, dataset)
        if before is None or (before.version is None and before.state != state):
            add_state_change(connection, city_id, dataset, month, StateChange(at, state, None, run_id, message))


def add_state_change(connection: sa.Connection, city_id: str, dataset: str, month: Month, change: StateChange) -> None:
    """Add a change of the month's state to its history, in the caller's transaction."""
    values = {"city_id": city_id, "dataset": dataset, "month": month.first_day, **asdict(change)}
    connection.execute(MONTH_STATE.insert().values(values))


def read_states(database: Database, city_id: str, dataset: str, month: Month) -> list[StateChange]:
    """The month's states, oldest first. Raises DatabaseUnavailable."""
    table = MONTH_STATE
    query = sa.select(*(table.c[field.name] for field in fields(StateChange))).order_by(table.c.id)
    of_month = (table.c.city_id == city_id, table.c.dataset == dataset, table.c.month == month.first_day)
    with database.read() as connection:
        return [StateChange(**row) for row in connection.execute(query.where(*of_month)).mappings()]


def first_change(database: Database) -> datetime | None:
    """When the ledger's first month got a state; None for an empty ledger. Raises DatabaseUnavailable."""
    with database.read() as connection:
        first: datetime | None = connection.execute(sa.select(sa.func.min(MONTH_STATE.c.at))).scalar_one()
        return first


def record_recheck(
    database: Database, city_id: str, dataset: str, month: Month, result: Recheck, *, at: datetime
) -> None:
    """Write the result of a recheck of a settled month; rows, version and state stay. Raises DatabaseUnavailable."""
    of_month = (CITY_MONTH.c.city_id == city_id, CITY_MONTH.c.dataset == dataset, CITY_MONTH.c.month == month.first_day)
    values: dict[str, Any] = {"recheck": result, "rechecked_at": at, "checked_at": at}
    if result in ("unchanged", "withdrawn"):
        values |= {"last_error": None, "last_error_at": None}
    with database.write() as connection:
        connection.execute(CITY_MONTH.update().where(*of_month).values(values))


def entry(row: sa.RowMapping) -> MonthEntry:
    """A row of the ledger as a MonthEntry."""
    values = {field.name: row[field.name] for field in fields(MonthEntry)}
    first: date = values["month"]
    return MonthEntry(**{**values, "month": Month.of(first)})


def _unless_data(name: str, value: Any) -> Any:
    column = CITY_MONTH.c[name]
    return sa.case((CITY_MONTH.c.version.is_(None), value), else_=column)
