"""Alembic's environment: always the caller's own connection, so that one transaction holds the lock and the change."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
