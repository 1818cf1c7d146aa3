"""Small invented months of the traffic sources, in the sources' own rows, with all that goes wrong in real ones.

Belongs here: rows as lists of cells, and how they are written as files. Does not: the sandbox's plausible months, or
what should come out, which the oracles compute.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from city_data_tests.oracles.received import Received

ZONE = ZoneInfo("Europe/Madrid")
MADRID_HEADER = ["id", "fecha", "tipo_elem", "intensidad", "ocupacion", "carga", "vmed", "error", "periodo_integracion"]
BARCELONA_HEADER = ["idTram", "data", "estatActual", "estatPrevist"]
PARIS_HEADER = ["iu_ac", "t_1h", "q", "k", "etat_trafic", "etat_barre"]
Table = list[list[str]]


def moments(year: int, month: int, days: int, minutes: int) -> list[datetime]:
    """Every `minutes` of the month's first days, in UTC."""
    start = datetime(year, month, 1, tzinfo=ZONE).astimezone(UTC)
    end = (datetime(year, month, days, tzinfo=ZONE) + timedelta(days=1)).astimezone(UTC)
    return [start + timedelta(minutes=minutes * n) for n in range(int((end - start) / timedelta(minutes=minutes)))]


def madrid_rows(random: Random, year: int, month: int, days: int, urban: int = 3, m30: int = 2) -> Table:
    """Sorted by station. Stations fall silent, rows are bad, repeated, contradicted or unlabelled."""
    labels = {3001 + n: "URB" for n in range(urban)} | {1001 + n: "M30" for n in range(m30)}
    table: Table = []
    for station, label in labels.items():
        dies = random.choice([None, None, random.random()])
        stamps = moments(year, month, days, 15)
        for n, moment in enumerate(stamps):
            if dies is not None and n / len(stamps) > dies and random.random() < 0.9:
                continue
            table += _madrid_quarter(random, station, label, moment)
    return table


def _madrid_quarter(random: Random, station: int, label: str, moment: datetime) -> Table:
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


def madrid_file(
    table: Iterable[Sequence[str]], year: int, month: int, header: Sequence[str] = MADRID_HEADER, separator: str = ";"
) -> bytes:
    """The ZIP."""
    text = "\n".join(separator.join(row) for row in (header, *table)) + "\n"
    return madrid_zip(text.encode(), year, month)


def madrid_zip(csv: bytes, year: int, month: int, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", method) as archive:
        archive.writestr(zipfile.ZipInfo(f"{month:02d}-{year}.csv"), csv, method)
    return body.getvalue()


def barcelona_rows(random: Random, year: int, month: int, days: int, segments: int = 4) -> Table:
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


def barcelona_file(table: Iterable[Sequence[str]], header: Sequence[str] = BARCELONA_HEADER) -> bytes:
    return ("\n".join(",".join(row) for row in (header, *table)) + "\n").encode()


def paris_rows(random: Random, year: int, month: int, days: int, arcs: int = 5, local: bool = False) -> Table:
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


def paris_file(table: Iterable[Sequence[str]], header: Sequence[str] = PARIS_HEADER) -> bytes:
    return ("\n".join(";".join(row) for row in (header, *table)) + "\n").encode()


def _lyon_channels() -> bytes:
    """Three sites of pedestrians with steps of an hour, a quarter and none, and a site of scooters with pedestrians."""
    listed = {"AP0": "A;PEDESTRIAN;3600", "AP1": "A;PEDESTRIAN;3600", "BP0": "B;PEDESTRIAN;900",
              "BP1": "B;PEDESTRIAN;900", "CP0": "C;PEDESTRIAN;0", "DE0": 'D;"E-SCOOTER,PEDESTRIAN";3600',
              "BB0": "B;BIKE;900"}  # fmt: skip
    rows = [f"{channel};{rest}" for channel, rest in listed.items()]
    return ("\n".join(["channel_id;site_id;mobility_type;time_step", *rows]) + "\n").encode()


LYON_CHANNELS = Received.of("channels.csv", _lyon_channels())


def lyon_rows(random: Random, year: int, month: int, days: int) -> Table:
    """Every channel's intervals in all spellings of an offset. Channels fall silent, change their step, are repeated or
    contradicted, and leave out ends."""
    table: Table = []
    steps = {"AP0": 60, "AP1": 60, "BP0": 15, "BP1": 15, "CP0": 60, "DE0": 60, "BB0": 15}
    for channel, minutes in steps.items():
        stamps = moments(year, month, days, minutes)
        dies = len(stamps) if channel[0] == "A" else random.choice([len(stamps)] * 3 + [random.randrange(len(stamps))])
        for start in stamps[:dies]:
            length = minutes if random.random() < 0.99 else random.choice([5, 15, 60, 7])
            row = [channel, "counter", _lyon_stamp(random, start),
                   _lyon_stamp(random, start + timedelta(minutes=length)), str(random.randrange(300))]  # fmt: skip
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


def _lyon_stamp(random: Random, moment: datetime) -> str:
    local = moment.astimezone(ZONE)
    day, offset = f"{local:%Y-%m-%dT%H:%M:%S}", f"{local:%z}"
    return random.choice([f"{moment:%Y-%m-%dT%H:%M:%S}Z", day + offset[:3], day + offset, local.isoformat(" ")])


LYON_HEADER = ["channel_id", "counter_id", "start_datetime", "end_datetime", "count"]


def lyon_json(table: Iterable[Sequence[str]]) -> bytes:
    """A page of the portal: an empty cell is null."""
    rows = [{name: cell or None for name, cell in zip(LYON_HEADER, row, strict=True)} for row in table]
    return json.dumps({"values": rows}).encode()


def lyon_csv(table: Iterable[Sequence[str]], header: Sequence[str] = LYON_HEADER) -> bytes:
    """A file of the national schema."""
    return ("\n".join(",".join(row) for row in (header, *table)) + "\n").encode()


Loop = tuple[str, float | None, int | None]  # idpm, ih, stamp in epoch ms


def valencia_polls(
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


def valencia_poll(taken: datetime, *pages: Sequence[Loop]) -> Received:
    """A poll as it is archived: its pages, one after another."""
    bodies = []
    for rows in pages:
        features = [{"attributes": {"idpm": p, "ih": f, "fecha_actualizacion": s}} for p, f, s in rows]
        bodies.append(json.dumps({"features": features}))
    return Received.of(f"{taken:%Y%m%dT%H%M%SZ}.json", "\n".join(bodies).encode())
