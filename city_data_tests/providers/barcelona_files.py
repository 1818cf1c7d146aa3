"""Barcelona's month files, written by tests, and the catalogue that lists them.

Belongs here: what the tests of Barcelona share. Does not: the sandbox's plausible months.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from city_data.providers.barcelona_opendata import BarcelonaOpenData
from city_data.providers.base import Location, ParsedMonth, Payload, Request
from city_data.window import Month

HEADER = "idTram,data,estatActual,estatPrevist"
BARCELONA = Location("barcelona", 41.3851, 2.1734, "Europe/Madrid")
GOOD = f"{HEADER}\n1,20230501000054,2,0\n1,20230501010054,2,0\n".encode()


def question(month: str, as_of: datetime = datetime(2026, 11, 24, tzinfo=UTC)) -> Request:
    return Request(BARCELONA, Month.parse(month), BarcelonaOpenData.settings_model(), as_of)


def states(folder: Path, rows: Iterable[tuple[object, str, object]]) -> Path:
    """A file of (segment, stamp, state); a stamp is `2026-09-01 05:00:00`, or what the city writes."""
    lines = (f"{segment},{''.join(c for c in stamp if c.isdigit())},{state},0" for segment, stamp, state in rows)
    return written(folder, "\n".join([HEADER, *lines]) + "\n")


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "TRAMS_TRAMS.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def parsed(path: Path, month: str) -> ParsedMonth:
    return BarcelonaOpenData().parse(question(month), [Payload(path.name, path, "https://example.org")])


def detail(made: ParsedMonth, stamp: str) -> dict[str, Any]:
    """An hour's `raw_data` and `congestion_level`, by its UTC start."""
    row = made.frame.set_index("date").loc[stamp]
    return {"level": row["congestion_level"], **row["raw_data"]}
