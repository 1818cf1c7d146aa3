"""Snapshot ids, each of which names versions of months. Belongs here: formatting, parsing and checking ids.

Does not: finding the versions that an id names (api/query/snapshots.py).

An id is self-describing, so that issuing one writes nothing:

    1~madrid~traffic.2024-11.3.1x22.0.2~5f2c9a81d0c34b7e

The parts are the number of the id's format; the city; for each dataset its first month and the versions of the months
from there, `1x22` for 22 months of version 1, `0` for a month without data; and a digest over the identities of those
versions, which detects months that were dropped and reloaded under the same numbers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from city_data.datasets import DATASETS, DatasetName
from city_data.store.ledger import MonthEntry
from city_data.store.versions import Version
from city_data.window import Month

StoredVersion = MonthEntry | Version  # the ledger's current row, or a version as of its load
ID_FORMAT = "1"
NO_DATA = "none"
MAX_LENGTH = 4_096
_MAX_MONTHS = 3_600
_MOST_DIGITS = 9
_CITY = re.compile(r"[a-z][a-z0-9_]{0,62}")
_DIGEST = re.compile(r"[0-9a-f]{16}|none")
_RUN = re.compile(rf"(0|[1-9]\d{{0,{_MOST_DIGITS - 1}}})(?:x([1-9]\d{{0,3}}))?")


def digest(identities: Sequence[str]) -> str:
    """A digest over the identities of versions, in the order of datasets and months: equal digests mean equal data."""
    return hashlib.sha256("\n".join(identities).encode()).hexdigest()[:16] if identities else NO_DATA


@dataclass(frozen=True)
class SnapshotId:
    """The versions of a city's months by dataset, and the digest of their identities. `str` gives the id."""

    city_id: str
    months: Mapping[DatasetName, Mapping[Month, int]]
    digest: str

    @classmethod
    def of(cls, city_id: str, versions: Mapping[DatasetName, Iterable[StoredVersion]]) -> SnapshotId:
        """The id of `versions`, which all have data and are sorted by month."""
        listed = {name: list(versions[name]) for name in DATASETS if name in versions}
        return cls(
            city_id,
            {name: {one.month: one.version or 0 for one in ones} for name, ones in listed.items()},
            digest([one.identity for ones in listed.values() for one in ones]),
        )

    @classmethod
    def parse(cls, text: str) -> SnapshotId:
        """Raises ValueError for a text that `str` of a SnapshotId cannot produce."""
        parts = text.split("~")
        if len(text) > MAX_LENGTH or len(parts) < 4 or parts[0] != ID_FORMAT:
            raise ValueError("not a snapshot id; copy the X-Snapshot-Id header of an answer unchanged")
        if not _CITY.fullmatch(parts[1]) or not _DIGEST.fullmatch(parts[-1]):
            raise ValueError(
                "not a valid snapshot id, which has a city and ends with 16 hexadecimal digits: it was cut or changed"
            )
        snapshot = cls(parts[1], dict(map(_parse_dataset, parts[2:-1])), parts[-1])
        if str(snapshot) != text:
            raise ValueError("not a valid snapshot id: no answer has this id")
        return snapshot

    def __str__(self) -> str:
        datasets = [f"{name}{_runs(self.months[name])}" for name in DATASETS if name in self.months]
        return "~".join([ID_FORMAT, self.city_id, *datasets, self.digest])


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
        raise ValueError(f"unknown dataset in the snapshot id: {name[:40]!r}")
    if not rest:
        return known, {}
    try:
        month = Month.parse(rest[0])
    except ValueError:
        raise ValueError(f"invalid month in the snapshot id: {rest[0][:40]!r}") from None
    months: dict[Month, int] = {}
    for run in rest[1:]:
        match = _RUN.fullmatch(run)
        if match is None:
            raise ValueError(f"invalid version in the snapshot id: {run[:40]!r}")
        count = int(match[2] or 1)
        if len(months) + count > _MAX_MONTHS or month.year >= 9_000:
            raise ValueError(f"the snapshot id has more than {_MAX_MONTHS} months")
        for _ in range(count):
            months |= {month: int(match[1])} if match[1] != "0" else {}
            month = month + 1
    return known, months
