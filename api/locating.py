"""From a tenant's request to the city that serves it. Belongs here: the choice of the city, and its refusals.

Does not: distances themselves (city_data/cities.py).
"""

from __future__ import annotations

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError

from api.errors import Place, problem
from city_data.cities import City, Registry


def city_for(registry: Registry, place: Place, latitude: float | None, longitude: float | None) -> tuple[City, float]:
    """The city that covers the coordinate, and its distance in km. Raises 422 without coordinates, 404 without city."""
    if latitude is None or longitude is None:
        message = "needed: this service does not know the tenant's location"
        raise RequestValidationError(
            [
                problem(place, field, "missing", f"{field} is {message}", None)
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
        f"and it reaches {city.radius_km:g} km.",
    )


def enabled_city(registry: Registry, city_id: str) -> City:
    """Raises 404, naming the enabled cities."""
    cities = {city.city_id: city for city in registry.enabled()}
    if city_id not in cities:
        raise HTTPException(404, f"No city {city_id[:80]!r} is enabled here; enabled: {', '.join(cities) or 'none'}.")
    return cities[city_id]
