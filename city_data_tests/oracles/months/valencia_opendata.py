"""Small invented polls of Valencia's loops, with all that goes wrong in real ones.

Belongs here: rows as the source gives them, and how they are written. Does not: the sandbox's plausible months, or what
should come out, which the oracle computes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

from city_data_tests.oracles.months.base import Form
from city_data_tests.oracles.received import Received

Loop = tuple[str, float | None, int | None]  # idpm, ih, stamp in epoch ms


def polls(
    random: Random, start: datetime, hours: int, cadence: int = 15, loops: int = 4
) -> list[tuple[datetime, list[Loop]]]:
    """A poll each ten minutes of a feed that measures each `cadence` minutes, with frozen, early and dead loops."""
    polls: list[tuple[datetime, list[Loop]]] = []
    for taken in (start + timedelta(minutes=10 * n, seconds=30) for n in range(6 * hours)):
        rows: list[Loop] = []
        for loop in range(loops):
            step = timedelta(minutes=cadence)
            stamp = start + step * ((taken - start) // step)
            chance = random.random()
            ahead = timedelta(hours=1) if chance > 0.99 else timedelta(0)
            flow: float | None = Random(f"{loop} {stamp}").randrange(800) / 2
            flow = None if chance < 0.02 else -1 if chance < 0.03 else 911_392 if chance < 0.04 else flow
            moment = None if 0.04 < chance < 0.05 else int((stamp + ahead).timestamp() * 1000)
            rows += [(f"A{loop}", flow, moment)] * (2 if 0.05 < chance < 0.07 else 1)
        polls.append((taken, rows))
    return polls


def poll(taken: datetime, *pages: Sequence[Loop]) -> Received:
    """A poll as it is archived: its pages, one after another."""
    bodies = []
    for rows in pages:
        features = [{"attributes": {"idpm": p, "ih": f, "fecha_actualizacion": s}} for p, f, s in rows]
        bodies.append(json.dumps({"features": features}))
    return Received.of(f"{taken:%Y%m%dT%H%M%SZ}.json", "\n".join(bodies).encode())


def _day_and_a_half(random: Random, year: int, month: int, days: int) -> list[Received]:
    """The evening of the third day from the last, and 36 hours on."""
    start = datetime(year, month, days - 2, 20, tzinfo=UTC)
    return [poll(taken, table) for taken, table in polls(random, start, 36, random.choice([3, 15, 30, 60]))]


FORMS = {"polls": Form(_day_and_a_half, examples=3)}
