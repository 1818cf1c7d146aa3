"""Readers of files over HTTP, as tests need them. Belongs here: the sum of a column by polars, DuckDB and pandas, and a
count of the bytes sent to them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import duckdb
import pandas as pd
import polars as pl
from fsspec.implementations.http import HTTPFileSystem
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Web(HTTPFileSystem):
    """fsspec's own asks for a whole file to know whether it exists, and does not know when it was changed."""

    def modified(self, path: str) -> datetime:
        return datetime(2026, 11, 1, tzinfo=UTC)

    async def _exists(self, path: str, **_: Any) -> bool:
        return True


class CountedBytes:
    """The application, and how many bytes of bodies it sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app, self.sent = app, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counting(message: Message) -> None:
            self.sent += len(message.get("body", b""))
            await send(message)

        await self._app(scope, receive, counting)


def by_polars(url: str, column: str) -> Any:
    return pl.scan_parquet(url).select(pl.col(column).sum()).collect().item()


def by_duckdb(url: str, column: str) -> Any:
    with duckdb.connect() as connection:
        connection.register_filesystem(Web(block_size=4_096, cache_type="none"))
        connection.execute("SET enable_external_file_cache = false")
        (found,) = connection.execute(f"SELECT sum({column}) FROM read_parquet(?)", [url]).fetchone() or (None,)
    return found


def by_pandas(url: str, column: str) -> Any:
    web = Web(block_size=4_096, cache_type="none")
    return pd.read_parquet(url, filesystem=web, columns=[column])[column].sum()


READERS: list[Callable[[str, str], Any]] = [by_polars, by_duckdb, by_pandas]
