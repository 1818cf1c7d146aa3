"""OpenWeather's request for September, and files parsed as its answers.

Belongs here: what test_openweather.py and test_openweather_payloads.py share. Does not: the service over HTTP.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from city_data.providers.base import (
    ParsedMonth,
    Payload,
    Request,
)
from city_data.providers.openweather import OpenWeather
from city_data.window import Month
from city_data_tests.sandbox.asking import MADRID, accounted

SEPTEMBER = Request(MADRID, Month(2026, 9), OpenWeather.settings_model(), datetime(2026, 11, 24, tzinfo=UTC))


def parsed(path: Path, month: str = "2026-09") -> ParsedMonth:
    asked = replace(SEPTEMBER, month=Month.parse(month))
    return accounted(OpenWeather().parse(asked, [Payload(path.name, path, "https://example.org")]))
