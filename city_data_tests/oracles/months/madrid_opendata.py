"""Small invented months of Madrid's quarter hours, with all that goes wrong in real ones.

Belongs here: rows as the source gives them, and how they are written. Does not: the sandbox's plausible months, or what
should come out, which the oracle computes.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Sequence
from datetime import datetime
from random import Random

from city_data_tests.oracles.months.base import ZONE, Form, Table, TextTable, moments
from city_data_tests.oracles.received import Received

HEADER = ["id", "fecha", "tipo_elem", "intensidad", "ocupacion", "carga", "vmed", "error", "periodo_integracion"]


def rows(random: Random, year: int, month: int, days: int, urban: int = 3, m30: int = 2) -> Table:
    """Sorted by station. Stations fall silent, rows are bad, repeated, contradicted or unlabelled."""
    labels = {3001 + n: "URB" for n in range(urban)} | {1001 + n: "M30" for n in range(m30)}
    table: Table = []
    for station, label in labels.items():
        dies = random.choice([None, None, random.random()])
        stamps = moments(year, month, days, 15)
        for n, moment in enumerate(stamps):
            if dies is not None and n / len(stamps) > dies and random.random() < 0.9:
                continue
            table += _quarter(random, station, label, moment)
    return table


def _quarter(random: Random, station: int, label: str, moment: datetime) -> Table:
    """A quarter's rows: mostly one."""
    level = 200 if label == "URB" else 1500
    flow = f"{random.randrange(level)}{random.choice([''] * 9 + ['.5'])}"
    load, speed = (str(random.randrange(101)), "0") if label == "URB" else ("0", str(random.randrange(1, 121)))
    stamp = f"{moment.astimezone(ZONE):%Y-%m-%d %H:%M:%S}"
    row = [str(station), stamp, label, flow, "3", load, speed, "N", "15"]
    chance = random.random()
    if chance < 0.02:
        return []
    if chance < 0.04:
        row[3] = random.choice(["", "NaN", "-1", "27943"])
    elif chance < 0.05:
        row[7] = random.choice(["S", "E", ""])
    elif chance < 0.06:
        row[2] = random.choice(["", "M30", "URB"])
    elif chance < 0.07:
        row[5], row[6] = random.choice([("", "NaN"), ("-1", "255"), ("101", "0")])
    elif chance < 0.08:
        return [row, list(row)]
    elif chance < 0.09:
        return [row, [*row[:3], random.choice(["9000", "", "7"]), *row[4:]]]
    return [row]


def file(
    table: Iterable[Sequence[str]], year: int, month: int, header: Sequence[str] = HEADER, separator: str = ";"
) -> bytes:
    """The ZIP."""
    text = "\n".join(separator.join(row) for row in (header, *table)) + "\n"
    return zipped(text.encode(), year, month)


def zipped(csv: bytes, year: int, month: int, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", method) as archive:
        archive.writestr(zipfile.ZipInfo(f"{month:02d}-{year}.csv"), csv, method)
    return body.getvalue()


def _written(table: Table, year: int, month: int) -> Received:
    return Received.of(f"{month:02d}-{year}.zip", file(table, year, month))


def _month(random: Random, year: int, month: int, days: int) -> list[Received]:
    return [_written(rows(random, year, month, days), year, month)]


FORMS = {"zip": Form(_month, examples=3)}
TABLE = TextTable(rows, _written, ";", numbers=(0, 3, 5, 6, 8))
