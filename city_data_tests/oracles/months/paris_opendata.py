"""Small invented months of Paris's hourly counts, with all that goes wrong in real ones.

Belongs here: rows as the source gives them, and how they are written. Does not: the sandbox's plausible months, or what
should come out, which the oracle computes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from random import Random

from city_data_tests.oracles.months.base import ZONE, Table, moments

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
