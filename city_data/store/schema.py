"""The tables, as SQLAlchemy Core; the two data tables derive from datasets.py.

Belongs here: columns, keys and partitioning. Does not: migrations (migrations/), or any query.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from city_data.columns import Column, Kind
from city_data.datasets import DATASETS, Dataset

metadata = sa.MetaData()
_moment = sa.DateTime(timezone=True)
_RECEIVED = "Rows that the provider sent: used, or rejected under one reason"
_NULLED = "Single values of used rows that became NULL, by reason:field"
_DAYS = "Expected and observed values by column and local day"


_TYPES: dict[Kind, sa.types.TypeEngine[Any]] = {
    "number": sa.Double(),
    "text": sa.Text(),
    "integer": sa.Integer(),
    "flag": sa.Boolean(),
}


def _column(column: Column, *, nullable: bool) -> sa.Column[Any]:
    unit = f" ({column.unit})" if column.unit else ""
    return sa.Column(column.name, _TYPES[column.kind], nullable=nullable, comment=f"{column.description}{unit}")


def data_table(dataset: Dataset, metadata: sa.MetaData) -> sa.Table:
    """Partitioned by month without a default partition, so that a row of no month is refused and expiry is a DROP."""
    return sa.Table(
        dataset.table,
        metadata,
        sa.Column("month", sa.Date, nullable=False, comment="First day of the local month"),
        sa.Column("city_id", sa.Text, nullable=False),
        sa.Column("date", _moment, nullable=False, comment="Start of the interval"),
        *(_column(column, nullable=False) for column in dataset.key_columns),
        *(_column(column, nullable=True) for column in dataset.columns),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("raw_data", JSONB),
        sa.Column("created_at", _moment, nullable=False),
        sa.Column("updated_at", _moment, nullable=False),
        sa.PrimaryKeyConstraint("month", "city_id", *dataset.key),
        postgresql_partition_by="RANGE (month)",
    )


DATA = {name: data_table(dataset, metadata) for name, dataset in DATASETS.items()}

CITY_MONTH = sa.Table(
    "city_month",
    metadata,
    sa.Column("city_id", sa.Text, nullable=False),
    sa.Column("dataset", sa.Text, nullable=False),
    sa.Column("month", sa.Date, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, comment="Of the rows that are served; NULL where there are none"),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("expected_rows", sa.Integer, nullable=False),
    sa.Column("coverage", sa.Double, comment="Share of expected rows with a value, 0..1"),
    sa.Column("column_coverage", JSONB, nullable=False),
    sa.Column("first_date", _moment),
    sa.Column("last_date", _moment),
    sa.Column("source", sa.Text),
    sa.Column("content_sha256", sa.Text),
    sa.Column("raw_files", JSONB, nullable=False),
    sa.Column("received", sa.Integer, nullable=False, server_default="0", comment=_RECEIVED),
    sa.Column("used", sa.Integer, nullable=False, server_default="0"),
    sa.Column("rejected", JSONB, nullable=False),
    sa.Column("nulled", JSONB, nullable=False, server_default="{}", comment=_NULLED),
    sa.Column("days", JSONB, nullable=False, server_default="{}", comment=_DAYS),
    sa.Column("provenance", JSONB, nullable=False),
    sa.Column("code_version", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("fetched_at", _moment),
    sa.Column("loaded_at", _moment),
    sa.Column("settled_at", _moment),
    sa.Column("checked_at", _moment),
    sa.Column("rechecked_at", _moment),
    sa.Column("recheck", sa.Text, comment="What the last look at a settled month found"),
    sa.Column("last_error", sa.Text),
    sa.Column("last_error_at", _moment),
    sa.Column("unavailable_since", _moment, comment="Since when the first source has not had the month"),
    sa.Column("fallback_reason", sa.Text, comment="Why the fallback serves the month: the first source's outcome"),
    sa.PrimaryKeyConstraint("city_id", "dataset", "month"),
)

MONTH_VERSION = sa.Table(
    "month_version",
    metadata,
    sa.Column("dataset", sa.Text, nullable=False),
    sa.Column("city_id", sa.Text, nullable=False),
    sa.Column("month", sa.Date, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("content_sha256", sa.Text, nullable=False),
    sa.Column("loaded_at", _moment, nullable=False),
    sa.Column("created_at", _moment, nullable=False, comment="When the month's first version was loaded"),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("coverage", sa.Double, comment="Share of expected rows with a value, 0..1"),
    sa.Column("crc32", sa.BigInteger, nullable=False),
    sa.Column("length", sa.BigInteger, nullable=False, comment="Bytes of the records before compression"),
    sa.Column("body", sa.LargeBinary, nullable=False, comment="Raw deflate stream ended by a full flush"),
    sa.Column("frame", sa.LargeBinary, nullable=False, comment="The canonical month as an Arrow IPC stream"),
    sa.Column("entry", JSONB, nullable=False, comment="The ledger's row as the load left it"),
    sa.PrimaryKeyConstraint("dataset", "city_id", "month", "version"),
)

MONTH_STATE = sa.Table(
    "month_state",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("city_id", sa.Text, nullable=False),
    sa.Column("dataset", sa.Text, nullable=False),
    sa.Column("month", sa.Date, nullable=False),
    sa.Column("at", _moment, nullable=False),
    sa.Column("state", sa.Text, nullable=False, comment="What the month's state became"),
    sa.Column("version", sa.Integer),
    sa.Column("run_id", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Index("month_state_of_month", "city_id", "dataset", "month"),
)

PROVIDER = sa.Table(
    "provider",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("dataset", sa.Text, nullable=False),
    sa.Column("resolution", sa.Text, nullable=False),
    sa.Column("columns", sa.ARRAY(sa.Text), nullable=False),
    sa.Column("earliest", sa.Date, comment="First day of the first month that exists; NULL without limit"),
    sa.Column("forward_only", sa.Boolean, nullable=False),
    sa.Column("modelled", sa.Boolean, nullable=False),
    sa.Column("lag_days", sa.Double, nullable=False),
    sa.Column("settling_days", sa.Double, nullable=False),
    sa.Column("licence", sa.Text, nullable=False),
    sa.Column("licence_url", sa.Text, nullable=False),
    sa.Column("meanings", JSONB, nullable=False, server_default="{}", comment="Of its columns, by their names"),
)

PROVIDER_BUDGET = sa.Table(
    "provider_budget",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("next_at", _moment, nullable=False, comment="When an unbroken row of calls would reach its rate"),
    sa.Column("last_at", _moment, nullable=False, comment="When the last reserved call is made"),
)

SOURCE_SHAPE = sa.Table(
    "source_shape",
    metadata,
    sa.Column("city_id", sa.Text, primary_key=True),
    sa.Column("dataset", sa.Text, primary_key=True),
    sa.Column("provider", sa.Text, primary_key=True),
    sa.Column("month", sa.Date, nullable=False),
    sa.Column("shape", JSONB, nullable=False, comment="The last good one"),
    sa.Column("first_at", _moment, nullable=False),
    sa.Column("checked_at", _moment, nullable=False),
    sa.Column(
        "changes",
        ARRAY(sa.Text),
        nullable=False,
        comment="In words; empty where the source sends the good shape",
    ),
    sa.Column("changed_at", _moment, comment="Since when the source has sent the changed shape"),
    sa.Column("changed_shape", JSONB(none_as_null=True)),
)

CACHE_KEY = sa.Table(
    "cache_key",
    metadata,
    sa.Column("one", sa.Boolean, sa.CheckConstraint("one"), primary_key=True, server_default=sa.true()),
    sa.Column("key", sa.LargeBinary, nullable=False),
    comment="One row: the key that segments in Redis are sealed with",
)

RETENTION_AUDIT = sa.Table(
    "retention_audit",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("expired_at", _moment, nullable=False, server_default=sa.func.now()),
    sa.Column("city_id", sa.Text, nullable=False),
    sa.Column("dataset", sa.Text, nullable=False),
    sa.Column("month", sa.Date, nullable=False),
    sa.Column("version", sa.Integer),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("place", sa.Text, nullable=False, server_default="tables", comment="tables, raw or cache"),
    sa.Column("items", sa.Integer, nullable=False, server_default="0", comment="Rows, files or keys"),
    sa.Column("bytes", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("why", sa.Text),
    sa.Column("finished_at", _moment, comment="NULL where the drop was interrupted"),
)

INGESTION_TOTAL = sa.Table(
    "ingestion_total",
    metadata,
    sa.Column("city_id", sa.Text, nullable=False),
    sa.Column("dataset", sa.Text, nullable=False),
    sa.Column("records", sa.BigInteger, nullable=False, comment="Rows of every version that was ever published"),
    sa.Column("loads", sa.BigInteger, nullable=False),
    sa.Column("failures", sa.BigInteger, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False, comment="Fetch, parse and checks of all loads"),
    sa.Column("duration_counts", ARRAY(sa.BigInteger), nullable=False, comment="Loads by duration, see totals.py"),
    sa.PrimaryKeyConstraint("city_id", "dataset"),
)
