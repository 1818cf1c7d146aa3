"""Small tables of the national schema as files, and the month that the parser makes of them.

Belongs here: what the tests of Lyon's pedestrians share. Does not: any test.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from city_data.providers.base import Location, ParsedMonth, Payload, Request, Settings
from city_data.providers.grandlyon_opendata import GrandLyonOpenData
from city_data.window import Month
from city_data_tests.sandbox.asking import accounted

LYON = Location("lyon", 45.764, 4.8357, "Europe/Paris")
HEADER = "channel_id;site_id;mobility_type;time_step"
ONE = [HEADER, "a;A;PEDESTRIAN;3600"]
Measure = tuple[Any, Any, Any, Any]  # channel, start, end, count


def parse(month: str, *paths: Path) -> ParsedMonth:
    request = Request(LYON, Month.parse(month), Settings(), datetime(2026, 11, 28, tzinfo=UTC))
    payloads = [Payload(path.name, path, "https://example.org/") for path in paths]
    return accounted(GrandLyonOpenData().parse(request, payloads))


def written(folder: Path, rows: Sequence[Measure], channels: Sequence[str] = ONE) -> tuple[Path, Path]:
    """The table of channels, and a page of measures."""
    names = ("channel_id", "start_datetime", "end_datetime", "count")
    values = [dict(zip(names, row, strict=True)) for row in rows]
    paths = folder / "channels.csv", folder / "measures-1.json"
    paths[0].write_text("\n".join(channels) + "\n", encoding="utf-8")
    paths[1].write_text(json.dumps({"values": values}), encoding="utf-8")
    return paths


def hourly(channel: str, day: str, counts: Sequence[int | None]) -> list[Measure]:
    """One hour after another from midnight UTC on."""
    starts = pd.date_range(f"{day}T00:00Z", periods=len(counts) + 1, freq="h").strftime("%Y-%m-%dT%H:%M:%SZ")
    return [(channel, starts[n], starts[n + 1], count) for n, count in enumerate(counts)]


def value(month: ParsedMonth, hour: str) -> float | None:
    found = month.frame.set_index("date")["pedestrian_count"].get(pd.Timestamp(hour))
    return None if found is None or found != found else float(found)
