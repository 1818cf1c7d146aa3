"""How a test asks a provider for a month through the sandbox: the real client, a clock that never waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from city_data.providers import discover
from city_data.providers.base import Location, ParsedMonth, Payload, Provider, Request
from city_data.providers.http import HttpClient, HttpSettings
from city_data.sandbox import Sandbox
from city_data.window import Month

MADRID = Location("madrid", 40.4168, -3.7038, "Europe/Madrid")
AS_OF = datetime(2026, 11, 24, 9, tzinfo=UTC)
SETTINGS: dict[str, dict[str, Any]] = {
    "aemet": {"stations": ["3195", "3129", "3196"]},
    "meteo_france": {"department": "75", "stations": ["75114001"]},
}


@dataclass
class StillClock:
    """Time passes only by sleeping."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Asked:
    """One provider, one month of Madrid, one sandbox."""

    sandbox: Sandbox
    name: str
    month: str
    as_of: datetime = AS_OF
    attempts: int = 2
    read_timeout: float = 10.0
    clock: StillClock = field(default_factory=StillClock)

    @property
    def provider(self) -> Provider:
        return discover()[self.name]

    @property
    def request(self) -> Request:
        settings = self.provider.settings_model(**SETTINGS.get(self.name, {}))
        return Request(MADRID, Month.parse(self.month), settings, self.as_of)

    @property
    def http(self) -> HttpClient:
        settings = HttpSettings(attempts=self.attempts, read_timeout=self.read_timeout)
        provider = self.provider
        return HttpClient(
            provider.name, provider.capabilities, settings=settings, clock=self.clock, routes=self.sandbox.routes
        )

    def fetch(self, into: Path) -> Sequence[Payload]:
        into.mkdir(parents=True, exist_ok=True)
        return self.provider.fetch(self.request, self.http, into)

    def month_of(self, into: Path) -> ParsedMonth:
        return accounted(self.provider.parse(self.request, self.fetch(into)))


def accounted(month: ParsedMonth) -> ParsedMonth:
    """The month itself, once its counts add up: whatever a test parses, every row received is used or rejected."""
    rejected = sum(month.rejected.values())
    assert month.received == month.used + rejected, (month.received, month.used, month.rejected)
    assert min((month.used, *month.rejected.values(), *month.nulled.values())) >= 0
    return month
