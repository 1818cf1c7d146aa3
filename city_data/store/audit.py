"""The audit of retention: one line for each drop, by storage, city and dataset.

Belongs here: writing and reading `retention_audit`. Does not: dropping anything.

A drop outside the database cannot be part of its transactions, so its line is written before and finished after: a line
without `finished_at` is an interrupted drop, and the next expiry removes the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from city_data.store.database import Database
from city_data.store.schema import RETENTION_AUDIT
from city_data.window import Month

Storage = Literal["tables", "versions", "raw", "cache"]


@dataclass(frozen=True)
class Line:
    """One drop. `items` are rows, versions, files or keys; `bytes` as far as they are known."""

    place: Storage
    city_id: str
    dataset: str
    items: int
    bytes: int = 0
    version: int | None = None

    def values(self, month: Month, why: str) -> dict[str, Any]:
        return {
            "place": self.place,
            "city_id": self.city_id,
            "dataset": self.dataset,
            "month": month.first_day,
            "version": self.version,
            "rows": self.items if self.place == "tables" else 0,
            "items": self.items,
            "bytes": self.bytes,
            "why": why,
        }


def write_finished(connection: sa.Connection, month: Month, lines: Sequence[Line], why: str) -> None:
    """Write lines for drops in the caller's own transaction."""
    values = [{**line.values(month, why), "finished_at": sa.func.now()} for line in lines]
    for line in values:  # a function as a value cannot travel with many rows at once
        connection.execute(RETENTION_AUDIT.insert().values(line))


@contextmanager
def audited(database: Database, month: Month, lines: Sequence[Line], why: str) -> Iterator[None]:
    """Write lines for drops in this context, finished where it ends without an error. Raises DatabaseUnavailable."""
    if not lines:
        yield
        return
    with database.write() as connection:
        insert = RETENTION_AUDIT.insert().returning(RETENTION_AUDIT.c.id)
        ids = [connection.execute(insert.values(line.values(month, why))).scalar_one() for line in lines]
    yield
    finish = RETENTION_AUDIT.update().where(RETENTION_AUDIT.c.id.in_(ids)).values(finished_at=sa.func.now())
    with database.write() as connection:
        connection.execute(finish)


def read_audit(database: Database, storages: Sequence[Storage] = ("tables",)) -> list[dict[str, Any]]:
    """Every line of these storages, oldest first: the columns of `retention_audit`, `month` as a Month."""
    table = RETENTION_AUDIT
    query = sa.select(table).where(table.c.place.in_(storages)).order_by(table.c.id)
    with database.read() as connection:
        rows = connection.execute(query).mappings()
        return [{**row, "month": Month.of(row["month"])} for row in rows]
