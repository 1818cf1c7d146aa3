"""The last good shape of what each source sends for each city, in table `source_shape`, and a change from it.

Belongs here: reading and writing the table. Does not: what a shape is, and when it has changed
(pipeline/source_shape.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from city_data.store.database import Database
from city_data.store.schema import SOURCE_SHAPE
from city_data.window import Month


@dataclass(frozen=True)
class SourceShape:
    """`shape` is the last good one, of the newest month that was compared; `first_at` when the source was first known.
    `changes` in words, `changed_shape` and `changed_at`: where the source now sends another."""

    city_id: str
    dataset: str
    provider: str
    month: Month
    shape: Mapping[str, Any]
    first_at: datetime
    checked_at: datetime
    changes: Sequence[str] = ()
    changed_at: datetime | None = None
    changed_shape: Mapping[str, Any] | None = None


def update_shape(
    database: Database,
    city_id: str,
    dataset: str,
    provider: str,
    decide: Callable[[SourceShape | None], SourceShape | None],
) -> SourceShape | None:
    """Replace a source's row by that which `decide` makes of it, where it makes one; returns that one. Two runs of one
    source take turns. Raises DatabaseUnavailable."""
    query = _row_of(city_id, dataset, provider).with_for_update()
    with database.write() as connection:
        row = connection.execute(query).mappings().one_or_none()
        decided = decide(None if row is None else _shape(row))
        if decided is not None:
            values = {**asdict(decided), "month": decided.month.first_day, "changes": list(decided.changes)}
            statement = insert(SOURCE_SHAPE).values(values)
            connection.execute(statement.on_conflict_do_update(index_elements=SOURCE_SHAPE.primary_key, set_=values))
    return decided


def read_shape(database: Database, city_id: str, dataset: str, provider: str) -> SourceShape | None:
    """A source's row; None where it was never compared. Raises DatabaseUnavailable."""
    with database.read() as connection:
        row = connection.execute(_row_of(city_id, dataset, provider)).mappings().one_or_none()
    return None if row is None else _shape(row)


def read_shapes(database: Database) -> list[SourceShape]:
    """Every source's row, by city, dataset and provider. Raises DatabaseUnavailable."""
    query = sa.select(SOURCE_SHAPE).order_by(SOURCE_SHAPE.c.city_id, SOURCE_SHAPE.c.dataset, SOURCE_SHAPE.c.provider)
    with database.read() as connection:
        return [_shape(row) for row in connection.execute(query).mappings()]


def _row_of(city_id: str, dataset: str, provider: str) -> sa.Select[Any]:
    columns = SOURCE_SHAPE.c
    return sa.select(SOURCE_SHAPE).where(
        columns.city_id == city_id, columns.dataset == dataset, columns.provider == provider
    )


def _shape(row: sa.RowMapping) -> SourceShape:
    values = {field.name: row[field.name] for field in fields(SourceShape)}
    return SourceShape(**{**values, "month": Month.of(values["month"]), "changes": tuple(values["changes"])})
