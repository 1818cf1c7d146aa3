"""The parts of a representation: format, encoding, and the shape of records. Belongs here: their tags and fields.

Does not: a request's parameters and their errors (representation.py), or building records (bodies/tables.py).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from api.query.formats import Format
from api.query.negotiation import Encoding
from city_data.datasets import Dataset
from city_data.store.segments import record_names

RAW = "raw_data"
HOURS = "hours"
ResolutionChoice = Literal["native", "hourly", "daily"]
Include = Literal["raw"]
MAX_COLUMNS_TEXT = 1_000


@dataclass(frozen=True)
class Shape:
    """`daily` aggregates hours to days; `columns` None means all; `raw` adds the source's extra data."""

    daily: bool = False
    columns: tuple[str, ...] | None = None
    raw: bool = False

    @cached_property
    def is_default(self) -> bool:
        return self == Shape()

    @cached_property
    def tag(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]

    def fields(self, dataset: Dataset) -> list[str]:
        names = known_names(dataset, self.daily)
        if self.columns is not None:
            names = [name for name in names if name == "date" or name in self.columns]
        return [*names, RAW] if self.raw else names


@dataclass(frozen=True)
class Representation:
    """Everything a client can choose about the form of equal records. `tag` is empty for uncompressed JSON."""

    format: Format
    shape: Shape
    encoding: Encoding

    @cached_property
    def tag(self) -> str:
        shape = "" if self.shape.is_default else self.shape.tag
        encoding = "" if self.encoding == "identity" else self.encoding
        return "".join(f"-{part}" for part in (self.format.tag, shape, encoding) if part)


def known_names(dataset: Dataset, daily: bool) -> list[str]:
    return [*record_names(dataset), HOURS] if daily else record_names(dataset)
