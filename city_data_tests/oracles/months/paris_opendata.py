"""Small invented months of Paris's hourly counts, with all that goes wrong in real ones.

Belongs here: rows as the source gives them, and how they are written. Does not: the sandbox's plausible months, or what
should come out, which the oracle computes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from random import Random

from city_data_tests.oracles.months.base import ZONE, Form, Table, TextTable, moments
from city_data_tests.oracles.received import Received

HEADER = ["iu_ac", "t_1h", "q", "k", "etat_trafic", "etat_barre"]


def rows(random: Random, year: int, month: int, days: int, arcs: int = 5, local: bool = False) -> Table:
    """Hour after hour, stamped with its end; with `local` on the city's clock, without its offset. Arcs are dead, fall
    silent, lack one of their values, and are repeated or contradicted."""
    table: Table = []
    dies = {4260 + n: random.choice([0.0, 2.0, 2.0, 2.0, random.random()]) for n in range(arcs)}
    ends = [moment + timedelta(hours=1) for moment in moments(year, month, days, 60)]
    for n, end in enumerate(ends):
        clock = f"{end.astimezone(ZONE):%Y-%m-%d %H:%M:%S}" if local else f"{end:%Y-%m-%dT%H:%M:%S}+00:00"
        for arc, share in dies.items():
            row = [str(arc), clock, "", "", random.choice(["Fluide", "Inconnu"]), random.choice(["Invalide", "Ouvert"])]
            if n / len(ends) < share:
                row[2], row[3] = f"{random.randrange(1500)}{random.choice(['', '.0'])}", _share(random)
            chance = random.random()
            if chance < 0.04:
                row[random.choice([2, 3])] = random.choice(["", "-1", "27943"])
            table.append(row)
            if chance > 0.97:
                table.append([*row[:2], random.choice([row[2], "", "9000", "7"]), *row[3:]])
    return table


def _share(random: Random) -> str:
    return random.choice([str(random.randrange(60)), f"{random.random() * 60:.5f}"])


def file(table: Iterable[Sequence[str]], header: Sequence[str] = HEADER) -> bytes:
    return ("\n".join(";".join(row) for row in (header, *table)) + "\n").encode()


def _written(table: Table, *_: int) -> Received:
    return Received.of("month.csv", file(table))


def _overlapping(table: Table) -> list[Received]:
    """Two files that overlap, as weekly ones of the archive."""
    parts = (table[: len(table) * 2 // 3], table[len(table) // 2 :])
    return [Received.of(f"{n}.txt", file(part)) for n, part in enumerate(parts)]


def _feed(random: Random, year: int, month: int, days: int) -> list[Received]:
    return _overlapping(rows(random, year, month, days))[:1]


def _archive(random: Random, year: int, month: int, days: int) -> list[Received]:
    return _overlapping(rows(random, year, month, days, local=True))


FORMS = {"feed": Form(_feed), "archive": Form(_archive)}
TABLE = TextTable(rows, _written, ";", numbers=(0, 2, 3))
