"""A dataset with another set of columns, as the next release has it. Belongs here: patching code and tables alike."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest
import sqlalchemy as sa

from city_data.columns import Column
from city_data.datasets import DATASETS, DatasetName
from city_data.store.schema import DATA, data_table

_TYPES = {"number": "double precision", "text": "text"}


def add_column(monkeypatch: pytest.MonkeyPatch, url: str, dataset: DatasetName, column: Column) -> None:
    """The migration first, as a deployment does it, then the code."""
    table = DATASETS[dataset].table
    _execute(url, f"ALTER TABLE {table} ADD COLUMN {column.name} {_TYPES[column.kind]}")
    _change(monkeypatch, dataset, (*DATASETS[dataset].columns, column))


def remove_column(monkeypatch: pytest.MonkeyPatch, dataset: DatasetName, name: str) -> None:
    """From the code alone: migrations only add."""
    _change(monkeypatch, dataset, tuple(column for column in DATASETS[dataset].columns if column.name != name))


def _change(monkeypatch: pytest.MonkeyPatch, dataset: DatasetName, columns: tuple[Column, ...]) -> None:
    changed = replace(DATASETS[dataset], columns=columns)
    monkeypatch.setitem(DATASETS, dataset, changed)
    monkeypatch.setitem(DATA, dataset, data_table(changed, sa.MetaData()))


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode())
