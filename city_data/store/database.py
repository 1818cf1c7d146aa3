"""The pool of connections to PostgreSQL, and the error of an unavailable database.

Belongs here: connecting. Does not: any table (schema.py).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.errors import InsufficientPrivilege, UndefinedColumn, UndefinedTable
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, ProgrammingError

from city_data.errors import CityDataError, ConfigurationError

CONNECT_TIMEOUT_S = 5
CLOCK_TOLERANCE = timedelta(minutes=5)
_RETURNED_AT = "returned_at"


class DatabaseUnavailable(CityDataError):
    """PostgreSQL cannot be reached, or the connection broke: trying again later can help.

    `sqlstate` is PostgreSQL's own code for the cause, None where the connection itself failed.
    """

    def __init__(self, message: str, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class UnusableSchema(CityDataError):
    """The database lacks the platform's tables, or does not let this login read them: a migration brings both."""


class Database:
    """One pool. `url` is `postgresql://user:password@host/name`; a broken connection is replaced when next taken.

    `trusted_s`: see `trust_briefly`. Raises ConfigurationError for another URL.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 5,
        statement_timeout_s: float | None = None,
        application_name: str = "city_data",
        read_only: bool = False,
        trusted_s: float = 0.0,
    ) -> None:
        options = f"-c statement_timeout={int(statement_timeout_s * 1000)}" if statement_timeout_s else ""
        if read_only:
            options += " -c default_transaction_read_only=on"
        self.engine = sa.create_engine(
            _parsed(url),
            pool_size=pool_size,
            pool_pre_ping=not trusted_s,
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT_S,
                "application_name": application_name,
                "options": f"-c timezone=UTC {options}".strip(),
            },
        )
        if trusted_s:
            trust_briefly(self.engine, trusted_s)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection for reading. Raises DatabaseUnavailable where there is none or it breaks."""
        with availability(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction, committed when the context ends without an error. Raises as `read` does."""
        with availability(), self.engine.begin() as connection:
            yield connection

    def dispose(self) -> None:
        self.engine.dispose()


def trust_briefly(engine: sa.Engine, seconds: float) -> None:
    """Ask a connection whether it lives only where it was last used more than `seconds` ago. `pool_pre_ping` asks each
    time, for which a month of a backfill waited 46 times, a sixth of its time."""

    def note(_connection: object, record: sa.pool.ConnectionPoolEntry) -> None:
        record.info[_RETURNED_AT] = time.monotonic()

    def ping(connection: Any, record: sa.pool.ConnectionPoolEntry, _: object) -> None:
        if time.monotonic() - record.info.get(_RETURNED_AT, math.inf) > seconds:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise sa.exc.InvalidatePoolError from error

    sa.event.listen(engine, "checkin", note)
    sa.event.listen(engine, "checkout", ping)


class ClockAhead(CityDataError):
    """This machine's clock is ahead of the database's: a month would settle before its time, and refuse later loads."""


def refuse_clock_ahead(database: Database, moment: datetime) -> None:
    """Raises ClockAhead where the moment is later than the database's clock, beyond what clocks differ by."""
    with database.read() as connection:
        now = connection.execute(sa.select(sa.func.now())).scalar_one()
    if moment > now + CLOCK_TOLERANCE:
        own, other = f"{moment:%Y-%m-%d %H:%M} UTC", f"{now:%Y-%m-%d %H:%M} UTC"
        raise ClockAhead(f"this machine's clock is at {own}, the database's at {other}; set it right")


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # their texts may quote a part of the URL, and so a part of a password
        parsed = None
    if parsed is None or not parsed.drivername.startswith("postgres"):
        raise ConfigurationError("the database's URL is not of the form postgresql://user:password@host:5432/name")
    return parsed.set(drivername="postgresql+psycopg")


@contextmanager
def availability() -> Iterator[None]:
    """Raises DatabaseUnavailable where a connection fails or breaks, UnusableSchema for a missing table."""
    try:
        yield
    except ProgrammingError as error:
        if isinstance(error.orig, InsufficientPrivilege):
            text = "this login may not read the schema; a migration lets members of city_data_reader"
        elif isinstance(error.orig, UndefinedTable | UndefinedColumn):
            text = "the database does not have the schema of this code; run `city-data migrate`"
        else:
            raise
        raise UnusableSchema(text) from error
    # COPY goes through the driver's own cursor, whose errors SQLAlchemy does not wrap.
    except (OperationalError, InterfaceError, sa.exc.TimeoutError, psycopg.OperationalError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        sqlstate = cause.sqlstate if isinstance(cause, psycopg.Error) else None
        raise DatabaseUnavailable(f"the database cannot be used: {str(cause).strip()}", sqlstate) from error
