"""How a test asks a provider for a month through the sandbox: the real client, a clock that never waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from city_data.cities import DEFAULT_FILE, load_registry
from city_data.pipeline.feeds import location
from city_data.providers import discover
from city_data.providers.base import Location, ParsedMonth, Payload, Provider, Request, Settings
from city_data.providers.http import HttpClient, HttpSettings
from city_data.sandbox import Sandbox
from city_data.window import Month

MADRID = Location("madrid", 40.4168, -3.7038, "Europe/Madrid")
AS_OF = datetime(2026, 11, 24, 9, tzinfo=UTC)


@cache
def registered(name: str) -> tuple[Location, Settings]:
    """The first city of the shipped registry that names a provider, with its settings; else Madrid, without any."""
    provider = discover()[name]
    for city in load_registry(DEFAULT_FILE, {}).all():
        source = city.source(provider.capabilities.dataset)
        for one in (source, source.fallback) if source is not None else ():
            if one is not None and one.provider == name:
                return location(city), provider.settings_model.model_validate(dict(one.settings))
    return MADRID, provider.settings_model()


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
    """One provider, one month of a place, one sandbox."""

    sandbox: Sandbox
    name: str
    month: str
    as_of: datetime = AS_OF
    place: Location = MADRID
    attempts: int = 2
    read_timeout: float = 10.0
    clock: StillClock = field(default_factory=StillClock)

    @property
    def provider(self) -> Provider:
        return discover()[self.name]

    @property
    def request(self) -> Request:
        return Request(self.place, Month.parse(self.month), registered(self.name)[1], self.as_of)

    @property
    def http(self) -> HttpClient:
        settings = HttpSettings(attempts=self.attempts, read_timeout=self.read_timeout)
        provider = self.provider
        unserved = sorted(set(provider.capabilities.hosts) - set(self.sandbox.routes))
        assert not unserved, f"{self.name} needs a stand-in in city_data/sandbox/: none serves {', '.join(unserved)}"
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
