"""The pool of connections: which broken connections are replaced before they are used."""

from __future__ import annotations

import psycopg
import pytest
import sqlalchemy as sa

from city_data.store.database import Database, DatabaseUnavailable


def session(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(sa.select(sa.func.pg_backend_pid())).scalar_one())


def end(session: int, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as killer:
        killer.execute("SELECT pg_terminate_backend(%s, 5000)", [session])


@pytest.mark.parametrize("trusted_s", [0.0, 1e-9])
def test_connection_that_the_server_closed_is_replaced(database_url: str, trusted_s: float) -> None:
    database = Database(database_url, trusted_s=trusted_s)
    before = session(database)
    end(before, database_url)
    assert session(database) != before
    database.dispose()


def test_connection_used_a_moment_ago_is_taken_as_it_is_and_replaced_after_its_failure(database_url: str) -> None:
    database = Database(database_url, trusted_s=60)
    before = session(database)
    assert session(database) == before
    end(before, database_url)
    with pytest.raises(DatabaseUnavailable):
        session(database)
    assert session(database) != before
    database.dispose()
