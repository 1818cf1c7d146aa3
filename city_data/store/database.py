"""The pool of connections to PostgreSQL, and the one error that says it is away.

Belongs here: connecting. Does not: any table (schema.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from city_data.errors import CityDataError

CONNECT_TIMEOUT_S = 5


class DatabaseUnavailable(CityDataError):
    """PostgreSQL cannot be reached, or went away in the middle: trying again later can help.

    `sqlstate` is PostgreSQL's own code for the cause, None where the connection itself failed.
    """

    def __init__(self, message: str, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class Database:
    """One pool. `url` is `postgresql://user:password@host/name`; a broken connection is replaced when next taken."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 5,
        statement_timeout_s: float | None = None,
        application_name: str = "city_data",
        read_only: bool = False,
    ) -> None:
        options = f"-c statement_timeout={int(statement_timeout_s * 1000)}" if statement_timeout_s else ""
        if read_only:
            options += " -c default_transaction_read_only=on"
        self.engine = sa.create_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            pool_size=pool_size,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT_S,
                "application_name": application_name,
                "options": f"-c timezone=UTC {options}".strip(),
            },
        )

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection for reading. Raises DatabaseUnavailable where there is none or it breaks."""
        with _availability(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction, committed when the context ends well. Raises DatabaseUnavailable as `read` does."""
        with _availability(), self.engine.begin() as connection:
            yield connection

    def dispose(self) -> None:
        self.engine.dispose()


@contextmanager
def _availability() -> Iterator[None]:
    try:
        yield
    # COPY goes through the driver's own cursor, whose errors SQLAlchemy does not wrap.
    except (OperationalError, InterfaceError, sa.exc.TimeoutError, psycopg.OperationalError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        sqlstate = cause.sqlstate if isinstance(cause, psycopg.Error) else None
        raise DatabaseUnavailable(f"the database cannot be used: {str(cause).strip()}", sqlstate) from error
