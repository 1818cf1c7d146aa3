"""The key that cached segments are sealed with: known to those who may read the database, and to nobody else."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE cache_key (one boolean PRIMARY KEY DEFAULT true CHECK (one), key bytea NOT NULL)")
    # gen_random_uuid has 122 random bits of a strong source; no extension is needed for it.
    op.execute(
        "INSERT INTO cache_key (key)"
        " SELECT sha256(convert_to(string_agg(gen_random_uuid()::text, ''), 'UTF8')) FROM generate_series(1, 4)"
    )
    op.execute("COMMENT ON TABLE cache_key IS 'One row: the key that segments in Redis are sealed with'")


def downgrade() -> None:
    op.execute("DROP TABLE cache_key")
