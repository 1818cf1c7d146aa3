"""The routes that serve history, and those that tell what there is. Belongs here: paths, parameters, documentation.

Does not: how a question is answered (history_service.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.attribution import Providers, sources
from api.history_service import Answering, Question
from api.observability import note
from api.query.city import enabled_city
from api.query.formats import CONTENT, FormatName
from api.query.shapes import MAX_COLUMNS_TEXT, AskedResolution, Include
from api.query.snapshot_ids import MAX_LENGTH
from api.query.versions import Versions
from api.routes.schemas import (
    RECORDS,
    SELECTIONS,
    CityInfoResponse,
    CoverageInfo,
    DataAvailabilityResponse,
    DayInfo,
    ErrorResponse,
    HistoricalRequest,
    MonthInfo,
    MonthsInfo,
    SourceInfo,
    ValidationErrorResponse,
)
from city_data.cities import City, Registry
from city_data.datasets import DATASETS, DatasetName
from city_data.frames import coverage
from city_data.store.ledger import MonthEntry

TENANT_PATH = "/api/v1/tenants/{tenant_id}/external"
ERRORS: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorResponse, "description": "No supported city near (the nearest is named), or not this tenant"},
    406: {"model": ErrorResponse, "description": "None of the types in Accept can be had"},
    410: {"model": ErrorResponse, "description": "Versions that `version` or `as_of` needs are not kept any more"},
    422: {"model": ValidationErrorResponse, "description": "The request cannot be understood"},
}
SAID = {
    "X-City-Id": "The city that answers",
    "X-City-Distance-Km": "From its centre to the location asked",
    "X-Data-Version": "A digest over the version of every month served: equal means equal data. It ends X-Snapshot-Id",
    "X-Snapshot-Id": "Names the version of every month served; given as `version`, the same range has the same bytes; "
    "a column that a later release added is null",
    "X-Served-Start": "The first record's date; absent where there is none",
    "X-Served-End": "The last record's date",
    "X-Coverage": "Share (0..1) of the range asked that has values",
    "X-Missing-Months": "Months of the range that hold nothing; absent where there are none",
    "Link": "The licence of every source in the answer, to be shown to whoever sees the data: rel=license",
    "X-Source": "The sources in the answer",
    "ETag": "For If-None-Match, which answers 304 while nothing has changed",
}
_DEGREES = "Degrees; both or neither: a tenant's own place is asked of the tenant service, where there is one"
Latitude = Annotated[float | None, Query(ge=-90, le=90, allow_inf_nan=False, description=_DEGREES, examples=[40.4168])]
Longitude = Annotated[
    float | None, Query(ge=-180, le=180, allow_inf_nan=False, description=_DEGREES, examples=[-3.7038])
]
_WHEN = "ISO 8601, included. A bare date is that whole local day of the city; a time without an offset is UTC"
StartDate = Annotated[str, Query(max_length=64, description=_WHEN, examples=["2026-10-01"])]
EndDate = Annotated[str, Query(max_length=64, description=_WHEN, examples=["2026-10-31"])]
_VERSION = (
    "An answer's X-Snapshot-Id: the data of that answer, whatever was loaded since; months it does not name are missing"
)
_AS_OF = (
    "The data that was current at this time (ISO 8601; a bare date is the start of that local day); not with `version`"
)
SnapshotVersion = Annotated[str | None, Query(max_length=MAX_LENGTH, description=_VERSION)]
FormatAsked = Annotated[FormatName | None, Query(description="Instead of an Accept header")]
_RESOLUTION = (
    "native, what the source gives, is the default. daily are whole local days: means of at least 20 hours (of "
    "precipitation the sum, of speed weighted by volume, of congestion the worst), and `hours`, how many had a value. "
    "Hours of a daily source are refused"
)
ResolutionAsked = Annotated[AskedResolution | None, Query(description=_RESOLUTION)]
_COLUMNS = "Names of fields with commas between; `date` always comes"
Columns = Annotated[str | None, Query(max_length=MAX_COLUMNS_TEXT, description=_COLUMNS, examples=["source"])]
_RAW = "`raw`: also `raw_data`, what the source said beside the values: an object in JSON, its text elsewhere"
Included = Annotated[Include | None, Query(description=_RAW)]
AsOf = Annotated[str | None, Query(max_length=64, description=_AS_OF, examples=["2026-11-01T00:00:00Z"])]

Days = Annotated[bool, Query(description="Also the coverage of every local day")]


@dataclass(frozen=True)
class History:
    """What the routes need; one an app."""

    registry: Registry
    versions: Versions
    providers: Providers
    answering: Answering

    def router(self) -> APIRouter:
        router = APIRouter()
        for path in ("/api/v1/external/cities", "/api/v1/cities"):
            router.add_api_route(path, self.cities, tags=["cities"], summary="The enabled cities")
        for path in (
            "/api/v1/external/operations/cities/{city_id}/availability",
            "/api/v1/cities/{city_id}/data-availability",
        ):
            errors: dict[int | str, dict[str, Any]] = {404: ERRORS[404]}
            router.add_api_route(
                path, self.availability, tags=["cities"], summary="What is held of a city", responses=errors
            )
        for name in DATASETS:
            self._add_history(router, name)
        return router

    async def cities(self) -> list[CityInfoResponse]:
        """Every city that is served, with its centre, its reach, its sources and their licences."""
        known = await self.providers.all()
        return [_city_info(city, sources(city, known)) for city in self.registry.enabled()]

    async def availability(self, request: Request, city_id: str, days: Days = False) -> DataAvailabilityResponse:
        """First and last date, record counts, and for every month its state, version and coverage by column."""
        city = enabled_city(self.registry, city_id)
        note(request.scope).city = city.city_id
        months = {name: list((await self.versions.months(city_id, name)).values()) for name in DATASETS}
        held = {name: [entry for entry in entries if entry.has_data] for name, entries in months.items()}
        counts: dict[str, Any] = {}
        for name, entries in held.items():
            counts[f"{name}_available"] = bool(entries)
            counts[f"{name}_start_date"] = min((e.first_date for e in entries if e.first_date), default=None)
            counts[f"{name}_end_date"] = max((e.last_date for e in entries if e.last_date), default=None)
            counts[f"{name}_record_count"] = sum(entry.rows for entry in entries)
        told = MonthsInfo(**{name: [_month_info(entry, days) for entry in entries] for name, entries in months.items()})
        return DataAvailabilityResponse(city_id=city.city_id, city_name=city.name, months=told, **counts)

    def _add_history(self, router: APIRouter, name: DatasetName) -> None:
        current = f"{TENANT_PATH}/operations/historical-{name}-optimized"
        records = list[RECORDS[name]] | list[SELECTIONS[name]]  # type: ignore[valid-type]
        described = {"tags": [name], **documented(records, "Every record of the range, oldest first", SAID)}
        by_query = self._by_query(name)
        for path in (current, f"{TENANT_PATH}/historical-{name}"):
            add_read(router, path, by_query, summary=f"Historical {name} of a location", **described)
        router.add_api_route(
            f"{TENANT_PATH}/operations/{name}/historical",
            self._by_body(name, current),
            methods=["POST"],
            deprecated=True,
            summary=f"Historical {name} of a location, by JSON body",
            **described,
        )

    def _by_query(self, name: DatasetName) -> Callable[..., Awaitable[Response]]:
        async def historical(
            request: Request,
            tenant_id: UUID,
            start_date: StartDate,
            end_date: EndDate,
            latitude: Latitude = None,
            longitude: Longitude = None,
            version: SnapshotVersion = None,
            as_of: AsOf = None,
            format: FormatAsked = None,  # noqa: A002  the parameter's name
            resolution: ResolutionAsked = None,
            columns: Columns = None,
            include: Included = None,
        ) -> Response:
            asked = HistoricalRequest.model_construct(
                latitude=latitude,
                longitude=longitude,
                start_date=start_date,
                end_date=end_date,
                version=version,
                as_of=as_of,
                format=format,
                resolution=resolution,
                columns=columns,
                include=include,
            )
            return await self.answering.answer(
                Question(request.scope, request.headers, "query", name, tenant_id, asked)
            )

        return historical

    def _by_body(self, name: DatasetName, current: str) -> Callable[..., Awaitable[Response]]:
        async def historical(request: Request, tenant_id: UUID, asked: HistoricalRequest) -> Response:
            response = await self.answering.answer(
                Question(request.scope, request.headers, "body", name, tenant_id, asked)
            )
            response.headers["Deprecation"] = "true"
            successor = current.replace("{tenant_id}", str(tenant_id))
            response.headers.append("Link", f'<{successor}>; rel="successor-version"')
            return response

        return historical


def documented(records: Any, description: str, said: Mapping[str, str]) -> dict[str, Any]:
    """How a route of history is described: its records, its headers `said`, and its refusals."""
    ok = {
        "model": records,
        "content": CONTENT,
        "description": description,
        "headers": {header: {"description": text, "schema": {"type": "string"}} for header, text in said.items()},
    }
    known = {"description": "Nothing has changed since If-None-Match"}
    return {"response_class": Response, "responses": {200: ok, 304: known, **ERRORS}}


def add_read(router: APIRouter, path: str, endpoint: Callable[..., Awaitable[Response]], **described: Any) -> None:
    """A route for GET, and for HEAD without a line of its own in the document."""
    router.add_api_route(path, endpoint, **described)
    router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)


def _city_info(city: City, told: list[SourceInfo]) -> CityInfoResponse:
    return CityInfoResponse(
        **{name: getattr(city, name) for name in CityInfoResponse.model_fields if hasattr(city, name)},
        weather_provider=city.weather.provider if city.weather else None,
        traffic_provider=city.traffic.provider if city.traffic else None,
        sources=told,
    )


def _month_info(entry: MonthEntry, with_days: bool) -> MonthInfo:
    dataset = DATASETS[entry.dataset]
    made: dict[str, Any] = {
        "month": str(entry.month),
        "columns": _coverage_infos(coverage.of_month(entry.days, dataset)),
        "days": None,
    }
    if with_days:
        by_day = coverage.of_days(entry.days, dataset, entry.month)
        made["days"] = [DayInfo(date=day, columns=_coverage_infos(columns)) for day, columns in by_day]
    told = {name: getattr(entry, name) for name in MonthInfo.model_fields if name not in made}
    return MonthInfo(**made, **told)


def _coverage_infos(columns: Mapping[str, coverage.Coverage]) -> dict[str, CoverageInfo]:
    return {
        name: CoverageInfo(expected=of.expected, observed=of.observed, percent=of.percent)
        for name, of in columns.items()
    }
