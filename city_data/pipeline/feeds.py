"""Feeds, one for each city and dataset: the registry's names resolved to providers with validated settings.

Belongs here: `Feed` and its resolution. Does not: the registry's own rules (cities.py), or fetching
(fetch.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pydantic

from city_data.cities import City, FallbackSource, Registry, RegistryError
from city_data.datasets import DATASETS, Dataset, Resolution
from city_data.providers import discover
from city_data.providers.base import Capabilities, Location, Provider, Request, Settings
from city_data.strict_model import problems
from city_data.window import Month, Window

if TYPE_CHECKING:
    from city_data.store.database import Database


@dataclass(frozen=True)
class ProviderBinding:
    """A provider with one city's settings for it."""

    provider: Provider
    settings: Settings


@dataclass(frozen=True)
class Feed:
    """One city's history of one dataset, with its providers. `resolution` is the city's declared one."""

    city: City
    dataset: Dataset
    primary: ProviderBinding
    fallback: ProviderBinding | None

    @property
    def resolution(self) -> Resolution:
        return self.primary.provider.capabilities.resolution

    @property
    def choices(self) -> list[ProviderBinding]:
        return [self.primary, *([self.fallback] if self.fallback else [])]

    @property
    def name(self) -> str:
        return f"{self.dataset.name}/{self.city.city_id}"

    def months(self, window: Window) -> list[Month]:
        """The window's months, with those ahead that the dataset reaches."""
        return window.months(self.dataset.months_ahead)

    @property
    def licences(self) -> str:
        """The attributions that the licences of all its sources require."""
        return " ".join(choice.provider.capabilities.licence for choice in self.choices)

    @property
    def live(self) -> ProviderBinding | None:
        """The provider to poll, where a source has no history."""
        return next((choice for choice in self.choices if choice.provider.capabilities.forward_only), None)

    def choice(self, provider: str) -> ProviderBinding:
        """The binding of a provider by name, as archived. Raises RegistryError where the registry no longer has it."""
        for choice in self.choices:
            if choice.provider.name == provider:
                return choice
        raise RegistryError(f"{self.name}: the archive was fetched by {provider!r}, which the registry no longer names")

    def request(self, choice: ProviderBinding, month: Month, as_of: datetime) -> Request:
        return Request(location=location(self.city), month=month, settings=choice.settings, as_of=as_of)


def location(city: City) -> Location:
    """The city as providers need it."""
    return Location(
        city.city_id, city.latitude, city.longitude, city.timezone, city.country, city.region, city.local_holidays
    )


def feeds(cities: Iterable[City]) -> list[Feed]:
    """Every dataset that the cities have a source for. Raises RegistryError naming city, field and known values."""
    return [
        Feed(
            city=city,
            dataset=dataset,
            primary=_choice(city, dataset, source, f"{dataset.name}.settings"),
            fallback=_choice(city, dataset, source.fallback, f"{dataset.name}.fallback.settings")
            if source.fallback
            else None,
        )
        for city in cities
        for dataset in DATASETS.values()
        if (source := city.source(dataset.name)) is not None
    ]


def months_of(feeds: Iterable[Feed], window: Window) -> list[Month]:
    """The months that any of the feeds reaches."""
    return window.months(max((feed.dataset.months_ahead for feed in feeds), default=0))


def enabled_feeds(registry: Registry) -> list[Feed]:
    return feeds(registry.enabled())


def record_providers(database: Database, providers: Iterable[Provider]) -> None:
    """Store the capabilities and licences of these providers. Raises DatabaseUnavailable."""
    from city_data.store import provider_facts

    capabilities_by_name = {provider.name: provider.capabilities for provider in providers}
    facts = [
        provider_facts.ProviderFacts(
            name=name,
            dataset=capabilities.dataset,
            resolution=capabilities.resolution,
            columns=capabilities.columns,
            earliest=capabilities.earliest.first_day if capabilities.earliest else None,
            forward_only=capabilities.forward_only,
            modelled=capabilities.modelled,
            lag_days=capabilities.lag / timedelta(days=1),
            settling_days=capabilities.settling / timedelta(days=1),
            licence=capabilities.licence,
            licence_url=capabilities.licence_url,
            meanings=meanings(capabilities),
        )
        for name, capabilities in capabilities_by_name.items()
    ]
    provider_facts.record_providers(database, facts)


def meanings(capabilities: Capabilities) -> dict[str, dict[str, Any]]:
    """The meaning of a source's columns as plain data, by column."""
    return {column: asdict(meaning) for column, meaning in capabilities.meanings.items()}


def _choice(city: City, dataset: Dataset, source: FallbackSource, where: str) -> ProviderBinding:
    provider = discover()[source.provider]
    if provider.capabilities.dataset != dataset.name:
        able = ", ".join(name for name, one in discover().items() if one.capabilities.dataset == dataset.name)
        raise RegistryError(
            f"city {city.city_id}: {dataset.name}.provider: {provider.name} gives no {dataset.name}; known: {able}"
        )
    try:
        return ProviderBinding(provider, provider.settings_model.model_validate(dict(source.settings)))
    except pydantic.ValidationError as error:
        wrong = problems(error, provider.settings_model, "settings")
        raise RegistryError(f"city {city.city_id}: {where}: {wrong}") from None
