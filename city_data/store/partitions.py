"""The month partitions of the data tables: created before a month is loaded, dropped when it has left the window.

Belongs here: partitions as PostgreSQL's catalogue knows them. Does not: the choice of months
to drop (pipeline/retention.py).
"""

from __future__ import annotations

import re

import sqlalchemy as sa

from city_data.datasets import DATASETS, Dataset, DatasetName
from city_data.errors import CityDataError
from city_data.store.audit import Line, write_finished
from city_data.store.database import Database, DatabaseUnavailable
from city_data.store.schema import CITY_MONTH, MONTH_STATE, MONTH_VERSION
from city_data.window import Month

_LOCK = 4_242_002
_LOCK_NOT_AVAILABLE = "55P03"
_EXISTS = sa.text("SELECT EXISTS (SELECT FROM pg_class WHERE relname = :name)")
_INVENTORY = sa.text(
    "SELECT child.relname FROM pg_inherits"
    " JOIN pg_class child ON child.oid = inhrelid JOIN pg_class parent ON parent.oid = inhparent"
    " WHERE parent.relname = :table AND parent.relkind = 'p'"
)


class LockTimeout(CityDataError):
    """Readers locked the month through every try; nothing was dropped, and a later try can succeed."""


def partition_name(dataset: Dataset, month: Month) -> str:
    return f"{dataset.table}_{month.year:04d}_{month.month:02d}"


def usage_lock(month: Month) -> sa.ColumnElement[int]:
    """The key of the month's advisory lock: shared by loads, exclusive for a drop.

    Without it a drop could wait for a load's rows while that load waits for the drop's ledger row.
    """
    return sa.func.hashtextextended(f"month/{month}", 0)


def create(connection: sa.Connection, dataset: Dataset, month: Month) -> None:
    """Create the month's partition in the caller's transaction, unless another run has created it meanwhile.

    It is created as a table and then attached: CREATE TABLE ... PARTITION OF would lock readers of all months out.
    """
    name = partition_name(dataset, month)
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    # Read from the catalogue itself: to_regclass may answer from before the wait for the lock.
    if connection.execute(_EXISTS, {"name": name}).scalar_one():
        return
    # Names and bounds come from datasets.py and a Month, never from a caller's text.
    connection.execute(sa.text(f"CREATE TABLE {name} (LIKE {dataset.table} INCLUDING ALL)"))
    bounds = f"FROM ('{month.first_day}') TO ('{(month + 1).first_day}')"
    connection.execute(sa.text(f"ALTER TABLE {dataset.table} ATTACH PARTITION {name} FOR VALUES {bounds}"))


def inventory(database: Database) -> dict[DatasetName, list[Month]]:
    """The months that each data table has a partition for, sorted. Raises DatabaseUnavailable."""
    with database.read() as connection:
        return {
            name: sorted(
                Month(int(match[1]), int(match[2]))
                for child in connection.execute(_INVENTORY, {"table": dataset.table}).scalars()
                if (match := re.fullmatch(rf"{dataset.table}_(\d{{4}})_(\d{{2}})", child))
            )
            for name, dataset in DATASETS.items()
        }


def months_of_ledger(database: Database) -> set[Month]:
    """The months that the ledger has a row for, with data or not. Raises DatabaseUnavailable."""
    return _distinct(database, CITY_MONTH)


def months_of_versions(database: Database) -> set[Month]:
    """The months with any stored version. Raises DatabaseUnavailable."""
    return _distinct(database, MONTH_VERSION)


def _distinct(database: Database, table: sa.Table) -> set[Month]:
    with database.read() as connection:
        return {Month.of(first) for first in connection.execute(sa.select(table.c.month).distinct()).scalars()}


def drop_month(
    database: Database, month: Month, *, why: str | None = None, lock_timeout_s: float = 5, retries: int = 3
) -> int:
    """Drop a month of every city: partitions, versions, ledger rows, with an audit line each, in one transaction.

    Returns the number of deleted rows; 0 for a month that is gone already. Raises LockTimeout, DatabaseUnavailable.
    """
    for _ in range(retries):
        try:
            return _drop(database, month, why or "", lock_timeout_s)
        except DatabaseUnavailable as error:
            if error.sqlstate != _LOCK_NOT_AVAILABLE:
                raise
    raise LockTimeout(f"{month} is being read or written; tried {retries} times for {lock_timeout_s} s each")


def _drop(database: Database, month: Month, why: str, lock_timeout_s: float) -> int:
    first = month.first_day
    with database.write() as connection:
        connection.execute(sa.text(f"SET LOCAL lock_timeout = {int(lock_timeout_s * 1000)}"))
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(usage_lock(month))))
        lines = [*_orphans(connection, month), *_versions(connection, month)]
        delete = CITY_MONTH.delete().where(CITY_MONTH.c.month == first)
        columns = [CITY_MONTH.c[name] for name in ("city_id", "dataset", "version", "rows")]
        for row in connection.execute(delete.returning(*columns)):
            lines.append(Line("tables", row.city_id, row.dataset, row.rows, version=row.version))
        write_finished(connection, month, lines, why)
        for table in (MONTH_VERSION, MONTH_STATE):
            connection.execute(table.delete().where(table.c.month == first))
        for dataset in DATASETS.values():
            connection.execute(sa.text(f"DROP TABLE IF EXISTS {partition_name(dataset, month)}"))
    return sum(line.items for line in lines if line.place == "tables")


def _versions(connection: sa.Connection, month: Month) -> list[Line]:
    """The versions to delete, with the bytes of their segments and frames."""
    table = MONTH_VERSION
    size = sa.func.sum(sa.func.octet_length(table.c.body) + sa.func.octet_length(table.c.frame))
    query = sa.select(table.c.city_id, table.c.dataset, sa.func.count().label("versions"), size.label("size"))
    query = query.where(table.c.month == month.first_day).group_by(table.c.city_id, table.c.dataset)
    return [Line("versions", r.city_id, r.dataset, r.versions, int(r.size)) for r in connection.execute(query)]


def _orphans(connection: sa.Connection, month: Month) -> list[Line]:
    """Rows without a ledger row: they are dropped with the partition, and the audit must name them."""
    lines = []
    for name, dataset in DATASETS.items():
        partition = partition_name(dataset, month)
        if connection.execute(_EXISTS, {"name": partition}).scalar_one():
            known = sa.select(CITY_MONTH.c.city_id).where(CITY_MONTH.c.month == month.first_day)
            table = sa.table(partition, sa.column("city_id"))
            query = sa.select(table.c.city_id, sa.func.count().label("rows")).group_by(table.c.city_id)
            query = query.where(table.c.city_id.not_in(known.where(CITY_MONTH.c.dataset == name)))
            lines += [Line("tables", row.city_id, name, row.rows) for row in connection.execute(query)]
    return lines
