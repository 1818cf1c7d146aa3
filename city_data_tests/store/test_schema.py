"""The migrations and the schema in code are the same thing."""

from __future__ import annotations

import ast
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from city_data.datasets import DATASETS
from city_data.local.embedded import EmbeddedPostgres, free_port
from city_data.store import migrate
from city_data.store.database import Database, DatabaseUnavailable
from city_data.store.ledger import read_months
from city_data.store.migrate import is_current, upgrade
from city_data.store.schema import metadata
from city_data_tests.store.loads import scalar


def test_migrations_produce_the_schema_in_code(database: Database, database_url: str) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    for dataset in DATASETS.values():
        key = f"SELECT pg_get_partkeydef('{dataset.table}'::regclass)"
        primary = f"SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = '{dataset.table}'::regclass"
        assert scalar(database_url, key) == "RANGE (month)"
        assert (
            scalar(database_url, f"{primary} AND contype = 'p'")
            == f"PRIMARY KEY ({', '.join(('month', 'city_id', *dataset.key))})"
        )


def test_migrations_import_no_product_code() -> None:
    files = sorted(Path(migrate.__file__).with_name("migrations").rglob("*.py"))
    assert len(files) > 5
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = ["city_data" if node.level else node.module or ""]
            assert not [name for name in names if name.split(".")[0] in ("city_data", "api")], file.name


def test_two_processes_may_migrate_an_empty_database_at_once(postgres: EmbeddedPostgres) -> None:
    postgres.create_database("upgraded")
    databases = [Database(postgres.url("upgraded")) for _ in range(2)]
    assert not is_current(databases[0])
    with ThreadPoolExecutor() as pool:
        list(pool.map(upgrade, databases))
    assert is_current(databases[1])
    for database in databases:
        database.dispose()


def test_source_of_which_more_is_requested_is_not_reported_as_changed(postgres: EmbeddedPostgres) -> None:
    """The release that requests more of Open-Meteo forgets the shape of its answers; others' are kept."""
    postgres.create_database("shapes", template="template_city_data")
    database = Database(postgres.url("shapes"))
    shape = "'2026-10-01', '{}', now(), now(), '{}'"
    with database.write() as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.downgrade(config, "0009")
        for city, provider in (("lisbon", "open_meteo"), ("madrid", "aemet")):
            columns = "city_id, dataset, provider, month, shape, first_at, checked_at, changes"
            values = f"'{city}', 'weather', '{provider}', {shape}"
            connection.exec_driver_sql(f"INSERT INTO source_shape ({columns}) VALUES ({values})")
    upgrade(database)
    assert scalar(postgres.url("shapes"), "SELECT string_agg(provider, ' ') FROM source_shape") == "aemet"
    database.dispose()


def test_an_absent_database_is_a_typed_error() -> None:
    database = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    with pytest.raises(DatabaseUnavailable, match="cannot be used"):
        read_months(database)


def test_statement_timeout_is_typed_with_its_sqlstate(database_url: str) -> None:
    database = Database(database_url, statement_timeout_s=0.05)
    with pytest.raises(DatabaseUnavailable) as caught, database.read() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(5)")
    assert caught.value.sqlstate == "57014"
    database.dispose()
