"""What each provider gives and under which licence, so that the reader can tell it without knowing providers."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE provider (
          name text PRIMARY KEY, dataset text NOT NULL, resolution text NOT NULL, columns text[] NOT NULL,
          earliest date, forward_only boolean NOT NULL, modelled boolean NOT NULL,
          lag_days double precision NOT NULL, settling_days double precision NOT NULL,
          licence text NOT NULL, licence_url text NOT NULL
        )
        """
    )
    op.execute("COMMENT ON COLUMN provider.earliest IS 'First day of the first month that exists; NULL without limit'")


def downgrade() -> None:
    op.execute("DROP TABLE provider")
