"""The request for history as a model: the path of its routes, and its parameters with their bounds.

Belongs here: what a query or a JSON body may hold. Does not: what the parameters mean (interval.py, representation.py).
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from api.query.formats import FormatName
from api.query.shapes import MAX_COLUMNS_TEXT, Include, ResolutionChoice
from api.query.snapshot_ids import MAX_LENGTH

TENANT_PATH = "/api/v1/tenants/{tenant_id}/external"


class HistoricalRequest(BaseModel):
    """The body of the deprecated routes: the same parameters as the query of the routes that replace them."""

    model_config = ConfigDict(extra="ignore")

    latitude: float | None = Field(default=None, ge=-90, le=90, allow_inf_nan=False)
    longitude: float | None = Field(default=None, ge=-180, le=180, allow_inf_nan=False)
    start_date: str = Field(max_length=64, examples=["2026-10-01"])
    end_date: str = Field(max_length=64, examples=["2026-10-31"])
    version: str | None = Field(default=None, max_length=MAX_LENGTH)
    as_of: str | None = Field(default=None, max_length=64)
    format: FormatName | None = None
    resolution: ResolutionChoice | None = None
    columns: str | None = Field(default=None, max_length=MAX_COLUMNS_TEXT)
    include: Include | None = None
