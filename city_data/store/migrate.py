"""Bringing a database's schema up to date, by Alembic.

Belongs here: running migrations. Does not: their content (migrations/versions/).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from city_data.store.database import Database
from city_data.store.roles import grant_reader

_LOCK = 4_242_001

Standing = Literal["old", "current", "newer"]


def upgrade(database: Database) -> Standing:
    """Run the pending migrations and grant the reader's role; returns the standing before. Concurrent calls take turns.

    A newer schema is not changed: code that was rolled back works on it, since migrations only add.
    Raises DatabaseUnavailable.
    """
    with database.write() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        before = _standing(connection)
        if before == "old":
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        grant_reader(connection)
        return before


def standing(database: Database) -> Standing:
    """How the schema compares with this code: an empty database is `old`. Raises DatabaseUnavailable."""
    with database.read() as connection:
        return _standing(connection)


def is_current(database: Database) -> bool:
    """Whether the schema is that of this code. Raises DatabaseUnavailable."""
    return standing(database) == "current"


def _standing(connection: sa.Connection) -> Standing:
    scripts = ScriptDirectory.from_config(_config())
    heads = MigrationContext.configure(connection).get_current_heads()
    if heads == tuple(scripts.get_heads()):
        return "current"
    known = {script.revision for script in scripts.walk_revisions()}
    return "old" if known.issuperset(heads) else "newer"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
