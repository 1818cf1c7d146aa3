"""What the invented months of the traffic sources share: the zone, its moments, a table of cells.

Belongs here: what is no one source's. Does not: any source's rows.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/Madrid")
Table = list[list[str]]


def moments(year: int, month: int, days: int, minutes: int) -> list[datetime]:
    """Every `minutes` of the month's first days, in UTC."""
    start = datetime(year, month, 1, tzinfo=ZONE).astimezone(UTC)
    end = (datetime(year, month, days, tzinfo=ZONE) + timedelta(days=1)).astimezone(UTC)
    return [start + timedelta(minutes=minutes * n) for n in range(int((end - start) / timedelta(minutes=minutes)))]
