"""The pages of many cities: each of Dagster's in Chromium, with the GraphQL requests that it makes, and the reader's.

Belongs here: a history of materializations, the pages, and their slowest requests. Does not: the processes
(deployment.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import httpx
import psycopg
from playwright.sync_api import Page, Request, sync_playwright

from city_data_tests.bench.figure import median_seconds
from city_data_tests.scale.deployment import Deployment, start_reader
from city_data_tests.tools import find_program

PAGES = {
    "overview": "/overview",
    "runs": "/runs",
    "catalog": "/assets",
    "a city's lineage": "/locations/city_data/asset-groups/city_0001/lineage",
    "an asset": "/assets/city_0001/weather_monthly",
    "an asset's partitions": "/assets/city_0001/weather_monthly?view=partitions",
    "deployment": "/deployment/locations",
    "schedules": "/automation",
}
QUIET_S, LONGEST_S, TIMES = 3.0, 60.0, 5
READER = ("/", "/api/v1/external/cities", "/api/v1/external/operations/cities/city_0001/availability")
# A month's event of one city, once for each city and month, as a history of that many months would have stored it.
_HISTORY = """
INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition)
SELECT run_id, replace(replace(event, %(city)s, other), %(month)s, earlier), dagster_event_type, timestamp,
  replace(step_key, %(city)s, other), replace(asset_key, %(city)s, other), earlier
FROM event_logs, unnest(%(cities)s::text[]) other, unnest(%(months)s::text[]) earlier
WHERE dagster_event_type = 'ASSET_MATERIALIZATION' AND partition = %(month)s AND asset_key LIKE %(assets)s
"""


@dataclass(frozen=True)
class Answer:
    """The slowest request of a page, of so many."""

    page: str
    request: str
    seconds: float
    requests: int


def add_history(deployment: Deployment, cities: list[str], months: list[str], like: tuple[str, str]) -> None:
    """Materializations of each city and month, made of those of one."""
    city, month = like
    values = {"city": city, "cities": cities, "month": month, "months": months, "assets": f'["{city}", %'}
    with psycopg.connect(deployment.postgres.url("dagster"), autocommit=True) as connection:
        connection.execute(_HISTORY, values)
        connection.execute("ANALYZE")


def dagster_pages(deployment: Deployment) -> Iterator[Answer]:
    """Each page's slowest request, on its second visit: the first one fills the browser's and the server's caches."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_program("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for name, path in PAGES.items():
            page = browser.new_page()
            _visit(page, f"{deployment.url}{path}")
            taken = _visit(page, f"{deployment.url}{path}")
            page.close()
            request, seconds = max(taken, key=lambda one: one[1])
            yield Answer(name, request, seconds, len(taken))
        browser.close()


def reader_answers(deployment: Deployment) -> Iterator[tuple[str, float]]:
    """The median time of each request of the reader's page."""
    with httpx.Client(base_url=start_reader(deployment), timeout=60) as client:
        for path in READER:
            yield path, median_seconds(partial(_get, client, path), TIMES)


def _get(client: httpx.Client, path: str) -> None:
    client.get(path).raise_for_status()


def _visit(page: Page, address: str) -> list[tuple[str, float]]:
    """The GraphQL requests until none has been open for a while, each with its time until the answer was whole."""
    taken: list[tuple[str, float]] = []
    opened: dict[Request, float] = {}
    last = time.monotonic()

    def begin(request: Request) -> None:
        if request.url.endswith("/graphql") or "/graphql?" in request.url:
            opened[request] = time.monotonic()

    def end(request: Request) -> None:
        if (began := opened.pop(request, None)) is not None:
            body = request.post_data_json or {}
            taken.append((str(body.get("operationName", "?")), time.monotonic() - began))

    page.on("request", begin)
    page.on("requestfinished", end)
    page.on("requestfailed", end)
    page.goto(address, wait_until="commit")
    until = time.monotonic() + LONGEST_S
    while time.monotonic() < until and (opened or time.monotonic() - last < QUIET_S):
        if opened:
            last = time.monotonic()
        page.wait_for_timeout(50)
    page.remove_listener("request", begin)
    page.remove_listener("requestfinished", end)
    page.remove_listener("requestfailed", end)
    return taken
