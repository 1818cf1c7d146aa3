"""Small invented months of Zurich's two data sets, in the sources' own rows, with all that goes wrong in real ones.

Belongs here: rows as lists of cells, and how they are written. Does not: the sandbox's plausible months, or what should
come out, which the oracle computes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from random import Random

from city_data_tests.oracles.months.base import ZONE, Form, Table, moments
from city_data_tests.oracles.received import Received

COLUMNS = ("_id", "MSID", "ZSID", "MessungDatZeit", "AnzFahrzeuge", "AnzFahrzeugeStatus")
FOOT_HEADER = ("timestamp", "location_id", "pedestrians_count", "collection_type")


def rows(random: Random, year: int, month: int, days: int) -> Table:
    """Series after series, by the table's numbers. Series fall silent; hours are filled in, repeated, contradicted or
    unusable, and one of October's two is sometimes away."""
    table: Table = []
    number = 0
    for series in ("Z001M001", "Z001M002", "Z002M001", "Z024M001", "Z033M001"):
        dies = random.choice([2.0, 2.0, 2.0, random.random()])
        hours = moments(year, month, days, 60)
        for n, hour in enumerate(hours):
            number += 1
            row = [str(number), series, series[:4], f"{hour.astimezone(ZONE):%Y-%m-%dT%H:%M:%S}", "", "Fehlend"]
            if n / len(hours) < dies:
                row[4:] = [f"{random.randrange(900)}{random.choice(['', '.0'])}", "Gemessen"]
            chance = random.random()
            if chance < 0.02:
                continue
            if chance < 0.05:
                row[5] = random.choice(["Imputiert", "Fehlend", "Geschätzt"])
            elif chance < 0.08:
                row[4] = random.choice(["", "-1", "27943"])
            table.append(row)
            if chance > 0.98:
                number += 1
                table.append([str(number), *row[1:4], random.choice([row[4], "", "9000", "7"]), row[5]])
    return table


def page(table: Iterable[Sequence[str]], name: str = "2026-06-001.json") -> Received:
    """An answer of the DataStore; an empty cell is null."""
    records = [
        dict(zip(COLUMNS, (int(number), *cells[:3], cells[3] or None, cells[4]), strict=True))
        for number, *cells in table
    ]
    return Received.of(name, json.dumps({"success": True, "result": {"records": records}}).encode())


def foot_rows(random: Random, year: int, month: int, days: int) -> Table:
    """Hour after hour of the street's sites and one beside it, with absent rows, and a running hour of a later day."""
    table: Table = []
    gone = random.choice(["", "", "331"])
    hours = moments(year, month, days, 60)
    for n, hour in enumerate(hours):
        for site in ("329", "331", "330", "670"):
            chance = random.random()
            if chance < 0.03 or (site == gone and n > len(hours) * 0.6):
                continue
            kind = random.choice(["measured"] * 30 + ["", "estimated"])
            count = random.choice([str(random.randrange(4_000))] * 20 + ["", "-3", "1000000"])
            table.append([f"{hour:%Y-%m-%dT%H:%M:%SZ}", site, count, kind])
            if chance > 0.98:
                table.append([*table[-1][:2], random.choice([count, "12"]), kind])
    table.append([f"{hours[-1] + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}", "329", "5", "measured"])
    return table


def foot_file(table: Iterable[Sequence[str]]) -> Received:
    text = "\n".join(",".join(row) for row in (FOOT_HEADER, *table)) + "\n"
    return Received.of("2026-06-pedestrians.csv", text.encode())


def _month(random: Random, year: int, month: int, days: int) -> list[Received]:
    """Sparse: without a motorway in its panel, and one of the three sites of pedestrians, a month has no value."""
    table = rows(random, year, month, days)
    half = len(table) // 2
    pages = [page(table[half - 3 :], "2.json"), page(table[:half], "1.json")]
    return [*pages, foot_file(foot_rows(random, year, month, days))]


FORMS = {"pages and file": Form(_month, is_sparse=True)}
