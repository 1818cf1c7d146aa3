"""What a caller asks of the form of an answer. Belongs here: `resolution` and `columns`, their refusal, and the choice.

Does not: the parts of a form (shapes.py), or the choice by headers (formats.py, bodies/encodings.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from starlette.datastructures import Headers

from api.bodies.encodings import encoding_for
from api.errors import Place, ServiceUnavailable, invalid
from api.query.formats import Format, FormatName, format_for
from api.query.shapes import AskedResolution, Include, Representation, Shape, known_names
from city_data.cities import City
from city_data.datasets import DATASETS, DatasetName, Resolution
from city_data.store.provider_facts import ProviderFacts


class Asked(Protocol):
    """What a caller says of the form; None is not said."""

    @property
    def format(self) -> FormatName | None: ...
    @property
    def resolution(self) -> AskedResolution | None: ...
    @property
    def columns(self) -> str | None: ...
    @property
    def include(self) -> Include | None: ...


async def form_for(
    place: Place,
    city: City,
    dataset: DatasetName,
    asked: Asked,
    headers: Headers,
    known: Callable[[], Awaitable[Mapping[str, ProviderFacts]]],
) -> Representation:
    """`known`: the providers that the platform recorded. Raises 406, 422, ServiceUnavailable, DatabaseUnavailable."""
    chosen, days = format_for(asked.format, headers), False
    if asked.resolution in ("hourly", "daily"):
        native = native_resolution(city, dataset, {} if dataset == "traffic" else await known())
        days = is_daily(place, city, dataset, asked.resolution, native)
    columns = parse_columns(place, dataset, asked.columns, days)
    return encoded(chosen, Shape(days, columns, asked.include == "raw"), headers)


def encoded(chosen: Format, shape: Shape, headers: Headers) -> Representation:
    """In the encoding that the client takes. Parquet's pages are compressed already."""
    return Representation(chosen, shape, "identity" if chosen.name == "parquet" else encoding_for(headers))


def native_resolution(city: City, dataset: DatasetName, known: Mapping[str, ProviderFacts]) -> Resolution:
    """What the city's months hold. Raises ServiceUnavailable until the platform has told of the city's source."""
    if dataset == "traffic":
        return "hourly"
    facts = known.get(city.weather.provider) if city.weather else None
    if facts is None:
        raise ServiceUnavailable(
            f"The resolution of {city.name}'s {dataset} is not told yet; ask for native, or again soon."
        )
    return "daily" if facts.resolution == "daily" else "hourly"


def is_daily(place: Place, city: City, dataset: DatasetName, asked: AskedResolution | None, native: Resolution) -> bool:
    """Whether days are to be made of hours. Raises 422 where hours are asked of days."""
    if asked == "hourly" and native == "daily":
        message = f"{city.name}'s {dataset} is daily: its source tells no hours; ask for daily or native"
        raise invalid(place, "resolution", "resolution", message, asked)
    return asked == "daily" and native == "hourly"


def parse_columns(place: Place, dataset: DatasetName, asked: str | None, daily: bool) -> tuple[str, ...] | None:
    """Names with commas between, in the record's order whatever theirs. Raises 422 naming what is not known."""
    if asked is None:
        return None
    known = known_names(DATASETS[dataset], daily)
    wanted = [name.strip() for name in asked.split(",")]
    unknown = [name for name in dict.fromkeys(wanted) if name not in known]
    if unknown:
        message = (
            f"no such column: {', '.join(name[:40] or '(empty)' for name in unknown)}; there are {', '.join(known)}"
        )
        raise invalid(place, "columns", "unknown_column", message, asked)
    return tuple(name for name in known if name in wanted)
