"""Stamps of ISO 8601 in a wire format, with or without their offset from UTC.

Belongs here: texts to moments, for sources that write offsets in several spellings. Does not: the meaning of a stamp
without an offset, or the hour that it names (each source's own).
"""

from __future__ import annotations

import re
from datetime import datetime

_STAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:\.0+)?(?: ?(Z|[+-][0-9]{2}(?::?[0-9]{2})?))?"
)


def stamp_of(text: str) -> datetime | None:
    """The stamp, whose offset is written as Z, +02, +0200 or +02:00, or is left out; None for any other text."""
    match = _STAMP.fullmatch(text)
    if match is None:
        return None
    try:
        return datetime.fromisoformat(f"{match[1]}T{match[2]}{match[3] or ''}")
    except ValueError:
        return None
