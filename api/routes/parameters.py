"""Shared parts of the routes of history. Belongs here: query parameters, response headers and errors, with their docs.

Does not: paths (history.py, training.py), or resolving a parameter (query/).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from api.errors import ErrorResponse, ValidationErrorResponse, invalid
from api.query.formats import CONTENT, FORMATS
from api.query.historical_request import MAX_CITY_ID, MAX_COLUMNS_TEXT, Include, ResolutionChoice
from city_data.datasets import DATASETS
from city_data.store.record_formats import FormatName
from city_data.store.snapshot_ids import MAX_LENGTH
from city_data.window import Month

ERRORS: dict[int | str, dict[str, Any]] = {
    404: {
        "model": ErrorResponse,
        "description": "No supported city near the location (the nearest is named), or a tenant other than the token's",
    },
    406: {"model": ErrorResponse, "description": "No acceptable media type"},
    410: {"model": ErrorResponse, "description": "Versions required by `version` or `as_of` are no longer stored"},
    422: {"model": ValidationErrorResponse, "description": "Invalid parameters"},
}
RESPONSE_HEADERS = {
    "X-City-Id": "The city that serves the location",
    "X-City-Distance-Km": "Distance from the city's centre to the requested location",
    "X-Data-Version": "A digest over the version of every month served: equal means equal data. Part of X-Snapshot-Id",
    "X-Snapshot-Id": "Names the version of every month served. With `version` set to it, the same range has the same "
    "bytes; a column that a later release added is null",
    "X-Served-Start": "The first record's date; absent where there is none",
    "X-Served-End": "The last record's date",
    "X-Coverage": "Share (0..1) of the requested range that has values",
    "X-Missing-Months": "Months of the range without data; absent where there are none",
    "Link": "The licence of every source in the answer, to be displayed with the data: rel=license",
    "X-Source": "The sources in the answer",
    "ETag": "For If-None-Match, which gives 304 while nothing has changed",
}
_DEGREES = (
    "Degrees; give both, or `city_id`. Without either the tenant service, where configured, gives the tenant's location"
)
Latitude = Annotated[float | None, Query(ge=-90, le=90, allow_inf_nan=False, description=_DEGREES, examples=[40.4168])]
Longitude = Annotated[
    float | None, Query(ge=-180, le=180, allow_inf_nan=False, description=_DEGREES, examples=[-3.7038])
]
CityId = Annotated[
    str | None, Query(max_length=MAX_CITY_ID, description="A city's id, instead of coordinates", examples=["madrid"])
]
_WHEN = "ISO 8601, inclusive. A bare date is that whole local day of the city; a time without an offset is UTC"
StartDate = Annotated[str, Query(max_length=64, description=_WHEN, examples=["2026-10-01"])]
EndDate = Annotated[str, Query(max_length=64, description=_WHEN, examples=["2026-10-31"])]
_VERSION = (
    "An answer's X-Snapshot-Id: the data of that answer, whatever was loaded since; months that the id does not name "
    "are missing"
)
_AS_OF = (
    "The data that was current at this time (ISO 8601; a bare date is the start of that local day). Excludes `version`"
)
SnapshotVersion = Annotated[str | None, Query(max_length=MAX_LENGTH, description=_VERSION)]
FormatParameter = Annotated[FormatName | None, Query(description="Takes precedence over the Accept header")]
_RESOLUTION = (
    "native, the default, is the resolution of the source. daily aggregates whole local days of at least 20 hours with "
    "a value: the mean (amounts and durations: the sum; lowest, highest and strongest values: those of the day; speed: "
    "weighted by volume; congestion: the worst hour), and `hours`, the number of hours with a value. hourly is an "
    "error for a daily source"
)
ResolutionParameter = Annotated[ResolutionChoice | None, Query(description=_RESOLUTION)]
_COLUMNS = (
    "Comma-separated field names; `date` is always included. Named fields may be columns that a record has on request "
    f"alone: {', '.join(c.name for dataset in DATASETS.values() for c in dataset.columns if c.on_request)}"
)
ColumnsParameter = Annotated[str | None, Query(max_length=MAX_COLUMNS_TEXT, description=_COLUMNS, examples=["source"])]
_RAW = "`raw` adds `raw_data`, the source's extra data: an object in JSON, its JSON text in other formats"
IncludeParameter = Annotated[Include | None, Query(description=_RAW)]
AsOf = Annotated[str | None, Query(max_length=64, description=_AS_OF, examples=["2026-11-01T00:00:00Z"])]


# For the document only: the route itself refuses other texts.
MonthParameter = Annotated[
    str, Path(examples=["2026-10"], json_schema_extra={"pattern": r"^(?!0000)[0-9]{4}-(0[1-9]|1[0-2])$"})
]


def month_of(text: str) -> Month:
    try:
        return Month.parse(text)
    except ValueError as error:
        raise invalid("path", "month", "month", str(error), text) from None


def documented(records: Any, description: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """The documentation of a route of history: its records, `headers` and errors."""
    return _described({"model": records, "content": CONTENT}, description, headers)


def documented_file(description: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """The documentation of a route that answers a Parquet file."""
    media_type = FORMATS["parquet"].media_type
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    described = _described({"content": content}, description, headers)
    del described["responses"][406]
    return described


def _described(content: dict[str, Any], description: str, headers: Mapping[str, str]) -> dict[str, Any]:
    ok = content | {
        "description": description,
        "headers": {header: {"description": text, "schema": {"type": "string"}} for header, text in headers.items()},
    }
    known = {"description": "Nothing has changed since If-None-Match"}
    part = {"description": "The Range of a Parquet file; the whole file, as 200, if If-Range is not its ETag"}
    beyond = {"model": ErrorResponse, "description": "The Range starts beyond the end of the Parquet file"}
    return {"response_class": Response, "responses": {200: ok, 206: part, 304: known, **ERRORS, 416: beyond}}


def add_read(router: APIRouter, path: str, endpoint: Callable[..., Awaitable[Response]], **described: Any) -> None:
    """A route for GET, and for HEAD, which the OpenAPI document omits."""
    router.add_api_route(path, endpoint, **described)
    router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
