"""A reader that requires tokens, behind a socket, and raw requests for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.testclient import TestClient

from city_data.lru_cache import LruCache
from city_data_tests.api.conftest import HERE, MakeClient
from city_data_tests.api.issuer import TENANT_A, Issuer, locked_by
from city_data_tests.api.sockets import Answer, Connection, Counted, serving

GOOD = Issuer()
TOKEN = f"Bearer {GOOD.token()}"
NO_TIME, LONG = 0, 60
DIFFERENT = ("date", "ratelimit-remaining", "ratelimit-reset")


def path(tenant: str = TENANT_A, dataset: str = "traffic", **query: str) -> str:
    parameters = HERE | {"start_date": "2025-10-05", "end_date": "2025-11-12"} | query
    return f"/api/v1/tenants/{tenant}/external/operations/historical-{dataset}-optimized?{urlencode(parameters)}"


class Reader:
    def __init__(self, app: Any, port: int, counted: Counted) -> None:
        self.app, self.port, self._counted = app, port, counted

    @property
    def routed(self) -> int:
        """How many requests the cache left to the routes."""
        return self._counted.count

    def ask(self, request: bytes, times: int = 1) -> list[Answer]:
        with Connection(self.port) as connection:
            return [connection.ask(request) for _ in range(times)]


MakeReader = Callable[..., Reader]


@contextmanager
def locked_reader(
    make_client: MakeClient, folder: Path, ledger_s: float = LONG, *, remembers: bool = True, **changes: object
) -> Iterator[Reader]:
    """`ledger_s` is the TTL of its ledger cache; with `remembers` it has a request cache."""
    client: TestClient = make_client(**{**locked_by(GOOD, folder), "api_ledger_ttl_s": ledger_s, **changes})
    cache = client.app.state.request_cache  # type: ignore[attr-defined]
    counted = Counted(cache._app)
    cache.stand_before(counted)
    if not remembers:
        cache._requests = LruCache(0)
    with serving(client.app) as port:
        yield Reader(client.app, port, counted)


def same(one: Answer, other: Answer) -> bool:
    """Whether two answers are equal, except for headers of time and rate limit."""
    compared = [[line for line in answer.headers if line[0] not in DIFFERENT] for answer in (one, other)]
    return (one.status, one.body, compared[0]) == (other.status, other.body, compared[1])


def raises(error: Exception) -> Callable[..., None]:
    def raising(*_: object, **__: object) -> None:
        raise error

    return raising
