"""Madrid's month files, written by tests: any layout, any rows.

Belongs here: what test_madrid.py and test_madrid_method.py share. Does not: the sandbox's plausible months.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from city_data.providers.base import ParsedMonth, Payload, Request
from city_data.providers.madrid_opendata import MadridOpenData
from city_data.window import Month
from city_data_tests.sandbox.asking import MADRID, accounted

HEADER = "id;fecha;tipo_elem;intensidad;ocupacion;carga;vmed;error;periodo_integracion"


def question(month: str, as_of: datetime = datetime(2026, 11, 24, tzinfo=UTC)) -> Request:
    return Request(MADRID, Month.parse(month), MadridOpenData.settings_model(), as_of)


def zipped(
    folder: Path, month: str, text: str | bytes, name: str | None = None, method: int = zipfile.ZIP_DEFLATED
) -> Path:
    year, number = month.split("-")
    path = folder / f"{number}-{year}.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(name or f"{number}-{year}.csv", text)
    return path


def rows(folder: Path, month: str, lines: Iterable[str]) -> Path:
    return zipped(folder, month, "\n".join([HEADER, *lines]) + "\n")


def hour(
    station: int, stamp: str, flow: object, quarters: int = 4, kind: str = "URB", rest: str = "1;20;0;N;15"
) -> list[str]:
    """An hour's rows: `stamp` is `2026-09-01 05`."""
    return [f"{station};{stamp}:{quarter * 15:02d}:00;{kind};{flow};{rest}" for quarter in range(quarters)]


def parsed(path: Path, month: str) -> ParsedMonth:
    return accounted(MadridOpenData().parse(question(month), [Payload(path.name, path, "https://example.org")]))
