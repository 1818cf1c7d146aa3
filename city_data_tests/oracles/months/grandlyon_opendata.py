"""Small invented months of the national schema's measures, with all that goes wrong in real ones.

Belongs here: rows as the source gives them, and how they are written. Does not: the sandbox's plausible months, or what
should come out, which the oracle computes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from random import Random

from city_data_tests.oracles.months.base import ZONE, Form, Table, TextTable, moments
from city_data_tests.oracles.received import Received


def _channels() -> bytes:
    """Three sites of pedestrians with steps of an hour, a quarter and none, and a site of scooters with pedestrians."""
    listed = {"AP0": "A;PEDESTRIAN;3600", "AP1": "A;PEDESTRIAN;3600", "BP0": "B;PEDESTRIAN;900",
              "BP1": "B;PEDESTRIAN;900", "CP0": "C;PEDESTRIAN;0", "DE0": 'D;"E-SCOOTER,PEDESTRIAN";3600',
              "BB0": "B;BIKE;900"}  # fmt: skip
    rows = [f"{channel};{rest}" for channel, rest in listed.items()]
    return ("\n".join(["channel_id;site_id;mobility_type;time_step", *rows]) + "\n").encode()


CHANNELS = Received.of("channels.csv", _channels())


def rows(random: Random, year: int, month: int, days: int) -> Table:
    """Every channel's intervals in all spellings of an offset. Channels fall silent, change their step, are repeated or
    contradicted, and leave out ends."""
    table: Table = []
    steps = {"AP0": 60, "AP1": 60, "BP0": 15, "BP1": 15, "CP0": 60, "DE0": 60, "BB0": 15}
    for channel, minutes in steps.items():
        stamps = moments(year, month, days, minutes)
        dies = len(stamps) if channel[0] == "A" else random.choice([len(stamps)] * 3 + [random.randrange(len(stamps))])
        for start in stamps[:dies]:
            length = minutes if random.random() < 0.99 else random.choice([5, 15, 60, 7])
            row = [channel, "counter", _stamp(random, start),
                   _stamp(random, start + timedelta(minutes=length)), str(random.randrange(300))]  # fmt: skip
            chance = random.random()
            if chance < 0.03:
                row[random.choice([3, 4])] = ""
            elif chance < 0.05:
                row[4] = random.choice(["-1", "90000", "12.5", "many"])
            if chance < 0.98:
                table.append(row)
            if chance > 0.95:
                table.append([*row[:4], random.choice([row[4], "", "7", "150"])])
    return table


def _stamp(random: Random, moment: datetime) -> str:
    local = moment.astimezone(ZONE)
    day, offset = f"{local:%Y-%m-%dT%H:%M:%S}", f"{local:%z}"
    return random.choice([f"{moment:%Y-%m-%dT%H:%M:%S}Z", day + offset[:3], day + offset, local.isoformat(" ")])


HEADER = ["channel_id", "counter_id", "start_datetime", "end_datetime", "count"]


def page(table: Iterable[Sequence[str]]) -> bytes:
    """A page of the portal: an empty cell is null."""
    rows = [{name: cell or None for name, cell in zip(HEADER, row, strict=True)} for row in table]
    return json.dumps({"values": rows}).encode()


def file(table: Iterable[Sequence[str]], header: Sequence[str] = HEADER) -> bytes:
    """A file of the national schema."""
    return ("\n".join(",".join(row) for row in (header, *table)) + "\n").encode()


def _written(table: Table, *_: int) -> Received:
    return Received.of("measures.csv", file(table))


def _pages(random: Random, year: int, month: int, days: int) -> list[Received]:
    """The portal's, or the schema's files: two with rows that came while the pages were fetched."""
    table, write = rows(random, year, month, days), random.choice([page, file])
    parts = (table[: len(table) // 2], table[len(table) // 2 - 20 :])
    return [*(Received.of(f"{n}", write(part)) for n, part in enumerate(parts)), CHANNELS]


FORMS = {"pages": Form(_pages, examples=4)}
TABLE = TextTable(rows, _written, ",", numbers=(4,), beside=(CHANNELS,))
