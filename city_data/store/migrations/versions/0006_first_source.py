"""Since when a month's first source has not had it, and the reason where a fallback serves it."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_STATEMENTS = (
    "ALTER TABLE city_month ADD COLUMN unavailable_since timestamptz, ADD COLUMN fallback_reason text",
    "COMMENT ON COLUMN city_month.unavailable_since IS 'Since when the first source has not had the month'",
    "COMMENT ON COLUMN city_month.fallback_reason IS 'Why the fallback serves the month: the first source''s outcome'",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("ALTER TABLE city_month DROP COLUMN unavailable_since, DROP COLUMN fallback_reason")
