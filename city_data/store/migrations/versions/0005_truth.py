"""What became of every row, coverage by day, rechecks of settled months, and an audit line for each thing dropped."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    ALTER TABLE city_month
      ADD COLUMN received integer NOT NULL DEFAULT 0,
      ADD COLUMN used integer NOT NULL DEFAULT 0,
      ADD COLUMN nulled jsonb NOT NULL DEFAULT '{}',
      ADD COLUMN days jsonb NOT NULL DEFAULT '{}',
      ADD COLUMN rechecked_at timestamptz,
      ADD COLUMN recheck text
    """,
    """
    ALTER TABLE retention_audit
      ADD COLUMN place text NOT NULL DEFAULT 'tables',
      ADD COLUMN items integer NOT NULL DEFAULT 0,
      ADD COLUMN bytes bigint NOT NULL DEFAULT 0,
      ADD COLUMN why text,
      ADD COLUMN finished_at timestamptz
    """,
    # The ledger's rows as loads of before left them: versions are read back by the fields of today.
    """
    UPDATE month_version SET entry = '{"received": 0, "used": 0, "nulled": {}, "days": {}, "rechecked_at": null,
      "recheck": null}'::jsonb || entry
    """,
    "UPDATE retention_audit SET items = rows, finished_at = expired_at",
    "COMMENT ON COLUMN city_month.received IS 'Rows that the provider sent: used, or rejected under one reason'",
    "COMMENT ON COLUMN city_month.nulled IS 'Single values of used rows that became NULL, by reason:field'",
    "COMMENT ON COLUMN city_month.days IS 'Expected and observed values by column and local day'",
    "COMMENT ON COLUMN city_month.recheck IS 'What the last look at a settled month found'",
    "COMMENT ON COLUMN retention_audit.place IS 'tables, raw or cache'",
    "COMMENT ON COLUMN retention_audit.items IS 'Rows, files or keys'",
    "COMMENT ON COLUMN retention_audit.finished_at IS 'NULL where the drop was interrupted'",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute(
        "UPDATE month_version SET"
        " entry = entry - ARRAY['received', 'used', 'nulled', 'days', 'rechecked_at', 'recheck']"
    )
    op.execute(
        "ALTER TABLE retention_audit DROP COLUMN place, DROP COLUMN items, DROP COLUMN bytes, DROP COLUMN why,"
        " DROP COLUMN finished_at"
    )
    op.execute(
        "ALTER TABLE city_month DROP COLUMN received, DROP COLUMN used, DROP COLUMN nulled, DROP COLUMN days,"
        " DROP COLUMN rechecked_at, DROP COLUMN recheck"
    )
