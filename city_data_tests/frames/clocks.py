"""The rows of a grid by the city's clocks. Belongs here: naming a moment's row, for tests of rows found otherwise."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import datetime
from zoneinfo import ZoneInfo

from city_data.frames.grids import Grid, daypart


def row_of(grid: Grid, timezone: str) -> Callable[[datetime], Hashable]:
    """A function that names the row in which a moment lies: moments of one row have the same name."""
    zone = ZoneInfo(timezone)

    def name(moment: datetime) -> Hashable:
        local = moment.astimezone(zone)
        return (local.date(), daypart(local)) if grid == "dayparts" else local.date()

    return name
