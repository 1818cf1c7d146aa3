"""Metamorphic relations: a month's bytes are changed in a way that must change no value, and the outcomes compared.

Belongs here: outcomes of a parse and what they may differ in. Does not: months of bytes (weather.py, traffic.py), or
what a month's right values are (oracles).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from city_data.datasets import DATASETS
from city_data.frames import canonical
from city_data.providers.base import ParsedMonth, Payload, PermanentError, Provider, Request
from city_data_tests.sandbox.asking import accounted

Values = dict[datetime, dict[str, float | None]]


@dataclass(frozen=True)
class Outcome:
    """A parsed month, or the text of its refusal."""

    month: ParsedMonth | None
    refusal: str = ""

    @property
    def values(self) -> Values:
        """The numbers of every interval that has any, to the digits in which they are published."""
        assert self.month is not None, self.refusal
        return numbers_of(self.month)

    @property
    def text(self) -> list[str | None]:
        assert self.month is not None, self.refusal
        return [value if isinstance(value, str) else None for value in self.month.frame.get("description", [])]


def outcome(provider: Provider, request: Request, bodies: Sequence[bytes], names: Sequence[str] = ()) -> Outcome:
    """What the provider makes of the bytes. An untyped end is none of the outcomes: it is raised."""
    with tempfile.TemporaryDirectory(prefix="city_data-relations-") as folder:
        payloads = []
        for number, body in enumerate(bodies):
            name = names[number] if number < len(names) else f"{number}.bytes"
            path = Path(folder) / name
            path.write_bytes(body)
            payloads.append(Payload(name, path, "https://example.org/"))
        try:
            return Outcome(accounted(provider.parse(request, payloads)))
        except PermanentError as error:
            said = str(error)
            assert said.startswith(f"{provider.name}: {request.location.city_id} {request.month}: "), said
            assert said.isprintable()
            return Outcome(None, said)


def numbers_of(month: ParsedMonth) -> Values:
    """The canonical numbers, without intervals that have none."""
    named = set(month.frame.columns)
    fitting = [d for d in DATASETS.values() if set(d.key) <= named and set(d.column_names) & named]
    dataset = max(fitting, key=lambda d: len(d.key))
    names = [column.name for column in dataset.columns if column.kind == "number"]
    rows = canonical.records(canonical.canonical_frame(month.frame, dataset), dataset)
    keys = [row["date"] if len(dataset.key) == 1 else tuple(row[name] for name in dataset.key) for row in rows]
    return with_values({key: {name: row[name] for name in names} for key, row in zip(keys, rows, strict=True)})


def with_values(values: dict[datetime, dict[str, Any]]) -> Values:
    """Without the intervals of which nothing is known."""
    return {stamp: row for stamp, row in values.items() if any(value is not None for value in row.values())}


def assert_same(before: Outcome, after: Outcome) -> None:
    """Bit-equal values and words, from a month that is not refused."""
    assert after.month is not None, after.refusal
    assert after.values == before.values
    assert after.text == before.text


def assert_same_or_refused(before: Outcome, after: Outcome) -> None:
    if after.month is not None:
        assert_same(before, after)


def assert_never_silent(before: Outcome, after: Outcome) -> None:
    """Bit-equal, or refused, or without some measured values, each of which is counted: never another value.

    A city's mean changes where one of its stations has no value: what must not change is what each station says.
    """
    if after.month is None:
        return
    assert before.month is not None
    old, new = _measured(before.month), _measured(after.month)
    assert set(new) <= set(old)
    lost = {key for key, value in old.items() if new.get(key) != value}
    for key in lost:
        assert new.get(key) is None, (key, old[key], new[key])
    counted = sum(after.month.nulled.values()) + sum(after.month.rejected.values())
    known = sum(before.month.nulled.values()) + sum(before.month.rejected.values())
    assert not lost or counted > known, (sorted(lost)[:5], dict(after.month.nulled), dict(after.month.rejected))


def _measured(month: ParsedMonth) -> dict[tuple[datetime, str, str], float]:
    """What was measured, by interval, station and column: without a pressure that was made of others."""
    made: dict[tuple[datetime, str, str], float] = {}
    for stamp, row in zip(month.frame["date"], month.frame.to_dict("records"), strict=True):
        stations = (row["raw_data"] or {}).get("stations", {"": row})
        for station, values in stations.items():
            names = [name for name, value in values.items() if isinstance(value, int | float) and value == value]
            reduced = "pressure_reduced" in values.get("flags", ())
            made |= {(stamp, station, name): values[name] for name in names if not (reduced and name == "pressure")}
    return made
