"""The last good shape of what each source sends, against which the first fetch of a day is compared."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE TABLE source_shape (city_id text NOT NULL, dataset text NOT NULL, provider text NOT NULL,"
        " month date NOT NULL, shape jsonb NOT NULL, first_at timestamptz NOT NULL, checked_at timestamptz NOT NULL,"
        " changes text[] NOT NULL, changed_at timestamptz, changed_shape jsonb,"
        " PRIMARY KEY (city_id, dataset, provider))"
    )
    op.execute("COMMENT ON COLUMN source_shape.shape IS 'The last good one'")
    op.execute("COMMENT ON COLUMN source_shape.changes IS 'In words; empty where the source sends the good shape'")
    op.execute("COMMENT ON COLUMN source_shape.changed_at IS 'Since when the source has sent the changed shape'")


def downgrade() -> None:
    op.execute("DROP TABLE source_shape")
