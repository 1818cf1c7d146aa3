"""Capabilities and licences of providers in table `provider`, for the reader, which cannot import providers.

Belongs here: writing and reading the table. Does not: the facts themselves, which each provider declares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from city_data.store.database import Database
from city_data.store.schema import PROVIDER


@dataclass(frozen=True)
class ProviderFacts:
    """A provider's capabilities, as far as readers of its data need them. `earliest` is the first of a month.
    `meanings` has each column's meaning by its name."""

    name: str
    dataset: str
    resolution: str
    columns: Sequence[str]
    earliest: date | None
    forward_only: bool
    modelled: bool
    lag_days: float
    settling_days: float
    licence: str
    licence_url: str
    meanings: Mapping[str, Mapping[str, Any]]


def record_providers(database: Database, facts: Sequence[ProviderFacts]) -> None:
    """Store these facts; an equal row is not written again. Raises DatabaseUnavailable."""
    if not facts:
        return
    statement = insert(PROVIDER).values([{**asdict(fact), "columns": list(fact.columns)} for fact in facts])
    updated = {column.name: statement.excluded[column.name] for column in PROVIDER.c if column.name != "name"}
    changed = sa.tuple_(*(PROVIDER.c[name] for name in updated)).is_distinct_from(sa.tuple_(*updated.values()))
    statement = statement.on_conflict_do_update(index_elements=["name"], set_=updated, where=changed)
    with database.write() as connection:
        connection.execute(statement)


def read_providers(database: Database) -> dict[str, ProviderFacts]:
    """Every recorded provider, by name. Raises DatabaseUnavailable."""
    with database.read() as connection:
        rows = connection.execute(sa.select(PROVIDER).order_by(PROVIDER.c.name)).mappings().all()
    names = [field.name for field in fields(ProviderFacts)]
    return {row["name"]: ProviderFacts(**{name: row[name] for name in names}) for row in rows}
