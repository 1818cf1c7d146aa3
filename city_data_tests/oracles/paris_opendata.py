"""Paris's city-hours, computed again from the rows' bytes, one arc and one hour at a time.

Belongs here: the portal's rows, and the rules of the city-hour as documented. Does not: any product module.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median_low
from typing import Any
from zoneinfo import ZoneInfo

from city_data_tests.oracles.plain import CannotTell
from city_data_tests.oracles.station_hours import Flow, hours_of, local_face, volumes

BANDS = ((15, "low"), (30, "medium"), (50, "high"))
LIMITS = {"q": 20_000, "k": 100}
NAMES = {
    "iu_ac": "iu_ac",
    "identifiant arc": "iu_ac",
    "t_1h": "t_1h",
    "date et heure de comptage": "t_1h",
    "q": "q",
    "débit horaire": "q",
    "k": "k",
    "taux d'occupation": "k",
}
HOUR = timedelta(hours=1)
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
_STAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{2}):00(?::00)?(?:\.0+)?(?: ?(Z|[+-][0-9]{2}(?::?[0-9]{2})?))?"
)


def month(payloads: Sequence[bytes], request: Any) -> dict[datetime, dict[str, float | str | None]]:
    """Volume and congestion of every hour up to the last with a value."""
    hours = hours_of(request)
    zone = ZoneInfo(request.location.timezone)
    exact = {hour + HOUR: slot for slot, hour in enumerate(hours)}
    # Of two hours that end at one local time, the later.
    local = {end.astimezone(zone).replace(tzinfo=None): slot for end, slot in exact.items()}
    told: dict[tuple[str, int], dict[str, list[float]]] = {}
    for payload in payloads:
        for arc, end, cells in _rows(payload):
            slot = _slot(end, exact, local)
            if slot is not None:
                both = told.setdefault((arc, slot), {"q": [], "k": []})
                for name, value in cells.items():
                    both[name] += [] if value is None else [value]
    tables: dict[str, Flow] = {
        name: {key: median_low(set(both[name])) for key, both in told.items() if both[name]} for name in LIMITS
    }
    slots = [slot for table in tables.values() for _, slot in table]
    if not slots:
        return {}
    reached = hours[: max(slots) + 1]
    found = {name: _estimate(table, reached, request.location.timezone) for name, table in tables.items()}
    return {
        hours[slot]: {"traffic_volume": found["q"][slot], "congestion_level": _level(found["k"][slot])}
        for slot in range(len(reached))
    }


def _estimate(table: Flow, hours: Sequence[datetime], timezone: str) -> dict[int, float | None]:
    week_hours = {}
    for slot, moment in enumerate(hours):
        week_hours[slot] = moment.astimezone(ZoneInfo(timezone)).weekday() * 24 + local_face(moment, timezone)[1]
    judged = sorted({slot for _, slot in table})
    arcs = {arc: "all" for arc, _ in table}
    return volumes(table, arcs, {"all": 1.0}, week_hours, judged)


def _rows(payload: bytes) -> Iterable[tuple[str, str, dict[str, float | None]]]:
    first, *others = payload.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    try:
        head = first.decode("utf-8")
    except UnicodeDecodeError:
        head = first.decode("latin-1")
    mark = max((";", ",", "\t"), key=head.count)
    columns = [NAMES.get(unicodedata.normalize("NFC", cell).lower(), "") for cell in _cells(head, mark)]
    if any(columns.count(name) != 1 for name in ("iu_ac", "t_1h", "q", "k")):
        raise CannotTell("other columns")
    for line in others:
        cells = _cells(line.decode("utf-8", "replace"), mark)
        if len(cells) != len(columns):
            continue
        row = dict(zip(columns, cells, strict=True))
        arc = _number(row["iu_ac"])
        if re.search(r"\.[0-9]{3}$", row["q"]) and _number(row["q"]) is not None:
            raise CannotTell("thousands, or a fraction?")
        # The range first: four hundred digits are infinity, which has no whole number.
        if arc is None or not 1 <= arc <= 1_000_000 or arc != int(arc) or re.search(r"\.[0-9]{3}$", row["iu_ac"]):
            continue
        values = {name: _number(row[name]) for name in LIMITS}
        inside = {n: v if v is not None and 0 <= v <= LIMITS[n] else None for n, v in values.items()}
        yield str(int(arc)), row["t_1h"], inside


def _slot(end: str, exact: Mapping[datetime, int], local: Mapping[datetime, int]) -> int | None:
    """The hour that ends then."""
    match = _STAMP.fullmatch(end)
    if match is None:
        return None
    try:
        moment = datetime.fromisoformat(f"{match[1]}T{match[2]}:00{match[3] or ''}")
    except ValueError:
        return None
    return (local if moment.tzinfo is None else exact).get(moment)


def _level(share: float | None) -> str | None:
    return None if share is None else next((name for below, name in BANDS if round(share, 5) < below), "severe")


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def _cells(line: str, mark: str) -> list[str]:
    return [cell.strip(' \t\r"\xa0\u202f') for cell in line.split(mark)]
