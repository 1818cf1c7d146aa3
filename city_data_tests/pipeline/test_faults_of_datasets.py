"""A fault of any dataset's source that passes: no month is lost, emptied or settled by it, and the next fetch heals it.

Belongs here: what holds for every dataset, and the faults of the sources of calendars and forecasts. Does not: the
outcomes of the other sources (test_outcomes.py), or what one answer means (providers/).
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from city_data.datasets import DATASETS, DatasetName
from city_data.providers.open_meteo_forecast import MODEL
from city_data.providers.open_meteo_forecast.hours import PAST
from city_data_tests.pipeline.life import CLOSED, DAY, MONTH, SOURCES
from city_data_tests.pipeline.story import story
from city_data_tests.providers.sources import any_answer_of
from city_data_tests.world import World

LIMIT = '{"error": true, "reason": "Minutely API request limit exceeded", "message": "API rate limit exceeded"}'
PAGE = "<!DOCTYPE html><html><head><title>Rate limit</title></head><body>Try again later</body></html>"
FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "an error": ({"status": 502}, "502"),
    "a limit": ({"status": 429, "headers": {"Retry-After": "4000"}}, "too many calls (429)"),
    "a limit with 403": ({"status": 403, "body": LIMIT}, "403"),
    "a limit with 200": ({"body": LIMIT}, "too many calls"),
    "a page": ({"body": PAGE}, "<!DOCTYPE html>"),
    "a text": ({"body": "429: Too Many Requests"}, "429: Too Many Requests"),
    "no content": ({"status": 204, "body": ""}, "empty"),
    "half of it": ({"truncate": 0.5}, "peer closed connection"),
    "a redirect": ({"status": 302, "headers": {"Location": "https://login.example/sso"}}, "login.example"),
    "another file": ({"body": "Id;Country;Datum;Type;Name\n1;ES;2026-12-25;School;ES A\n"}, ""),
}
PREVIOUS_RUNS = "/previous-runs-api.open-meteo.com/v1/forecast"


def provider_of(dataset: DatasetName) -> str:
    return str(SOURCES[dataset]["provider"])


@pytest.mark.parametrize("dataset", [name for name, dataset in DATASETS.items() if dataset.months_ahead])
@pytest.mark.parametrize("kind", FAULTS)
def test_passing_fault_is_named_and_heals(world: World, no_waiting: None, dataset: DatasetName, kind: str) -> None:
    fault, words = FAULTS[kind]
    with story(world, dataset) as month:
        world.sandbox.faults.order(any_answer_of(provider_of(dataset)), **fault)
        month.fails(words)
        month.heals(provider_of(dataset))


@pytest.mark.parametrize("dataset", DATASETS)
def test_fault_leaves_an_unsettled_month_as_it_was_and_due(
    world: World, no_waiting: None, dataset: DatasetName
) -> None:
    """A month that may still change has what its last good fetch brought."""
    with story(world, dataset) as month:
        capabilities = world.feed(dataset).primary.provider.capabilities
        month.at = CLOSED + max(capabilities.lag, timedelta(hours=4)) + timedelta(hours=1)
        assert month.life.tick("refresh_unsettled", month.at)
        month.life.all_say("provisional", 1)
        before, rows = month.entry, world.rows(dataset, str(MONTH))
        month.at += capabilities.pace
        world.sandbox.faults.order(any_answer_of(provider_of(dataset)), status=503)
        assert month.life.tick("refresh_unsettled", month.at, succeeds=False)
        after = month.entry
        assert (after.state, after.version, after.content_sha256) == ("provisional", 1, before.content_sha256)
        assert "503" in str(after.last_error)
        assert world.rows(dataset, str(MONTH)) == rows
        world.sandbox.faults.clear()
        month.at += DAY
        assert month.life.tick("refresh_unsettled", month.at)
        assert (month.entry.version, month.entry.last_error) == (1, None)
        assert world.rows(dataset, str(MONTH)) == rows


def test_forecasts_without_a_value_are_missing_and_asked_for_again(world: World) -> None:
    """As during an outage of the archive, which answers with nulls."""
    with story(world, "forecast") as month:
        world.sandbox.faults.order(PREVIOUS_RUNS, body=nulls(world))
        month.is_missing("no forecast of the month is available")
        month.heals("open_meteo_forecast")


def nulls(world: World) -> str:
    url = f"{world.sandbox.base_url}{PREVIOUS_RUNS}"
    query = {
        "latitude": "40.4168",
        "longitude": "-3.7038",
        "start_date": "2026-08-31",
        "end_date": "2026-09-30",
        "timezone": "GMT",
        "wind_speed_unit": "ms",
        "models": MODEL,
        "hourly": ",".join(PAST.units),
    }
    document = httpx.get(url, params=query, trust_env=False).raise_for_status().json()
    hours = {name: values if name == "time" else [None] * len(values) for name, values in document["hourly"].items()}
    return json.dumps(document | {"hourly": hours})
