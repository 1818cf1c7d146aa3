"""A city's calendar without a download of its schools. Belongs here: the frame of a month, by the provider."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from city_data.cities import City
from city_data.datasets import CALENDAR
from city_data.frames import canonical
from city_data.providers.base import Location, Request
from city_data.providers.openholidays import OpenHolidays, OpenHolidaysSettings, month_days
from city_data.window import Month


def calendar_frame(city: City, month: Month, has_feasts: bool = True) -> pd.DataFrame:
    """Every day of the month; without `has_feasts` the town's own are not known."""
    feasts = city.local_holidays if has_feasts else None
    place = Location(
        city.city_id, city.latitude, city.longitude, city.timezone, city.country, city.region, local_holidays=feasts
    )
    request = Request(place, month, OpenHolidaysSettings(), datetime(2026, 11, 1, tzinfo=UTC))
    with tempfile.TemporaryDirectory() as folder:
        parsed = OpenHolidays().parse(request, [month_days.write(request, Path(folder))])
    return canonical.canonical_frame(parsed.frame.assign(source="test"), CALENDAR)
