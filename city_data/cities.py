"""The registry of cities: loaded from cities.yaml, validated, and searched by coordinate.

Belongs here: `City`, `Registry`, their validation, the nearest city. Does not: a provider's capabilities (providers/).
"""

from __future__ import annotations

import importlib.util
import os
import pkgutil
import zoneinfo
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping
from functools import cache
from math import asin, cos, degrees, radians, sin, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydantic
import yaml

from city_data import environment
from city_data.calendar_days import regions
from city_data.datasets import DATASETS, DatasetName
from city_data.errors import CityDataError, unknown
from city_data.local_holidays import LocalHolidays
from city_data.strict_model import StrictModel, problems

DEFAULT_FILE = Path(__file__).with_name("cities.yaml")
EARTH_RADIUS_KM = 6371.0088
_NO_PROVIDERS = {"base", "capabilities", "errors", "http", "shared", "transport"}


@cache
def _zones() -> set[str]:
    """The names of the time zone database, a walk through its folder: 2.6 ms, for each city."""
    return zoneinfo.available_timezones()


class RegistryError(CityDataError, ValueError):
    """The registry cannot be used; the text names the file, the city, the field and the known values."""


class FallbackSource(StrictModel):
    """A second provider, used only for months that the first one does not have."""

    provider: str
    settings: Mapping[str, Any] = {}

    @pydantic.field_validator("provider")
    @classmethod
    def _known_provider(cls, value: str) -> str:
        if value not in known_providers():
            raise ValueError(unknown("provider", value, known_providers()))
        return value


class Source(FallbackSource):
    """A city's provider for a dataset."""

    fallback: FallbackSource | None = None


class _Place(StrictModel):
    """A city without its sources. Coordinates in degrees, `radius_km` its reach, `timezone` an IANA name, `country` an
    ISO 3166-1 code.

    `region`, whose holidays the city has: an ISO 3166-2 code without the country, or a zone of calendar_days.regions.
    `local_holidays`: the municipality's own; without them they are not known.
    """

    city_id: str = pydantic.Field(
        pattern=r"^[a-z][a-z0-9_]{0,62}$",
        description="a name of small letters, digits and underscores, such as buenos_aires",
    )
    name: str = pydantic.Field(min_length=1)
    country: str = pydantic.Field(pattern=r"^[A-Z]{2}$", description="an ISO 3166-1 code of two capitals, such as PT")
    region: str | None = None
    local_holidays: LocalHolidays | None = None
    latitude: float = pydantic.Field(ge=-90, le=90)
    longitude: float = pydantic.Field(ge=-180, le=180)
    radius_km: float = pydantic.Field(gt=0, le=500)
    timezone: str
    population: int | None = pydantic.Field(default=None, gt=0)
    enabled: bool

    @pydantic.field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in _zones():
            raise ValueError(f"unknown time zone {value!r}; use an IANA name, such as Europe/Madrid")
        return value

    @pydantic.field_validator("region")
    @classmethod
    def _known_region(cls, value: str | None, info: pydantic.ValidationInfo) -> str | None:
        country = info.data.get("country")
        if value is None or country is None:  # the country has its own error
            return value
        known = regions(country)
        if value not in known:
            known_regions = f"known: {', '.join(known)}" if known else f"no region of {country} is known: leave it out"
            raise ValueError(f"unknown region {value!r} of {country}; {known_regions}")
        return value

    def source(self, dataset: DatasetName) -> Source | None:
        source: Source | None = getattr(self, dataset)
        return source

    def distance_km(self, latitude: float, longitude: float) -> float:
        """Great-circle distance from the city's centre, km."""
        return great_circle_km(self.latitude, self.longitude, latitude, longitude)


def great_circle_km(latitude_1: float, longitude_1: float, latitude_2: float, longitude_2: float) -> float:
    """The distance of two points in km, by the haversine formula."""
    lat_1, lat_2 = radians(latitude_1), radians(latitude_2)
    half_lat, half_lon = (lat_2 - lat_1) / 2, radians(longitude_2 - longitude_1) / 2
    h = sin(half_lat) ** 2 + cos(lat_1) * cos(lat_2) * sin(half_lon) ** 2
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(h)))


if TYPE_CHECKING:
    City = _Place
else:
    City = pydantic.create_model(
        "City",
        __base__=_Place,
        __module__=__name__,
        __doc__="One city, with a field for the source of each dataset, None where it has none.",
        **dict.fromkeys(DATASETS, (Source | None, None)),
    )


class Registry:
    """The cities, by id, in the file's order."""

    def __init__(self, cities: list[City]) -> None:
        self._cities = {city.city_id: city for city in cities}
        served = self.enabled()
        self._northward = sorted(range(len(served)), key=lambda n: served[n].latitude)
        self._served, self._latitudes = served, [served[n].latitude for n in self._northward]
        self._reach = degrees(max((city.radius_km for city in served), default=0.0) / EARTH_RADIUS_KM) + 0.01

    def all(self) -> list[City]:
        return list(self._cities.values())

    def enabled(self) -> list[City]:
        return [city for city in self.all() if city.enabled]

    def get(self, name: str) -> City:
        """The city of an id or a display name, without regard to case. Raises RegistryError, naming the known ones."""
        city = _find(self.all(), name)
        if city is None:
            raise RegistryError(unknown("city", name, self._cities))
        return city

    def nearest(self, latitude: float, longitude: float) -> tuple[City, float] | None:
        """The nearest enabled city and its distance in km, within reach or not; None where no city is enabled."""
        distances = [(city, city.distance_km(latitude, longitude)) for city in self.enabled()]
        return min(distances, key=lambda pair: pair[1], default=None)

    def covering(self, latitude: float, longitude: float) -> tuple[City, float] | None:
        """The nearest enabled city whose radius covers the coordinate, and its distance in km.

        Only cities whose latitude lies within the largest reach are measured, since every read of history calls this.
        """
        first = bisect_left(self._latitudes, latitude - self._reach)
        last = bisect_right(self._latitudes, latitude + self._reach)
        reaching = [
            (city, distance)
            for city in map(self._served.__getitem__, sorted(self._northward[first:last]))
            if (distance := city.distance_km(latitude, longitude)) <= city.radius_km
        ]
        return min(reaching, key=lambda pair: pair[1], default=None)


def known_providers() -> list[str]:
    """The providers' names, which are their modules' names: read without importing any, since the reader needs none."""
    package = importlib.util.find_spec("city_data.providers")
    modules = pkgutil.iter_modules(package.submodule_search_locations if package else None)
    return sorted(m.name for m in modules if not m.name.startswith("_") and m.name not in _NO_PROVIDERS)


def load_registry(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Registry:
    """Read and validate the registry: `path`, else the file in `CITY_DATA_CITIES`, else the one shipped.

    `ENABLED_CITIES` (ids or names separated by commas, in any case) overrides which are enabled. Raises RegistryError.
    """
    file = path or Path(environment.CITIES.get(environ) or DEFAULT_FILE)
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    # ValueError: bytes that are not UTF-8, or a date that the calendar lacks.
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RegistryError(f"{file}: cannot be read: {error}") from error
    if not isinstance(document, dict) or set(document) != {"cities"} or not isinstance(document["cities"], list):
        raise RegistryError(f"{file}: expected one key, 'cities', with a list of entries")
    cities = [_city(file, position, entry) for position, entry in enumerate(document["cities"], start=1)]
    repeated = [city_id for city_id, count in Counter(city.city_id for city in cities).items() if count > 1]
    if repeated:
        raise RegistryError(f"{file}: city_id used more than once: {', '.join(repeated)}")
    return Registry(_enable(file, cities, environ.get(environment.ENABLED_CITIES.name)))


def _city(file: Path, position: int, entry: object) -> City:
    label = str(entry.get("city_id", f"entry {position}")) if isinstance(entry, dict) else f"entry {position}"
    try:
        return City.model_validate(entry)
    except pydantic.ValidationError as error:
        raise RegistryError(f"{file}: city {label}: {problems(error, City)}") from None


def _enable(file: Path, cities: list[City], override: str | None) -> list[City]:
    if override is None:
        return cities
    wanted = set()
    for name in filter(None, map(str.strip, override.split(","))):
        city = _find(cities, name)
        if city is None:
            raise RegistryError(f"ENABLED_CITIES: {unknown('city', name, [c.city_id for c in cities])} (in {file})")
        wanted.add(city.city_id)
    return [city.model_copy(update={"enabled": city.city_id in wanted}) for city in cities]


def _find(cities: list[City], name: str) -> City | None:
    """By id, then by display name, both without regard to case."""
    folded = name.strip().casefold()
    by_id = next((city for city in cities if city.city_id == folded), None)
    return by_id or next((city for city in cities if city.name.casefold() == folded), None)
