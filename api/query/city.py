"""The city that serves a request. Belongs here: finding it by location or by id, and the errors without one.

Does not: computing distances (city_data/cities.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from uuid import UUID

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError

from api.errors import Loc, invalid, problem
from api.query.tenants import TenantLocations
from city_data.cities import City, Registry

_SHOWN = 80


@dataclass(frozen=True)
class RequestedPlace:
    """The place that a request names: coordinates, or a city."""

    latitude: float | None
    longitude: float | None
    city_id: str | None


async def city_of_tenant(
    registry: Registry, tenants: TenantLocations | None, loc: Loc, tenant: UUID, place: RequestedPlace
) -> tuple[City, float]:
    """As `city_for`, with the location from the tenant service where city and coordinates are omitted.

    Also raises 422 for an unknown city or for both, 404 for an unknown tenant, and ServiceUnavailable.
    """
    latitude, longitude = place.latitude, place.longitude
    if place.city_id is not None:
        if latitude is not None or longitude is not None:
            message = "give `city_id`, or latitude and longitude, not both"
            raise invalid(loc, "city_id", "exclusive", message, place.city_id)
        return _city_named(registry, loc, place.city_id), 0.0
    if latitude is None and longitude is None and tenants is not None:
        location = await tenants.locate(tenant)
        latitude, longitude = location.latitude, location.longitude
    return city_for(registry, loc, latitude, longitude)


def city_for(registry: Registry, loc: Loc, latitude: float | None, longitude: float | None) -> tuple[City, float]:
    """The city that covers the location, and its distance in km. Raises 422 without coordinates, 404 without a city."""
    if latitude is None or longitude is None:
        message = "required, or city_id instead of both: this service does not know the tenant's location"
        raise RequestValidationError(
            [
                problem(loc, field, "missing", f"{field} is {message}", None)
                for field, value in (("latitude", latitude), ("longitude", longitude))
                if value is None
            ]
        )
    covering = registry.covering(latitude, longitude)
    if covering is not None:
        return covering
    nearest = registry.nearest(latitude, longitude)
    if nearest is None:
        raise HTTPException(404, "No city is enabled in this service.")
    city, distance = nearest
    raise HTTPException(
        404,
        f"No supported city near this location: the nearest is {city.name} ({city.city_id}), {distance:.1f} km away, "
        f"and it serves locations within {city.radius_km:g} km.",
    )


def _city_named(registry: Registry, loc: Loc, city_id: str) -> City:
    cities = {city.city_id: city for city in registry.enabled()}
    if city_id not in cities:
        near = get_close_matches(city_id[:_SHOWN].lower(), cities, n=1, cutoff=0.0)
        message = f"unknown city; did you mean {near[0]}?" if near else "no city is enabled in this service"
        raise invalid(loc, "city_id", "unknown_city", message, city_id)
    return cities[city_id]


def enabled_city(registry: Registry, city_id: str) -> City:
    """The enabled city of this id. Raises 404, which names the enabled cities."""
    cities = {city.city_id: city for city in registry.enabled()}
    if city_id not in cities:
        raise HTTPException(404, f"City {city_id[:_SHOWN]!r} is not enabled; enabled: {', '.join(cities) or 'none'}.")
    return cities[city_id]
