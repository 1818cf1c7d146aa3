"""The representation that a request asks for. Belongs here: `resolution` and `columns`, and their errors.

Does not: the choice by headers (formats.py, negotiation.py), or representations (city_data/store/representations.py).
"""

from __future__ import annotations

from starlette.datastructures import Headers

from api.errors import Loc, ServiceUnavailable, invalid
from api.query.formats import format_for
from api.query.negotiation import encoding_for
from api.query.read_requests import HistoricalRequest, ResolutionChoice
from api.query.versions import Versions
from city_data.cities import City
from city_data.datasets import DATASETS, DatasetName
from city_data.store.record_formats import FormatName
from city_data.store.record_tables import Shape, known_names
from city_data.store.representations import Representation


async def representation_for(
    loc: Loc,
    city: City,
    dataset: DatasetName,
    parameters: HistoricalRequest,
    headers: Headers,
    versions: Versions,
) -> Representation:
    """Raises 406, 422, ServiceUnavailable, DatabaseUnavailable."""
    chosen = format_for(parameters.format, headers)
    daily = await _is_daily(loc, city, dataset, parameters.resolution, versions)
    columns = _parse_columns(loc, dataset, parameters.columns, daily)
    return with_encoding(chosen, Shape(daily, columns, parameters.include == "raw"), headers)


def with_encoding(chosen: FormatName, shape: Shape, headers: Headers) -> Representation:
    """The representation in the encoding that the client accepts. Parquet is already compressed."""
    return Representation(chosen, shape, "identity" if chosen == "parquet" else encoding_for(headers))


async def _is_daily(
    loc: Loc, city: City, dataset: DatasetName, requested: ResolutionChoice | None, versions: Versions
) -> bool:
    """Whether hours are to be aggregated to days. Raises 422 where hours are requested of days, ServiceUnavailable
    until the city's source is recorded, where the dataset leaves the resolution to it."""
    if requested not in ("hourly", "daily"):
        return False
    resolution = DATASETS[dataset].resolution or await _resolution_of_source(city, dataset, versions)
    if requested == "hourly" and resolution == "daily":
        message = f"{city.name}'s {dataset} is daily: its source has no hourly values; request daily or native"
        raise invalid(loc, "resolution", "resolution", message, requested)
    return requested == "daily" and resolution != "daily"


async def _resolution_of_source(city: City, dataset: DatasetName, versions: Versions) -> str:
    source = city.source(dataset)
    facts = (await versions.providers()).get(source.provider) if source is not None else None
    if facts is None:
        raise ServiceUnavailable(
            f"The resolution of {city.name}'s {dataset} is not known yet; request resolution=native, or try again soon."
        )
    return facts.resolution


def _parse_columns(loc: Loc, dataset: DatasetName, text: str | None, daily: bool) -> tuple[str, ...] | None:
    """The comma-separated column names, in the record's order. Raises 422, which lists the unknown names."""
    if text is None:
        return None
    known = known_names(DATASETS[dataset], daily)
    wanted = [name.strip() for name in text.split(",")]
    unknown = [name for name in dict.fromkeys(wanted) if name not in known]
    if unknown:
        message = (
            f"unknown column: {', '.join(name[:40] or '(empty)' for name in unknown)}; available: {', '.join(known)}"
        )
        raise invalid(loc, "columns", "unknown_column", message, text)
    return tuple(name for name in known if name in wanted)
