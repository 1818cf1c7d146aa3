"""The routes of cities. Belongs here: the enabled cities with their sources, and the availability of a city's months.

Does not: the origin of a month (provenance.py), or its records (history.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from api.query.city import enabled_city
from api.query.versions import Versions
from api.routes.documentation import ERRORS, city_paths
from api.routes.schemas import (
    CityInfoResponse,
    CoverageInfo,
    DataAvailabilityResponse,
    DayInfo,
    MonthInfo,
    MonthsInfo,
    SourceInfo,
)
from city_data.cities import City, Registry
from city_data.datasets import DATASETS
from city_data.frames import coverage
from city_data.store.ledger import MonthEntry
from city_data.store.provider_facts import ProviderFacts

Days = Annotated[bool, Query(description="Also include the coverage of every local day")]


@dataclass(frozen=True)
class Cities:
    """The routes and their dependencies; one per application."""

    registry: Registry
    versions: Versions

    def router(self) -> APIRouter:
        router = APIRouter(tags=["cities"])
        for path in ("/api/v1/external/cities", "/api/v1/cities"):
            router.add_api_route(path, self.cities, summary="The enabled cities", response_model=list[CityInfoResponse])
        for path in city_paths("data-availability", "availability"):
            router.add_api_route(
                path,
                self.availability,
                summary="The data available for a city",
                responses={404: ERRORS[404]},
                response_model=DataAvailabilityResponse,
            )
        return router

    async def cities(self) -> list[BaseModel]:
        """Every enabled city, with its centre, its radius, its sources and their licences."""
        known = await self.versions.providers()
        return [_city_info(city, sources(city, known)) for city in self.registry.enabled()]

    async def availability(self, request: Request, city_id: str, days: Days = False) -> BaseModel:
        """First and last date, record counts, and for every month its state, version and coverage by column."""
        city = enabled_city(self.registry, city_id, request)
        months = {name: list((await self.versions.months(city_id, name)).values()) for name in DATASETS}
        with_data = {name: [entry for entry in entries if entry.has_data] for name, entries in months.items()}
        counts: dict[str, Any] = {}
        for name, entries in with_data.items():
            counts[f"{name}_available"] = bool(entries)
            counts[f"{name}_start_date"] = min((e.first_date for e in entries if e.first_date), default=None)
            counts[f"{name}_end_date"] = max((e.last_date for e in entries if e.last_date), default=None)
            counts[f"{name}_record_count"] = sum(entry.rows for entry in entries)
        months_info = MonthsInfo(
            **{name: [_month_info(entry, days) for entry in entries] for name, entries in months.items()}
        )
        return DataAvailabilityResponse(city_id=city.city_id, city_name=city.name, months=months_info, **counts)


def sources(city: City, known: Mapping[str, ProviderFacts]) -> list[SourceInfo]:
    """The city's sources, each dataset's primary source before its fallback."""
    return [
        _source(name, choice.provider, choice is not first, known.get(choice.provider))
        for name in DATASETS
        if (first := city.source(name)) is not None
        for choice in (first, first.fallback)
        if choice is not None
    ]


def _source(dataset: str, provider: str, fallback: bool, facts: ProviderFacts | None) -> SourceInfo:
    values: dict[str, Any] = {}
    if facts is not None:
        values = {name: getattr(facts, name) for name in SourceInfo.model_fields if hasattr(facts, name)}
        values["earliest_month"] = f"{facts.earliest:%Y-%m}" if facts.earliest else None
    return SourceInfo(**{**values, "dataset": dataset, "provider": provider, "fallback": fallback})


def _city_info(city: City, listed: list[SourceInfo]) -> BaseModel:
    bindings = {name: city.source(name) for name in DATASETS}
    return CityInfoResponse(
        **{name: getattr(city, name) for name in CityInfoResponse.model_fields if hasattr(city, name)},
        **{f"{name}_provider": source.provider if source is not None else None for name, source in bindings.items()},
        sources=listed,
    )


def _month_info(entry: MonthEntry, with_days: bool) -> MonthInfo:
    dataset = DATASETS[entry.dataset]
    values: dict[str, Any] = {
        "month": str(entry.month),
        "columns": _coverage_infos(coverage.of_month(entry.days, dataset)),
        "days": None,
    }
    if with_days:
        by_day = coverage.of_days(entry.days, dataset, entry.month)
        values["days"] = [DayInfo(date=day, columns=_coverage_infos(columns)) for day, columns in by_day]
    copied = {name: getattr(entry, name) for name in MonthInfo.model_fields if name not in values}
    return MonthInfo(**values, **copied)


def _coverage_infos(columns: Mapping[str, coverage.Coverage]) -> dict[str, CoverageInfo]:
    return {
        name: CoverageInfo(expected=of.expected, observed=of.observed, percent=of.percent)
        for name, of in columns.items()
    }
