"""Small invented months of Barcelona's road states, with all that goes wrong in real ones.

Belongs here: rows as the source gives them, and how they are written. Does not: the sandbox's plausible months, or what
should come out, which the oracle computes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from city_data_tests.oracles.months.base import ZONE, Form, Table, TextTable, moments
from city_data_tests.oracles.received import Received

HEADER = ["idTram", "data", "estatActual", "estatPrevist"]


def rows(random: Random, year: int, month: int, days: int, segments: int = 4) -> Table:
    """Poll after poll: a row where a segment's state is told, which is not always."""
    table: Table = []
    for moment in moments(year, month, days, 20):
        second = random.randrange(60)
        stamp = f"{moment.astimezone(ZONE).replace(second=second):%Y%m%d%H%M%S}"
        for segment in range(1, segments + 1):
            if random.random() < 0.25 * segment:
                continue
            row = [str(segment), stamp, str(random.choice([0, 1, 1, 2, 2, 3, 4, 5, 6])), "0"]
            table.append(row)
            if random.random() < 0.02:
                table.append([*row[:2], random.choice([row[2], "0", "5"]), "0"])
    return table


def file(table: Iterable[Sequence[str]], header: Sequence[str] = HEADER) -> bytes:
    return ("\n".join(",".join(row) for row in (header, *table)) + "\n").encode()


def _written(table: Table, *_: int) -> Received:
    return Received.of("trams.csv", file(table))


def _month(random: Random, year: int, month: int, days: int) -> list[Received]:
    return [_written(rows(random, year, month, days))]


FORMS = {"csv": Form(_month)}
TABLE = TextTable(rows, _written, ",", numbers=(0, 2))
