"""Counters of ingestion that outlive the months they count."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE ingestion_total (
          city_id text NOT NULL, dataset text NOT NULL,
          records bigint NOT NULL, loads bigint NOT NULL, failures bigint NOT NULL,
          seconds double precision NOT NULL, duration_counts bigint[] NOT NULL,
          PRIMARY KEY (city_id, dataset)
        )
        """
    )
    op.execute("COMMENT ON COLUMN ingestion_total.records IS 'Rows of every version that was ever published'")
    op.execute("COMMENT ON COLUMN ingestion_total.seconds IS 'Fetch, parse and checks of all loads'")
    op.execute("COMMENT ON COLUMN ingestion_total.duration_counts IS 'Loads by duration, see totals.py'")


def downgrade() -> None:
    op.execute("DROP TABLE ingestion_total")
