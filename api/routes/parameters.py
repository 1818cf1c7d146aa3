"""What the routes of history share. Belongs here: query parameters, response headers and errors, with documentation.

Does not: paths (history.py, training.py), or what a parameter means (query/).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.errors import ErrorResponse, ValidationErrorResponse
from api.query.formats import CONTENT, FormatName
from api.query.shapes import MAX_COLUMNS_TEXT, Include, ResolutionChoice
from api.query.snapshot_ids import MAX_LENGTH

ERRORS: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorResponse, "description": "No supported city near (the nearest is named), or not this tenant"},
    406: {"model": ErrorResponse, "description": "None of the types in Accept can be had"},
    410: {"model": ErrorResponse, "description": "Versions that `version` or `as_of` needs are not kept any more"},
    422: {"model": ValidationErrorResponse, "description": "The request cannot be understood"},
}
RESPONSE_HEADERS = {
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
FormatParameter = Annotated[FormatName | None, Query(description="Instead of an Accept header")]
_RESOLUTION = (
    "native, what the source gives, is the default. daily are whole local days: means of at least 20 hours (of "
    "precipitation the sum, of speed weighted by volume, of congestion the worst), and `hours`, how many had a value. "
    "Hours of a daily source are refused"
)
ResolutionParameter = Annotated[ResolutionChoice | None, Query(description=_RESOLUTION)]
_COLUMNS = "Names of fields with commas between; `date` always comes"
ColumnsParameter = Annotated[str | None, Query(max_length=MAX_COLUMNS_TEXT, description=_COLUMNS, examples=["source"])]
_RAW = "`raw`: also `raw_data`, what the source said beside the values: an object in JSON, its text elsewhere"
IncludeParameter = Annotated[Include | None, Query(description=_RAW)]
AsOf = Annotated[str | None, Query(max_length=64, description=_AS_OF, examples=["2026-11-01T00:00:00Z"])]


def documented(records: Any, description: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """How a route of history is described: its records, its headers `said`, and its refusals."""
    ok = {
        "model": records,
        "content": CONTENT,
        "description": description,
        "headers": {header: {"description": text, "schema": {"type": "string"}} for header, text in headers.items()},
    }
    known = {"description": "Nothing has changed since If-None-Match"}
    return {"response_class": Response, "responses": {200: ok, 304: known, **ERRORS}}


def add_read(router: APIRouter, path: str, endpoint: Callable[..., Awaitable[Response]], **described: Any) -> None:
    """A route for GET, and for HEAD without a line of its own in the document."""
    router.add_api_route(path, endpoint, **described)
    router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
