"""The parameters of reads as models, which a query or a JSON body fills. Belongs here: names, bounds, documentation.

Does not: what the parameters mean (interval.py, representation.py), or those of frames (routes/frame_parameters.py).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from city_data.datasets import DATASETS
from city_data.errors import nearest
from city_data.store.record_formats import FormatName
from city_data.store.snapshot_ids import MAX_LENGTH

ResolutionChoice = Literal["native", "hourly", "daily"]
TENANT_PATH = "/api/v1/tenants/{tenant_id}/external"
_DEGREES = (
    "Degrees; give both, or `city_id`. Without either the tenant service, where configured, gives the tenant's location"
)
_WHEN = "ISO 8601, inclusive. A bare date is that whole local day of the city; a time without an offset is UTC"
_RESOLUTION = (
    "native, the default, is the resolution of the source. daily aggregates whole local days of at least 20 hours with "
    "a value: the mean (amounts and durations: the sum; lowest, highest and strongest values: those of the day; speed: "
    "weighted by volume; congestion: the worst hour), and `hours`, the number of hours with a value. hourly is an "
    "error for a daily source"
)
_ON_REQUEST = dict.fromkeys(c.name for dataset in DATASETS.values() for c in dataset.columns if c.on_request)
_COLUMNS = (
    "Comma-separated field names; `date` is always included. Named fields may be columns that a record has on request "
    f"alone: {', '.join(_ON_REQUEST)}"
)
SnapshotVersion = Annotated[
    str | None,
    Field(
        max_length=MAX_LENGTH,
        description="An answer's X-Snapshot-Id: the data of that answer, whatever was loaded since; months that the "
        "id does not name are missing",
    ),
]


class ReadRequest(BaseModel):
    """The parameters of every read of a place: the place, the versions, the format."""

    latitude: float | None = Field(None, ge=-90, le=90, allow_inf_nan=False, description=_DEGREES, examples=[40.4168])
    longitude: float | None = Field(
        None, ge=-180, le=180, allow_inf_nan=False, description=_DEGREES, examples=[-3.7038]
    )
    city_id: str | None = Field(
        None, max_length=80, description="A city's id, instead of coordinates", examples=["madrid"]
    )
    version: SnapshotVersion = None
    as_of: str | None = Field(
        None,
        max_length=64,
        description="The data that was current at this time (ISO 8601; a bare date is the start of that local day). "
        "Excludes `version`",
        examples=["2026-11-01T00:00:00Z"],
    )
    format: FormatName | None = Field(None, description="Takes precedence over the Accept header")


class RangeRequest(ReadRequest):
    """As ReadRequest, with a time range."""

    start_date: str = Field(max_length=64, description=_WHEN, examples=["2026-10-01"])
    end_date: str = Field(max_length=64, description=_WHEN, examples=["2026-10-31"])


class HistoricalRequest(RangeRequest):
    """The parameters of history, by query or as the body of the deprecated routes."""

    model_config = ConfigDict(extra="forbid")

    resolution: ResolutionChoice | None = Field(None, description=_RESOLUTION)
    columns: str | None = Field(None, max_length=1_000, description=_COLUMNS, examples=["source"])
    include: Literal["raw"] | None = Field(
        None,
        description="`raw` adds `raw_data`, the source's extra data: an object in JSON, its JSON text in other formats",
    )

    @model_validator(mode="wrap")
    @classmethod
    def _name_the_nearest(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(value)
        except ValidationError as error:
            problems = [_with_nearest(one, cls) for one in error.errors(include_url=False)]
            raise ValidationError.from_exception_data(cls.__name__, problems) from None


def _with_nearest(error: ErrorDetails, model: type[BaseModel]) -> InitErrorDetails:
    """The error as it was, or for an unknown field one that names the nearest known field."""
    kind: str | PydanticCustomError = error["type"]
    if kind == "extra_forbidden":
        near = nearest(str(error["loc"][-1]), model.model_fields, likeness=0.0)
        kind = PydanticCustomError("unknown_field", "unknown; did you mean {near}?", {"near": near})
    return InitErrorDetails(type=kind, loc=error["loc"], input=error["input"], ctx=error.get("ctx", {}))
