"""The city that serves a request. Belongs here: finding it by location or by id, and the errors without one.

Does not: computing distances (city_data/cities.py).
"""

from __future__ import annotations

from uuid import UUID

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError

from api.errors import Loc, invalid, problem
from api.observability import request_log
from api.query.read_requests import ReadRequest
from api.query.tenants import TenantLocations
from city_data.cities import City, Registry
from city_data.errors import nearest

_SHOWN = 80


async def city_for(
    registry: Registry, tenants: TenantLocations | None, loc: Loc, tenant: UUID, requested: ReadRequest
) -> tuple[City, float]:
    """The city of the requested id, else the one that covers the location, and its distance in km. Without either the
    tenant service gives the location.

    Raises 422 for an unknown city, for both and for neither; 404 without a city there, and for an unknown tenant;
    ServiceUnavailable.
    """
    latitude, longitude, city_id = requested.latitude, requested.longitude, requested.city_id
    if city_id is not None:
        if latitude is not None or longitude is not None:
            raise invalid(loc, "city_id", "exclusive", "give `city_id`, or latitude and longitude, not both", city_id)
        return _city_named(registry, loc, city_id), 0.0
    if latitude is None and longitude is None and tenants is not None:
        location = await tenants.locate(tenant)
        latitude, longitude = location.latitude, location.longitude
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
    if covering is None:
        raise HTTPException(404, _no_city(registry, latitude, longitude))
    return covering


def _no_city(registry: Registry, latitude: float, longitude: float) -> str:
    nearest_city = registry.nearest(latitude, longitude)
    if nearest_city is None:
        return "No city is enabled in this service."
    if (swapped := registry.covering(longitude, latitude)) is not None:
        city = swapped[0]
        return f"No supported city near this location; with latitude and longitude swapped it is {city.name}'s."
    city, distance = nearest_city
    return (
        f"No supported city near this location: the nearest is {city.name} ({city.city_id}), {distance:.1f} km away, "
        f"and it serves locations within {city.radius_km:g} km."
    )


def _city_named(registry: Registry, loc: Loc, city_id: str) -> City:
    cities = {city.city_id: city for city in registry.enabled()}
    if city_id not in cities:
        near = nearest(city_id, cities)
        hint = f"did you mean {near}?" if near else "/api/v1/external/cities lists those of this service"
        message = f"unknown city; {hint}" if cities else "no city is enabled in this service"
        raise invalid(loc, "city_id", "unknown_city", message, city_id)
    return cities[city_id]


def enabled_city(registry: Registry, city_id: str, request: Request) -> City:
    """The enabled city of this id, which the request's log line names. Raises 404, which names the enabled cities."""
    cities = {city.city_id: city for city in registry.enabled()}
    if city_id not in cities:
        raise HTTPException(404, f"City {city_id[:_SHOWN]!r} is not enabled; enabled: {', '.join(cities) or 'none'}.")
    request_log(request.scope).city = city_id
    return cities[city_id]
