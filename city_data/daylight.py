"""Hours of daylight: the time from sunrise to sunset of a day at a place, computed.

Belongs here: the sun's declination and the length of the day. Does not: sunshine, which is measured and stored, or
months and time zones (window.py).

Method: the low-precision position of the sun of the Astronomical Almanac (C24, within 0.01 degrees from 1950 to 2050)
at the day's noon by the sun. Sunrise and sunset are those of almanacs: the sun's upper edge on a flat horizon in mean
air, when its centre is 50' below. Half a minute exact up to the polar circles; on the few days at which a polar day or
night begins, some minutes. Hills, and a city's altitude, are left out.
"""

from __future__ import annotations

from datetime import date
from math import acos, asin, cos, degrees, radians, sin

_J2000 = date(2000, 1, 1)  # noon of this day, UTC, begins the count
_HORIZON = radians(-50 / 60)
_DEGREES_AN_HOUR = 15
_WHOLE_DAY = 24.0


def daylight_hours(day: date, latitude: float, longitude: float) -> float:
    """0 in a polar night, 24 on a polar day. `day` is that of the place's clocks; the place is in degrees."""
    tilt, north = _declination((day - _J2000).days - longitude / 360), radians(latitude)
    across = cos(north) * cos(tilt)
    above = sin(_HORIZON) - sin(north) * sin(tilt)
    if above >= across:
        return 0.0
    if above <= -across:
        return _WHOLE_DAY
    return 2 * degrees(acos(above / across)) / _DEGREES_AN_HOUR


def _declination(days: float) -> float:
    """Of the sun, in radians; `days` since 2000-01-01 12:00 UTC."""
    anomaly = radians(357.528 + 0.9856003 * days)
    longitude = radians(280.460 + 0.9856474 * days + 1.915 * sin(anomaly) + 0.020 * sin(2 * anomaly))
    return asin(sin(radians(23.439 - 0.0000004 * days)) * sin(longitude))
