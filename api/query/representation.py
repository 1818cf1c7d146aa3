"""The representation that a request selects. Belongs here: `resolution` and `columns`, their errors, and the choice.

Does not: the parts of a representation (shapes.py), or the choice by headers (formats.py, negotiation.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from starlette.datastructures import Headers

from api.errors import Loc, ServiceUnavailable, invalid
from api.query.formats import Format, format_for
from api.query.negotiation import encoding_for
from api.query.shapes import Include, Representation, ResolutionChoice
from city_data.cities import City
from city_data.datasets import DATASETS, DatasetName, Resolution
from city_data.store.provider_facts import ProviderFacts
from city_data.store.record_formats import FormatName
from city_data.store.record_tables import Shape, known_names


class RepresentationParameters(Protocol):
    """The parameters that select a representation; None where omitted."""

    @property
    def format(self) -> FormatName | None: ...
    @property
    def resolution(self) -> ResolutionChoice | None: ...
    @property
    def columns(self) -> str | None: ...
    @property
    def include(self) -> Include | None: ...


async def representation_for(
    loc: Loc,
    city: City,
    dataset: DatasetName,
    parameters: RepresentationParameters,
    headers: Headers,
    known: Callable[[], Awaitable[Mapping[str, ProviderFacts]]],
) -> Representation:
    """`known` reads the recorded providers. Raises 406, 422, ServiceUnavailable, DatabaseUnavailable."""
    format_, daily = format_for(parameters.format, headers), False
    if parameters.resolution in ("hourly", "daily"):
        native = native_resolution(city, dataset, {} if dataset == "traffic" else await known())
        daily = is_daily(loc, city, dataset, parameters.resolution, native)
    columns = parse_columns(loc, dataset, parameters.columns, daily)
    return with_encoding(format_, Shape(daily, columns, parameters.include == "raw"), headers)


def with_encoding(chosen: Format, shape: Shape, headers: Headers) -> Representation:
    """The representation in the encoding that the client accepts. Parquet is already compressed."""
    return Representation(chosen, shape, "identity" if chosen.name == "parquet" else encoding_for(headers))


def native_resolution(city: City, dataset: DatasetName, known: Mapping[str, ProviderFacts]) -> Resolution:
    """The resolution of the city's months. Raises ServiceUnavailable until the city's source is recorded."""
    if dataset == "traffic":
        return "hourly"
    facts = known.get(city.weather.provider) if city.weather else None
    if facts is None:
        raise ServiceUnavailable(
            f"The resolution of {city.name}'s {dataset} is not known yet; request resolution=native, or try again soon."
        )
    return "daily" if facts.resolution == "daily" else "hourly"


def is_daily(
    loc: Loc, city: City, dataset: DatasetName, requested: ResolutionChoice | None, native: Resolution
) -> bool:
    """Whether hours are to be aggregated to days. Raises 422 where hours are requested of a daily source."""
    if requested == "hourly" and native == "daily":
        message = f"{city.name}'s {dataset} is daily: its source has no hourly values; request daily or native"
        raise invalid(loc, "resolution", "resolution", message, requested)
    return requested == "daily" and native == "hourly"


def parse_columns(loc: Loc, dataset: DatasetName, text: str | None, daily: bool) -> tuple[str, ...] | None:
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
