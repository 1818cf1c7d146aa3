"""A parsed month beside the month that an oracle computed.

Belongs here: how the two are compared, and how bytes are handed to a provider. Does not: how either is computed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from city_data.providers.base import ParsedMonth, Payload, Provider, Request
from city_data_tests.oracles.received import Received
from city_data_tests.sandbox.asking import accounted

Key = datetime | tuple[datetime, int]
Hours = Mapping[Key, Mapping[str, float | str | None]]


class Difference(NamedTuple):
    """One value that differs, in words; `is_missing` where the parsed month has none."""

    words: str
    is_missing: bool


def parse_bytes(provider: Provider, request: Request, payloads: Sequence[Received]) -> ParsedMonth:
    """What the provider makes of these bytes, under these names."""
    with TemporaryDirectory(prefix="city_data-oracle-") as folder:
        files = []
        for number, body in enumerate(payloads):
            place = Path(folder) / str(number)
            place.mkdir()
            (place / body.name).write_bytes(body)
            files.append(Payload(body.name, place / body.name, "https://example.org/"))
        return accounted(provider.parse(request, files))


def hours_of_frame(month: ParsedMonth, columns: Sequence[str], others: Sequence[str] = ()) -> Hours:
    """The frame's rows by their date, or by it and the values of the `others` of its key."""
    frame = month.frame
    values: dict[str, list[Any]] = {name: frame[name].tolist() for name in columns}
    return {
        (stamp.to_pydatetime(), *more) if others else stamp.to_pydatetime(): {
            name: _plain(values[name][row]) for name in columns
        }
        for row, (stamp, *more) in enumerate(zip(frame["date"], *(frame[name] for name in others), strict=True))
    }


def differences(
    month: ParsedMonth,
    expected: Hours,
    columns: Sequence[str],
    tolerance: float = 1e-7,
    others: Sequence[str] = (),
) -> list[Difference]:
    """Where the two tell different values; a row that one of them lacks is a row of NULL."""
    found = hours_of_frame(month, columns, others)
    told = []
    for key in sorted(found.keys() | expected.keys(), key=str):
        for name in columns:
            one, other = (hours.get(key, {}).get(name) for hours in (found, expected))
            if not _equal(one, other, tolerance):
                told.append(Difference(f"{_words(key)} {name}: parsed {one!r}, oracle {other!r}", one is None))
    return told


def _words(key: Key) -> str:
    stamp, *others = key if isinstance(key, tuple) else (key,)
    return " ".join([f"{stamp:%Y-%m-%dT%H:%MZ}", *map(str, others)])


def _plain(value: Any) -> float | str | None:
    if value is None or value != value:
        return None
    return value if isinstance(value, str) else float(value)


def _equal(one: float | str | None, other: float | str | None, tolerance: float) -> bool:
    """Sums in another order differ in their last digits; stored values have two decimals."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=tolerance)
    return one == other
