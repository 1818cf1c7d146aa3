"""The meaning of each provider's columns."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE provider ADD COLUMN meanings jsonb NOT NULL DEFAULT '{}'")
    op.execute("COMMENT ON COLUMN provider.meanings IS 'Of its columns, by their names'")


def downgrade() -> None:
    op.execute("ALTER TABLE provider DROP COLUMN meanings")
