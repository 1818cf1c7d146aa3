"""A reader of a few cities, made by hand, and a browser that opens its page. Debian's Chromium; see tools.py."""

from __future__ import annotations

import dataclasses
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
import uvicorn
import yaml
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from api.app import create_app
from api.settings import Settings
from city_data.datasets import DATASETS, WEATHER
from city_data.frames.canonical import canonical_frame
from city_data.local.embedded import EmbeddedPostgres
from city_data.pipeline.feeds import record_providers
from city_data.providers import discover
from city_data.store.database import Database
from city_data.store.ledger import record_state
from city_data.store.months import MonthLoad, replace_month
from city_data.window import Month
from city_data_tests.api.conftest import month_load
from city_data_tests.tools import find_tool

NOW = datetime(2026, 11, 15, 12, tzinfo=UTC)
DATABASE = "page"
TROUBLE = "the source answered <h1>500</h1> three times; ask again later"  # markup is to be seen, not obeyed
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
Open = Callable[..., Page]
Scheme = Literal["light", "dark"]


@pytest.fixture(scope="package")
def url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A reader of Madrid, whose traffic has a failed month; Barcelona, with a month that never was and one of the
    sandbox; Valencia, of the sandbox alone, with forecasts and a month ahead; Lisbon: nothing."""
    postgres.create_database(DATABASE, template="template_city_data")
    database = Database(postgres.url(DATABASE))
    record_providers(database, discover().values())
    for dataset, month in (
        ("traffic", "2026-08"),
        ("traffic", "2026-10"),
        ("weather", "2026-09"),
        ("weather", "2026-10"),
        ("calendar", "2026-10"),
    ):
        replace_month(database, month_load(dataset, month))
    for city, month, state, source in (
        ("barcelona", "2026-09", "settled", "test"),
        ("barcelona", "2026-10", "provisional", "sandbox:open_meteo"),
        ("valencia", "2026-10", "settled", "sandbox:open_meteo"),
    ):
        load = month_load("weather", month, add=1.5)
        rain = [{"precipitation_day": "from dew to dew"}] * len(load.frame)
        frame = canonical_frame(load.frame.assign(snowfall=0.5, precipitation=1.0, raw_data=rain), WEATHER)
        replace_month(database, dataclasses.replace(load, city_id=city, state=state, source=source, frame=frame))
    for month in ("2026-10", "2027-01"):
        load = month_load("calendar", month)
        flags = canonical_frame(load.frame.assign(is_weekend=load.frame.index % 7 == 2), DATASETS["calendar"])
        source = "sandbox:openholidays"
        replace_month(database, dataclasses.replace(load, city_id="valencia", source=source, frame=flags))
    for month in ("2026-10", "2026-11"):
        replace_month(database, forecast_load(month))
    record_state(database, "madrid", "traffic", Month(2026, 9), "failed", at=NOW, message=TROUBLE)
    record_state(database, "barcelona", "weather", Month(2026, 8), "not_available", at=NOW, message="never measured")
    record_state(database, "madrid", "weather", Month(2026, 11), "not_yet_published", at=NOW)
    database.dispose()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CITY_DATA_CITIES", raising=False)
        patch.setenv("ENABLED_CITIES", "madrid,barcelona,valencia,lisbon")
        patch.setenv("CITY_DATA_AS_OF", NOW.isoformat())  # of the days ahead
        settings = {"database_url": postgres.url(DATABASE), "api_ledger_ttl_s": 0, "auth_mode": "none"}
        with serving(Settings.model_validate(settings)) as address:
            yield address


def forecast_load(month: str, **changes: Any) -> MonthLoad:
    """Valencia's forecasts of a month, in degrees that a thermometer could have."""
    load = month_load("forecast", month, **changes)
    degrees = canonical_frame(load.frame.assign(temperature=load.frame["temperature"] / 100), DATASETS["forecast"])
    return dataclasses.replace(load, city_id="valencia", source="sandbox:open_meteo_forecast", frame=degrees)


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(create_app(settings), log_level="critical", ws="none"))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture
def many(postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A reader of 42 cities, `c0` to `c41`, of which nothing is stored."""
    place = {"country": "ES", "radius_km": 10, "timezone": "Europe/Madrid", "enabled": True}
    cities = [
        {"city_id": f"c{n}", "name": f"Cityname {n}", "latitude": 38 + n % 7, "longitude": -6 + n // 7 / 5, **place}
        for n in range(42)
    ]
    registry = tmp_path / "cities.yaml"
    registry.write_text(yaml.safe_dump({"cities": [city | {"weather": {"provider": "open_meteo"}} for city in cities]}))
    monkeypatch.setenv("CITY_DATA_CITIES", str(registry))
    monkeypatch.delenv("ENABLED_CITIES")
    with serving(Settings.model_validate({"database_url": postgres.url(DATABASE), "auth_mode": "none"})) as address:
        yield address


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    chromium = find_tool("chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser: Browser, url: str) -> Iterator[Open]:
    """Opens the page on 2026-11-15. In the end: nothing was asked of another host, refused by the policy, or thrown."""
    asked: list[str] = []
    complaints: list[str] = []
    contexts: list[BrowserContext] = []
    origins: set[tuple[str, str]] = set()

    def opened(
        at: str = url,
        fragment: str = "",
        size: dict[str, int] = DESK,
        scheme: Scheme = "light",
        locale: str = "en-GB",
    ) -> Page:
        context = browser.new_context(viewport=size, timezone_id="America/New_York", color_scheme=scheme, locale=locale)
        contexts.append(context)
        origins.add(urlsplit(at)[:2])
        page = context.new_page()
        page.clock.set_fixed_time(NOW)
        page.set_default_timeout(10_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.add_init_script("addEventListener('securitypolicyviolation', (e) => console.error(e.violatedDirective))")
        page.goto(f"{at}/{fragment}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert {urlsplit(address)[:2] for address in asked} == origins
    # An answer of 401 or 503 is a line in Chromium's console that no page can keep away.
    assert [text for text in complaints if "Failed to load resource" not in text] == []
