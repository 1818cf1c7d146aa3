"""The request for history as a model: the path of its routes, and its parameters with their bounds.

Belongs here: what a query or a JSON body may hold. Does not: what the parameters mean (interval.py, representation.py).
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from city_data.errors import nearest
from city_data.store.record_formats import FormatName
from city_data.store.snapshot_ids import MAX_LENGTH

ResolutionChoice = Literal["native", "hourly", "daily"]
Include = Literal["raw"]
MAX_CITY_ID = 80
MAX_COLUMNS_TEXT = 1_000
TENANT_PATH = "/api/v1/tenants/{tenant_id}/external"


class HistoricalRequest(BaseModel):
    """The body of the deprecated routes: the same parameters as the query of the routes that replace them."""

    model_config = ConfigDict(extra="forbid")

    latitude: float | None = Field(default=None, ge=-90, le=90, allow_inf_nan=False)
    longitude: float | None = Field(default=None, ge=-180, le=180, allow_inf_nan=False)
    city_id: str | None = Field(default=None, max_length=MAX_CITY_ID, examples=["madrid"])
    start_date: str = Field(max_length=64, examples=["2026-10-01"])
    end_date: str = Field(max_length=64, examples=["2026-10-31"])
    version: str | None = Field(default=None, max_length=MAX_LENGTH)
    as_of: str | None = Field(default=None, max_length=64)
    format: FormatName | None = None
    resolution: ResolutionChoice | None = None
    columns: str | None = Field(default=None, max_length=MAX_COLUMNS_TEXT)
    include: Include | None = None

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
