"""docs/sources/<name>.md: what a provider declares, as a table.

Belongs here: how capabilities are shown. Does not: the capabilities (each provider's module) or the cities' settings
(cities.yaml).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial

from city_data.cities import City, load_registry
from city_data.datasets import DATASETS
from city_data.providers import discover
from city_data.providers.base import Provider, RateLimit
from city_data_tests.docs.tables import code, table

_SPANS = {60: "a minute", 3_600: "an hour", 86_400: "a day"}


def parts() -> Mapping[str, Callable[[], str]]:
    """One part a provider, and the table of all, for two pages."""
    return {
        "sources": partial(overview, "sources/"),
        "sources of this folder": partial(overview, ""),
        **{f"source {name}": partial(facts, provider) for name, provider in discover().items()},
    }


def overview(folder: str) -> str:
    """Every provider in one line; its page lies in `folder`, as seen from the page with the table."""
    rows = []
    for name, provider in discover().items():
        capabilities = provider.capabilities
        kind = "modelled" if capabilities.modelled else "observed"
        rows.append(
            (
                f"[{name}]({folder}{name}.md)",
                capabilities.dataset,
                f"{capabilities.resolution}, {kind}",
                days(capabilities.lag),
                days(capabilities.settling),
                rate(capabilities.rate_limit),
            )
        )
    return table(("Source", "Dataset", "Kind", "Lag", "Settling", "Rate limit"), rows)


def facts(provider: Provider) -> str:
    """A provider's capabilities, the cities that name it, and the meaning of its columns."""
    capabilities = provider.capabilities
    rows = [
        ("Dataset and columns", f"{capabilities.dataset}: {code(capabilities.columns)}"),
        ("Resolution", f"{capabilities.resolution}, {'modelled' if capabilities.modelled else 'observed'}"),
        ("Lag", f"{days(capabilities.lag)} after a month's end"),
        ("Settling", f"{days(capabilities.settling)} more"),
        ("Missing for good", f"{days(capabilities.lag + capabilities.grace)} after a month's end without data"),
        ("First month", str(capabilities.earliest or "no known limit")),
        ("History", "none: months are collected" if capabilities.forward_only else "fetched by month"),
        ("Rate limit", rate(capabilities.rate_limit)),
        ("Key", f"`{capabilities.key_variable}`" if capabilities.key_variable else "none needed"),
        ("Hosts", code(capabilities.hosts)),
        ("Licence", f"{capabilities.licence} <{capabilities.licence_url}>"),
        ("Settings of a city", code(provider.settings_model.model_fields) or "none"),
        ("Cities", "; ".join(_uses(provider)) or "none in the shipped registry"),
    ]
    return f"{table(('Fact', 'Value'), rows)}\n\n{_meanings(provider)}"


def _meanings(provider: Provider) -> str:
    """The meaning of each column, as the API and the page give it."""
    rows = [
        (
            f"`{column}`",
            meaning.quantity,
            meaning.area,
            meaning.per,
            f"{meaning.method} (version {meaning.method_version})",
            "yes" if meaning.comparable else "no",
        )
        for column, meaning in provider.capabilities.meanings.items()
    ]
    return table(("Column", "Quantity", "Area", "Per", "Method", "Comparable between cities"), rows)


def _uses(provider: Provider) -> list[str]:
    found = [_use(city, provider.name) for city in load_registry(environ={}).all()]
    return [use for use in found if use]


def _use(city: City, name: str) -> str | None:
    for dataset in DATASETS:
        source = city.source(dataset)
        if source is not None and source.provider == name:
            settings = ", ".join(f"{key} {_plain(value)}" for key, value in source.settings.items())
            return f"{city.city_id} ({settings})" if settings else city.city_id
        if source is not None and source.fallback is not None and source.fallback.provider == name:
            return f"{city.city_id} as fallback"
    return None


def _plain(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def days(span: timedelta) -> str:
    """A length of time in the largest unit that divides it."""
    hours = span // timedelta(hours=1)
    count, unit = (hours // 24, "day") if hours % 24 == 0 else (hours, "hour")
    return f"{count} {unit}{'' if count == 1 else 's'}"


def rate(limit: RateLimit) -> str:
    """A rate limit in words."""
    text = f"{limit.calls} calls {_span(limit.seconds)}"
    text += f", at least {limit.spacing:g} s apart" if limit.spacing else ""
    text += "".join(f", {quota.calls:,} {_span(quota.seconds)}" for quota in limit.quotas)
    return text + (f"; one call counts as {limit.weight:g}" if limit.weight != 1 else "")


def _span(seconds: float) -> str:
    return _SPANS.get(int(seconds), f"in {seconds:g} s")
