"""The reader's login may read everything, now and later, and nothing else."""

from __future__ import annotations

import psycopg
import pytest
import sqlalchemy as sa

from city_data.datasets import TRAFFIC
from city_data.local.embedded import EmbeddedPostgres
from city_data.store import partitions
from city_data.store.database import Database
from city_data.store.migrate import upgrade
from city_data.store.roles import READER
from city_data.window import Month

REFUSED = (
    "INSERT INTO provider_budget VALUES ('x', now(), now())",
    "UPDATE city_month SET rows = 0",
    "DELETE FROM month_version",
    "TRUNCATE city_weather_data",
    "DROP TABLE city_traffic_data",
    "CREATE TABLE mine (x int)",
    "ALTER TABLE city_month ADD COLUMN x int",
    "CREATE ROLE mine SUPERUSER",
    "SET ROLE postgres",
    "COPY city_month TO PROGRAM 'true'",
)


@pytest.fixture
def reader_url(postgres: EmbeddedPostgres, database_url: str) -> str:
    return postgres.create_login("test_reader", READER, database_url.rpartition("/")[2])


def test_reader_may_read_present_and_later_tables(database: Database, reader_url: str) -> None:
    with database.write() as connection:
        partitions.create(connection, TRAFFIC, Month(2025, 10))
        connection.execute(sa.text("CREATE TABLE of_a_later_release (x int)"))
    with psycopg.connect(reader_url) as reader:
        for table in ("city_month", "month_version", "city_traffic_data_2025_10", "of_a_later_release"):
            assert reader.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


@pytest.mark.parametrize("statement", REFUSED)
def test_a_write_is_refused(reader_url: str, statement: str) -> None:
    with psycopg.connect(reader_url, autocommit=True) as reader, pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute(statement)


def test_writer_login_can_be_opened_read_only(database_url: str) -> None:
    opened = Database(database_url, read_only=True)
    with pytest.raises(sa.exc.InternalError, match="read-only transaction"), opened.write() as connection:
        connection.execute(sa.text(REFUSED[0]))
    opened.dispose()


def test_migrating_again_keeps_the_grants_and_a_new_password_ends_the_old(
    database: Database, postgres: EmbeddedPostgres, reader_url: str
) -> None:
    upgrade(database)
    again = postgres.create_login("test_reader", READER, reader_url.rpartition("/")[2])
    psycopg.connect(again).close()
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(reader_url)
