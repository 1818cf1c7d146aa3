"""Reads of rows by time from the typed tables.

Belongs here: queries by time. Does not: serialising for the reader (segments.py).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from city_data.datasets import DATASETS, DatasetName
from city_data.store.database import Database
from city_data.store.schema import DATA

if TYPE_CHECKING:
    import pandas as pd


def read_series(database: Database, dataset: DatasetName, city_id: str, start: datetime, end: datetime) -> pd.DataFrame:
    """The rows of `[start, end)` (aware), by key: the canonical columns, then created_at and updated_at, UTC.

    Missing numbers are NaN, missing text is None. Raises DatabaseUnavailable.
    """
    import pandas as pd

    from city_data.frames.canonical import canonical_frame

    table, kind = DATA[dataset], DATASETS[dataset]
    names = [*kind.frame_columns, "created_at", "updated_at"]
    query = (
        sa.select(*(table.c[name] for name in names))
        .where(table.c.city_id == city_id, table.c.date >= start, table.c.date < end)
        # A local month may begin a day before or after UTC's: with this, only the partitions of these months are read.
        .where(table.c.month >= sa.cast(start, sa.Date) - 32, table.c.month <= sa.cast(end, sa.Date) + 1)
        .order_by(*(table.c[name] for name in kind.key))
    )
    with database.read() as connection:
        rows = connection.execute(query).all()
    frame = pd.DataFrame([tuple(row) for row in rows], columns=pd.Index(names, dtype=object), dtype=object)
    for name in ("date", "created_at", "updated_at"):
        frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
    return canonical_frame(frame, kind).assign(created_at=frame["created_at"], updated_at=frame["updated_at"])
