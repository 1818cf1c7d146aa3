"""A reader over real HTTP, with some months made by hand, for clients that know nothing of it but its address."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from city_data_client import CityData, Retries
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.app import create_app
from api.settings import Settings
from city_data.store.database import Database
from city_data.store.months import Published, replace_month
from city_data_tests.api.conftest import month_load

QUICK = Retries(backoff=0.001)


@dataclass
class Faulty:
    """ASGI in front of the reader: answers `errors` first, one a request, and remembers what was asked."""

    app: ASGIApp
    errors: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.asked.append((scope["method"], scope["path"], headers))

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.statuses.append(message["status"])
            await send(message)

        if not self.errors:
            await self.app(scope, receive, noted)
            return
        status, told = self.errors.pop(0)
        raw = [(name.lower().encode(), value.encode()) for name, value in told.items()]
        await noted({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": b'{"detail": "ordered"}'})


@dataclass
class Service:
    url: str
    faulty: Faulty
    database: Database

    def load(self, dataset: str, month: str, **changes: object) -> Published:
        return replace_month(self.database, month_load(dataset, month, **changes))  # type: ignore[arg-type]


@pytest.fixture
def service(database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    for name in ("CITY_DATA_CITIES", "ENABLED_CITIES", "CITY_DATA_REDIS_URL", "USE_OPTIMIZED_EXTERNAL_ENDPOINTS"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings.model_validate({"database_url": database_url, "api_ledger_ttl_s": 0, "auth_mode": "none"})
    faulty = Faulty(create_app(settings))
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(faulty, log_level="critical", lifespan="on", ws="none"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    yield Service(f"http://127.0.0.1:{listener.getsockname()[1]}", faulty, database)
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture
def client(service: Service, tmp_path: Path) -> Iterator[CityData]:
    """The Python client, with a cache of its own."""
    with CityData(service.url, cache=tmp_path / "answers", retries=QUICK) as opened:
        yield opened
