"""Channels: one direction of one site each, with the kinds of mobility that it counts.

Belongs here: the table of channels. Does not: their measures (measures.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from city_data.providers.shared.mobility_counts.tables import Table
from city_data.providers.shared.numbers import NotANumber, NumberFormat
from city_data.providers.shared.spellings import DECORATION

_SECONDS = NumberFormat(counts=True)


@dataclass(frozen=True)
class Channel:
    """`kinds` are the schema's words for kinds of mobility, whose sum each count is; empty where none is named.
    `step_s` is the usual length (s) of an interval, None where it is not named: some channels name 0."""

    site: str
    kinds: frozenset[str]
    step_s: int | None


def text_of(value: Any) -> str:
    """An identifier or a word: portals write identifiers of digits as numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip(DECORATION) if isinstance(value, str) else ""


def channels_of(tables: Iterable[Table]) -> dict[str, Channel | None]:
    """Channels by identifier; None for one that stands there with two sites or two lists of kinds."""
    channels: dict[str, Channel | None] = {}
    for table in tables:
        names = ("channel_id", "site_id", "mobility_type", "time_step")
        for identifier, site, kinds, step in zip(*(table.column(name) for name in names), strict=True):
            channel = Channel(text_of(site), _kinds(kinds), _step(step))
            if (key := text_of(identifier)) and channels.setdefault(key, channel) != channel:
                channels[key] = None
    return channels


def _kinds(value: Any) -> frozenset[str]:
    """`E-SCOOTER,PEDESTRIAN` in one text, or as a list."""
    words = value if isinstance(value, list) else text_of(value).split(",")
    return frozenset(word for word in (text_of(one).upper() for one in words) if word)


def _step(value: Any) -> int | None:
    """Whole seconds: half of one would be cut to another length, and `3.600` may be 3600 of them."""
    try:
        seconds = _SECONDS.parse(value.strip(DECORATION) if isinstance(value, str) else value)
    except NotANumber:
        return None
    return int(seconds) if seconds and seconds > 0 and seconds.is_integer() else None
