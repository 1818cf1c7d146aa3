"""The route of a month's provenance. Belongs here: its sources, versions and states, from the store.

Does not: the month's records (history.py). Unknown values are null or absent, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field, create_model

from api.errors import ErrorResponse, ValidationErrorResponse
from api.query.city import enabled_city
from api.query.versions import Versions
from api.routes.documentation import MonthParameter, city_paths, month_of
from api.routes.schemas import MeaningInfo, of_each_dataset
from city_data.cities import City, Registry
from city_data.datasets import DATASETS, DatasetName
from city_data.store.database import Database
from city_data.store.ledger import MonthEntry, State, StateChange, read_states
from city_data.store.snapshot_ids import SnapshotId
from city_data.store.versions import read_entries

# Reported in fields of their own, or used only by checks.
_SEPARATE_FIELDS = {
    "means", "modelled", "licence", "licence_url", "meanings", "stations", "grid_cell", "method_version", "reason",
}  # fmt: skip


class FileInfo(BaseModel):
    """A file as received; `url` and `params` contain no secret. `fetched_at` is the last time it was fetched."""

    name: str
    url: str | None = None
    params: dict[str, str] = {}
    sha256: str
    bytes: int | None = None
    media_type: str | None = None
    last_modified: str | None = None
    fetched_at: datetime | None


class PlaceInfo(BaseModel):
    """A station, sensor or grid cell that was used. `distance_km` is from the city's centre."""

    model_config = ConfigDict(extra="allow")

    id: str
    name: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    distance_km: float | None = None
    weight: float | None = Field(default=None, description="Its share (0..1) in the month's values")


class VersionInfo(BaseModel):
    """One immutable version, as it was loaded. Its `snapshot_id` as `version` reads it again."""

    version: int
    current: bool
    loaded_at: datetime | None
    fetched_at: datetime | None
    state: State = Field(description="The month's state when this version was loaded")
    source: str | None
    rows: int
    expected_rows: int
    coverage: float | None
    column_coverage: dict[str, float]
    rejected: dict[str, int]
    content_sha256: str | None
    code_version: str
    run_id: str | None
    files: list[FileInfo]
    snapshot_id: str


class StateInfo(BaseModel):
    """A state of the month, from `at` until the next."""

    at: datetime
    state: State
    version: int | None
    reason: str | None


class DatasetProvenance(BaseModel):
    """The provenance of one month of one dataset. `coverage` is a share (0..1) of `expected_rows`."""

    state: State
    version: int | None = Field(description="The current version; null without data")
    source: str | None
    kind: Literal["observed", "modelled"] | None
    method_version: int | str | None
    code_version: str
    licence: str | None
    licence_url: str | None
    meanings: dict[str, MeaningInfo] = Field(description="The meaning of each column when the month was loaded")
    rows: int
    expected_rows: int
    coverage: float | None
    column_coverage: dict[str, float]
    received: int = Field(description="Rows that the source sent: used, or rejected under one reason")
    used: int
    rejected: dict[str, int] = Field(description="The source's rows that were not used, by reason")
    nulled: dict[str, int] = Field(description="Single values of used rows that became null, by reason:field")
    first_date: datetime | None
    last_date: datetime | None
    fetched_at: datetime | None
    loaded_at: datetime | None
    settled_at: datetime | None
    checked_at: datetime | None
    rechecked_at: datetime | None
    recheck: str | None = Field(description="The result of the last recheck of the settled month")
    last_error: str | None
    last_error_at: datetime | None
    places: list[PlaceInfo] = Field(description="Stations, sensors or grid cells, as far as the source names them")
    details: dict[str, Any] = Field(description="Other facts that the provider reports about the month")
    files: list[FileInfo]
    versions: list[VersionInfo] = Field(description="Every stored version, oldest first")
    states: list[StateInfo] = Field(description="The states the month went through, oldest first")


class _LocalMonth(BaseModel):
    city_id: str
    city_name: str
    month: str = Field(examples=["2026-10"])
    timezone: str
    start: datetime
    end: datetime


MonthProvenanceResponse = create_model(
    "MonthProvenanceResponse",
    __base__=_LocalMonth,
    __doc__="The provenance of a city's month. `start` and `end` are the local month as a half-open interval, UTC.",
    **of_each_dataset(lambda dataset: {dataset.name: (DatasetProvenance | None, ...)}),
)


@dataclass(frozen=True)
class Provenance:
    """The route and its dependencies; one per application."""

    registry: Registry
    versions: Versions
    database: Database
    limiter: CapacityLimiter

    def router(self) -> APIRouter:
        router = APIRouter(tags=["cities"])
        for path in city_paths("months/{month}"):
            router.add_api_route(
                path,
                self.month,
                summary="The provenance of a month",
                responses={
                    404: {
                        "model": ErrorResponse,
                        "description": "The city is not enabled, or the ledger does not have the month",
                    },
                    422: {"model": ValidationErrorResponse, "description": "Invalid month"},
                },
                response_model=MonthProvenanceResponse,
            )
        return router

    async def month(self, request: Request, city_id: str, month: MonthParameter) -> BaseModel:
        """Versions, files with their hashes, stations, method, licence, rejected rows and the history of states."""
        city = enabled_city(self.registry, city_id, request)
        at = month_of(month)
        ledger = {name: await self.versions.months(city_id, name) for name in DATASETS}
        if not any(at in months for months in ledger.values()):
            known = sorted({each for months in ledger.values() for each in months})
            extent = (
                f"the ledger has months from {known[0]} to {known[-1]}"
                if known
                else "the ledger has no month of this city yet"
            )
            raise HTTPException(404, f"No month {at} for {city.name}: {extent}.")
        datasets = {name: await self._dataset(city, name, months.get(at)) for name, months in ledger.items()}
        start, end = at.bounds(city.timezone)
        return MonthProvenanceResponse(
            city_id=city.city_id,
            city_name=city.name,
            month=str(at),
            timezone=city.timezone,
            start=start,
            end=end,
            **datasets,
        )

    async def _dataset(self, city: City, name: DatasetName, entry: MonthEntry | None) -> DatasetProvenance | None:
        if entry is None:
            return None
        stored, states = await anyio.to_thread.run_sync(
            lambda: (
                read_entries(self.database, name, city.city_id, entry.month),
                read_states(self.database, city.city_id, name, entry.month),
            ),
            limiter=self.limiter,
        )
        return _provenance(city, name, entry, stored, states)


def _provenance(
    city: City, name: DatasetName, entry: MonthEntry, stored: Sequence[MonthEntry], states: Sequence[StateChange]
) -> DatasetProvenance:
    provenance = entry.provenance
    modelled = provenance.get("modelled")
    same = {field: getattr(entry, field) for field in DatasetProvenance.model_fields if hasattr(entry, field)}
    return DatasetProvenance(
        **same,
        kind=None if modelled is None else "modelled" if modelled else "observed",
        method_version=provenance.get("method_version"),
        licence=provenance.get("licence"),
        licence_url=provenance.get("licence_url"),
        meanings=provenance.get("meanings", {}),
        places=_places(city, provenance),
        details={key: value for key, value in provenance.items() if key not in _SEPARATE_FIELDS},
        files=_files(entry),
        versions=[_version(name, one, entry.version) for one in stored],
        states=[StateInfo.model_validate(change, from_attributes=True) for change in states],
    )


def _version(name: DatasetName, entry: MonthEntry, current: int | None) -> VersionInfo:
    same = {field: getattr(entry, field) for field in VersionInfo.model_fields if hasattr(entry, field)}
    snapshot = str(SnapshotId.of(entry.city_id, {name: [entry]}))
    return VersionInfo(**same, current=entry.version == current, files=_files(entry), snapshot_id=snapshot)


def _files(entry: MonthEntry) -> list[FileInfo]:
    return [FileInfo.model_validate({**file, "fetched_at": entry.fetched_at}) for file in entry.raw_files]


def _places(city: City, provenance: Mapping[str, Any]) -> list[PlaceInfo]:
    """Providers report stations as ids or with their attributes; a model reports a grid cell with coordinates only."""
    stations = [{"id": one} if isinstance(one, str) else one for one in provenance.get("stations", [])]
    cells = [{"id": "grid_cell", **provenance["grid_cell"]}] if provenance.get("grid_cell") else []
    return [_placed(city, one) for one in (*stations, *cells)]


def _placed(city: City, known: Mapping[str, Any]) -> PlaceInfo:
    latitude, longitude = known.get("latitude"), known.get("longitude")
    if latitude is None or longitude is None or known.get("distance_km") is not None:
        return PlaceInfo.model_validate(known)
    return PlaceInfo.model_validate({**known, "distance_km": round(city.distance_km(latitude, longitude), 2)})
