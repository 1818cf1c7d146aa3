"""Bringing a database's schema up to date, by Alembic.

Belongs here: running migrations. Does not: what they change (migrations/versions/).
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from city_data.store.database import Database

_LOCK = 4_242_001


def upgrade(database: Database) -> None:
    """Run what has not run yet. Two that start at once take turns. Raises DatabaseUnavailable."""
    with database.write() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def is_current(database: Database) -> bool:
    """Whether the schema is that of this code. Raises DatabaseUnavailable."""
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_heads() == tuple(
            ScriptDirectory.from_config(_config()).get_heads()
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
