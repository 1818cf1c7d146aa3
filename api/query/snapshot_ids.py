"""What a snapshot id says. Belongs here: writing, reading and checking ids, without looking anything up.

Does not: finding the versions that an id names (snapshots.py).

An id describes itself, so that nothing has to be written where it is given out:

    1~madrid~traffic.2024-11.3.1x22.0.2~5f2c9a81d0c34b7e

the form's number; the city; for each dataset its first month and the versions of the months from there, `1x22` for 22
months of version 1, `0` for a month that held nothing; and a digest over what those versions are, for months that were
dropped and loaded anew under the same numbers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from city_data.datasets import DATASETS, DatasetName
from city_data.window import Month

FORM = "1"
NO_DATA = "none"
MAX_LENGTH = 4_096
_MAX_MONTHS = 3_600
_MOST_DIGITS = 9
_CITY = re.compile(r"[a-z][a-z0-9_]{0,62}")
_DIGEST = re.compile(r"[0-9a-f]{16}|none")
_RUN = re.compile(rf"(0|[1-9]\d{{0,{_MOST_DIGITS - 1}}})(?:x([1-9]\d{{0,3}}))?")


class Held(Protocol):
    """A version of a month, as the ledger's current row or as it was kept."""

    @property
    def city_id(self) -> str: ...
    @property
    def dataset(self) -> DatasetName: ...
    @property
    def month(self) -> Month: ...
    @property
    def version(self) -> int | None: ...
    @property
    def content_sha256(self) -> str | None: ...
    @property
    def loaded_at(self) -> datetime | None: ...
    @property
    def rows(self) -> int: ...
    @property
    def expected_rows(self) -> int: ...
    @property
    def coverage(self) -> float | None: ...
    @property
    def first_date(self) -> datetime | None: ...
    @property
    def last_date(self) -> datetime | None: ...
    @property
    def source(self) -> str | None: ...
    @property
    def provenance(self) -> Mapping[str, Any]: ...
    @property
    def has_data(self) -> bool: ...
    @property
    def identity(self) -> str: ...


def digest(identities: Sequence[str]) -> str:
    """Names versions of months by their identities, in the order of datasets and months: equal means equal data."""
    return hashlib.sha256("\n".join(identities).encode()).hexdigest()[:16] if identities else NO_DATA


@dataclass(frozen=True)
class SnapshotId:
    """The versions of a city's months, by dataset and in order; `digest` is over what they are. Its text is the id."""

    city_id: str
    months: Mapping[DatasetName, Mapping[Month, int]]
    digest: str

    @classmethod
    def of(cls, city_id: str, held: Mapping[DatasetName, Iterable[Held]]) -> SnapshotId:
        """`held` has data, and comes in the order of months."""
        listed = {name: list(held[name]) for name in DATASETS if name in held}
        return cls(
            city_id,
            {name: {one.month: one.version or 0 for one in ones} for name, ones in listed.items()},
            digest([one.identity for ones in listed.values() for one in ones]),
        )

    @classmethod
    def parse(cls, text: str) -> SnapshotId:
        """Raises ValueError, saying what is wrong, for whatever `str` of a SnapshotId would not give."""
        parts = text.split("~")
        if len(text) > MAX_LENGTH or len(parts) < 4 or parts[0] != FORM:
            raise ValueError("not a snapshot id; take it as it is from the X-Snapshot-Id of an answer")
        if not _CITY.fullmatch(parts[1]) or not _DIGEST.fullmatch(parts[-1]):
            raise ValueError(
                "a snapshot id names a city first, and ends with 16 hexadecimal digits: it was cut or changed"
            )
        made = cls(parts[1], dict(map(_parse_dataset, parts[2:-1])), parts[-1])
        if str(made) != text:
            raise ValueError("a snapshot id that no answer has given: it was changed")
        return made

    def __str__(self) -> str:
        datasets = [f"{name}{_runs(self.months[name])}" for name in DATASETS if name in self.months]
        return "~".join([FORM, self.city_id, *datasets, self.digest])


def _runs(months: Mapping[Month, int]) -> str:
    if not months:
        return ""
    runs: list[tuple[int, int]] = []
    end = None
    for month, version in months.items():
        position = month.year * 12 + month.month
        if end is not None and position > end:
            runs.append((0, position - end))
        if runs and runs[-1][0] == version:
            runs[-1] = version, runs[-1][1] + 1
        else:
            runs.append((version, 1))
        end = position + 1
    return f".{next(iter(months))}." + ".".join(f"{version}x{n}" if n > 1 else str(version) for version, n in runs)


def _parse_dataset(text: str) -> tuple[DatasetName, Mapping[Month, int]]:
    name, *rest = text.split(".")
    known = next((one for one in DATASETS if one == name), None)
    if known is None:
        raise ValueError(f"a snapshot id of {name[:40]!r}, which is no dataset")
    if not rest:
        return known, {}
    try:
        month = Month.parse(rest[0])
    except ValueError:
        raise ValueError(f"{rest[0][:40]!r} in a snapshot id is no month") from None
    months: dict[Month, int] = {}
    for run in rest[1:]:
        found = _RUN.fullmatch(run)
        if found is None:
            raise ValueError(f"{run[:40]!r} in a snapshot id is no version, nor a number of months of one")
        count = int(found[2] or 1)
        if len(months) + count > _MAX_MONTHS or month.year >= 9_000:
            raise ValueError(f"a snapshot id of more than {_MAX_MONTHS} months")
        for _ in range(count):
            months |= {month: int(found[1])} if found[1] != "0" else {}
            month = month + 1
    return known, months
