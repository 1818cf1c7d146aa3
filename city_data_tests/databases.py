"""New databases on a test process's PostgreSQL. Belongs here: their creation. Does not: the server (conftest.py)."""

from __future__ import annotations

import itertools

from city_data.local.embedded import EmbeddedPostgres

TEMPLATE = "template_city_data"
_numbers = itertools.count()


def fresh_database(postgres: EmbeddedPostgres, template: str = TEMPLATE) -> str:
    """The URL of a new database, with the whole schema unless it copies another template."""
    name = f"test_{next(_numbers)}"
    postgres.create_database(name, template=template)
    return postgres.url(name)
